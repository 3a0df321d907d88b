"""Held-out predictive density against fits made by hand, without the rows they predict."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis.held_out import folds, held_out_columns

X = bg.load_dataset("faithful").x


@pytest.fixture(scope="module")
def held_out():
    return bg.select(X, range(1, 4), "full", criterion="held_out", prior=("hierarchical", "fixed"), n_folds=3, verbose=False)


def test_folds_are_as_large_as_one_another():
    fold = folds(23, 5, 0)
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5] and (fold != folds(23, 5, 1)).any()


@pytest.mark.parametrize(("prior", "error"), [("fixed", 0.02), ("hierarchical", 0.3)])
def test_it_is_what_fits_to_the_other_folds_predict(held_out, prior, error):
    """Coordinates and prior are those of the other folds alone; rows of next to no weight keep the shapes of the compiled programs."""
    t, fold = held_out.table, folds(len(X), 3, 0)
    total = 0.0
    for i in range(3):
        alone = bg.select(X, [2], "full", prior=prior, sample_weight=np.where(fold == i, 1e-9, 1), verbose=False).best
        total += alone.score_samples(X)[fold == i].sum()
    (row,) = np.flatnonzero((t["prior"] == prior) & (t["n_components"] == 2))
    assert t["held_out"][row] == pytest.approx(total, abs=error)


def test_the_table_and_the_verdict(held_out):
    t = held_out.table
    best = t.best("held_out")
    assert held_out.row == best and t["held_out_se_difference"][best] == 0
    assert (t["held_out"] < t["log_likelihood"]).all()
    one = t["n_components"] == 1
    assert (t["held_out"][one] < t["held_out"][~one].min()).all()
    assert (t["held_out_se"][~one] > 2 * t["held_out_se_difference"][~one]).all()
    said = " ".join(held_out.verdict.split())
    assert "held-out density -1" in said and "one standard error of the difference" in said
    assert held_out.plot().get_ylabel() == "held-out density (log, total, larger is better), nats"
    assert "held-out density" in str(held_out)


def test_standard_errors_of_totals():
    """Against numpy for rows; whole weights are copies; differences are paired."""
    values = np.random.default_rng(0).normal(size=(3, 40))
    found = held_out_columns(values, np.ones(40))
    np.testing.assert_allclose(found["held_out"], values.sum(1))
    np.testing.assert_allclose(found["held_out_se"], np.sqrt(40) * values.std(1, ddof=1))
    best = values.sum(1).argmax()
    np.testing.assert_allclose(found["held_out_se_difference"], np.sqrt(40) * (values - values[best]).std(1, ddof=1))
    weight = np.arange(40) % 4
    again = held_out_columns(np.repeat(values, weight, 1), np.ones(weight.sum()))
    for name, column in held_out_columns(values, weight).items():
        np.testing.assert_allclose(column, again[name])


def test_it_is_not_computed_unasked():
    found = bg.select(X, [1, 2], "full", verbose=False)
    assert np.isnan(found.table["held_out"]).all() and "held-out" not in found.verdict


@pytest.mark.parametrize(
    ("n_folds", "words"),
    [(1, "n_folds must be a whole number of at least 2"), (31, "n_folds = 31 is more than the 30 rows"), ("5", "n_folds must be a whole")],
)
def test_mistakes_are_explained(n_folds, words):
    with pytest.raises(ValueError, match=words):
        bg.select(X[:30], [1, 2], "full", criterion="held_out", n_folds=n_folds)


def test_a_column_that_only_one_fold_varies_is_named():
    x = np.column_stack([X[:30, 0], np.zeros(30)])
    x[3, 1] = 1
    with pytest.raises(ValueError, match=r"X without fold .* of 5 has no spread in column 1"):
        bg.select(x, [1, 2], "full", criterion="held_out")
