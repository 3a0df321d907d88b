"""Fits in several threads and processes at once give the bits of fits one after another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from repeated import FAST, X, digest
from scripts import ROOT, python_path

import bayesgmm as bg
from bayesgmm.inference import cache, compiling, parallel

FITTED: dict = {}
"""One model for all threads, which read it only, and its file."""


@pytest.fixture(scope="module", autouse=True)
def shared(tmp_path_factory):
    FITTED["model"] = bg.GaussianMixture(2, covariance_type="spherical", **FAST).fit(X)
    FITTED["file"], FITTED["table"] = (tmp_path_factory.mktemp("threads") / name for name in ("model.npz", "rows.npy"))
    FITTED["model"].save(FITTED["file"])
    np.save(FITTED["table"], X)
    yield
    FITTED.clear()


def mixture(x=X, **options):
    return bg.GaussianMixture(**({"n_components": 2, "covariance_type": "spherical"} | FAST | options)).fit(x)


def in_64_bits():
    """A user's own program, which has switched 64 bits on in this thread."""
    with jax.enable_x64(True):
        found = mixture(jnp.asarray(X))
        assert jax.config.jax_enable_x64 and jnp.ones(2).dtype == jnp.float64
    return found, mixture().sample(5)


def in_32_bits():
    """And one that has not, whatever the others do."""
    assert jnp.ones(2).dtype == jnp.float32
    found = mixture()
    assert jnp.ones(2).dtype == jnp.float32 and jnp.arange(3).dtype == jnp.int32
    return found


def failing():
    with pytest.raises(ValueError, match="NaN at row 0"):
        mixture(np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match="n_components"):
        mixture(n_components=1000)
    return "told"


JOBS = {
    "k-means": lambda: bg.KMeans(3, **FAST).fit(X),
    "mixture": mixture,
    "float32": lambda: mixture(dtype="float32"),
    "other rows": lambda: mixture(X[:90]),
    "bayes": lambda: bg.BayesianGaussianMixture(n_components=2, covariance_type="spherical", moves=False, **FAST).fit(X),
    "64 bits": in_64_bits,
    "32 bits": in_32_bits,
    "predict": lambda: [FITTED["model"].predict_proba(X), FITTED["model"].score_samples(X), FITTED["model"].bic(X)],
    "file": lambda: [bg.load(FITTED["file"]).predict(X), mixture(bg.scan(FITTED["table"]))],
    "wrong": failing,
}


def at_once(names, n_threads=8) -> list[str]:
    """Digests of jobs done in so many threads, which begin together."""
    gate = threading.Barrier(n_threads)

    def one(i: int) -> str:
        if i < n_threads:
            gate.wait(60)
        return digest(JOBS[names[i]]())

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(one, range(len(names))))


@pytest.fixture(scope="module")
def alone(shared):
    return {name: digest(job()) for name, job in JOBS.items()}


def test_fits_in_threads_are_fits_one_after_another(alone):
    """Each kind twice, in eight threads; no program is there at first, so that threads compile at once, too."""
    compiling.forget()
    names = [*JOBS, *JOBS]
    assert dict(zip(names, at_once(names), strict=True)) == alone
    assert at_once(["mixture"] * 8) == [alone["mixture"]] * 8


@pytest.mark.slow
def test_fits_in_threads_many_times(alone):
    """Programs are forgotten, by one thread while the others fit, every now and then."""
    rng, names = np.random.default_rng(0), list(JOBS)
    done = 0
    for i in range(40):
        chosen = [names[j] for j in rng.integers(len(names), size=32)]
        stop = threading.Timer(0.2, compiling.forget) if i % 20 == 10 else None
        if stop:
            stop.start()
        assert at_once(chosen) == [alone[name] for name in chosen]
        done += len(chosen)
        if stop:
            stop.join()
    print(f"{done} jobs in threads, all the same")


def test_an_interrupted_fit_leaves_others_alone(alone, monkeypatch):
    """What ends one thread, in the middle of a fit, holds no lock and spoils no program."""
    from bayesgmm.estimators import kmeans

    usual, fail = kmeans.lloyd, threading.local()

    def lloyd(*given, **options):
        if getattr(fail, "now", False):
            raise KeyboardInterrupt
        return usual(*given, **options)

    monkeypatch.setattr(kmeans, "lloyd", lloyd)

    def one(i: int) -> str:
        fail.now = i % 2 == 0
        try:
            return digest(JOBS["k-means"]())
        except KeyboardInterrupt:
            return "interrupted"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(8))) == ["interrupted", alone["k-means"]] * 4
    assert digest(JOBS["k-means"]()) == alone["k-means"]


def test_a_program_whose_first_run_fails_is_made_by_the_next(monkeypatch):
    """Compiling may be interrupted: the lock is free afterwards, and nothing half made is kept."""
    program, usual = compiling.jit(lambda a: a + 1), compiling._compile
    monkeypatch.setattr(compiling, "_compile", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        with pytest.raises(KeyboardInterrupt):
            program(1)
        monkeypatch.setattr(compiling, "_compile", usual)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(program, 1).result(60) == 2
    finally:
        compiling._all.remove(program)


SCRIPT = """
from bayesgmm.inference import compiling
made, compile = [], compiling._compile
compiling._compile = lambda *given: made.append(1) or compile(*given)
import bayesgmm as bg
from repeated import FAST, X, digest
print(digest(bg.KMeans(3, **FAST).fit(X)), len(made))
"""


def test_processes_may_keep_their_programs_in_one_folder_at_once(alone, tmp_path):
    environment = {**os.environ, cache.VARIABLE: str(tmp_path), "PYTHONPATH": python_path(ROOT / "tests")}

    def begun() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=environment)

    for word in [process.communicate(timeout=600)[0].split()[0] for process in [begun(), begun(), begun()]]:
        assert word == alone["k-means"]
    assert begun().communicate(timeout=600)[0].split() == [alone["k-means"], "0"]
    assert all(path.suffix == cache.ENDING and not path.name.startswith("new-") for path in tmp_path.iterdir())


def test_threads_take_numbers_as_their_caller_does():
    """Whatever the process was told: rows are divided among threads alike, and a user's own settings reach them."""
    usual = parallel.possible()
    before = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    try:
        with parallel.crew(2) as each:
            assert set(each(lambda _: jax.config.jax_numpy_dtype_promotion, range(4))) == {"strict"}
        with compiling.numbers():
            assert parallel.possible() == usual
            with parallel.crew(2) as each:
                here = compiling.settings()
                assert set(each(lambda _: compiling.settings(), range(4))) == {here}
    finally:
        jax.config.update("jax_numpy_dtype_promotion", before)
