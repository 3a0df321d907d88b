"""Bad input: one clear sentence that names what was wrong and where, never a traceback from NumPy or JAX; odd but good input works."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from bad_input import MAKERS, X, em, kmeans, message_of, vb

import bayesgmm as bg


def changed(row, column, value, data=X):
    copy = np.array(data, dtype=object if isinstance(value, (str, type(None))) else float)
    copy[row, column] = value
    return copy


def frame(values, name="b"):
    return pd.DataFrame({"a": X[:, 0], name: values})


BAD_DATA = {
    "no rows": (np.empty((0, 2)), "0 sample"),
    "no columns": (np.empty((3, 0)), "0 feature"),
    "empty list": ([], "Expected 2D array, got 1D"),
    "1-D": (X[:, 0], "Reshape your data"),
    "3-D": (X[None], "got 3D array"),
    "number": (3.0, "got 0D array"),
    "None": (None, "table of numbers (N, D): an array, a nested list or a data frame; got None"),
    "text": ("faithful", "got 'faithful'"),
    "dict": ({"a": [1, 2]}, "got a dict"),
    "generator": ((row for row in X), "got a generator"),
    "ragged": ([[1, 2], [3]], "rows of X differ in length: row 0 has 2 values, row 1 has 1"),
    "series": (pd.Series(X[:, 0]), "Reshape your data"),
    "strings": ([["a", "b"], ["c", "d"]], "row 0, column 0 (counting from 0) holds the text 'a'"),
    "numbers as strings": (X.astype(str), "row 0, column 0 (counting from 0) holds the text"),
    "bytes": (np.full((3, 2), b"a"), "holds the text b'a'"),
    "object": (changed(3, 1, "abc"), "row 3, column 1 (counting from 0) holds the text 'abc'"),
    "object None": (changed(3, 1, None), "NaN at row 3, column 1"),
    "dict cell": ([[{"a": 1}, 2], [3, 4]], "row 0, column 0 (counting from 0) holds {'a': 1}"),
    "huge whole number": ([[10**400, 1], [2, 3]], "row 0, column 0 (counting from 0) holds a whole number too large"),
    "dates": (np.full((3, 2), np.datetime64("2020-01-01")), "dtype datetime64[D]"),
    "structured": (np.zeros(3, dtype=[("a", float)]), "dtype [('a'"),
    "complex": (X + 1j, "Complex data not supported"),
    "sparse": (scipy.sparse.csr_array(X), "pass X.toarray()"),
    "lazy": (pl.DataFrame(X).lazy(), "collect it first"),
    "pandas text": (frame(["t"] * 30), "'b' (text)"),
    "pandas mixed": (frame([1.0] * 29 + ["t"]).astype(object), "row 29, column 'b' (counting from 0) holds the text 't'"),
    "pandas dates": (frame(pd.date_range("2020", periods=30)), "'b' (dates)"),
    "pandas categories": (frame(pd.Categorical(["x", "y", "z"] * 10)), "'b' (categories)"),
    "pandas complex": (frame(X[:, 1] + 1j), "'b' (complex128)"),
    "pandas missing": (frame(pd.array([1, None] + [2] * 28, dtype="Int64")), "NaN at row 1, column 'b'"),
    "pandas names": (pd.DataFrame(X, columns=["a", 1]), "string names"),
    "pandas doubles": (pd.DataFrame(X, columns=["a", "a"]), "Column names must differ; 'a' appears more than once"),
    "pandas empty": (pd.DataFrame(), "0 sample"),
    "polars text": (pl.DataFrame({"a": X[:, 0], "b": ["t"] * 30}), "'b' (text)"),
    "polars missing": (pl.DataFrame({"a": X[:, 0], "b": [None, *range(29)]}), "NaN at row 0, column 'b'"),
    "polars lists": (pl.DataFrame({"a": X[:, 0], "b": [[1, 2]] * 30}), "'b' (list)"),
    "arrow text": (pa.table({"a": X[:, 0], "b": ["t"] * 30}), "'b' (text)"),
    "arrow doubles": (pa.table([X[:, 0], X[:, 1]], names=["a", "a"]), "Column names must differ"),
    "NaN": (changed(4, 1, np.nan), "Input X contains NaN at row 4, column 1 (counting from 0)"),
    "NaN in a frame": (pd.DataFrame(changed(4, 1, np.nan), columns=["a", "b"]), "NaN at row 4, column 'b'"),
    "infinity": (changed(4, 1, np.inf), "infinity (inf) at row 4, column 1"),
    "both infinities": (changed(4, 1, np.inf, changed(5, 0, -np.inf)), "row 4, column 1; row 5, column 0"),
    "many NaN": (X * np.nan, "row 0, column 0; row 0, column 1; row 1, column 0 and 57 more"),
    "masked": (np.ma.masked_array(X, mask=np.arange(60).reshape(30, 2) == 7), "NaN at row 3, column 1"),
    "1e300": (X * 1e300, "numbers beyond 1e+70 at row 0, column 0"),
    "one 1e300": (changed(3, 0, 1e300), "at row 3, column 0"),
    "1e308": (X / np.abs(X).max() * 1.7e308, "numbers beyond 1e+70"),
    "1e-300": (X * 1e-300, "column 0 has a spread of only 8.59236e-300"),
    "subnormal": (X * 1e-310, "rescale"),
    "5e-324": (np.round(X * 3) * 5e-324, "rescale"),
    "1e16 away": (X + 1e16, "column 0 varies by only 10 around 1e+16"),
    "missing code": (changed(3, 0, 1e20), "column 0 holds 1e+20 while the other rows lie within about"),
    "one row": (X[:1], "1 sample"),
    "equal rows": (np.repeat(X[:1], 30, 0), "All 30 rows of X are equal"),
    "two distinct rows": (np.repeat(X[:2], 15, 0), "n_components = 3, but X has only 2 distinct rows; ask for at most 2"),
    "two rows": (X[:2], "n_components = 3 is more than the n_samples = 2 rows of X; ask for at most 2"),
    "constant": (np.column_stack([X[:, 0], np.full(30, 0.1)]), "no spread in column 1 (always 0.1)"),
    "constant in a frame": (frame([5] * 30), "no spread in column 'b' (always 5)"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name):
    data, said = BAD_DATA[name]
    assert said in message_of(lambda: vb().fit(data))


FINE_FOR_KMEANS = ("two distinct rows", "two rows", "constant", "constant in a frame")


@pytest.mark.parametrize("name", [name for name in BAD_DATA if name not in FINE_FOR_KMEANS])
def test_bad_data_for_kmeans(name):
    data, said = BAD_DATA[name]
    assert said in message_of(lambda: kmeans(n_clusters=2).fit(data))


GOOD = {
    "nested list": X.tolist(),
    "tuples": tuple(map(tuple, X)),
    "Decimal": [[Decimal(repr(float(v))) for v in row] for row in X],
    "objects": X.astype(object),
    "Fortran order": np.asfortranarray(X),
    "strided": np.repeat(X, 2, 1)[:, ::2],
    "big-endian": X.astype(">f8"),
    "long double": X.astype(np.longdouble),
    "matrix": np.asmatrix(X) if hasattr(np, "asmatrix") else X,
    "memoryview": memoryview(X),
    "masked without mask": np.ma.masked_array(X),
}


@pytest.fixture(scope="module")
def plain():
    return em().fit(X)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", GOOD)
def test_every_way_to_write_the_same_numbers_gives_the_same_fit(name, plain):
    model = em().fit(GOOD[name])
    assert model.lower_bound_ == plain.lower_bound_
    np.testing.assert_array_equal(model.covariances_, plain.covariances_)


def test_read_only_data_are_read_and_not_written(plain):
    data = X.copy()
    data.flags.writeable = False
    model = em().fit(data)
    assert model.lower_bound_ == plain.lower_bound_
    np.testing.assert_array_equal(data, X)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64, np.int8, np.uint8])
def test_other_dtypes_are_the_same_numbers_in_float64(kind):
    data = np.round(X * 10 + 20).astype(kind)
    given, wide = em().fit(data), em().fit(data.astype(float))
    assert given.lower_bound_ == wide.lower_bound_
    assert given.means_.dtype == np.float64


@pytest.mark.parametrize("scale", [1e-60, 1e-9, 1e12, 1e60])
@pytest.mark.parametrize("name", MAKERS)
def test_units_of_any_size_change_nothing_but_units(name, scale):
    plain, scaled = MAKERS[name]().fit(X), MAKERS[name]().fit(X * scale)
    np.testing.assert_array_equal(scaled.labels_, plain.labels_)
    centres = "cluster_centers_" if name == "kmeans" else "means_"
    np.testing.assert_allclose(getattr(scaled, centres) / scale, getattr(plain, centres), rtol=1e-6, atol=1e-9)


def test_rows_far_from_zero():
    near, far = em().fit(X), em().fit(X + 1e9)
    np.testing.assert_array_equal(far.labels_, near.labels_)
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-5)


BAD_WEIGHTS = [
    (np.ones(29), "sample_weight.shape == (29,), expected (30,)"),
    (np.ones((30, 1)), "sample_weight.shape == (30, 1), expected (30,)"),
    (-np.ones(30), "sample_weight must be finite and not negative; row 0 (counting from 0) has -1."),
    (np.r_[1, np.nan, np.ones(28)], "row 1 (counting from 0) has nan."),
    (np.full(30, np.inf), "has inf."),
    (np.zeros(30), "sample_weight is zero for every row"),
    (-1, "has -1."),
    (["a"] * 30, "sample_weight must be real numbers, one number for each row of X"),
    ("equal", "got 'equal'"),
    (np.ones(30) + 1j, "sample_weight must be real numbers"),
    (np.full(30, 1e308), "sample_weight adds up to inf, too large"),
    (np.full(30, 1e-300), "too small"),
    ([None] * 30, "has nan."),
    (np.r_[5e-324, np.ones(29)], "of row 0 (counting from 0) is 4.94066e-324 beside 1, less than float64 resolves; give it 0"),
    (np.r_[5, np.zeros(29)], "X has 1 sample of positive weight"),
]


@pytest.mark.parametrize(("weight", "said"), BAD_WEIGHTS)
@pytest.mark.parametrize("name", MAKERS)
def test_bad_weights(name, weight, said):
    assert said in message_of(lambda: MAKERS[name]().fit(X, sample_weight=weight))


def test_rows_without_weight_are_not_counted():
    few = np.r_[np.ones(2), np.zeros(28)]
    said = message_of(lambda: vb().fit(X, sample_weight=few))
    assert "n_components = 3 is more than the n_samples = 2 rows of X of positive weight" in said
    data = X.copy()
    data[2:, 1] = data[0, 1] = data[1, 1]
    data[2, 1] += 1
    assert "no spread in column 1" in message_of(lambda: vb(n_components=2).fit(data, sample_weight=few))


@pytest.mark.parametrize("weight", [2.0, np.float32(2), np.array(2.0), pd.Series(np.full(30, 2.0)), pl.Series(np.full(30, 2.0)), [2] * 30])
def test_weights_in_any_form(weight):
    model, twice = em().fit(X, sample_weight=weight), em().fit(X, sample_weight=np.full(30, 2.0))
    assert model.lower_bound_ == twice.lower_bound_


@pytest.fixture(scope="module")
def fitted():
    data = pd.DataFrame(X, columns=["a", "b"])
    return {name: make().fit(data) for name, make in MAKERS.items()}


@pytest.mark.parametrize("name", MAKERS)
def test_data_at_predict(name, fitted):
    model = fitted[name]
    kind = type(model).__name__
    data = pd.DataFrame(X, columns=["a", "b"])
    wrong = {
        f"X has 3 features, but {kind} is expecting 2 features as input.": np.ones((3, 3)),
        "Unknown here: ['c'].": data.assign(c=1.0),
        "Unknown here: ['c']. Missing: ['b'].": data.rename(columns={"b": "c"}),
        "Order at fit: ['a', 'b']; order now: ['b', 'a'].": data[["b", "a"]],
        "Input X contains NaN at row 0, column 'a'": changed(0, 0, np.nan),
        "numbers beyond 1e+70 at row 0, column 'b'": changed(0, 1, -1e200),
        "Reshape your data": X[0],
        "0 sample": X[:0],
        "holds the text 'a'": [["a", "b"]],
    }
    for said, rows in wrong.items():
        assert said in message_of(lambda rows=rows: model.predict(rows)), said
    np.testing.assert_array_equal(model.predict(pl.DataFrame(data)), model.predict(X))
    assert model.predict(X[:1]).shape == (1,)


@pytest.mark.parametrize("name", ["em", "vb"])
def test_rows_far_beyond_the_data_get_finite_answers(name, fitted):
    far = X * 1e69
    model = fitted[name]
    assert np.isfinite(model.score_samples(far)).all()
    np.testing.assert_allclose(model.predict_proba(far).sum(1), 1)


CALLS = ("predict", "predict_proba", "score_samples", "score", "transform", "bic", "aic", "icl", "row_table")


@pytest.mark.parametrize("name", MAKERS)
def test_not_fitted(name, tmp_path):
    model = MAKERS[name]()
    calls = [lambda call=call: getattr(model, call)(X) for call in CALLS if hasattr(type(model), call)]
    calls.append(lambda: model.save(tmp_path / "model.npz"))
    calls += [lambda call=call: getattr(model, call)() for call in ("sample", "facts", "summary") if hasattr(type(model), call)]
    calls.append(lambda: model.labels_)
    for call in calls:
        said = message_of(call, ValueError)
        assert f"This {type(model).__name__} instance is not fitted yet" in said
    with pytest.raises(AttributeError, match="has no attribute 'label'"):
        model.label
    assert not hasattr(model, "labels_")


def test_wrong_arguments_of_sample(fitted):
    for wrong in (0, 2.5, "3", None, True):
        assert "n_samples must be a whole number of at least 1" in message_of(lambda wrong=wrong: fitted["em"].sample(wrong))


def test_kmeans_with_fewer_distinct_rows_than_clusters_warns_and_has_no_clusters_without_rows():
    data = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]] * 4)
    with pytest.warns(bg.FitWarning, match="n_clusters = 5, but X has only 3 distinct rows; ask for at most 3"):
        model = bg.KMeans(n_clusters=5, random_state=0).fit(data)
    assert len(np.unique(model.labels_)) == 3
    assert model.inertia_ == pytest.approx(0, abs=1e-9)
    assert set(model.predict(np.array([[3.0, 3.0], [4.0, 4.0]]))) <= set(model.labels_)


def test_kmeans_accepts_constant_columns():
    data = np.column_stack([X, np.full(30, 7.0)])
    model = kmeans().fit(data)
    np.testing.assert_array_equal(model.labels_, kmeans().fit(X).labels_)
    np.testing.assert_allclose(model.cluster_centers_[:, 2], 7)
