"""A process that fits again and again holds what it held: nothing of a model or its rows stays (1,000 fits: benchmarks/long_runs.py)."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
import weakref
from pathlib import Path

import jax
import numpy as np
import pytest
from repeated import FAST, X

import bayesgmm as bg
from bayesgmm.inference import compiling

SPHERICAL = {"covariance_type": "spherical", **FAST}
ROUNDS = 12


def k_means(x):
    return bg.KMeans(3, **FAST).fit(x)


def mixture(x):
    return bg.GaussianMixture(2, **SPHERICAL).fit(x)


def bayes(x):
    return bg.BayesianGaussianMixture(n_components=2, moves=False, **SPHERICAL).fit(x)


def from_batches(x):
    return bg.GaussianMixture(2, **SPHERICAL).fit(bg.scan([x[:50], x[50:]]))


def told(x):
    model = mixture(x)
    return model, model.predict_proba(x), model.sample(5), model.summary(x), model.uncertainty(x, method="sandwich", n_draws=20)


def compared(x):
    return bg.select(x, [1, 2], "spherical", n_init=1, random_state=0)


def refused(x):
    with pytest.raises(ValueError, match="n_components"):
        bg.GaussianMixture(1000).fit(x)
    return None


WORKS = [k_means, mixture, bayes, from_batches, told, refused, pytest.param(compared, marks=pytest.mark.slow)]


def held() -> dict[str, int]:
    """What can be counted exactly."""
    gc.collect()
    programs = sum(len(program._made) for program in compiling._all)
    found = {"laws": len(compiling._all), "programs": programs, "arrays": len(jax.live_arrays()), "objects": len(gc.get_objects())}
    if Path("/proc/self/fd").is_dir():
        found |= {"maps": compiling.MAPS.read_bytes().count(b"\n"), "files": len(os.listdir("/proc/self/fd"))}
    return found


@pytest.fixture
def plain_threads():
    """What measures lines keeps an object for every thread."""
    before = threading.gettrace()
    threading.settrace(None)
    yield
    threading.settrace(before)


@pytest.mark.usefixtures("plain_threads")
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_nothing_stays_after_a_fit(work):
    """Objects, programs, arrays of JAX, memory maps and files are as many after fits as before, and memory of Python does not grow."""
    for _ in range(3):
        work(X.copy())
    tracemalloc.start()
    try:
        work(X.copy())
        before, memory = held(), tracemalloc.get_traced_memory()[0]
        for _ in range(ROUNDS):
            work(X.copy())
        after, grown = held(), tracemalloc.get_traced_memory()[0] - memory
    finally:
        tracemalloc.stop()
    assert {k: n for k, n in after.items() if k not in ("objects", "maps")} == {k: before[k] for k in after if k not in ("objects", "maps")}
    assert after["objects"] - before["objects"] < ROUNDS, "less than one object a fit"
    assert after.get("maps", 0) - before.get("maps", 0) < ROUNDS
    assert grown < 8192 * ROUNDS, "free lists, which fill up"


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_rows_and_models_go_with_their_user(work):
    x = X.copy()
    found = work(x)
    seen = [weakref.ref(x)]
    seen += [weakref.ref(part) for part in (found if isinstance(found, tuple) else [found]) if hasattr(part, "__dict__")]
    seen += [weakref.ref(a) for a in vars(found).values() if isinstance(a, np.ndarray)] if hasattr(found, "__dict__") else []
    assert all(ref() is not None for ref in seen)
    del x, found
    gc.collect()
    assert all(ref() is None for ref in seen)


def test_programs_of_new_shapes_are_let_go():
    """Where they are forgotten, the objects of tracing and compiling go, too."""
    for program in compiling._all:
        program.forget()
    jax.clear_caches()
    counts = []
    for first in (16, 40, 64):
        for n in (first, first + 8, first + 16):
            k_means(X[:n])
        full = len(gc.get_objects())
        compiling.forget()
        gc.collect()
        counts.append((full, len(gc.get_objects())))
    assert counts[-1][0] - counts[-1][1] > 2000, "there were some"
    assert counts[-1][1] - counts[-2][1] < 600, "less than 200 small objects of JAX stay of a shape"


def test_programs_are_forgotten_where_there_are_many(monkeypatch, tmp_path):
    """By memory maps where the system tells them, by their number elsewhere."""
    k_means(X)
    monkeypatch.setattr(compiling, "CROWDED", 10)
    told = [(compiling.MAPS, 10**6, False)] if compiling.MAPS.exists() else []
    for maps, most, kept in (*told, (tmp_path / "none", 10**6, True), (tmp_path / "none", 3, False)):
        k_means(X)
        monkeypatch.setattr(compiling, "MAPS", maps)
        monkeypatch.setattr(compiling, "MOST", most)
        compiling.Program.grown = True
        compiling.make_room()
        assert bool(sum(len(program._made) for program in compiling._all)) == kept
