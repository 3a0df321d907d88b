"""Sentences for mistakes that are made with one kind of input, or one option, only."""

from __future__ import annotations

import sys
from pathlib import Path

import dask.array
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import scipy.sparse

import bayesgmm as bg
from bayesgmm import frames, storage, tables
from bayesgmm.bridges import arrow
from bayesgmm.bridges.dask import DaskSource
from bayesgmm.estimators import predictions
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES
from bayesgmm.inference.initialise import initialise
from bayesgmm.validation import brief, check_seed

X = bg.load_dataset("faithful").x
FRAME = pd.DataFrame(X, columns=["a", "b"])
LABELS = [0, 1] * 136


class Silent:
    """What cannot be shown, nor made an array of."""

    def __repr__(self):
        raise RuntimeError("no words")

    def __array__(self, *_, **__):
        raise RuntimeError("no numbers")


def observed(x=X, **more):
    return bg.Observations(x, **more)


ROWS = [
    (lambda: observed(X[:, 0]), r"a table of numbers \(N, D\); got shape \(272,\)"),
    (
        lambda: observed(FRAME, error_covariance=pd.DataFrame(X, columns=["b", "a"])),
        r"has the columns \['b', 'a'\], X has \['a', 'b'\]; put",
    ),
    (lambda: observed(error_covariance=[np.nan, 1.0]), "without negative variances"),
    (lambda: observed(labels=[[1], [1, 2]]), r"labels must have shape \(272,\), one for each row of X; got \[\[1\]"),
    (lambda: observed(X[:3], labels=[0, 1, 7]), "the largest is 7, and there are 3 rows"),
    (lambda: frames.to_rows(Silent()), r"X \(Silent\) could not be read as a table of numbers: no numbers\.$"),
    (lambda: frames.to_rows(np.array({1}, object)), "X must be .*; got a set"),
]

SCANS = [
    (lambda: bg.scan(bg.scan(X)), "a source of rows already"),
    (lambda: bg.scan(np.empty((5, 0))), "the array has no columns"),
    (lambda: bg.scan([X[:, 0], X[:, 1]]), r"the first has the shape \(272,\). Rows that are one batch are given in a list: \[rows\]"),
    (lambda: bg.scan(""), "There is no file ''"),
    (lambda: bg.scan(X[:, :1], weight=0), "the array has no columns beside that of weights"),
    (lambda: bg.scan(X, ["a"]), "have no names; give a number from 0 to 1 instead of 'a'"),
    (lambda: bg.scan(X, [0, 0]), r"one or more different columns of the array; got \[0, 0\]"),
    (lambda: bg.scan(dask.array.from_array(X[:, 0])), r"a data frame or an array \(N, D\); this is a Array"),
    (lambda: DaskSource([X], None, 2, None, "the Dask array").over(lambda *_: None, lambda *_: None), "the Dask array has no rows"),
    (lambda: bg.GaussianMixture(1).partial_fit(bg.scan(X)), "partial_fit takes rows in memory"),
    (lambda: bg.GaussianMixture(2, init_params=LABELS).fit(bg.scan(X)), "init_params must be a word for rows read from a source"),
    (lambda: bg.GaussianMixture(2, student_t=4.0).fit(bg.scan(X)), "student_t needs rows in memory; fit a sample"),
    (lambda: bg.select(bg.scan(X), 2, student_t=4.0), "student_t needs rows in memory; compare a sample"),
    (lambda: bg.GaussianMixture(2, noise="hull").fit(bg.scan(X)), "noise='hull' needs complete rows in memory"),
    (lambda: bg.GaussianMixture(1).fit(bg.scan(np.c_[X, np.zeros(272)], weight=2)), "no row of positive weight"),
]

OPTIONS = [
    (lambda: bg.GaussianMixture(2, noise="hull").fit(np.random.default_rng(0).normal(size=(40, 9))), "is for at most . columns; X has 9"),
    (lambda: bg.GaussianMixture(2, noise="hull").fit(np.c_[X, X.sum(1)]), "the rows lie in a plane"),
    (lambda: bg.GaussianMixture(3, frozen=([["a", "b"]], [np.eye(2)])).fit(X), "The means in frozen must be numbers"),
    (lambda: bg.select(observed(labels=[0, 1, 2, 3] * 68), 2), "Labels name 4 components, more than the n_components = 2 asked for"),
    (lambda: initialise(None, None, X, method="best"), "method must be one of .*; got 'best'"),
    (lambda: bg.adjusted_rand_index(np.zeros((2, 3)), np.zeros((2, 3))), r"one label for each row, shape \(N,\); got shape \(2, 3\)"),
    (lambda: check_seed("x"), "random_state must be a whole number"),
]


@pytest.mark.parametrize(("ask", "words"), [*ROWS, *SCANS, *OPTIONS])
def test_mistakes_are_told(ask, words):
    with pytest.raises(ValueError, match=words):
        ask()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: bg.scan(scipy.sparse.csr_matrix(X)), r"Sparse input \(csr_matrix\) is not supported; scan reads dense rows"),
        (lambda: frames.to_rows(dask.array.from_array(X)), "X is a Dask collection"),
        (lambda: storage._encode({1}, {}), r"A set cannot be saved: \{1\}"),
    ],
)
def test_kinds_of_input_are_told(ask, words):
    with pytest.raises(TypeError, match=words):
        ask()


def test_files_of_rows(tmp_path):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", X)
    with pytest.raises(ValueError, match=r"stands for 2 \.npy files; give one"):
        bg.scan(tmp_path)
    np.savez(tmp_path / "c.npy", X)
    (tmp_path / "c.npy.npz").rename(tmp_path / "d.npy")
    twice = pyarrow.table([pyarrow.array([1.0, 2.0])] * 2, ["x", "x"])
    pyarrow.parquet.write_table(twice, tmp_path / "twice.parquet")
    (tmp_path / "twice.csv").write_text("x,x \n1,2\n")
    for ask, words in (
        (lambda: tables.read_table(str(tmp_path)), "is a directory; give a file"),
        (lambda: tables.read_table(str(tmp_path / "d.npy")), "an archive of several arrays"),
        (lambda: tables.read_table(str(tmp_path / "twice.csv")), "more than one column 'x'"),
        (lambda: bg.scan(tmp_path / "twice.parquet"), "has more than one column 'x'"),
    ):
        with pytest.raises(ValueError, match=words):
            ask()


def test_files_that_meet_other_faults(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")

    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(pd, "read_csv", fails)
    with pytest.raises(ValueError, match="needs more memory than there is to be read as csv"):
        tables.read_table(str(tmp_path / "x.csv"))
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes().replace(b"}", b" ", 1))
    with pytest.raises(ValueError, match="could not be read: its header is damaged"):
        bg.scan(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="x could not be read: it holds names that are not text in UTF-8"), arrow._in_words("x"):
        b"\xff".decode()


def test_a_table_that_fails_before_its_first_rows(tmp_path):
    with pytest.raises(KeyError, match="no rows"), arrow.parquet_writer(tmp_path / "x.parquet"):
        raise KeyError("no rows")


@pytest.mark.parametrize(
    ("absent", "ask"),
    [
        ("pyarrow", lambda path: tables.read_table(str(path))),
        ("bayesgmm.bridges.arrow", lambda path: bg.scan(path)),
        ("bayesgmm.bridges.arrow", lambda path: predictions._parquet(path).__enter__()),
        ("bayesgmm.bridges.dask", lambda path: bg.scan(dask.array.from_array(X))),
    ],
)
def test_libraries_that_are_not_there(tmp_path, monkeypatch, absent, ask):
    FRAME.to_parquet(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.delattr(bg.bridges, absent.rpartition(".")[2], raising=False)
    if absent == "pyarrow":
        monkeypatch.setattr(pd, "read_parquet", lambda *_, **__: __import__("pyarrow"))
    with pytest.raises(ValueError, match=r"install bayesgmm\["):
        ask(Path(tmp_path / "x.parquet"))


def test_partitions_of_dask_are_named():
    source = bg.scan(dask.array.from_array(np.array([["a", "b"]] * 4, object), chunks=(2, 2)))
    with pytest.raises((TypeError, ValueError), match=r"^partition 0 \(counting from 0\): "):
        list(source.batches())


def test_other_forms_of_what_is_asked():
    rows = observed(labels=LABELS, error_covariance=[0.1, 0.1])
    assert len(rows) == 272 and repr(rows) == "Observations(272 rows, 2 columns: values, errors, labels)"
    assert brief(Silent()) == "a Silent"
    state = np.random.RandomState(0)
    assert check_seed(state) == np.random.RandomState(0).randint(2**31)
    with pytest.raises(KeyError, match="none"):
        COVARIANCE_TYPES["none"]


def test_warm_starts_of_other_models():
    model = bg.GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    asked = [({"noise": 100.0}, "no noise component"), ({"student_t": 4.0}, "no tails"), ({"frozen": (X[:1], [np.eye(2)])}, "no frozen")]
    for option, words in asked:
        with pytest.raises(ValueError, match=f"which had {words}"):
            model.set_params(**({"noise": None, "student_t": None, "frozen": None} | option)).fit(X)
    model.set_params(noise=None, student_t=None, frozen=None)
    gaps = np.array([[2.0, np.nan], [4.0, 80.0]])
    np.testing.assert_array_equal(model.impute(X[:3]), X[:3])
    assert model.impute(X[:3], n_draws=2).shape == (2, 3, 2) and model.set_params(missing="at_random").impute(gaps).shape == (2, 2)


def test_components_that_a_fit_did_not_keep_are_not_those_of_new_rows():
    some = observed(labels=[0 if row[0] < 3 else 1 for row in X])
    model = bg.BayesianGaussianMixture(3, random_state=0).fit(some)
    assert model.n_components_ == 2
    with pytest.raises(ValueError, match=r"The components that row 1 \(counting from 0\) may belong to are not in the model"):
        model.predict(observed(X[:2], allowed=[[True, True, False], [False, False, True]]))
