"""Importance sampling of the evidence: coordinates, relabelled copies, smoothing, and exact values it must meet."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import log_evidence_enumeration, log_evidence_one_component
from registry import normal_wishart

from bayesgmm.analysis.importance import check_exchangeable, importance_evidence
from bayesgmm.analysis.optima import distinct, same_optimum
from bayesgmm.analysis.pareto import smoothed
from bayesgmm.analysis.relabelling import log_permanent, log_share
from bayesgmm.analysis.unconstrained import chart_of, inward, n_coordinates, outward, skewed
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, PointWeights, StickBreaking
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_responsibilities

ROWS, D, DRAWS = 24, 2, 4096
KINDS = [(name, tied) for name in STRUCTURES for tied in (False, True)]

pytestmark = pytest.mark.usefixtures("x64")


def model(structure: str, tied: bool, k: int) -> Mixture:
    """A prior of vague components."""
    return Mixture(Dirichlet.symmetric(k, 1.0), normal_wishart(structure, tied, D))


def data(n: int, separation: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of n rows in all, filled up with rows of weight 0 so that programs are shared."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, D)) + separation * (np.arange(n) % 2)[:, None]
    return np.concatenate([x, np.zeros((ROWS - n, D))]), np.concatenate([np.ones(n), np.zeros(ROWS - n)])


@jit
def one_pass(prior, posterior, x, weight):
    return prior.posterior(collect(posterior, x, weight))


@jit
def given(prior, x, weight, resp):
    return prior.posterior(from_responsibilities(prior.structure, prior.tied, x, resp, weight))


def optimum(prior: Mixture, x, weight, labels) -> Mixture:
    """Plain passes from hard labels."""
    resp = jnp.eye(prior.n_components)[jnp.asarray(labels)] * 0.9 + 0.1 / prior.n_components
    q = given(prior, x, weight, resp)
    for _ in range(200):
        q = one_pass(prior, q, x, weight)
    return q


def oracle_prior(prior: Mixture) -> dict:
    law = prior.components
    scale = np.asarray(law.scale[0])
    return {"m0": law.mean[0], "kappa0": law.mean_precision[0], "nu0": law.dof[0], "S0": scale if scale.ndim else float(scale)}


def on_sticks(q: Mixture) -> Mixture:
    """The same components with stick-breaking weights."""
    return Mixture(StickBreaking.prior(q.n_components, 1.3).posterior(q.weights.concentration), q.components)


@pytest.mark.parametrize("weights", [lambda q: q, on_sticks], ids=["dirichlet", "sticks"])
@pytest.mark.parametrize(("structure", "tied"), KINDS)
def test_coordinates_have_an_inverse_and_a_volume(structure, tied, weights):
    """The log volume is that of the Jacobian by automatic differentiation."""
    chart = chart_of(weights(unequal(structure, tied)))
    size = n_coordinates(chart)
    z = jnp.asarray(np.random.default_rng(0).normal(size=size))
    entries = np.tril_indices(D) if structure == "full" else ()

    @jit
    def parameters(z):
        point, volume = outward(chart, z)
        covariance = point.components.covariance
        covariance = covariance[:, *entries] if entries else covariance
        free = jnp.concatenate([point.weights.weights[: chart.weights.size], point.components.mean.ravel(), covariance.ravel()])
        return free, (volume, *inward(chart, point))

    jacobian, (volume, back, same) = jax.jacfwd(parameters, has_aux=True)(z)
    assert jacobian.shape == (size, size)
    np.testing.assert_allclose(volume, np.linalg.slogdet(jacobian)[1], atol=1e-9)
    np.testing.assert_allclose(back, z, atol=1e-9)
    np.testing.assert_allclose(same, volume, atol=1e-9)


def unequal(structure: str, tied: bool) -> Mixture:
    """A posterior with no two numbers alike."""
    x, weight = data(20)
    return given(model(structure, tied, 2), x, weight, np.random.default_rng(1).dirichlet([2.0, 1.0], ROWS))


@pytest.mark.parametrize("weights", [lambda q: q, on_sticks], ids=["dirichlet", "sticks"])
def test_a_fit_is_standard_in_its_coordinates(weights):
    """Means 0, variances 1 and no correlations, of its own draws by the package's sampler."""
    q = weights(unequal("full", False))
    chart = chart_of(q)
    draws = q.sample(jax.random.key(0), (4000,))
    points = Mixture(PointWeights(draws.weights), draws.components)
    z = np.asarray(jit(jax.vmap(lambda point: inward(chart, point)[0]))(points))
    np.testing.assert_allclose(z.mean(0), 0, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(z.T), np.eye(z.shape[1]), atol=0.12)


@pytest.mark.parametrize(("structure", "tied"), KINDS)
def test_skewed_coordinates_have_the_laws_of_the_fit(structure, tied):
    """Chi-squared and Beta quantiles, by SciPy's distributions."""
    from scipy import stats

    q = on_sticks(unequal(structure, tied))
    chart = chart_of(q)
    level = np.array([1e-9, 0.01, 0.4, 0.99, 1 - 1e-9])
    z = skewed(chart, np.repeat(stats.norm.ppf(level)[:, None], n_coordinates(chart), 1))
    shares = 1 / (1 + np.exp(-(np.asarray(chart.weights.centre) + np.asarray(chart.weights.width) * z[:, :2])))
    alpha, beta = np.asarray(q.weights.alpha), np.asarray(q.weights.beta)
    np.testing.assert_allclose(shares, stats.beta.ppf(level[:, None], alpha, beta), rtol=1e-6)
    start, size = 2 + q.components.mean.size, chart.centre.shape[1]
    logs = np.asarray(chart.centre)[0] + np.asarray(chart.width)[0] * z[:, start : start + size]
    count, width, _ = q.structure.blocks(D)
    dof = np.tile(float(q.components.dof[0]) - width + 1 + np.arange(width), count)
    np.testing.assert_allclose(np.exp(2 * logs), stats.chi2.ppf(level[:, None], dof), rtol=1e-6)
    untouched = [*range(2, start), *range(start + chart.centre.size, z.shape[1])]
    np.testing.assert_array_equal(z[:, untouched], np.repeat(stats.norm.ppf(level)[:, None], len(untouched), 1))


def test_permanents_and_shares():
    logs = np.random.default_rng(0).normal(size=(5, 2, 4, 4)) * 3
    orders = list(itertools.permutations(range(4)))
    brute = np.logaddexp.reduce([logs[..., range(4), order].sum(-1) for order in orders], axis=0)
    np.testing.assert_allclose(log_permanent(logs), brute, rtol=1e-12)
    every = [np.exp(log_share(logs[:, :, order], np.log([0.3, 0.7]))) for order in orders]
    np.testing.assert_allclose(np.sum(every, 0), 1, rtol=1e-12)


def test_smoothing_keeps_the_scale_and_sees_the_tail():
    rng = np.random.default_rng(0)
    for shape in (0.2, 0.9):
        logs = 5000 + np.log(rng.pareto(1 / shape, 8000) + 1)
        logs[::5] = -np.inf
        found, k_hat = smoothed(logs)
        assert abs(k_hat - shape) < 0.25
        assert np.array_equal(np.isfinite(found), np.isfinite(logs))
        low = np.argsort(logs)[: len(logs) // 2]
        np.testing.assert_allclose(found[low], logs[low], rtol=1e-12)
    assert smoothed(np.full(200, -np.inf))[1] == np.inf


@pytest.mark.parametrize("structure", STRUCTURES)
def test_one_component_is_exact(structure):
    """The posterior is known, and so is the evidence; weights count as repeated rows."""
    prior = model(structure, False, 1)
    x, weight = data(20)
    weight[:5] = 2
    found = importance_evidence(prior, [one_pass(prior, prior, x, weight)], x, weight, DRAWS)
    exact = log_evidence_one_component(np.repeat(x, weight.astype(int), 0), structure, **oracle_prior(prior))
    assert found.standard_error < 0.03
    assert found.k_hat < 0.7
    assert abs(found.log_evidence - exact) < 4 * found.standard_error


@pytest.mark.parametrize(("structure", "tied"), [pytest.param("spherical", False, marks=pytest.mark.slow), ("full", True)])
def test_nine_rows_by_enumeration(structure, tied):
    """All labellings summed, and no relabelled copy counted twice or left out: K = 2 would be off by 0.7."""
    x, weight = data(9, 8.0)
    prior = model(structure, tied, 2)
    exact = log_evidence_enumeration(x[:9], 2, structure, tied, oracle_prior(prior), ("dirichlet", np.ones(2)))
    q = optimum(prior, x, weight, np.arange(ROWS) % 2)
    swapped = q.take(np.array([1, 0]))
    for fits in ([q], [swapped], [q, swapped]):
        found = importance_evidence(prior, fits, x, weight, DRAWS)
        assert found.standard_error < 0.06
        assert found.k_hat < (0.8 if tied else 0.7)
        assert abs(found.log_evidence - exact) < 4 * found.standard_error + 0.02
    assert same_optimum(q, swapped, (0.0, 0.0))
    assert distinct([q, swapped, q.take(np.array([0, 0]))], [0.0, 0.0, 0.0]) == [0, 2]


def test_what_is_not_exchangeable_is_refused():
    law = normal_wishart("full", False, D)
    for weights in (StickBreaking.prior(2, 1.0), Dirichlet(jnp.array([1.0, 2.0]))):
        with pytest.raises(ValueError, match="needs Dirichlet weights with one concentration"):
            check_exchangeable(Mixture(weights, law))
    with pytest.raises(ValueError, match="at most 12 components; the fit has 13"):
        check_exchangeable(Mixture(Dirichlet.symmetric(13), law))
    posterior = unequal("full", False)
    with pytest.raises(ValueError, match="the same prior for all components"):
        check_exchangeable(Mixture(Dirichlet.symmetric(2), posterior.components))
