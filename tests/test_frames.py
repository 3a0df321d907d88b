"""Data frames of pandas, polars and pyarrow give the numbers of the bare array, bit for bit, and keep the names of their columns."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayesgmm as bg
from bayesgmm.frames import to_rows

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
WHOLE = np.round(X * 10)
NAMES = ("length of petal", "Breite")

FRAMES = {
    "pandas": lambda x: pd.DataFrame(x, columns=list(NAMES)),
    "pandas with an index": lambda x: pd.DataFrame(x, columns=list(NAMES), index=[f"row {i}" for i in range(30)]),
    "pandas Arrow": lambda x: pd.DataFrame(x, columns=list(NAMES)).astype("float64[pyarrow]"),
    "pandas Float64": lambda x: pd.DataFrame(x, columns=list(NAMES)).astype("Float64"),
    "pandas objects": lambda x: pd.DataFrame(x, columns=list(NAMES)).astype(object),
    "polars": lambda x: pl.DataFrame(x, schema=list(NAMES)),
    "polars rechunked": lambda x: pl.concat([pl.DataFrame(x[:7], schema=list(NAMES)), pl.DataFrame(x[7:], schema=list(NAMES))]),
    "pyarrow": lambda x: pa.table({name: x[:, j] for j, name in enumerate(NAMES)}),
    "pyarrow batch": lambda x: pa.record_batch({name: x[:, j] for j, name in enumerate(NAMES)}),
}


@pytest.fixture(scope="module")
def plain():
    return bg.GaussianMixture(n_components=2, n_init=1, random_state=0).fit(X)


@pytest.mark.parametrize("kind", FRAMES)
def test_same_fit_as_the_array_and_names_kept(kind, plain):
    data = FRAMES[kind](X)
    model = bg.GaussianMixture(n_components=2, n_init=1, random_state=0).fit(data)
    assert model.lower_bound_ == plain.lower_bound_
    np.testing.assert_array_equal(model.covariances_, plain.covariances_)
    np.testing.assert_array_equal(model.predict_proba(data), plain.predict_proba(X))
    assert model.feature_names_in_.tolist() == list(NAMES)
    assert model.feature_names_in_.dtype == object
    assert all(name in model.summary() for name in NAMES)
    assert "length of petal" in model._repr_html_()


def test_a_data_set_of_the_package_is_a_table_with_names():
    data = bg.load_dataset("faithful")
    rows = to_rows(data)
    np.testing.assert_array_equal(rows.values, data.x)
    assert rows.names == data.feature_names


def test_names_are_forgotten_when_refitted_on_an_array(plain):
    model = bg.GaussianMixture(n_components=2, n_init=1, random_state=0)
    model.fit(FRAMES["pandas"](X)).fit(X)
    assert not hasattr(model, "feature_names_in_")
    assert model.lower_bound_ == plain.lower_bound_


OTHERS = (bg.BayesianGaussianMixture(n_components=3, moves=False), bg.KMeans(n_clusters=2))


@pytest.mark.parametrize("estimator", OTHERS)
def test_other_estimators_keep_names(estimator):
    estimator.set_params(n_init=1, random_state=0).fit(FRAMES["polars"](X))
    assert estimator.feature_names_in_.tolist() == list(NAMES)
    np.testing.assert_array_equal(estimator.predict(FRAMES["pandas"](X)), estimator.predict(X))


def columns(frame_of, **kinds):
    """The same whole numbers as a frame of every kind of column."""
    return frame_of({name: make(WHOLE[:, 0].astype(int).tolist()) for name, make in kinds.items()})


PANDAS = {
    "int64": lambda v: v,
    "int8": lambda v: np.array(v, dtype=np.int8),
    "Int64": lambda v: pd.array(v, dtype="Int64"),
    "UInt8": lambda v: pd.array(np.abs(v), dtype="UInt8"),
    "Arrow": lambda v: pd.array(v, dtype="int64[pyarrow]"),
    "float32": lambda v: np.array(v, np.float32),
    "Decimal": lambda v: [Decimal(n) for n in v],
    "bool": lambda v: np.array(v) > 0,
    "boolean": lambda v: pd.array(np.array(v) > 0, dtype="boolean"),
}
POLARS = {
    "Int64": lambda v: v,
    "Int128": lambda v: pl.Series(v, dtype=pl.Int128),
    "UInt8": lambda v: pl.Series(np.abs(v).tolist(), dtype=pl.UInt8),
    "Float32": lambda v: pl.Series(v, dtype=pl.Float32),
    "Decimal": lambda v: [Decimal(n) for n in v],
    "Boolean": lambda v: [n > 0 for n in v],
}
ARROW = {
    "int64": lambda v: pa.array(v),
    "halffloat": lambda v: pa.array(np.array(v, np.float16)),
    "decimal128": lambda v: pa.array([Decimal(n) for n in v]),
    "bool": lambda v: pa.array([n > 0 for n in v]),
    "chunked": lambda v: pa.chunked_array([v[:7], v[7:]]),
}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_every_kind_of_number(library):
    frame_of, kinds = {"pandas": (pd.DataFrame, PANDAS), "polars": (pl.DataFrame, POLARS), "pyarrow": (pa.table, ARROW)}[library]
    values, names = to_rows(columns(frame_of, **kinds))
    assert names == tuple(kinds)
    assert values.dtype == np.float64 and values.flags.c_contiguous
    for j, name in enumerate(kinds):
        numbers = np.abs(WHOLE[:, 0]) if name.startswith("U") else WHOLE[:, 0]
        np.testing.assert_array_equal(values[:, j], numbers > 0 if name.startswith(("b", "B")) else numbers, err_msg=name)


def test_missing_cells_become_nan():
    frames = (
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [None, 2.0], "c": [Decimal(1), None], "d": [pd.NA, True]}),
        pl.DataFrame({"a": [1, None], "b": [None, 2.0], "c": [Decimal(1), None], "d": [None, True]}),
        pa.table({"a": [1, None], "b": [None, 2.0], "c": [Decimal(1), None], "d": [None, True]}),
    )
    for frame in frames:
        np.testing.assert_array_equal(to_rows(frame).values, [[1, np.nan, 1, np.nan], [np.nan, 2, np.nan, 1]], err_msg=str(type(frame)))


def test_columns_without_names():
    for frame in (pd.DataFrame(X), pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))):
        values, names = to_rows(frame)
        assert names is None
        np.testing.assert_array_equal(values, X)


def test_rows_of_an_array_are_not_copied_and_a_frame_in_memory_order_is():
    assert to_rows(X).values is X
    assert to_rows(np.asfortranarray(X)).values.flags.c_contiguous


def test_an_unknown_type_with_columns_is_read_as_an_array():
    class Table:
        columns = ("a", "b")

        def __array__(self, dtype=None, copy=None):
            return X

    assert to_rows(Table()).values is X
