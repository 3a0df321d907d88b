"""The same seed gives the same answer: to the last bit on one machine, to stated tolerances where sums are made in another order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import repeated
from repeated import CASES, SMALL, X, digest, digests
from scripts import ROOT, python_path

import bayesgmm as bg
from bayesgmm.cli import main
from bayesgmm.inference import cache

SCRIPT = Path(repeated.__file__)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def process(names, *, core: int | None = None, **environment: str) -> dict[str, str]:
    """Digests made by a fresh process, on one core if that is named."""
    code = "import os, runpy, sys; os.sched_setaffinity(0, [int(sys.argv.pop(1))]); runpy.run_path(PATH, run_name='__main__')"
    held = ["-c", code.replace("PATH", repr(str(SCRIPT))), str(core)]
    command = [sys.executable, *([str(SCRIPT)] if core is None else held)]
    path = python_path(ROOT / "tests")
    done = subprocess.run(
        [*command, *names], capture_output=True, text=True, timeout=1800, env={**os.environ, "PYTHONPATH": path, **environment}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def threads(n: int) -> dict[str, str]:
    return dict.fromkeys(THREADS, str(n))


@pytest.fixture(scope="module")
def here():
    return digests(SMALL)


def test_a_digest_sees_one_bit():
    model = repeated.clusters()[0]
    before, also = digest(model), digest(repeated.clusters()[0])
    model.cluster_centers_ = np.nextafter(model.cluster_centers_, np.inf)
    assert also == before != digest(model)
    assert len({digest(value) for value in (1, 1.0, True, "1", [1], np.ones(1), np.ones(1, "f4"), {"a": 1}, {"b": 1}, -0.0, 0.0)}) == 11


def test_the_same_process_gives_the_same_bits(here):
    """Later, in another order, whatever the global generators have given meanwhile."""
    np.random.seed(1)  # noqa: NPY002
    assert digests(reversed(SMALL)) == here


def test_another_process_gives_the_same_bits(here):
    """Other hashes, another number of threads, other earlier fits; programs are read from disk that were compiled here."""
    assert process(SMALL[::-1], PYTHONHASHSEED="12", **threads(2)) == here


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Digests of all kinds of answers, and the programs that were compiled for them."""
    programs = str(tmp_path_factory.mktemp("programs"))
    found = process(CASES, PYTHONHASHSEED="0", **threads(1), **{cache.VARIABLE: programs})
    assert len(list(Path(programs).glob("*" + cache.ENDING))) > 100
    return found, programs


@pytest.mark.slow
def test_all_kinds_of_answers_have_the_same_bits(everything):
    """Each twice in a process, after others; other hashes and threads; programs from disk."""
    found, programs = everything
    assert process([*CASES, *CASES][len(CASES) // 2 :], PYTHONHASHSEED="77", **threads(2), **{cache.VARIABLE: programs}) == found


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to one core")
def test_other_cores_change_rounding_only():
    """XLA divides some operations among the cores, or threads, that it finds when it compiles."""
    flags = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")
    usual = process(["numbers"], **{cache.VARIABLE: "off"})
    one_core = process(["numbers"], core=min(os.sched_getaffinity(0)), **{cache.VARIABLE: "off"})
    one_thread = process(["numbers"], XLA_FLAGS=flags, **{cache.VARIABLE: "off"})
    for other in (one_core, one_thread):
        np.testing.assert_allclose(other, usual, rtol=1e-8)


def fitted(x=X, **options):
    return bg.GaussianMixture(**({"n_components": 2, "covariance_type": "spherical"} | repeated.SHORT | options)).fit(x)


def test_seeds_and_generators():
    """A generator gives one number to a fit, so that equal generators give equal fits, and the next fit of the same generator differs."""
    for make in (lambda: 5, lambda: np.int64(5), lambda: np.random.default_rng(5), lambda: np.random.RandomState(5)):
        one, other = make(), make()
        first = fitted(random_state=one, init_params="random")
        assert digest(vars(fitted(random_state=other, init_params="random")) | {"random_state": 0}) == digest(
            vars(first) | {"random_state": 0}
        )
        if isinstance(one, np.random.Generator):
            assert one.integers(2**32) == other.integers(2**32) != np.random.default_rng(5).integers(2**32)
    starts = {fitted(random_state=np.random.default_rng(s), init_params="random", n_init=1).lower_bounds_[0] for s in range(4)}
    assert len(starts) > 1, "the seed matters"


FORMS = {
    "Fortran order": np.asfortranarray,
    "read-only": lambda x: np.frombuffer(x.tobytes()).reshape(x.shape),
    "every second row of twice as many": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards twice": lambda x: x[::-1].copy()[::-1],
    "lists": lambda x: x.tolist(),
    "other byte order": lambda x: x.astype(">f8"),
    "objects": lambda x: x.astype(object),
    "float32, in which these numbers are exact": lambda x: x.astype(np.float32),
    "a data frame": pd.DataFrame,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_data_changes_no_bit(form):
    x = X.astype(np.float32).astype(float)
    for make in (fitted, lambda x: bg.KMeans(2, **repeated.SHORT).fit(x)):
        one, other = make(x), make(FORMS[form](x))
        vars(other).pop("feature_names_in_", None)
        assert np.array_equal(one.predict(x), other.predict(x))
        for name, value in vars(one).items():
            if isinstance(value, np.ndarray):
                assert value.tobytes() == getattr(other, name).tobytes(), name
        assert getattr(one, "lower_bound_", 0) == getattr(other, "lower_bound_", 0)


def test_telling_changes_no_bit(capsys):
    for make in (fitted, lambda **o: bg.KMeans(2, **repeated.SHORT, **o).fit(X)):
        assert digest(vars(make(verbose=1)) | {"verbose": 0}) == digest(vars(make()))
    assert capsys.readouterr().err


@pytest.mark.slow
def test_telling_changes_no_bit_of_a_comparison(capsys):
    quiet, told = (bg.select(X, [1, 2], "spherical", n_init=1, random_state=0, verbose=v) for v in (False, True))
    assert digest(quiet) == digest(told)
    assert capsys.readouterr().err


@pytest.mark.parametrize("size", [7, pytest.param(64, marks=pytest.mark.slow), pytest.param(10_000, marks=pytest.mark.slow)])
def test_chunks_change_rounding_only(size):
    """Bound and likelihood to 1e-11 of themselves, parameters to 1e-6 of a column's spread: docs/decisions/0010-trust.md."""
    for cls, more in ((bg.GaussianMixture, {}), (bg.BayesianGaussianMixture, {"moves": False})):
        options = {"n_components": 2, "covariance_type": "spherical", **repeated.FAST, **more}
        one, other = (cls(**options, chunk_size=c).fit(X) for c in (None, size))
        np.testing.assert_allclose(other.lower_bound_, one.lower_bound_, rtol=1e-11)
        np.testing.assert_allclose(other.log_likelihood_, one.log_likelihood_, rtol=1e-9)
        np.testing.assert_allclose(other.weights_, one.weights_, atol=1e-6)
        np.testing.assert_allclose(other.means_ / X.std(0), one.means_ / X.std(0), atol=1e-6)
        np.testing.assert_allclose(other.covariances_, one.covariances_, rtol=1e-6)


@pytest.mark.slow
def test_the_command_in_a_whole_report_makes_it_again(tmp_path, monkeypatch, capsys):
    """By another process, with other hashes and numbers of threads."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main(["fit", "faithful", "--covariance", "full", "--max-components", "3", "--restarts", "1", "--out", "all"]) == 0
    first = (tmp_path / "first" / "all" / "report.html").read_bytes()
    command = re.search(r"<pre>bayesgmm (.*?)</pre>", first.decode()).group(1)
    environment = {**os.environ, "PYTHONPATH": python_path(), "PYTHONHASHSEED": "5", **threads(2)}
    words = [sys.executable, "-m", "bayesgmm.cli", *shlex.split(command)]
    subprocess.run(words, cwd=tmp_path / "second", env=environment, check=True, capture_output=True, timeout=1800)
    files = sorted(path.name for path in (tmp_path / "first" / "all").iterdir())
    assert "report.html" in files and len(files) >= 3
    fit = [json.loads((tmp_path / place / "all" / "posterior.json").read_text()) for place in ("first", "second")]
    for record in fit:
        assert record["fit"].pop("seconds") > 0
    assert fit[0] == fit[1]
    for name in set(files) - {"posterior.json"}:
        assert (tmp_path / "second" / "all" / name).read_bytes() == (tmp_path / "first" / "all" / name).read_bytes(), name
