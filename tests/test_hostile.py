"""Hostile input: an answer whose laws hold, or one sentence of ours; never another library's words, and never NaN in silence."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from bad_input import SETTINGS, X, message_of
from hostile import (
    FORMS,
    TABLES,
    TRIED,
    WEIGHTS,
    answered,
    as_bits,
    cases,
    examples,
    fit_is_lawful,
    huge,
    one_of,
    rows_have_lawful_answers,
    table,
)
from hypothesis import given
from hypothesis import strategies as st

import bayesgmm as bg


def em(k, kind="full"):
    return bg.GaussianMixture(k, covariance_type=kind, max_iter=40, **SETTINGS)


def vb(k, kind="full"):
    return bg.BayesianGaussianMixture(n_components=k, covariance_type=kind, moves=False, max_iter=40, **SETTINGS)


def kmeans(k, kind=None):
    return bg.KMeans(k, max_iter=40, **SETTINGS)


MAKERS = {"em": em, "vb": vb, "kmeans": kmeans}


def fitted(make, k, kind, case, shape, folder):
    """One fit, what it says, and its file."""
    words, seed = case[:3], case[3]
    rng = np.random.default_rng(seed)
    x, weight = table(rng, *words[:2], *shape), WEIGHTS[words[2]](rng, shape[0])
    model = make(k, kind)
    if not answered("fit", lambda: model.fit(x, sample_weight=weight)):
        return
    fit_is_lawful(model, x)
    model.save(folder / "m.npz")
    np.testing.assert_array_equal(bg.load(folder / "m.npz").predict(x), model.predict(x))


def law_of_fits(make, k, kind, shape, count, folder):
    @examples(count)
    @given(cases)
    def holds(case):
        fitted(make, k, kind, case, shape, folder)

    holds()


GRID = [
    ("em", 2, "full", (8, 2)),
    ("kmeans", 2, None, (8, 2)),
    ("vb", 1, "spherical", (3, 1)),
    ("em", 1, "tied", (2, 2)),
]
MORE = [
    ("vb", 2, "diag", (8, 2)),
    ("vb", 3, "full", (8, 3)),
    ("em", 2, "diag", (3, 2)),
    ("vb", 2, "tied", (20, 2)),
    ("kmeans", 3, None, (3, 2)),
    ("em", 1, "spherical", (1, 3)),
]


@pytest.mark.parametrize(("name", "k", "kind", "shape"), GRID)
def test_fits(name, k, kind, shape, tmp_path):
    law_of_fits(MAKERS[name], k, kind, shape, 40, tmp_path)


@pytest.fixture(scope="module")
def models():
    return {name: make(2).fit(X) for name, make in MAKERS.items()}


def law_of_rows(model, count):
    @examples(count)
    @given(one_of(TABLES), one_of(FORMS), st.integers(0, 2**32 - 1))
    def holds(kind, form, seed):
        x = table(np.random.default_rng(seed), kind, form, 4, 2)
        answered("predict", lambda: rows_have_lawful_answers(model, x))

    holds()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", MAKERS)
def test_rows_given_to_a_fitted_model(name, models):
    law_of_rows(models[name], 80)


MASK = np.arange(60).reshape(30, 2) == 7
NUMBERS = {
    "longdouble": (lambda: huge(X), "contains infinity"),
    "longdouble, masked": (lambda: np.ma.masked_array(huge(X)), "contains infinity"),
    "longdouble, objects": (lambda: huge(X).astype(object), "contains infinity"),
    "longdouble on disk": (lambda: bg.scan(huge(X)), "holds an infinite number"),
    "signalling": (lambda: as_bits(X, np.float32, 0x7F800001), "contains NaN at row 3, column 1"),
    "signalling, half": (lambda: as_bits(X, np.float16, 0x7C01), "contains NaN at row 3, column 1"),
    "signalling, in a frame": (lambda: pd.DataFrame(as_bits(X, np.float32, 0x7F800001)), "contains NaN at row 3, column 1"),
    "signalling on disk": (lambda: bg.scan(as_bits(X, np.float32, 0x7F800001)), "row 3 (counting from 0), column 1 holds NaN"),
    "masked objects": (lambda: np.ma.masked_array(X.astype(object), mask=MASK), "contains NaN at row 3, column 1"),
    "masked words": (lambda: np.ma.masked_array(X.astype(str), mask=MASK), "holds the text"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_float64_does_not_hold(name):
    make, said = NUMBERS[name]
    assert said in message_of(lambda: kmeans(2).fit(make()))


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (huge(np.ones(30)), "row 0 (counting from 0) has inf"),
        (np.ma.masked_array(np.ones(30), mask=np.arange(30) == 2), "row 2 (counting from 0) has nan"),
        (pd.Series([1.0] * 28 + [None] * 2, dtype="Float64"), "row 28 (counting from 0) has nan"),
    ],
)
def test_weights_that_are_none(weight, said):
    assert said in message_of(lambda: kmeans(2).fit(X, sample_weight=weight))


def test_parameters_beyond_float64():
    assert "must be finite" in message_of(lambda: bg.GaussianMixture(2, means_init=huge(X[:2]), **SETTINGS).fit(X))


def asked(case) -> None:
    """What is done with a fit: numbers of components compared, parameters drawn, components combined."""
    rng = np.random.default_rng(case[3])
    x = table(rng, *case[:2], 20, 2)
    found = []
    if answered("select", lambda: found.append(bg.select(x, range(1, 3), ("full",), n_init=1, random_state=0))):
        best = found[0].best
        fit_is_lawful(best, x)
        assert np.isfinite(found[0].table["evidence"]).all()
    model = vb(2)
    if not answered("fit", lambda: model.fit(x)):
        return
    drawn = []
    if answered("uncertainty", lambda: drawn.append(model.uncertainty(x, n_draws=50))):
        draws = drawn[0].draws
        assert all(np.isfinite(values).all() for values in draws.values())
        np.testing.assert_allclose(draws["weights"].sum(1), 1, rtol=1e-9)
        assert (drawn[0].responsibilities.mean <= 1 + 1e-9).all()
    groups = []
    if answered("combine", lambda: groups.append(bg.combine(model, x))):
        np.testing.assert_allclose(groups[0].probabilities.sum(1), 1, rtol=1e-9)
        assert np.isfinite(groups[0].entropy).all() and sorted(sum(groups[0].groups, ())) == list(range(model.n_components_))


def law_of_answers(count):
    @examples(count)
    @given(cases)
    def holds(case):
        asked(case)

    holds()


@pytest.mark.slow
def test_what_is_asked_of_fits():
    law_of_answers(8)


@pytest.mark.parametrize("kind", ["spherical", "diag"])
def test_two_thousand_columns_and_five_rows(kind):
    x = np.random.default_rng(0).normal(size=(5, 2000))
    x[:2] += 3
    for make in (em, vb):
        model = make(1, kind)
        assert answered("wide", lambda model=model: model.fit(x))
        fit_is_lawful(model, x)


def test_columns_that_others_determine_are_named_where_units_leave_nothing_of_a_ridge():
    """The covariances of a comparison are positive definite in its own coordinates, and to rounding not in the user's."""
    rng = np.random.default_rng(0)
    some = rng.normal(size=(40, 3)) + 5 * (np.arange(40) < 20)[:, None]
    x = np.concatenate([1e8 * some, some, some[:, :1]], 1)
    with pytest.raises(bg.FitError, match=r"singular to rounding in the units of the data: leave out column \d, .*, which the other"):
        bg.select(x, 2, "tied", n_init=1, random_state=0)


def test_low_rank_of_many_columns():
    x = np.random.default_rng(0).normal(size=(6, 200))
    model = em(1, "rank1")
    if answered("wide", lambda: model.fit(x)):
        fit_is_lawful(model, x)


@pytest.mark.slow
def test_many(tmp_path, models, capsys):
    TRIED.clear()
    began = time.process_time()
    for name, k, kind, shape in (*GRID, *MORE):
        law_of_fits(MAKERS[name], k, kind, shape, 150, tmp_path)
    for model in models.values():
        law_of_rows(model, 1000)
    law_of_answers(100)
    whats = dict.fromkeys(what for what, _ in TRIED)
    lines = [f"{what}: " + ", ".join(f"{n} {came}" for (of, came), n in TRIED.items() if of == what) for what in whats]
    with capsys.disabled():
        print(f"\n{sum(TRIED.values())} calls in {time.process_time() - began:.0f} s of CPU time.", *lines, sep="\n")
