"""What a selection says and refuses: every sentence must agree with the table."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis.selection import Table
from bayesgmm.report.verdict import disagreement, held_out, overlap, unjudged

RNG = np.random.default_rng(7)
X = np.vstack([RNG.normal(0, 1, (60, 2)), RNG.normal([5, 2], [1, 0.5], (60, 2))])


def table(**columns) -> Table:
    """A table of three models, 1 to 3 components."""
    base = {name: np.full(3, np.nan) for name in ("evidence", "elbo", "icl_exact", "held_out", "bic", "aic", "aicc", "icl", "icl_soft")}
    base |= {name: np.full(3, np.nan) for name in ("nec", "slope", "log_likelihood", "probability", "held_out_se_difference")}
    kinds = {"covariance_type": np.full(3, "full", object), "prior": np.full(3, "hierarchical", object)}
    numbers = {"n_components": np.array([1, 2, 3]), "n_parameters": np.array([5, 11, 17])}
    return Table(**base | kinds | numbers | {name: np.array(values) for name, values in columns.items()})


def test_overlap_is_not_read_from_a_fit_that_collapsed():
    lost = table(evidence=[-30.0, -20.0, -10.0], icl=[60.0, 50.0, np.nan], log_likelihood=[-25.0, -15.0, np.nan])
    assert overlap(lost) == "" and "nothing of 1 of the 3 models" in unjudged(lost) and "3 components, full" in unjudged(lost)
    judged = table(evidence=[-30.0, -20.0, -10.0], icl=[60.0, 50.0, 55.0], log_likelihood=[-25.0, -15.0, -5.0])
    assert "sees 2: some of the 3 components overlap" in overlap(judged) and unjudged(judged) == ""


def test_a_smaller_model_has_fewer_parameters():
    same = table(held_out=[-12.0, -10.0, -10.5], held_out_se_difference=[1.0, 0.0, 1.0], n_parameters=[11, 11, 17])
    assert held_out(same).startswith("No smaller model")
    fewer = table(held_out=[-12.0, -10.5, -10.0], held_out_se_difference=[1.0, 1.0, 0.0])
    assert "2 components, full" in held_out(fewer)


def test_nothing_agrees_on_a_single_number():
    single = table(evidence=[-3.0, -2.0, -4.0], bic=[9.0, 8.0, 7.0], n_components=[2, 2, 2])
    assert "agree" not in disagreement(single, "evidence")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_components_prior": {9: 1.0}}, "probability 0 to every number of components that is tried: 1, 2, 3"),
        ({"n_components_prior": lambda k: 0}, "probability 0 to every"),
        ({"n_components_prior": {"1": 1.0}}, "A number of components in n_components_prior must be a whole number"),
        ({"n_components_prior": {2: -1.0}}, r"n_components_prior\[2\] must be a number of at least 0"),
        ({"covariance_type": None}, "covariance_type must be one of"),
        ({"covariance_type": b"diag"}, "covariance_type must be one of"),
        ({"n_components": np.array(2)}, "n_components must be a whole number or several of them"),
        ({"prior": np.array(1)}, "prior must be one of"),
    ],
)
def test_refused_before_any_fit(options, said, monkeypatch):
    monkeypatch.setattr("bayesgmm.estimators.selection.Search", None)
    with pytest.raises(ValueError, match=said):
        bg.select(X, **{"n_components": range(1, 4), "covariance_type": "diag", **options})


def test_too_few_bootstrap_sets_for_the_level():
    with pytest.raises(ValueError, match=r"n_bootstrap = 18 drawn sets cannot give a p-value of 0.05 or less; at least 19 can"):
        bg.bootstrap_lrt(X, "diag", 2, 18)


@pytest.fixture(scope="module")
def selection():
    """Two priors, more numbers than are worth trying."""
    return bg.select(X, range(1, 10), "diag", prior=("hierarchical", "fixed"), verbose=False)


def test_maximum_likelihood_is_the_same_under_every_prior(selection):
    t = selection.table
    for k in range(1, 6):
        rows = (t["n_components"] == k) & np.isin(t["n_components"], t["n_components"][t["prior"] == "fixed"])
        np.testing.assert_array_equal(t["bic"][rows], t["bic"][rows][0])


def test_structures_given_up_are_named(selection):
    t = selection.table
    (note,) = [note for note in selection.notes if "given up" in note]
    for prior in ("hierarchical", "fixed"):
        last = t["n_components"][t["prior"] == prior].max()
        assert last < 9 and f"diag ({prior}) {last}" in note
    assert "given up" in selection.verdict


def test_plots_of_columns_that_are_not_there(selection):
    with pytest.raises(ValueError, match="was not computed; call select with criterion='held_out'"):
        selection.plot("held_out")
    with pytest.raises(ValueError, match="criterion must be one of"):
        selection.plot("foo")


def test_dependent_columns_are_named():
    x = np.random.default_rng(0).normal(size=272)
    try:
        found = bg.select(np.c_[x, 3 * x], (1, 2), "full", verbose=False)
    except bg.FitError as error:  # as rounding will have it: LAPACK of one machine finds a factor of the matrix, and of another none
        assert "leave out column 1, which the other columns determine" in str(error)
        return
    (note,) = [note for note in found.notes if "dependent" in note]
    assert "column 1" in note and "cannot be compared" in note
    assert np.isfinite(found.best.lower_bound_) and found.best.lower_bound_ == pytest.approx(found.table["elbo"][found.row], rel=1e-6)


def test_why_a_criterion_has_no_value():
    with pytest.raises(ValueError, match="it compares with one component, which must be among n_components"):
        bg.select(X, (2, 3), "diag", criterion="nec", verbose=False)
