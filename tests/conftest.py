"""Fixtures shared by all tests."""

from __future__ import annotations

import itertools
import os

import jax
import pytest

os.environ["BAYESGMM_COMPILATION_CACHE"] = "off"  # tests replace functions of the library, which its cache of programs does not see

from bayesgmm.inference.compiling import Program, make_room

_count = itertools.count()


@pytest.fixture
def x64():
    """Float64 for tests of the functional layer; not a global switch, so the library's own boundary stays visible elsewhere."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def few_programs():
    """Forget compiled programs before the process runs out of memory maps: the tests compile thousands."""
    if next(_count) % 20 == 0:
        Program.grown = True  # tests compile programs of their own, too
        make_room()
    yield
