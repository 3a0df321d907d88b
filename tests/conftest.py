"""Fixtures shared by all tests."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile

import jax
import pytest

from bayesgmm.inference import cache
from bayesgmm.inference.compiling import Program, make_room

_count = itertools.count()


QUICKER = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
"""A program of a test runs a few times, so that most of its time is compilation; each of the workers has one core for it."""


def pytest_configure(config):
    """One folder of compiled programs for all workers and the processes that tests start, for this run of the tests."""
    if "BAYESGMM_OPTIMISED" not in os.environ and QUICKER not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICKER}".strip()
    if not hasattr(config, "workerinput"):
        config.programs = os.environ[cache.VARIABLE] = tempfile.mkdtemp(prefix="bayesgmm-programs-")


def pytest_unconfigure(config):
    """Nothing of it is kept."""
    if hasattr(config, "programs"):
        shutil.rmtree(config.programs, ignore_errors=True)


@pytest.fixture
def x64():
    """Float64 for tests of the functional layer; not a global switch, so the library's own boundary stays visible elsewhere."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def programs_on_disk(request):
    """A test that replaces parts of the library neither keeps programs nor reads those of others; none turns the cache off for the next."""
    before = cache._Place.folder, cache._Place.decided
    if "monkeypatch" in request.fixturenames:
        cache.disable_compilation_cache()
    yield
    cache._Place.folder, cache._Place.decided = before


@pytest.fixture(autouse=True)
def few_programs():
    """Forget compiled programs before the process runs out of memory maps: the tests compile thousands."""
    if next(_count) % 20 == 0:
        Program.grown = True  # tests compile programs of their own, too
        make_room()
    yield
