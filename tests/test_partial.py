"""Rows known in part, in the functional layer: scores, statistics and bounds against text-book formulas and brute force."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import registry
from oracles import log_evidence_enumeration
from registry import Case, cases, each, few, normal_wishart, path_of, responsibilities
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.core.coordinates import Coordinates, standardising
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.inference.arrange import Known, arrange
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_responsibilities
from bayesgmm.inference.loop import lower_bound, run

pytestmark = pytest.mark.usefixtures("x64")
N, D, K = 40, 3, 2


def standard(structure, d: int = D) -> Coordinates:
    """Coordinates in which nothing changes."""
    return Coordinates(np.zeros(d), np.asarray(structure.identity(d)), structure)


def rows(seed: int = 0, n: int = N, d: int = D, share: float = 0.3):
    """Rows of two groups, with gaps, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) @ (np.eye(d) + 0.4) + 2 * rng.integers(0, 2, (n, 1))
    gaps = rng.random((n, d)) < share
    gaps[gaps.all(1), 0] = False
    return x, np.where(gaps, np.nan, x), rng.uniform(0.5, 2, n)


def start(prior, x, weight, seed: int = 0):
    return registry.start(prior, x, weight, responsibilities(len(x), prior.n_components, seed))


@jit(static_argnames=("chunk_size",), brief=True)
def _both(posterior, rows, weight, chunk_size=None):
    return collect(posterior, rows, weight, chunk_size=chunk_size), rows.scores(posterior.structure, posterior.natural(), weight)


def passed(posterior, known: Known, coordinates=None, chunk_size=None):
    """Statistics, and the scores (N, K) of the rows."""
    arranged = arrange(known, coordinates or standard(posterior.structure))
    stats, scores = _both(posterior, arranged.rows, arranged.weight, chunk_size=chunk_size)
    return stats, np.asarray(scores)[:, arranged.place].T


def dense(structure, packed, k: int, d: int = D) -> np.ndarray:
    return np.broadcast_to(structure.to_dense(jnp.asarray(packed), d), (k, d, d))


QUICK = [
    Case("vb", "full", False, "conjugate", "dirichlet"),
    Case("ml", "full", False, "flat", "flat"),
    Case("ml", "spherical", True, "flat", "flat"),
]
all_cases = each(cases(("vb",), ("conjugate",), ("dirichlet",)) + cases(("ml",)), default=QUICK)


@all_cases
def test_rows_without_gaps_are_complete_rows(case):
    x, _, weight = rows()
    posterior = start(case.prior(K, D), x, weight)
    stats, _ = passed(posterior, Known(x, weight=weight))
    for found, expected in zip(stats[:4], collect(posterior, jnp.asarray(x), jnp.asarray(weight))[:4], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@all_cases
def test_scores_and_statistics_are_those_of_the_text_book(case):
    """Expected whole rows by the precision form, the score as expected log density plus entropy of what is missing."""
    x, gaps, weight = rows()
    posterior = start(case.prior(K, D), x, weight)
    natural = posterior.natural()
    precision, level, mean = dense(posterior.structure, natural.precision, K), np.asarray(natural.level), np.asarray(natural.mean)
    stats, scores = passed(posterior, Known(gaps, weight=weight))
    expected, whole, spread = np.zeros((N, K)), np.zeros((N, K, D)), np.zeros((N, K, D, D))
    for n in range(N):
        m = np.isnan(gaps[n])
        for k in range(K):
            p = precision[k]
            row = np.where(m, 0, gaps[n])
            inner = np.linalg.inv(p[np.ix_(m, m)])
            row[m] = mean[k][m] - inner @ p[np.ix_(m, ~m)] @ (row - mean[k])[~m]
            spread[n, k][np.ix_(m, m)] = inner
            delta = row - mean[k]
            entropy = (m.sum() * (1 + np.log(2 * np.pi)) + np.linalg.slogdet(inner)[1]) / 2
            expected[n, k] = level[k] - (delta @ p @ delta + np.trace(p[np.ix_(m, m)] @ inner)) / 2 + entropy
            whole[n, k] = row
    np.testing.assert_allclose(scores, expected, atol=1e-10)
    norm = logsumexp(expected, axis=1)
    share = np.exp(expected - norm[:, None]) * weight[:, None]
    second = np.einsum("nk,nki,nkj->kij", share, whole, whole) + np.einsum("nk,nkij->kij", share, spread)
    second = second.sum(0, keepdims=True) if case.tied else second
    assert float(stats.log_norm) == pytest.approx(weight @ norm, abs=1e-9)
    np.testing.assert_allclose(stats.counts, share.sum(0), atol=1e-10)
    np.testing.assert_allclose(stats.sums, np.einsum("nk,nkd->kd", share, whole), atol=1e-9)
    np.testing.assert_allclose(stats.scatter, posterior.structure.from_dense(jnp.asarray(second)), atol=1e-8)


@few(cases(("ml",)))
@pytest.mark.parametrize("kind", ["common", "variances", "covariances"])
def test_errors_of_measurement_widen_the_components(case, kind):
    x, gaps, weight = rows()
    rng = np.random.default_rng(5)
    roots = rng.standard_normal((N, D, D)) / 2
    own = {"common": roots[0] @ roots[0].T, "variances": rng.uniform(0, 1, (N, D)), "covariances": roots @ roots.swapaxes(1, 2)}[kind]
    known = bg.Observations(gaps, error_covariance=own).known._replace(weight=weight)
    posterior = start(case.prior(K, D), x, weight)
    stats, scores = passed(posterior, known)
    spread, mean = dense(posterior.structure, posterior.components.covariance, K), np.asarray(posterior.components.mean)
    expected, first = np.zeros((N, K)), np.zeros((N, K, D))
    for n in range(N):
        o, e = ~np.isnan(gaps[n]), (known.error if kind == "common" else known.error[n])
        for k in range(K):
            total = (spread[k] + e)[np.ix_(o, o)]
            expected[n, k] = np.log(posterior.weights.weights[k]) + multivariate_normal(mean[k][o], total).logpdf(gaps[n][o])
            first[n, k] = mean[k] + spread[k][:, o] @ np.linalg.solve(total, (gaps[n] - mean[k])[o])
    np.testing.assert_allclose(scores, expected, atol=1e-9)
    share = np.exp(expected - logsumexp(expected, axis=1)[:, None]) * weight[:, None]
    np.testing.assert_allclose(stats.sums, np.einsum("nk,nkd->kd", share, first), atol=1e-9)


def fitted(case, known: Known, weight, coordinates=None, x=None, depth: int = 0, chunk_size=None):
    prior = case.prior(K, D)
    coordinates = coordinates or standard(prior.structure)
    arranged = arrange(known, coordinates)
    first = start(prior, np.nan_to_num(known.values) if x is None else x, weight)
    limits = {"max_steps": 2000, "depth": depth, "chunk_size": chunk_size}
    return prior, run(prior, first, arranged.rows, jnp.asarray(arranged.weight), 1e-11, 2000, **limits)


@all_cases
def test_the_bound_never_falls_and_is_that_of_the_posterior(case):
    _, gaps, weight = rows(1)
    prior, result = fitted(case, Known(gaps, weight=weight), weight)
    path = path_of(result)
    assert (np.diff(path) > -1e-9 * abs(path[-1])).all()
    stats, _ = passed(result.posterior, Known(gaps, weight=weight))
    assert float(lower_bound(prior, result.posterior, stats)) == pytest.approx(float(result.lower_bound), abs=1e-9)


@few(cases(("ml",)))
def test_the_likelihood_is_flat_at_the_optimum(case):
    """Derivatives of the likelihood of the numbers seen, by differences in the means and the weights."""
    _, gaps, weight = rows(2)
    known = Known(gaps, weight=weight)
    _, result = fitted(case, known, weight, depth=5)
    best = result.posterior
    for k in range(K):
        for j in range(D):
            moved = []
            for h in (-1e-4, 1e-4):
                mean = best.components.mean.at[k, j].add(h)
                trial = bg.Mixture(best.weights, dataclasses.replace(best.components, mean=mean))
                moved.append(float(passed(trial, known)[0].log_norm))
            assert abs(moved[1] - moved[0]) / 2e-4 < 1e-3
            assert max(moved) < float(result.lower_bound)


@few(cases(("vb",), ("conjugate",), ("dirichlet",)))
def test_the_bound_is_below_the_evidence_by_enumeration_and_quadrature(case):
    """The evidence of five rows, one number missing: a sum over labels within an integral over the number."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 2)) + 2 * np.array([0, 0, 0, 1, 1])[:, None]
    gaps = x.copy()
    gaps[1, 0] = np.nan
    prior = case.prior(2, 2)
    arranged = arrange(Known(gaps), standard(prior.structure, 2))
    result = run(prior, start(prior, x, np.ones(5)), arranged.rows, jnp.asarray(arranged.weight), 1e-11, 2000, max_steps=2000)
    law = prior.components
    weights = ("dirichlet", np.asarray(prior.weights.concentration))
    given = {"m0": law.mean[0], "kappa0": float(law.mean_precision[0]), "nu0": float(law.dof[0]), "S0": np.asarray(law.scale[0])}
    grid = np.linspace(-20, 20, 161)
    values = []
    for value in grid:
        whole = gaps.copy()
        whole[1, 0] = value
        values.append(log_evidence_enumeration(whole, 2, case.structure, case.tied, given, weights))
    exact = logsumexp(values) + np.log(grid[1] - grid[0])
    assert exact - 3 < float(result.lower_bound) < exact


@all_cases
def test_weights_are_repeated_rows_and_order_chunks_and_units_do_not_matter(case):
    x, gaps, _ = rows(4)
    times = np.random.default_rng(0).integers(1, 4, N)
    posterior = start(case.prior(K, D), x, times.astype(float))
    stats, _ = passed(posterior, Known(gaps, weight=times.astype(float)))
    order = np.random.default_rng(1).permutation(times.sum())
    again, _ = passed(posterior, Known(np.repeat(gaps, times, 0)[order]))
    for a, b in zip(stats[:4], again[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    one, _ = passed(posterior, Known(gaps, weight=times.astype(float)), chunk_size=1)
    for a, b in zip(stats[:4], one[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@all_cases
def test_coordinates_do_not_matter(case):
    """The same statistics in coordinates that turn the columns, but for the units in which they are written."""
    x, gaps, weight = rows(5)
    structure = STRUCTURES[case.structure]
    covariance = structure.from_dense(jnp.asarray(np.cov(x.T))) / (D if structure.rank == 0 else 1)
    coordinates = standardising(structure, jnp.asarray(x.mean(0)), covariance)
    prior = case.prior(K, D)
    posterior = start(prior, x, weight)
    known = Known(gaps, weight=weight)
    plain, _ = passed(posterior, known)
    inner, _ = passed(coordinates.mixture_inward(posterior), known, coordinates)
    assert float(inner.log_norm) == pytest.approx(float(plain.log_norm), rel=1e-11)
    law = coordinates.mixture_inward(prior)
    outward = coordinates.mixture_outward(law.posterior(inner))
    for a, b in zip(jax.tree.leaves(outward), jax.tree.leaves(prior.posterior(plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


def brute_groups(scores: np.ndarray, group: np.ndarray, weight: np.ndarray) -> float:
    """Log-likelihood where rows of a group have one label: a sum over the components of each group."""
    total = 0.0
    for number in np.unique(group[group >= 0]):
        own = group == number
        total += logsumexp(weight[own] @ scores[own])
    alone = group < 0
    return total + weight[alone] @ logsumexp(scores[alone], axis=1)


@few(cases(("ml",)))
def test_groups_and_sets_limit_the_labels(case):
    x, gaps, weight = rows(6)
    rng = np.random.default_rng(7)
    posterior = start(case.prior(K, D), x, weight)
    group = np.where(rng.random(N) < 0.6, rng.integers(0, 8, N), -1)
    allowed = np.ones((N, K), bool)
    allowed[:6, 0] = False
    allowed[np.isin(group, group[:6][group[:6] >= 0])] = [False, True]
    _, free = passed(posterior, Known(gaps, weight=weight))
    more = np.concatenate([allowed, allowed.all(1, keepdims=True)], 1)
    stats, scores = passed(posterior, Known(gaps, None, more, group, weight))
    limited = np.where(allowed, free, -np.inf)
    exact = brute_groups(limited, group, weight)
    assert float(stats.log_norm) == pytest.approx(exact, abs=1e-8)
    assert float(stats.counts.sum()) == pytest.approx(weight.sum())
    assert weight @ logsumexp(scores, axis=1) == pytest.approx(exact, abs=1e-8)
    resp = np.exp(scores - logsumexp(scores, axis=1)[:, None])
    np.testing.assert_allclose(stats.counts, weight @ resp, atol=1e-9)
    for number in np.unique(group[group >= 0]):
        assert np.ptp(resp[group == number], axis=0).max() < 1e-12


@few(cases(("vb",), ("conjugate",), ("dirichlet",)))
def test_with_all_labels_known_the_bound_is_the_evidence(case):
    x, _, weight = rows(8)
    labels = np.random.default_rng(0).integers(0, K, N)
    known = Known(x, None, np.eye(K + 1, dtype=bool)[labels], None, weight)
    prior, result = fitted(case, known, weight)
    stats = from_responsibilities(prior.structure, prior.tied, jnp.asarray(x), jnp.eye(K)[labels], jnp.asarray(weight))
    assert float(result.lower_bound) == pytest.approx(float(prior.log_marginal(stats)), rel=1e-11)


def test_a_normal_wishart_law_of_one_column_missing_is_its_marginal():
    """The predictive density of the columns seen is that of the law of these columns alone."""
    x, _, _ = rows(9)
    law = normal_wishart("full", False, D)
    posterior = bg.Mixture(bg.Dirichlet.symmetric(1), law)
    gaps = x.copy()
    gaps[:, 1] = np.nan
    arranged = arrange(Known(gaps), standard(law.structure))
    found = np.asarray(arranged.rows.predictive_log_prob(posterior.components))[arranged.place, 0]
    keep = np.array([0, 2])
    smaller = dataclasses.replace(law, mean=law.mean[:, keep], dof=law.dof - 1, scale=law.scale[:, keep][:, :, keep])
    np.testing.assert_allclose(found, np.asarray(smaller.predictive_log_prob(jnp.asarray(x[:, keep])))[:, 0], atol=1e-11)
