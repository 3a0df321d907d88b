"""Student t components in the functional layer: passes against plain numpy, and the laws that every fit keeps."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import Case, cases, each, few, path_of, responsibilities, start
from scipy.integrate import quad
from scipy.special import digamma, gammaln, logsumexp
from scipy.stats import multivariate_t

import bayesgmm as bg
from bayesgmm.core.coordinates import Coordinates, standardising
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.noise import with_noise
from bayesgmm.core.statistics import Region
from bayesgmm.core.student import MOST, Student
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.inference.arrange import Known, arrange
from bayesgmm.inference.kernel import collect
from bayesgmm.inference.loop import lower_bound, run

pytestmark = pytest.mark.usefixtures("x64")
K, D, N = 2, 2, 48
QUICK = [
    Case("ml", "full", False, "flat", "flat"),
    Case("ml", "diag", True, "flat", "flat"),
    Case("vb", "full", True, "conjugate", "dirichlet"),
    Case("vb", "spherical", False, "conjugate", "sticks_gamma"),
    Case("map", "full", False, "conjugate", "flat"),
]
ML, BAYES = QUICK[0], Case("vb", "full", False, "conjugate", "dirichlet")


BAYESIAN = cases(("vb",), ("conjugate",), ("dirichlet", "sticks_gamma"))
some = each(BAYESIAN + cases(("map",), ("conjugate",), ("flat",)) + cases(("ml",)), default=QUICK)


def heavy(case: Case, dof: float = 5.0, learn: bool = True, shared: bool = False, n_components: int = K):
    """A case's prior with Student t components."""
    prior = case.prior(n_components, D)
    inner = prior.prior if isinstance(prior, MAP) else prior
    found = Mixture(inner.weights, Student(inner.components, jnp.array([dof]), learn, shared))
    return MAP(found) if isinstance(prior, MAP) else found


def rows(n: int = N, seed: int = 0, dof: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    away = 5.0 * (np.arange(n) % 2)[:, None] * np.array([1.0, 0.5])
    return away + rng.standard_normal((n, D)) / np.sqrt(rng.chisquare(dof, (n, 1)) / dof)


def solve(prior, x, weight=None, depth=0, first=None):
    weight = np.ones(len(x)) if weight is None else weight
    if first is None:
        first = start(prior, jnp.asarray(x), jnp.asarray(weight), responsibilities(len(x), prior.n_components))
    return run(prior, first, jnp.asarray(x), jnp.asarray(weight), 1e-11, 3000, max_steps=3000, depth=depth)


def dense(structure, packed) -> np.ndarray:
    return np.broadcast_to(structure.to_dense(jnp.asarray(packed), D), (K, D, D))


@some
def test_the_bound_never_falls_and_belongs_to_the_posterior(case):
    x, prior = rows(), heavy(case)
    result = solve(prior, x)
    path = path_of(result)
    assert (np.diff(path) > -1e-9 * np.abs(path[1:])).all()
    stats = collect(result.posterior, jnp.asarray(x), jnp.ones(N))
    assert float(lower_bound(prior, result.posterior, stats)) == pytest.approx(float(result.lower_bound), abs=1e-10)
    again = solve(prior, x, depth=5, first=result.posterior)
    assert -1e-9 < float(again.lower_bound) - float(result.lower_bound) < 1e-2


@few(cases(("ml",)))
def test_a_pass_is_that_of_the_text_book(case):
    """Peel & McLachlan (2000), secs. 3-4: weights of rows, means, matrices of scale, and the equation for degrees of freedom."""
    x, weight = rows(seed=1), np.random.default_rng(0).uniform(0.5, 2, N)
    prior = heavy(case, dof=3.5)
    q = start(prior, x, weight, responsibilities(N, K))
    scale, dof = dense(q.structure, q.components.covariance), np.asarray(q.components.dof)
    density = np.stack([multivariate_t(m, s, n).logpdf(x) for m, s, n in zip(q.components.mean, scale, dof, strict=True)], 1)
    scores = density + np.log(q.weights.mean())
    resp = np.exp(scores - logsumexp(scores, axis=1, keepdims=True)) * weight[:, None]
    away = x[:, None] - np.asarray(q.components.mean)
    distance = np.einsum("nki,kij,nkj->nk", away, np.linalg.inv(scale), away)
    u = (dof + D) / (dof + distance)
    stats = collect(q, jnp.asarray(x), jnp.asarray(weight))
    assert float(stats.log_norm) == pytest.approx(weight @ logsumexp(scores, axis=1), rel=1e-11)
    np.testing.assert_allclose(stats.counts, resp.sum(0), rtol=1e-10)
    logs = digamma((dof + D) / 2) - np.log((dof + distance) / 2)
    np.testing.assert_allclose(stats.tails, np.stack([(resp * u).sum(0), (resp * logs).sum(0)], 1), rtol=1e-9)
    new = prior.posterior(stats)
    means = (resp * u).T @ x / (resp * u).sum(0)[:, None]
    np.testing.assert_allclose(new.components.mean, means, rtol=1e-9)
    away = x[:, None] - means
    spread = np.einsum("nk,nki,nkj->kij", resp * u, away, away)
    spread = spread.sum(0, keepdims=True) / resp.sum() if case.tied else spread / resp.sum(0)[:, None, None]
    expected = q.structure.from_dense(jnp.asarray(spread)) / (D if q.structure.rank == 0 else 1)
    np.testing.assert_allclose(new.components.covariance, expected, rtol=1e-8)
    half = np.asarray(new.components.dof) / 2
    mean = (resp * (logs - u)).sum(0) / resp.sum(0)
    np.testing.assert_allclose(np.log(half) - digamma(half) + 1 + mean, 0, atol=1e-9)


def test_the_score_is_an_integral_over_the_weight_of_the_row():
    """Of a variational posterior: the expected log density of the row with its weight, exponentiated and integrated over the weight."""
    x, prior = rows(seed=2), heavy(BAYES, dof=3.5, learn=False)
    q = start(prior, x, np.ones(N), responsibilities(N, K))
    found = np.asarray(bg.core.statistics.centred_scores(q.structure, q.natural(), jnp.asarray(x[:3])))
    law, nu = q.components.law, 3.5
    for n, k in itertools.product(range(3), range(K)):
        inverse = np.linalg.inv(law.scale[k])
        away = x[n] - np.asarray(law.mean[k])
        distance = D / law.mean_precision[k] + law.dof[k] * away @ inverse @ away
        log_det = digamma((law.dof[k] - np.arange(D)) / 2).sum() + D * np.log(2) + np.linalg.slogdet(inverse)[1]
        level = float(q.weights.expected_log()[k] + log_det / 2 - D / 2 * np.log(2 * np.pi))
        gamma = nu / 2 * np.log(nu / 2) - gammaln(nu / 2)

        def density(u, distance=float(distance), level=level, gamma=gamma):
            return np.exp(level + gamma + (D / 2 + nu / 2 - 1) * np.log(u) - u * (distance + nu) / 2)

        assert found[n, k] == pytest.approx(np.log(quad(density, 0, np.inf, epsabs=0)[0]), abs=1e-7)


@pytest.mark.slow
@some
def test_endless_degrees_of_freedom_are_gaussians(case):
    x, plain, prior = rows(seed=3, dof=50), case.prior(K, D), heavy(case, dof=1e9, learn=False)
    resp, ones = responsibilities(N, K), jnp.ones(N)
    gaussian = run(plain, start(plain, x, ones, resp), jnp.asarray(x), ones, 1e-11, 3000, max_steps=3000)
    result = solve(prior, x)
    assert float(result.lower_bound) == pytest.approx(float(gaussian.lower_bound), abs=1e-4)
    np.testing.assert_allclose(result.posterior.components.mean, gaussian.posterior.components.mean, atol=1e-3)


def test_one_component_of_gaussian_rows_has_light_tails():
    x = np.random.default_rng(0).uniform(-1, 1, (N, D))
    result = solve(heavy(ML, n_components=1), x, depth=5)
    assert float(result.posterior.components.dof[0]) > 0.9 * MOST
    path = path_of(result)
    assert (np.diff(path) > -1e-9 * np.abs(path[1:])).all()


@pytest.mark.parametrize("shared", [False, True])
def test_the_likelihood_is_flat_at_the_optimum(shared):
    """In means, matrices of scale, and degrees of freedom, by differences."""
    x, prior = jnp.asarray(rows(seed=4, dof=2.0)), heavy(ML, shared=shared)
    best = solve(prior, x, depth=5, first=start(prior, x, jnp.ones(N), jnp.eye(K)[jnp.arange(N) % K])).posterior
    law = best.components.law

    @jax.jit
    def likelihood(mean, factor, log_dof):
        spread = factor @ jnp.swapaxes(factor, 1, 2)
        components = Student(bg.Gaussian(mean, spread, law.structure), jnp.exp(log_dof), True, shared)
        return collect(bg.Mixture(best.weights, components), x, jnp.ones(len(x))).log_norm

    at = law.mean, jnp.linalg.cholesky(law.covariance), jnp.log(best.components.dof)
    assert 0.1 < float(at[2].min()) < float(at[2].max()) + 1e-9 < 4
    for i, part in enumerate(at):
        steps = [jnp.zeros_like(part).at[place].set(1e-5) for place in np.ndindex(*part.shape)]
        steps = [jnp.full_like(part, 1e-5)] if shared and i == 2 else steps
        for step in steps:
            moved = [likelihood(*(a + sign * step if j == i else a for j, a in enumerate(at))) for sign in (1, -1)]
            assert abs(float(moved[0] - moved[1])) / 2e-5 < 5e-3


@pytest.mark.slow
def test_the_bound_is_below_the_evidence():
    """Of three rows: a sum over labels, and an integral over the weights of rows by draws from their prior."""
    x, prior = rows(3, seed=5), heavy(BAYES, dof=4.0, learn=False)
    result = solve(prior, x)
    law, weights = BAYES.prior(K, D).components, prior.weights
    u = jnp.asarray(np.random.default_rng(0).gamma(2.0, 1 / 2.0, (20_000, 3)))

    def given(u, resp):
        own = resp * u[:, None]
        stats = bg.Stats(jnp.zeros(()), own.sum(0), own.T @ x, jnp.einsum("nk,ni,nj->kij", own, x, x))
        # the density of a row has log u D / 2 more than its exponent says; the law takes 2 pi for each unit of its counts
        pi = (own.sum() - resp.sum()) * D / 2 * np.log(2 * np.pi)
        return law.log_marginal(stats, rows=resp.sum(0)) + D / 2 * jnp.log(u).sum() + pi + weights.log_marginal(resp.sum(0))

    logs = []
    for labels in itertools.product(range(K), repeat=3):
        resp = jnp.eye(K)[jnp.array(labels)]
        logs.append(logsumexp(np.asarray(jax.vmap(lambda w, resp=resp: given(w, resp))(u))) - np.log(len(u)))
    exact = logsumexp(logs)
    assert exact - 4 < float(result.lower_bound) < exact + 0.01


@pytest.mark.slow
@few(cases(("vb",), ("conjugate",), ("dirichlet",)) + cases(("ml",)))
def test_weights_are_repeated_rows_and_chunks_and_units_do_not_matter(case):
    x, times = rows(seed=6), np.random.default_rng(0).integers(1, 4, N)
    prior = heavy(case)
    q = start(prior, x, times.astype(float), responsibilities(N, K))
    stats = collect(q, jnp.asarray(x), jnp.asarray(times, float))
    again = collect(q, jnp.asarray(np.repeat(x, times, 0)), jnp.ones(times.sum()), chunk_size=7)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    structure = prior.structure
    spread = structure.from_dense(jnp.asarray(np.cov(x.T))) / (D if structure.rank == 0 else 1)
    coordinates = standardising(structure, jnp.asarray(x.mean(0)), spread)
    inner = collect(coordinates.mixture_inward(q), coordinates.inward(jnp.asarray(x)), jnp.asarray(times, float))
    assert float(inner.log_norm) - times.sum() * float(coordinates.log_det) == pytest.approx(float(stats.log_norm), rel=1e-10)
    np.testing.assert_allclose(inner.tails, stats.tails, rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("case", [ML, BAYES], ids=lambda case: case.name)
def test_tails_and_noise_together(case):
    x = rows(seed=7)
    x[::8] = np.random.default_rng(0).uniform(-20, 20, (len(x[::8]), D))
    sides = jnp.log(jnp.full(D, 40.0))
    prior = with_noise(heavy(case), Region(sides.sum(), sides), Dirichlet.symmetric(2) if case.mode == "vb" else FlatWeights(2))
    path = path_of(solve(prior, x))
    assert (np.diff(path) > -1e-9 * np.abs(path[1:])).all()


def test_densities_and_draws_are_student_t():
    mean, scale = np.array([[1.0, -1.0]]), np.array([[[2.0, 0.5], [0.5, 1.0]]])
    law = Student(bg.Gaussian(jnp.asarray(mean), jnp.asarray(scale), bg.Full()), jnp.array([3.0]), False, False)
    x = rows(10)
    np.testing.assert_allclose(law.predictive_log_prob(jnp.asarray(x))[:, 0], multivariate_t(mean[0], scale[0], 3.0).logpdf(x), rtol=1e-11)


@pytest.mark.parametrize("case", [ML, pytest.param(BAYES._replace(tied=True), marks=pytest.mark.slow)], ids=lambda case: case.name)
def test_missing_numbers_are_integrated_out(case):
    """Scores are those of the marginal Student t, statistics what is expected of whole rows; the bound never falls."""
    x, prior = rows(seed=8), heavy(case)
    q = start(prior, x, np.ones(N), responsibilities(N, K))
    identity = Coordinates(np.zeros(D), np.eye(D), prior.structure)
    whole = arrange(Known(x), identity)
    found = collect(q, whole.rows, jnp.asarray(whole.weight))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(collect(q, jnp.asarray(x), jnp.ones(N))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    gaps = x.copy()
    gaps[::3, 1], gaps[1::3, 0] = np.nan, np.nan
    arranged = arrange(Known(gaps), identity)
    if case.mode == "ml":
        scores = np.asarray(arranged.scores(q.structure, q.natural())).T - np.log(q.weights.mean())
        law = q.components
        for n in range(4):
            seen = ~np.isnan(gaps[n])
            expected = [
                multivariate_t(m[seen], s[np.ix_(seen, seen)], v).logpdf(gaps[n][seen])
                for m, s, v in zip(law.mean, law.covariance, law.dof, strict=True)
            ]
            np.testing.assert_allclose(scores[n], expected, rtol=1e-10)
        np.testing.assert_allclose(arranged.rows.predictive_log_prob(law)[arranged.place], scores, rtol=1e-10)
    result = run(prior, q, arranged.rows, jnp.asarray(arranged.weight), 1e-10, 500, max_steps=500)
    path = path_of(result)
    assert (np.diff(path) > -1e-9 * np.abs(path[1:])).all()
