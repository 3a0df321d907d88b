"""Fixtures shared by all tests."""

from __future__ import annotations

import itertools
from pathlib import Path

import jax
import pytest

MAPS = Path("/proc/self/maps")
MANY = 30_000
"""Memory maps, of which Linux allows a process 65,530: each compiled program holds some, and the tests compile thousands."""

_count = itertools.count()


@pytest.fixture
def x64():
    """Float64 for tests of the functional layer; not a global switch, so the library's own boundary stays visible elsewhere."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def few_programs():
    """Forget compiled programs before the process runs out of memory maps."""
    if next(_count) % 20 == 0 and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY:
        jax.clear_caches()
    yield
