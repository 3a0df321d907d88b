"""Standard errors of maximum likelihood: exact for one component, mclust's by bootstrap, and errors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis import observed, refits
from bayesgmm.inference.compiling import jit

KINDS = ("full", "tied", "diag", "spherical")

DIABETES = {
    "pro": [0.056, 0.051, 0.036],
    "mean": [[1.091, 7.857, 7.836], [3.552, 29.698, 30.828], [16.791, 65.758, 10.091]],
}
"""Standard errors of mclust 6.0.0: MclustBootstrap(Mclust(diabetes[, -1], 3, "VVV"), nboot = 499, type = "bs"), by the first mean."""


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(150, 2)), rng.normal(size=(100, 2)) * [1.0, 2.0] + [3.0, 1.0]])


@pytest.fixture(scope="module")
def model(x):
    return bg.GaussianMixture(2, random_state=0, n_init=2, tol=1e-13).fit(x)


def chart_and_rows(model, x):
    point = model._coordinates.mixture_inward(model.posterior_)
    return observed.chart_around(point, model._counts), jnp.asarray(model._coordinates.inward(x))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("covariance_type", KINDS)
def test_one_component_hides_nothing(x, covariance_type):
    """The information is the identity in these coordinates, and the slope 0."""
    chart, y = chart_and_rows(bg.GaussianMixture(1, covariance_type=covariance_type).fit(x), x)
    found = observed.curvature(chart, y, jnp.ones(len(x)))
    np.testing.assert_allclose(found.slope, 0, atol=1e-9)
    np.testing.assert_allclose(found.information, np.eye(len(found.slope)), atol=1e-9)


@pytest.mark.parametrize("covariance_type", KINDS)
def test_one_component_has_the_text_book_errors(x, covariance_type):
    """The standard error of a mean is s / sqrt(n), that of a log variance sqrt(2 / n) (spherical: both columns together)."""
    found = bg.GaussianMixture(1, covariance_type=covariance_type).fit(x).uncertainty(x, n_draws=40_000).intervals()
    spread = np.sqrt(np.full(2, x.var(0).mean())) if covariance_type == "spherical" else x.std(0)
    np.testing.assert_allclose(found["means"].sd[0], spread / np.sqrt(len(x)), rtol=0.03)
    relative = found["standard_deviations"].sd[0] / spread
    np.testing.assert_allclose(relative, np.sqrt(0.5 / len(x) / (1 + (covariance_type == "spherical"))), rtol=0.03)


@pytest.mark.usefixtures("x64")
def test_the_contraction_is_that_of_em(model, x):
    """Dempster, Laird and Rubin (1977): the information tells the rate at which EM converges."""
    chart, y = chart_and_rows(model, x)
    contraction = observed.covariance_root(observed.curvature(chart, y, jnp.ones(len(x))), False)[1]
    prior, start = model.prior_, model._coordinates.mixture_inward(model.posterior_)
    moved = bg.Mixture(
        bg.PointWeights(start.weights.weights), bg.Gaussian(start.components.mean + 1e-3, start.components.covariance, bg.Full())
    )
    history = np.asarray(bg.fit(prior, moved, y, tol=0.0, max_steps=60).history)
    gains = np.diff(history[20:32])
    np.testing.assert_allclose(np.sqrt(gains[1:] / gains[:-1]).mean(), contraction, atol=0.01)


@pytest.mark.usefixtures("x64")
def test_the_information_is_that_of_finite_differences(model, x):
    chart, y = chart_and_rows(model, x)
    found = observed.curvature(chart, y, jnp.ones(len(x)))
    size, step = len(found.slope), 1e-4

    @jit
    def likelihood(z):
        point = observed.outward(chart, z)[0]
        return jax.scipy.special.logsumexp(point.components.predictive_log_prob(y) + point.weights.expected_log(), axis=1).sum()

    moves = np.eye(size) * step
    for i, j in ((0, 0), (0, 3), (2, 7), (size - 1, 1), (size - 1, size - 1)):
        a, b = jnp.asarray(moves[i]), jnp.asarray(moves[j])
        second = (likelihood(a + b) - likelihood(a - b) - likelihood(b - a) + likelihood(-a - b)) / (4 * step**2)
        np.testing.assert_allclose(-second, found.information[i, j], atol=2e-4)


def test_methods_that_ask_the_same_agree(model, x):
    """Two rely on the model, four let the rows speak: within each group errors agree within a quarter, in the median within a tenth."""
    for group in (("observed_information", "parametric_bootstrap"), ("sandwich", "jackknife", "bootstrap", "weighted_bootstrap")):
        first, *others = (summed(model, x, name) for name in group)
        for errors in others:
            apart = np.abs(errors / first - 1)
            assert np.median(apart) < 0.1 and apart.max() < 0.25, (group, errors / first)


def summed(model, x, method: str) -> np.ndarray:
    found = model.uncertainty(x, method, n_draws=600).intervals()
    return np.concatenate([found["weights"].sd[:1], found["means"].sd.ravel(), found["standard_deviations"].sd.ravel()])


def test_the_bootstrap_has_mclusts_errors():
    """Standard errors of 499 fits are known to 3 per cent, those of mclust too."""
    data = bg.load_dataset("diabetes").x
    model = bg.GaussianMixture(3, random_state=0).fit(data)
    order = np.argsort(model.means_[:, 0])
    found = model.uncertainty(data, "bootstrap", n_draws=499).intervals()
    np.testing.assert_allclose(found["weights"].sd[order], DIABETES["pro"], rtol=0.15)
    np.testing.assert_allclose(found["means"].sd[order], DIABETES["mean"], rtol=0.2)


@pytest.mark.parametrize("method", [pytest.param("observed_information", marks=pytest.mark.slow), "jackknife"])
def test_columns_and_rows_may_come_in_any_order(method):
    """A small component in three columns: standard errors of means do not depend on the order of columns, nor labels on that of rows."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(100, 3)), rng.normal(size=(14, 3)) @ np.diag([1.0, 1.3, 2.0]) + [9.0, 0.0, 0.0]])
    model = bg.GaussianMixture(2, random_state=0, n_init=2).fit(x)
    found = model.uncertainty(x, method, n_draws=20_000).intervals()["means"].sd
    backwards = bg.GaussianMixture(2, random_state=0, n_init=2).fit(x[:, ::-1])
    other = backwards.uncertainty(x[:, ::-1], method, n_draws=20_000).intervals()["means"].sd[:, ::-1]
    np.testing.assert_allclose(found, other, rtol=0.03)
    text_book = np.sqrt(np.diagonal(model.covariances_, axis1=1, axis2=2) / (model.weights_[:, None] * len(x)))
    np.testing.assert_allclose(found, text_book * (np.sqrt(14 / 13) if method == "jackknife" else 1), rtol=0.06)
    order = rng.permutation(len(x))
    np.testing.assert_allclose(model.uncertainty(x[order], method, n_draws=20_000).intervals()["weights"].mean, model.weights_, atol=0.01)


@pytest.mark.usefixtures("x64")
def test_refits_are_weighted_fits(model, x):
    weights = refits.resampled_weights(np.ones(len(x)), 3, np.random.default_rng(0))
    point = model._coordinates.mixture_inward(model.posterior_)
    found = refits.reweighted(model.prior_, point, jnp.asarray(model._coordinates.inward(x)), weights, lambda done: None)
    assert found.usable.all()
    for i in range(3):
        again = bg.GaussianMixture(2, means_init=model.means_, random_state=0, n_init=1, init_params=model.labels_, tol=1e-12)
        again.fit(x, sample_weight=weights[i])
        means = np.asarray(model._coordinates.outward(found.points.components.mean[i]))
        np.testing.assert_allclose(means[np.argsort(means[:, 0])], again.means_[np.argsort(again.means_[:, 0])], rtol=1e-3, atol=1e-3)


def test_weights_of_sets_have_the_right_sums():
    rng, weight = np.random.default_rng(0), np.array([1.0, 2.0, 0.0, 3.0])
    for drawn in (refits.resampled_weights(weight, 2000, rng), refits.random_weights(weight, 2000, rng)):
        np.testing.assert_allclose(drawn.sum(1), 6)
        np.testing.assert_allclose(drawn.mean(0), weight, atol=0.15)
        assert (drawn[:, 2] == 0).all()


def test_rows_and_clusters_have_their_uncertainty_too(model, x):
    found = model.uncertainty(x, "bootstrap", n_draws=50)
    assert found.similarity.shape == (len(x), len(x)) and found.responsibilities.upper.shape == (len(x), 2)
    assert found.partition().n_clusters == 2 and np.isnan(found.log_evidence)


def test_what_cannot_be_done_is_said(model, x):
    with pytest.raises(ValueError, match="method must be one of"):
        model.uncertainty(x, "gibbs")
    with pytest.raises(ValueError, match="must be those of the fit"):
        model.uncertainty(x * 1.01)
    with pytest.raises(ValueError, match="use BayesianGaussianMixture"):
        bg.GaussianMixture(2, prior="default", random_state=0, n_init=1).fit(x).uncertainty(x)
    weighted = bg.GaussianMixture(2, random_state=0, n_init=1).fit(x, sample_weight=np.full(len(x), 2.0))
    with pytest.raises(ValueError, match="cannot take weights"):
        weighted.uncertainty(x, "jackknife", sample_weight=np.full(len(x), 2.0))
    heap = np.r_[np.ones((3, 2)) * 9, x[3:]]
    with pytest.warns(bg.FitWarning, match="no meaningful maximum"):
        thin = bg.GaussianMixture(2, n_init=1, init_params=np.r_[np.ones(3, int), np.zeros(247, int)]).fit(heap)
    with pytest.raises(bg.FitError, match="no meaningful maximum"):
        thin.uncertainty(heap)
