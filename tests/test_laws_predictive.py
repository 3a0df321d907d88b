"""Densities of new rows, draws of parameters, and summaries of posteriors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from objectives import dense, describe, describe_prior, expected_log_weights
from oracles import _log_predictive_component, gaussian_mixture_log_likelihood, student_t_predictive
from registry import D, K, N, bayesian_cases, blobs, cases, each, few, main_cases, responsibilities, start
from scipy import stats
from scipy.special import logsumexp

from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import StickBreaking
from bayesgmm.inference.compiling import jit

pytestmark = pytest.mark.usefixtures("x64")
ONES = np.ones(N)
DRAWS = 20000
sample = jit(lambda law, key, shape: law.sample(key, shape), static_argnames=("shape",))


def posterior(case, d: int = D):
    """Prior and the posterior of some responsibilities."""
    prior = case.prior(K, d)
    return prior, start(prior, blobs(N, d), ONES, np.sort(responsibilities()))


def oracle_predictive(x, q, prior, left=None):
    """Student t of the components, and for sticks a component never seen.

    Its mean follows the prior, as does its precision; but a tied precision is the one of all components.
    """
    c, p = q["components"], prior["components"]
    if q["weights"]["kind"] == "dirichlet":
        alpha = q["weights"]["alpha"]
        return student_t_predictive(x, alpha, c["mean"], c["kappa"], c["nu"], c["S"], c["structure"])
    weights = stick_means(q["weights"])
    nu, s = (c["nu"][0], c["S"][0]) if c["tied"] else (p["nu0"], p["S0"])
    parts = [
        _log_predictive_component(x, c["mean"][k], c["kappa"][k], c["nu"][t], c["S"][t], c["structure"])
        for k, t in enumerate([0] * K if c["tied"] else range(K))
    ]
    parts.append(_log_predictive_component(x, p["m0"], p["kappa0"], nu, s, c["structure"]))
    return logsumexp(np.stack(parts, 1), axis=1, b=np.append(weights, 1 - weights.sum() if left is None else left))


def stick_means(law):
    """E pi (K,) in component order."""
    taken = law["a"] / (law["a"] + law["b"])
    weights = np.empty(K)
    weights[law["order"]] = taken * np.cumprod(np.concatenate([[1.0], 1 - taken[:-1]]))
    return weights


@each(bayesian_cases())
def test_predictive_is_a_mixture_of_student_t(case):
    prior, q = posterior(case)
    x = np.concatenate([blobs(20, seed=5), [[30.0, -40.0]]])
    exact = oracle_predictive(x, describe(q), describe_prior(prior))
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(x), prior), exact, rtol=1e-11)
    if "sticks" not in case.weights:
        np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(x)), exact, rtol=1e-11)


@each(bayesian_cases())
def test_predictive_is_the_ratio_of_evidences(case):
    """p(x, X | z) / p(X | z), averaged over the component of x, one never seen included: the definition itself."""
    prior, rows, labels, new = case.prior(), blobs(10), np.resize([0, 1, 1, 2], 10), np.array([[0.7, -1.2]])

    def log_p(x, z):
        """The prior is shared, so it serves K + 1 components."""
        return float(prior.components.log_marginal(one_record(prior, x, np.eye(K + 1)[z])))

    q = prior.posterior(one_record(prior, rows, np.eye(K)[labels]))
    weights = np.asarray(q.weights.mean())
    chances = np.append(weights, 1 - weights.sum() if "sticks" in case.weights else 0)
    parts = [log_p(np.concatenate([rows, new]), np.append(labels, k)) for k in range(K + 1)]
    exact = logsumexp(np.array(parts) - log_p(rows, labels), b=chances)
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(new), prior)[0], exact, rtol=1e-10)


def one_record(prior, x, resp):
    """Statistics of responsibilities in one product."""
    outer = np.asarray(prior.structure.outer(jnp.asarray(x)))
    scatter = np.tensordot(resp, outer, (0, 0))
    scatter = scatter.sum(0, keepdims=True) if prior.tied else scatter
    return Stats(jnp.zeros(()), *(jnp.asarray(a) for a in (resp.sum(0), resp.T @ x, scatter)))


@each(bayesian_cases())
def test_predictive_integrates_to_one(case):
    """One column, trapezoidal rule in asinh of the row, tails included."""
    prior, q = posterior(case, 1)
    u = np.linspace(-60, 60, 24001)
    density = np.exp(np.asarray(q.predictive_log_prob(jnp.asarray(np.sinh(u)[:, None]), prior)))
    np.testing.assert_allclose(np.trapezoid(density * np.cosh(u), u), 1, atol=1e-9)
    alone = np.exp(np.asarray(q.predictive_log_prob(jnp.asarray(np.sinh(u)[:, None]))))
    np.testing.assert_allclose(np.trapezoid(alone * np.cosh(u), u), 1, atol=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_predictive_integrates_to_one_in_two_columns(structure):
    case = next(c for c in bayesian_cases(("sticks",)) if c.structure == structure and not c.tied)
    prior, q = posterior(case)
    u = np.linspace(-14, 14, 701)
    grid = np.stack(np.meshgrid(np.sinh(u), np.sinh(u)), -1).reshape(-1, 2)
    volume = np.cosh(u)[:, None] * np.cosh(u) * (u[1] - u[0]) ** 2
    density = np.exp(np.asarray(q.predictive_log_prob(jnp.asarray(grid), prior))).reshape(volume.shape)
    np.testing.assert_allclose((density * volume).sum(), 1, atol=1e-5)


@each([case for case in main_cases() if case.mode != "vb"])
def test_points_predict_by_their_likelihood(case):
    """The density of MAP and ML fits at the rows is the mixture's likelihood."""
    _, q = posterior(case)
    x, numbers = blobs(20, seed=5), describe(q)
    covariances = [dense(numbers["components"], matrix) for matrix in numbers["components"]["covariance"]]
    covariances = covariances * K if case.tied else covariances
    weights = np.append(np.asarray(q.weights.mean()), 0)[:K]
    exact = gaussian_mixture_log_likelihood(x, weights, numbers["components"]["mean"], covariances)
    missing = np.log1p(weights.sum() - 1) * len(x)
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(x)).sum(), exact - missing, rtol=1e-11)


@pytest.mark.parametrize("law", ["sticks_gamma", *(pytest.param(law, marks=pytest.mark.slow) for law in ("asymmetric", "sticks"))])
def test_draws_of_weights_have_the_moments_of_the_posterior(law):
    """Means, and means of logarithms, within five standard errors."""
    _, q = posterior(next(c for c in bayesian_cases((law,))))
    draws = np.asarray(sample(q.weights, jax.random.key(1), (DRAWS,)))
    assert draws.shape == (DRAWS, K)
    assert_mean(draws, q.weights.mean())
    assert_mean(np.log(draws), expected_log_weights(describe(q)["weights"]))
    off = np.asarray(sample(q.weights.without(1), jax.random.key(1), (DRAWS,)))
    assert (off[:, 1] == 0).all()
    assert float(q.weights.without(1).mean()[1]) == 0
    assert_mean(off, q.weights.without(1).mean())


@few(bayesian_cases(("asymmetric",)))
def test_draws_of_components_have_the_moments_of_the_posterior(case):
    """Means, covariances, precisions; draws of means spread as E[covariance] / mean precision."""
    q, law = posterior(case)[1].components, STRUCTURES[case.structure]
    draws = sample(q, jax.random.key(1), (DRAWS,))
    assert draws.mean.shape == (DRAWS, K, D)
    assert draws.covariance.shape == (DRAWS, *q.covariance.shape)
    assert_mean(draws.mean, q.mean)
    assert_mean(draws.covariance, q.covariance)
    precision = np.asarray(law.inverse(law.factor(q.scale))) * np.asarray(q.dof).reshape((-1,) + (1,) * law.rank)
    assert_mean(law.inverse(law.factor(draws.covariance)), precision)
    spread = np.asarray(law.to_dense(q.covariance, D)) / np.asarray(q.mean_precision)[:, None, None]
    away = np.asarray(draws.mean - q.mean)
    assert_mean(away[..., None] * away[..., None, :], np.broadcast_to(spread, (K, D, D)))


def assert_mean(draws, expected):
    """Averages within five standard errors, all entries."""
    draws, expected = np.asarray(draws), np.asarray(expected)
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - expected) <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("shape", [(2, 3), pytest.param((), marks=pytest.mark.slow)])
def test_shapes_of_draws(shape):
    """Any shape, none included; the same key gives the same draw."""
    case = next(c for c in bayesian_cases(("sticks_gamma",)) if c.tied)
    _, q = posterior(case)
    draws = sample(q, jax.random.key(3), shape)
    assert draws.weights.shape == (*shape, K)
    assert draws.components.mean.shape == (*shape, K, D)
    assert draws.components.covariance.shape == (*shape, 1, D, D)
    for a, b in zip(jax.tree.leaves(draws), jax.tree.leaves(sample(q, jax.random.key(3), shape)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_outlier_has_the_density_of_its_own_law(structure):
    """Weights that sum to one up to rounding leave nothing to the wide prior, however far the row."""
    for case in bayesian_cases(("asymmetric",)):
        if case.structure == structure:
            prior, q = posterior(case)
            x = np.array([[30.0, -40.0], [1e3, 1e3], [1e8, -1e8]])
            exact = oracle_predictive(x, describe(q), describe_prior(prior))
            np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(x), prior), exact, rtol=1e-11)


def test_left_over_mass_keeps_its_digits():
    """The chance of a component never seen is the product of what the sticks leave, not one minus a sum."""
    case = next(c for c in bayesian_cases(("sticks",)) if c.structure == "diag" and not c.tied)
    prior = replace(case.prior(), weights=StickBreaking.prior(K, 1e-9))
    q = start(prior, blobs(), ONES, np.sort(responsibilities()))
    left = np.prod(np.asarray(q.weights.beta / (q.weights.alpha + q.weights.beta)))
    assert 0 < left < 1e-10
    x = np.array([[1e4, -1e4], [1e9, 1e9]])
    exact = oracle_predictive(x, describe(q), describe_prior(prior), left)
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(x), prior), exact, rtol=1e-11)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_prior_density_is_the_text_book_one(structure):
    """Inverse-Wishart, inverse-Gamma and Normal densities of scipy."""
    case = next(c for c in cases(("map",)) if c.structure == structure and not c.tied and c.weights == "asymmetric")
    prior, q = posterior(case)
    p, c = describe_prior(prior)["components"], describe(q)["components"]
    exact = 0.0
    for mean, matrix in zip(c["mean"], c["covariance"], strict=True):
        if structure == "full":
            exact += stats.invwishart.logpdf(matrix, p["nu0"], p["S0"])
        else:
            exact += stats.invgamma.logpdf(matrix, p["nu0"] / 2, scale=p["S0"] / 2).sum()
        exact += stats.multivariate_normal.logpdf(mean, p["m0"], dense(c, matrix) / p["kappa0"])
    np.testing.assert_allclose(prior.prior.components.log_density(q.components), exact, rtol=1e-11)
