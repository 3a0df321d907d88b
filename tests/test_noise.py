"""Noise in the functional layer: passes against plain numpy, and the laws that every fit keeps."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import Case, blobs, cases, each, few, path_of, responsibilities, start
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.core.coordinates import Coordinates, standardising
from bayesgmm.core.noise import with_noise, without_noise
from bayesgmm.core.statistics import Region
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.inference.arrange import Known, arrange
from bayesgmm.inference.kernel import collect
from bayesgmm.inference.loop import lower_bound, run

pytestmark = pytest.mark.usefixtures("x64")
K, D, N = 2, 2, 48
SIDES = np.array([12.0, 9.0])


def noisy(case: Case, n_components: int = K, d: int = D, log_volume: float | None = None):
    """A case's prior with noise, and the law of its share."""
    sides = jnp.log(jnp.resize(jnp.asarray(SIDES), d))
    region = Region(jnp.asarray(sides.sum() if log_volume is None else log_volume), sides)
    return with_noise(case.prior(n_components, d), region, Dirichlet.symmetric(2) if case.mode == "vb" else FlatWeights(2))


def rows(n: int = N, seed: int = 0) -> np.ndarray:
    """Two groups, and every sixth row anywhere."""
    x = blobs(n, D, K, seed)
    x[::6] = np.random.default_rng(seed).uniform(-SIDES / 2, SIDES / 2, (len(x[::6]), D))
    return x


def solve(prior, x, weight=None, depth=0, seed=0):
    weight = np.ones(len(x)) if weight is None else weight
    first = start(prior, jnp.asarray(x), jnp.asarray(weight), responsibilities(len(x), prior.n_components, seed))
    return run(prior, first, jnp.asarray(x), jnp.asarray(weight), 1e-10, 3000, max_steps=3000, depth=depth)


QUICK = [
    Case("ml", "full", False, "flat", "flat"),
    Case("ml", "diag", True, "flat", "flat"),
    Case("vb", "full", True, "conjugate", "dirichlet"),
    Case("vb", "spherical", False, "conjugate", "sticks_gamma"),
    Case("map", "diag", False, "conjugate", "flat"),
]


BAYESIAN = cases(("vb",), ("conjugate",), ("dirichlet", "sticks_gamma"))
some = each(BAYESIAN + cases(("map",), ("conjugate",), ("flat",)) + cases(("ml",)), default=QUICK)
ONE = Case("ml", "full", False, "flat", "flat")
BAYES = Case("vb", "full", False, "conjugate", "dirichlet")


@some
def test_the_bound_never_falls_and_belongs_to_the_posterior(case):
    x, prior = rows(), noisy(case)
    result = solve(prior, x)
    path = path_of(result)
    assert (np.diff(path) > -1e-9 * np.abs(path[1:])).all()
    stats = collect(result.posterior, jnp.asarray(x), jnp.ones(N))
    assert float(lower_bound(prior, result.posterior, stats)) == pytest.approx(float(result.lower_bound), abs=1e-10)
    again = run(prior, result.posterior, jnp.asarray(x), jnp.ones(N), 1e-12, 3000, max_steps=3000, depth=5)
    assert float(again.lower_bound) > float(result.lower_bound) - 1e-4  # plain steps may end near a saddle


@few(cases(("ml",)))
def test_a_pass_is_that_of_the_text_book(case):
    x, weight = rows(seed=1), np.random.default_rng(0).uniform(0.5, 2, N)
    prior = noisy(case)
    posterior = start(prior, x, weight, responsibilities(N, K + 1, 0))
    own = without_noise(posterior).components
    dense = np.broadcast_to(own.structure.to_dense(own.covariance, D), (K, D, D))
    density = [multivariate_normal(m, c).logpdf(x) for m, c in zip(own.mean, dense, strict=True)]
    scores = np.stack([*density, np.full(N, -np.log(SIDES).sum())], 1) + np.log(posterior.weights.mean())
    resp = np.exp(scores - logsumexp(scores, axis=1, keepdims=True)) * weight[:, None]
    stats = collect(posterior, jnp.asarray(x), jnp.asarray(weight))
    assert float(stats.log_norm) == pytest.approx(weight @ logsumexp(scores, axis=1), rel=1e-11)
    new = prior.posterior(stats)
    np.testing.assert_allclose(new.weights.mean(), resp.sum(0) / weight.sum(), rtol=1e-10)
    means = (resp.T @ x)[:K] / resp.sum(0)[:K, None]
    np.testing.assert_allclose(new.components.mean, means, rtol=1e-9)
    away = x[:, None] - means
    spread = np.einsum("nk,nki,nkj->kij", resp[:, :K], away, away)
    spread = spread.sum(0, keepdims=True) / resp[:, :K].sum() if case.tied else spread / resp.sum(0)[:K, None, None]
    expected = own.structure.from_dense(jnp.asarray(spread)) / (D if own.structure.rank == 0 else 1)
    np.testing.assert_allclose(new.components.covariance, expected, rtol=1e-8)


@pytest.mark.slow
def test_the_bound_is_below_the_evidence_by_enumeration():
    """Of five rows: a sum over all labels, noise among them."""
    x, prior = rows(5, seed=3), noisy(BAYES, 2)
    result = solve(prior, x)
    law, logs = BAYES.prior(2, D), []
    for labels in itertools.product(range(3), repeat=5):
        resp = jnp.eye(3)[jnp.array(labels)]
        own, n_noise = resp[:, :2], int(resp[:, 2].sum())
        stats = bg.Stats(jnp.zeros(()), own.sum(0), own.T @ x, jnp.einsum("nk,ni,nj->kij", own, x, x))
        share = gammaln(1 + n_noise) + gammaln(6 - n_noise) - gammaln(7)
        logs.append(float(law.log_marginal(stats)) + share - n_noise * np.log(SIDES).sum())
    exact = logsumexp(logs)
    assert exact - 4 < float(result.lower_bound) < exact


@pytest.mark.slow
@some
def test_noise_over_an_endless_volume_is_no_noise(case):
    """But for what a uniform share pays a priori where no row is noise: log (N + 1)."""
    x, plain = rows(), case.prior(K, D)
    resp = np.concatenate([responsibilities(N, K), np.zeros((N, 1))], 1)
    ones = jnp.ones(N)
    without = run(plain, start(plain, x, ones, resp[:, :K]), jnp.asarray(x), ones, 1e-10, 3000, max_steps=3000)
    prior = noisy(case, log_volume=600.0)
    with_it = run(prior, start(prior, x, ones, resp), jnp.asarray(x), ones, 1e-10, 3000, max_steps=3000)
    price = np.log(N + 1) if case.mode == "vb" else 0
    assert float(with_it.lower_bound) == pytest.approx(float(without.lower_bound) - price, abs=1e-8)
    np.testing.assert_allclose(without_noise(with_it.posterior).components.mean, without.posterior.components.mean, atol=1e-6)


@few(cases(("ml",)))
def test_the_likelihood_is_flat_at_the_optimum(case):
    """In the means and in the share of noise, by differences."""
    x, prior = jnp.asarray(rows()), noisy(case)
    best = solve(prior, x, depth=5).posterior

    def likelihood(share, mean):
        law = without_noise(best).components
        moved = bg.Mixture(best.weights.weights, bg.Gaussian(mean, law.covariance, law.structure))
        trial = with_noise(moved, best.components.region, type(best.weights.share)(jnp.stack([1 - share, share])))
        return collect(trial, x, jnp.ones(N)).log_norm

    at = best.weights.share.weights[1], best.components.mean
    assert float(at[0]) > 0.01
    by_share, by_mean = _differences(likelihood, *at)
    assert abs(by_share) < 1e-2
    assert np.abs(by_mean).max() < 1e-3


def _differences(f, share, mean, h=1e-5):
    by_mean = np.zeros(mean.shape)
    for place in np.ndindex(*mean.shape):
        step = jnp.zeros_like(mean).at[place].set(h)
        by_mean[place] = (f(share, mean + step) - f(share, mean - step)) / (2 * h)
    return float((f(share + h, mean) - f(share - h, mean)) / (2 * h)), by_mean


@pytest.mark.slow
@few(cases(("vb",), ("conjugate",), ("dirichlet",)) + cases(("ml",)))
def test_weights_are_repeated_rows_and_chunks_and_units_do_not_matter(case):
    x, times = rows(seed=2), np.random.default_rng(0).integers(1, 4, N)
    prior = noisy(case)
    posterior = start(prior, x, times.astype(float), responsibilities(N, K + 1, 0))
    stats = collect(posterior, jnp.asarray(x), jnp.asarray(times, float))
    again = collect(posterior, jnp.asarray(np.repeat(x, times, 0)), jnp.ones(times.sum()), chunk_size=7)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    structure = prior.structure
    spread = structure.from_dense(jnp.asarray(np.cov(x.T))) / (D if structure.rank == 0 else 1)
    coordinates = standardising(structure, jnp.asarray(x.mean(0)), spread)
    inner = collect(coordinates.mixture_inward(posterior), coordinates.inward(jnp.asarray(x)), jnp.asarray(times, float))
    assert float(inner.log_norm) - times.sum() * float(coordinates.log_det) == pytest.approx(float(stats.log_norm), rel=1e-11)
    np.testing.assert_allclose(inner.counts, stats.counts, rtol=1e-9)


def test_noise_is_uniform_in_the_columns_seen():
    x = rows(seed=4)
    gaps = x.copy()
    gaps[::3, 0], gaps[1::5, 1] = np.nan, np.nan
    gaps[np.isnan(gaps).all(1)] = 0.0
    prior = noisy(ONE)
    posterior = start(prior, x, np.ones(N), responsibilities(N, K + 1, 0))
    identity = Coordinates(np.zeros(D), np.eye(D), prior.structure)
    arranged = arrange(Known(gaps), identity)
    scores = np.asarray(arranged.scores(prior.structure, posterior.natural())).T
    law = posterior.components
    for n, row in enumerate(gaps):
        seen = ~np.isnan(row)
        expected = [
            multivariate_normal(m[seen], c[np.ix_(seen, seen)]).logpdf(row[seen]) for m, c in zip(law.mean, law.covariance, strict=True)
        ]
        expected.append(-np.log(SIDES[seen]).sum())
        np.testing.assert_allclose(scores[n], np.array(expected) + np.log(posterior.weights.mean()), atol=1e-10)
    result = run(prior, posterior, arranged.rows, jnp.asarray(arranged.weight), 1e-10, 500, max_steps=500)
    assert (np.diff(path_of(result)) > -1e-9).all()


def test_complete_rows_known_in_part_are_complete_rows():
    x, prior = rows(seed=5), noisy(BAYES._replace(tied=True))
    posterior = start(prior, x, np.ones(N), responsibilities(N, K + 1, 0))
    arranged = arrange(Known(x), Coordinates(np.zeros(D), np.eye(D), prior.structure))
    found, expected = collect(posterior, arranged.rows, jnp.asarray(arranged.weight)), collect(posterior, jnp.asarray(x), jnp.ones(N))
    for a, b in zip(jax.tree.leaves(prior.posterior(found)), jax.tree.leaves(prior.posterior(expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    density = arranged.rows.predictive_log_prob(posterior.components)[arranged.place]
    np.testing.assert_allclose(density, posterior.components.predictive_log_prob(jnp.asarray(x)), atol=1e-10)
