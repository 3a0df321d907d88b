"""Derivatives by the prior beside fits of changed priors, and linear response beside the same derivatives."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import WEIGHTS, normal_wishart

import bayesgmm as bg
from bayesgmm.analysis.coordinate_response import spread_of
from bayesgmm.analysis.sensitivity import HYPERPARAMETERS, Answers, changed, derivatives, pair_derivatives
from bayesgmm.analysis.unconstrained import chart_of
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.weights import Dirichlet
from bayesgmm.estimators import sensitivity as of_estimators
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_labels

pytestmark = pytest.mark.usefixtures("x64")
K = 3


def rows(n: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping groups and the labels they were drawn with."""
    rng = np.random.default_rng(1)
    labels = np.sort(rng.integers(K, size=n))
    return rng.normal(size=(n, 2)) + np.array([[0, 0], [3.2, 0], [0, 3.4]])[labels], labels


@jit
def solved(prior: Mixture, x, weight, start: Mixture) -> Mixture:
    """Plain passes, as many as it takes to stand still."""
    return jax.lax.fori_loop(0, 1500, lambda i, q: prior.posterior(collect(q, x, weight)), start)


@pytest.mark.parametrize(
    ("structure", "tied", "law"),
    [
        ("full", True, "sticks"),
        pytest.param("full", False, "dirichlet", marks=pytest.mark.slow),
        pytest.param("diag", False, "sticks_gamma", marks=pytest.mark.slow),
        pytest.param("spherical", False, "asymmetric", marks=pytest.mark.slow),
    ],
)
def test_derivatives_are_those_of_refits(structure, tied, law):
    """Central differences of converged fits, in every number, to 1e-4 of the largest."""
    x, labels = rows()
    weight = np.where(np.arange(len(x)) % 7 == 0, 2.0, 1.0)
    prior = Mixture(WEIGHTS[law](K, np.array([0.5, 0.4, 0.3]), 0.5), normal_wishart(structure, tied, 2))
    start = prior.posterior(from_labels(prior.structure, tied, x, labels, K, weight))
    posterior = solved(prior, x, weight, start)
    shifts = np.array([[0.7, -1.3]])
    now, slopes = derivatives(prior, posterior, jnp.asarray(x), weight, shifts)
    step = 1e-3
    for i, change in enumerate([*np.eye(4, 6), np.append(np.zeros(4), shifts)]):
        ends = []
        for sign in (1, -1):
            tilted = changed(prior, change * sign * step)
            ends.append(derivatives(tilted, solved(tilted, x, weight, posterior), jnp.asarray(x), weight, shifts[:0])[0])
        for name, slope, high, low in zip(Answers._fields, slopes, *ends, strict=True):
            expected = (np.asarray(high) - np.asarray(low)) / (2 * step)
            np.testing.assert_allclose(np.asarray(slope)[i], expected, atol=1e-4 * np.abs(expected).max() + 2e-7, err_msg=name)
    pairs = pair_derivatives(np.asarray(now.resp), np.asarray(slopes.resp), np.array([3, 80]))
    by_hand = np.asarray(slopes.resp)[0, 3] @ np.asarray(now.resp)[80] + np.asarray(now.resp)[3] @ np.asarray(slopes.resp)[0, 80]
    np.testing.assert_allclose(pairs[0, 0, 80], by_hand)
    assert pairs[0, 0, 3] == 0


def test_linear_response_is_the_derivative_by_concentrations():
    """The response of E[log weights] to a concentration is the covariance of log weights (Giordano et al. 2018); draws have it too."""
    x, labels = rows(600)
    weight = np.ones(len(x))
    law = normal_wishart("full", False, 2)
    prior = Mixture(Dirichlet(jnp.array([1.1, 1.4, 0.9])), law)
    start = prior.posterior(from_labels(prior.structure, False, x, labels, K, weight))
    posterior = solved(prior, x, weight, start)

    def expected(k: int, step: float) -> np.ndarray:
        tilted = Mixture(Dirichlet(prior.weights.concentration.at[k].add(step)), law)
        return np.asarray(solved(tilted, x, weight, posterior).weights.expected_log())

    step = 0.01
    covariance = np.stack([(expected(k, step) - expected(k, -step)) / (2 * step) for k in range(K)])
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-6)
    ratios = np.array([[1, 0, -1], [0, 1, -1]])
    chart = chart_of(posterior)
    spread, contraction = spread_of(chart, jnp.asarray(x), weight)
    root = spread.draw(np.eye(len(spread.vectors)))
    drawn = np.asarray(chart.weights.root) @ (root @ root.T)[:2, :2] @ np.asarray(chart.weights.root).T
    assert contraction > 0.5
    np.testing.assert_allclose(drawn, ratios @ covariance @ ratios.T, rtol=1e-3)


def test_a_prior_is_changed_by_factors():
    prior = Mixture(WEIGHTS["sticks_gamma"](K, np.array([0.5, 0.4, 0.3]), 0.5), normal_wishart("full", False, 2))
    twice = changed(prior, np.append(np.log([2.0, 3.0, 4.0, 5.0]), [1.0, -2.0]))
    np.testing.assert_allclose(twice.components.mean - prior.components.mean, [[1, -2]] * len(prior.components.mean), atol=1e-12)
    assert float(twice.weights.shape / twice.weights.rate) == pytest.approx(2 * float(prior.weights.shape / prior.weights.rate))
    np.testing.assert_allclose(twice.components.dof - 1, 4 * (prior.components.dof - 1))
    np.testing.assert_allclose(twice.components.scale, 5 * prior.components.scale)
    assert jax.tree.structure(dataclasses.replace(twice)) == jax.tree.structure(prior)


@pytest.fixture(scope="module")
def model():
    x = bg.load_dataset("faithful").x
    settings = {"covariance_type": "diag", "prune": False, "n_init": 1, "init_params": (x[:, 0] > 3).astype(int), "tol": 1e-13}
    return bg.BayesianGaussianMixture(n_components=2, **settings).fit(x), x


def test_the_answer_is_in_the_units_of_the_data(model):
    """Central differences of two fits with S0 a little larger and smaller, in every number; and refits as asked."""
    fitted, x = model
    found = fitted.sensitivity(x)
    step, ends = 1e-3, []
    for sign in (1, -1):
        scale = fitted.prior_.components.scale[0] * np.exp(sign * step)
        other = bg.BayesianGaussianMixture(**fitted.get_params()).set_params(covariance_prior=scale).fit(x)
        ends.append((other.lower_bound_, other.weights_, other.means_, np.sqrt(other.covariances_), other.predict_proba(x)))
    names = ("lower_bound", "weights", "means", "standard_deviations", "responsibilities")
    for name, high, low in zip(names, *ends, strict=True):
        expected = (np.asarray(high) - np.asarray(low)) / (2 * step)
        np.testing.assert_allclose(found.derivatives[name][3], expected, atol=2e-3 * np.abs(expected).max(), err_msg=name)
    assert [(each.hyperparameter, each.factor) for each in found.refits] == [(h, f) for h in HYPERPARAMETERS for f in (0.5, 2.0)]
    priors = [each.model.prior_.components for each in found.refits]
    own = fitted.prior_.components
    np.testing.assert_allclose(priors[3].mean_precision, 2 * own.mean_precision)
    np.testing.assert_allclose(priors[4].dof, 0.5 * own.dof)
    np.testing.assert_allclose(priors[7].scale, 2 * own.scale)
    rates = [float(each.model.prior_.weights.shape / each.model.prior_.weights.rate) for each in found.refits[:2]]
    assert rates == pytest.approx([0.5, 2.0])
    mean = np.asarray(fitted.prior_.components.mean[0]) + step * np.eye(2)[1] * x[:, 1].std()
    other = bg.BayesianGaussianMixture(**fitted.get_params()).set_params(mean_prior=mean).fit(x)
    moved = (other.means_ - fitted.means_) / step
    np.testing.assert_allclose(found.derivatives["means"][5], moved, atol=5e-3 * np.abs(moved).max())
    assert found.hyperparameters[5] == "mean_prior[x1]" and "mean_prior  " in str(found)
    assert "2 components by prune=False" in str(found) and "covariance_prior" in str(found)


def test_pairs_and_mistakes(model):
    fitted, x = model
    found = fitted.sensitivity(x, refits=False)
    assert found.refits == () and found.co_clustering([3]).shape == (6, 1, len(x))
    with pytest.raises(ValueError, match="rows must be whole numbers"):
        found.co_clustering([len(x)])
    with pytest.raises(ValueError, match="must be those of the fit"):
        fitted.sensitivity(x + 1)


def test_derivatives_that_are_not_found_are_told(model, monkeypatch):
    def fails(*_):
        raise ArithmeticError("no answer")

    monkeypatch.setattr(of_estimators, "derivatives", fails)
    with pytest.raises(bg.FitError, match=r"not found \(no answer\): components can hardly be told apart"):
        model[0].sensitivity(model[1])


@pytest.mark.slow
def test_another_answer_is_named():
    """Few rows, two groups hardly apart: other priors see one."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=(25, 1)), rng.normal(size=(25, 1)) + 2.8])
    fitted = bg.BayesianGaussianMixture(n_components=5, random_state=0).fit(x)
    text = str(fitted.sensitivity(x))
    assert "would have said otherwise: 2 components here, 1 with degrees_of_freedom_prior times 0.5" in text
