"""Fixtures shared by all tests."""

from __future__ import annotations

import jax
import pytest


@pytest.fixture
def x64():
    """Float64 for tests of the functional layer; not a global switch, so the library's own boundary stays visible elsewhere."""
    with jax.enable_x64(True):
        yield
