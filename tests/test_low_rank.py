"""Covariances of few factors: the closed form, its limits, and wide data."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg

IRIS, _, SPECIES = bg.load_dataset("iris")


def fit(x, q: int, k: int = 3, **options):
    return bg.GaussianMixture(k, covariance_type=f"rank{q}", random_state=0, **options).fit(x)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_one_component_is_probabilistic_principal_components(q):
    """Tipping & Bishop (1999), eqs. 8 and 15, on columns of unit spread."""
    model, n, d = fit(IRIS, q, 1), *IRIS.shape
    spread = IRIS.std(0)
    values, vectors = np.linalg.eigh(np.cov((IRIS / spread).T, bias=True))
    values[: d - q] = values[: d - q].mean()
    expected = -n / 2 * (d * np.log(2 * np.pi) + np.log(values).sum() + d) - n * np.log(spread).sum()
    assert model.log_likelihood_ == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(model.covariances_[0], (vectors * values) @ vectors.T * np.outer(spread, spread), rtol=1e-9)
    assert model.n_parameters_ == d + d * q - q * (q - 1) // 2 + 1


def test_more_factors_are_more_likely_and_all_but_one_are_all():
    found = [fit(IRIS, q).log_likelihood_ for q in (1, 2, 3)]
    assert found == sorted(found)
    full = bg.GaussianMixture(3, random_state=0).fit(IRIS)
    assert found[-1] == pytest.approx(full.log_likelihood_, abs=1e-6)
    path = np.array(fit(IRIS, 2).lower_bounds_)
    assert (np.diff(path) > -1e-9 * abs(path[-1])).all()


def test_units_of_columns_do_not_matter():
    scale = np.array([1e-3, 1.0, 50.0, 1e4])
    first, second = fit(IRIS, 2), fit(IRIS * scale + 7, 2)
    np.testing.assert_array_equal(second.labels_, first.labels_)
    assert second.log_likelihood_ == pytest.approx(first.log_likelihood_ - len(IRIS) * np.log(scale).sum(), abs=1e-5)


@pytest.mark.parametrize("share", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_groups_in_more_columns_than_rows_of_a_group(share):
    """Of all numbers, or of nine in ten."""
    rng = np.random.default_rng(0)
    labels, own = np.repeat([0, 1], 30), rng.standard_normal((2, 40, 2))
    factors = np.einsum("ndq,nq->nd", own[labels], rng.standard_normal((60, 2)))
    x = factors + rng.standard_normal((60, 40)) / 2 + rng.standard_normal((2, 40))[labels]
    x[rng.random(x.shape) < share] = np.nan
    model = fit(x, 2, 2, n_init=3, missing="at_random" if share else "error")
    assert bg.adjusted_rand_index(model.labels_, labels) > (0.7 if share else 0.85) and not model.collapsed_


@pytest.mark.slow
def test_the_number_of_factors_is_chosen_and_the_model_saved(tmp_path):
    found = bg.select(IRIS, 3, covariance_type=("rank1", "rank2", "full"), criterion="bic")
    assert found.table["covariance_type"].tolist() == ["rank1", "rank2", "full"]
    found.best.save(tmp_path / "model")
    np.testing.assert_array_equal(bg.load(tmp_path / "model").predict(IRIS), found.best.labels_)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fit(IRIS, 4), "needs more than 4 columns"),
        (lambda: bg.GaussianMixture(2, covariance_type="rank0").fit(IRIS), "must be one of"),
        (lambda: bg.BayesianGaussianMixture(covariance_type="rank1").fit(IRIS), "no conjugate prior"),
        (lambda: fit(IRIS, 2).uncertainty(IRIS), "moves every covariance freely"),
    ],
)
def test_mistakes_are_told(make, words):
    with pytest.raises(ValueError, match=words):
        make()
