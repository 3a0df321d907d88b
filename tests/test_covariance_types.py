"""Words for covariance structures: names of one thing, equivariance of each, what a fitted model answers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from registry import blobs, responsibilities

import bayesgmm as bg
from bayesgmm.estimators.covariance_types import MCLUST, ONE_COLUMN, SHARINGS, kind_of, word_for

X = blobs(90, 3)
LABELS = responsibilities(90).argmax(1)
SAME = {"EII": "tied_spherical", "VII": "spherical", "EEI": "tied_diag", "VVI": "diag", "EEE": "tied", "VVV": "full"}
MOVES = {
    "affine": np.array([[2.0, 0.3, 0.0], [0.5, 0.4, -0.2], [0.1, 0.9, 3.0]]),
    "columns": np.diag([0.1, 5.0, 2.0]),
    "rotation": 3 * np.linalg.qr(np.array([[2.0, 0.3, 0.0], [0.5, 0.4, -0.2], [0.1, 0.9, 3.0]]))[0],
}
"""Linear maps of the rows."""

UNDER = {"VEI": "columns", "EVI": "columns", "VEE": "affine", "EVV": "affine"} | dict.fromkeys(("EVE", "VVE", "EEV", "VEV"), "rotation")
"""Under which maps each family stays what it is."""

KEPT = ("VEI", "VEE", "EEV", "VVE")
"""Tried by default: each way of finding the update."""


def fitted(word: str, x=X, **options):
    """A fit from given labels, the same whatever the units."""
    return bg.GaussianMixture(3, covariance_type=word, **{"init_params": LABELS, **options}).fit(x)


def test_mclust_has_fourteen_structures():
    assert len(MCLUST) == 14 and set(SAME) | set(SHARINGS) == set(MCLUST)
    assert ONE_COLUMN == ("E", "V")


@pytest.mark.parametrize("word", SAME)
def test_old_structures_have_two_names(word):
    """One model, not two that agree."""
    assert kind_of(word) == kind_of(SAME[word]) and word_for(kind_of(word)) == SAME[word]


@pytest.mark.parametrize("word", [pytest.param(word, marks=() if word in KEPT else pytest.mark.slow) for word in SHARINGS])
def test_the_family_stays_what_it_is(word):
    """Likelihood and parameters move with the units of the rows."""
    turn, shift = MOVES[UNDER[word]], np.array([3.0, -1.0, 100.0])
    here, there = fitted(word), fitted(word, X @ turn.T + shift)
    gained = len(X) * np.log(abs(np.linalg.det(turn)))
    np.testing.assert_allclose(there.log_likelihood_ + gained, here.log_likelihood_, rtol=1e-9)
    np.testing.assert_allclose(there.means_, here.means_ @ turn.T + shift, rtol=1e-4, atol=1e-4)
    dense = here.covariances_ if here.covariances_.ndim == 3 else np.stack([np.diag(v) for v in here.covariances_])
    moved = turn @ dense @ turn.T
    found = there.covariances_ if there.covariances_.ndim == 3 else np.stack([np.diag(v) for v in there.covariances_])
    np.testing.assert_allclose(found, moved, rtol=1e-3, atol=1e-4 * np.abs(moved).max())


@pytest.mark.parametrize("word", ["EEV", "VVE"])
def test_orientations_are_those_of_the_units_given(word):
    """Not those of standardised columns: other units of single columns are another model."""
    here, there = fitted(word), fitted(word, X @ MOVES["columns"])
    assert abs(there.log_likelihood_ - here.log_likelihood_) > 1e-3  # the units have determinant 1


@pytest.mark.parametrize("word", ["VVE", *(pytest.param(word, marks=pytest.mark.slow) for word in ("VEI", "VEV"))])
def test_a_fitted_model_answers_as_all_do(word, tmp_path):
    model = fitted(word)
    shape = (3, 3) if word == "VEI" else (3, 3, 3)
    assert model.covariances_.shape == model.precisions_.shape == model.precisions_cholesky_.shape == shape
    model.save(tmp_path / "model")
    read = bg.load(tmp_path / "model")
    np.testing.assert_array_equal(read.predict_proba(X), model.predict_proba(X))
    assert read.prior_.components.sharing == SHARINGS[word] and read.bic(X) == model.bic(X)
    assert f"{word} covariances" in model.summary() and model.sample(5)[0].shape == (5, 3)
    np.testing.assert_allclose(model.score_samples(X).sum(), model.log_likelihood_)
    read.set_params(warm_start=True).fit(X)
    np.testing.assert_allclose(read.log_likelihood_, model.log_likelihood_, rtol=1e-9)
    with pytest.raises(ValueError, match=f"covariance_type='{word}', not 'full'"):
        read.set_params(covariance_type="full").fit(X)


def test_given_precisions_are_made_one_of_the_family():
    """The loop would call it a fall of the likelihood if they were not."""
    model = fitted("VEV")
    given = {"weights_init": [0.2, 0.3, 0.5], "means_init": model.means_, "precisions_init": fitted("full").precisions_}
    again = fitted("VEV", **given)
    assert again.converged_ and np.diff(again.lower_bounds_).min() > -1e-9


def test_bootstrap_is_the_uncertainty_that_knows_the_family():
    model = fitted("VEE")
    draws = model.uncertainty(X, "bootstrap", n_draws=8).draws["covariances"]
    shapes = draws / np.linalg.det(draws)[..., None, None] ** (1 / 3)
    np.testing.assert_allclose(shapes[:, 0], shapes[:, 1], rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="moves every covariance freely"):
        model.uncertainty(X)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: bg.BayesianGaussianMixture(covariance_type="VEV").fit(X),
            "'VEV' has no conjugate prior.*fit it by GaussianMixture.*'full'",
        ),
        (lambda: bg.GaussianMixture(covariance_type="EVEN").fit(X), "covariance_type must be one of"),
        (lambda: bg.GaussianMixture(covariance_type="V").fit(X), "is for one column; X has 3: choose 'VII', 'VVI' or 'VVV'"),
        (lambda: bg.select(X, 2, covariance_type="mclust"), "has no conjugate prior.*criterion='bic'"),
        (lambda: bg.select(X, 2, covariance_type=("full", "E"), criterion="bic"), "is for one column"),
        (lambda: bg.combine(fitted("VVE"), X, n_clusters="icl"), "no formula for covariance_type='VVE'"),
        (lambda: fitted("VVE").bic(X, sign="minus"), "sign must be one of 'sklearn', 'mclust'"),
    ],
)
def test_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_words_of_one_meaning_are_compared_once():
    found = bg.select(X, 2, covariance_type=("full", "VVV", "VEV"), criterion="bic", n_init=1, verbose=False)
    assert found.table["covariance_type"].tolist() == ["VEV", "full"]
    np.testing.assert_allclose(found.table.mclust()["full"], [-found.table["bic"][1]])
    assert list(found.table.mclust("icl")) == ["n_components", "VEV", "full"]
    with pytest.raises(ValueError, match="criterion must be one of 'bic', 'icl'"):
        found.table.mclust("aic")


@pytest.mark.slow
def test_in_one_column_only_the_volume_may_be_shared():
    x = X[:, :1]
    found = bg.select(x, (1, 2), covariance_type="mclust", criterion="bic", n_init=1, verbose=False)
    assert found.table["covariance_type"].tolist() == ["E", "E", "V", "V"]
    labels = (x[:, 0] > np.median(x)).astype(int)
    for word in ("EVI", "EEV", "EVE", "VEI", "VVE", "EVV"):
        one = bg.GaussianMixture(2, covariance_type=word, init_params=labels).fit(x)
        other = bg.GaussianMixture(2, covariance_type=word[0], init_params=labels).fit(x)
        assert one.n_parameters_ == other.n_parameters_
        np.testing.assert_allclose(one.log_likelihood_, other.log_likelihood_, rtol=1e-8)
