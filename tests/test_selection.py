"""`select` as a user meets it: the table, its numbers, the best model, the verdict and the picture."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.analysis.selection import CRITERIA
from bayesgmm.estimators.selection_options import read_numbers
from bayesgmm.plots import plot_selection

mpl.use("Agg")
FAITHFUL = bg.load_dataset("faithful").x
MCLUST = {("tied", 3): (-1126.3159, 11), ("full", 2): (-1130.2640, 11), ("tied", 2): (None, 8)}
"""Log-likelihoods and parameters of Old Faithful by mclust 6.0.0 (EEE and VVV), continued to convergence."""


@pytest.fixture(scope="module")
def faithful():
    return bg.select(pd.DataFrame(FAITHFUL, columns=["eruptions", "waiting"]), range(1, 5), ("full", "tied"), verbose=False)


def test_the_table(faithful):
    t = faithful.table
    assert t.n_rows == 8 and set(CRITERIA) <= set(t)
    frame = t.to_pandas()
    assert list(frame.columns)[:2] == ["covariance_type", "n_components"] and len(frame) == 8
    total = t["elbo"] - t["price"] + t["multiplicity"] + t["response"]
    np.testing.assert_allclose(t["evidence"], total, rtol=1e-12)
    assert t["probability"].sum() == pytest.approx(1) and (t["price"] > 0).all()
    one = t["n_components"] == 1
    assert (t["multiplicity"][one] == 0).all() and (t["response"][one] == 0).all()


def test_its_likelihoods_are_those_of_mclust(faithful):
    t = faithful.table
    for (kind, k), (value, size) in MCLUST.items():
        (row,) = np.flatnonzero((t["covariance_type"] == kind) & (t["n_components"] == k))
        assert t["n_parameters"][row] == size
        if value is not None:
            assert t["log_likelihood"][row] == pytest.approx(value, abs=2e-3)
            assert t["bic"][row] == pytest.approx(-2 * value + size * np.log(272), abs=5e-3)


def test_the_best_model_is_the_row_chosen(faithful):
    best, t, row = faithful.best, faithful.table, faithful.row
    assert isinstance(best, bg.BayesianGaussianMixture) and list(best.feature_names_in_) == ["eruptions", "waiting"]
    assert best.n_components_ == faithful.n_components == 3 and best.covariance_type == faithful.covariance_type == "tied"
    assert best.lower_bound_ == pytest.approx(t["elbo"][row], abs=0.01)
    found = best.log_evidence(FAITHFUL)
    floored = found.elbo + found.multiplicity + t["response"][row]
    assert floored - t["price"][row] == pytest.approx(t["evidence"][row], abs=0.02)
    assert 0 < t["response"][row] <= found.response + 0.01
    assert 0 < faithful.restart_agreement <= 1


def test_the_best_model_can_be_fitted_again_from_its_parameters(faithful):
    again = bg.BayesianGaussianMixture(**faithful.best.get_params()).fit(FAITHFUL)
    assert again.lower_bound_ == pytest.approx(faithful.best.lower_bound_, abs=1e-6)


def test_the_verdict_and_the_printed_table(faithful):
    said = faithful.verdict
    assert said.startswith("3 components, tied covariances (log evidence -11") and "hierarchical prior" in said
    for words in ("P(K = 3) =", "Criteria", "BIC", "of the starts reach the fit"):
        assert words in said
    assert "log evidence" in str(faithful) and "larger is better" in str(faithful)
    assert max(len(line) for line in said.splitlines()) <= 110


def test_the_picture(faithful):
    axes = faithful.plot()
    assert axes.get_xlabel() == "number of components" and "larger is better" in axes.get_ylabel()
    assert len(axes.get_legend().get_texts()) == 3
    given = mpl.pyplot.subplots()[1]
    assert plot_selection(faithful, "bic", given) is given and given.get_ylabel() == "BIC (smaller is better)"
    mpl.pyplot.close("all")


def test_the_galaxies_reach_the_optimum_that_the_usual_starts_miss():
    """Log-likelihood -203.1792 of three components with own variances (METHODS 7.19); mclust's default start ends lower."""
    found = bg.select(bg.load_dataset("galaxies").x / 1000, range(1, 5), criterion="bic", verbose=False)
    t = found.table
    (row,) = np.flatnonzero((t["covariance_type"] == "full") & (t["n_components"] == 3))
    assert t["log_likelihood"][row] == pytest.approx(-203.1792, abs=1e-3) and t["bic"][row] == pytest.approx(441.6122, abs=3e-3)
    assert found.n_components == 3 and isinstance(found.best, bg.GaussianMixture) and set(t["covariance_type"]) == {"tied", "full"}
    assert np.isnan(t["evidence"]).all() and np.isnan(t["probability"]).all()
    assert "structures differ only" in found.verdict and "hierarchical" not in found.verdict


def test_separate_groups_are_certain():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(272, 2)) + np.resize([[0, 0], [9, 0], [0, 9]], (272, 2))  # as many rows as Old Faithful: the same programs
    found = bg.select(x, range(1, 5), "full", verbose=False)
    assert found.n_components == 3 and found.n_components_probability[3] > 0.9
    assert np.all(found.table["n_components"][[found.table.best(name) for name in ("bic", "icl", "elbo")]] == 3)
    assert found.restart_agreement > 0.5


def test_one_group_is_not_split():
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(272, 2))
        assert bg.select(x, range(1, 5), "full", verbose=False).n_components == 1


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(280, 2)) + np.repeat([[0, 0], [6, 0]], 140, 0)
    weight = np.ones(280, int)
    weight[::14], weight[1::40] = 0, 5  # 260 rows, or 288 with their copies: like Old Faithful's they are filled up to 288
    a = bg.select(x, range(1, 5), "full", sample_weight=weight, verbose=False).table
    b = bg.select(np.repeat(x, weight, 0), range(1, 5), "full", verbose=False).table
    for name in ("evidence", "bic", "icl"):
        np.testing.assert_allclose(a[name][:2], b[name][:2], atol=0.05)


def test_a_prior_of_the_users_own():
    hyper = {"mean_precision_prior": 0.05, "degrees_of_freedom_prior": 5.0}
    found = bg.select(FAITHFUL, [2], "full", prior=hyper, verbose=False)
    own = bg.BayesianGaussianMixture(
        n_components=2, prune=False, weight_concentration_prior_type="dirichlet_distribution", random_state=0, **hyper
    ).fit(FAITHFUL)
    assert found.best.lower_bound_ == pytest.approx(own.lower_bound_, abs=1e-6)
    assert found.prior == "given" and found.table["price"] == [0.0] and "under the given prior" in found.verdict


def test_a_prior_on_the_number_of_components(faithful):
    even = faithful.n_components_probability
    odd = bg.select(FAITHFUL, range(1, 5), ("full", "tied"), n_components_prior={2: 1.0, 4: 1.0}, verbose=False).n_components_probability
    assert odd[1] == odd[3] == 0
    assert odd[2] / odd[4] == pytest.approx(even[2] / even[4], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"criterion": "BIC"}, "criterion must be one of 'evidence', .*got 'BIC'.* mean 'bic'"),
        ({"covariance_type": "round"}, "covariance_type must be one of .*got 'round'"),
        ({"covariance_type": ()}, "must name at least one"),
        ({"n_components": []}, "must name at least one number"),
        ({"n_components": "3"}, "n_components must be a whole number or several"),
        ({"n_components": [2, 2.5]}, "n_components must be a whole number"),
        ({"n_components": [40]}, "40 components need at least 200 rows; X has 90"),
        ({"prior": "flat"}, "prior must be one of 'hierarchical', 'fixed'"),
        ({"prior": {"kappa": 1.0}}, "hyperparameter in prior must be one of"),
        ({"n_components_prior": "poisson"}, "n_components_prior must be one of"),
        ({"n_components_prior": {2: -1.0}}, r"n_components_prior\[2\] must be a number of at least 0"),
        ({"n_init": 0}, "n_init must be a whole number of at least 1"),
    ],
)
def test_mistakes_are_explained(options, words):
    x = np.random.default_rng(0).normal(size=(90, 2))
    with pytest.raises(ValueError, match=words):
        bg.select(x, **{"n_components": [1, 2], "covariance_type": "full", "verbose": False, **options})


def test_numbers_with_too_few_rows_are_left_out():
    assert read_numbers(range(1, 16), n_rows=12) == ([1, 2], ["More than 2 components were not tried: fewer than 5 rows for each."])


def test_progress_is_told_on_standard_error(capsys):
    x = np.random.default_rng(0).normal(size=(12, 1))
    bg.select(x, [1, 2], "full", verbose=True)
    assert "select: 2 of at most 2 components, full covariances" in capsys.readouterr().err
    bg.select(x, [1, 2], "full")
    assert capsys.readouterr().err == ""
