"""Equations M1 to M20 of docs/explanation/derivations.md in plain numpy, each beside what the package computes."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp, multigammaln
from scipy.stats import dirichlet

from bayesgmm.analysis.criteria import entropy, n_parameters
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import FlatGaussian, Gaussian
from bayesgmm.core.statistics import centred_scores, complete_log_prob, product_form
from bayesgmm.core.structures import STRUCTURES, Diagonal, Full, Spherical
from bayesgmm.core.weights import Dirichlet, FlatWeights, PointWeights
from bayesgmm.inference.accelerate import empty
from bayesgmm.inference.kernel import collect, from_responsibilities, responsibilities, soft
from bayesgmm.inference.loop import lower_bound, remaining_gain

N, D, K = 11, 2, 3


class Small(NamedTuple):
    """Eleven rows with weights, some responsibilities, and some parameters."""

    x: np.ndarray
    weight: np.ndarray
    resp: np.ndarray
    pi: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


def small() -> Small:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(N, D)) @ np.array([[1.0, 0.3], [0.0, 0.6]]) + 2 * rng.integers(0, 2, (N, 1))
    roots = rng.normal(size=(K, D, D)) + 1.5 * np.eye(D)
    covariance = roots @ roots.transpose(0, 2, 1)
    return Small(
        x, rng.integers(1, 4, N) * 1.0, rng.dirichlet(np.ones(K), N), rng.dirichlet(np.ones(K)), rng.normal(size=(K, D)), covariance
    )


def point(s: Small) -> Mixture:
    return Mixture(PointWeights(jnp.asarray(s.pi)), Gaussian(jnp.asarray(s.mean), jnp.asarray(s.covariance), Full()))


def log_rho(s: Small) -> np.ndarray:
    """Scores (N, K) by equation M1."""
    delta = s.x[:, None] - s.mean
    squares = np.einsum("nki,kij,nkj->nk", delta, np.linalg.inv(s.covariance), delta)
    return np.log(s.pi) - D / 2 * np.log(2 * np.pi) - np.linalg.slogdet(s.covariance)[1] / 2 - squares / 2


def moments(s: Small):
    """Counts (K,), sums (K, D) and scatter (K, D, D) by equation M6."""
    shares = s.weight[:, None] * s.resp
    return shares.sum(0), shares.T @ s.x, np.einsum("nk,ni,nj->kij", shares, s.x, s.x)


def stats_of(s: Small, structure=None, tied: bool = False):
    return from_responsibilities(structure or Full(), tied, jnp.asarray(s.x), jnp.asarray(s.resp), jnp.asarray(s.weight))


def m1():
    s = small()
    yield log_rho(s), centred_scores(Full(), point(s).natural(), jnp.asarray(s.x))


def m2():
    s = small()
    rho = np.exp(log_rho(s))
    norm, resp = soft(jnp.asarray(log_rho(s)))
    yield rho / rho.sum(1, keepdims=True), responsibilities(Full(), point(s).natural())(jnp.asarray(s.x))
    yield rho / rho.sum(1, keepdims=True), resp
    yield np.log(rho.sum(1)), norm


def m3():
    far = log_rho(small()) - 2000
    top = far.max(1)
    yield top + np.log(np.exp(far - top[:, None]).sum(1)), soft(jnp.asarray(far))[0]


def m4():
    s = small()
    level, inverse = np.log(s.pi) - D / 2 * np.log(2 * np.pi) - np.linalg.slogdet(s.covariance)[1] / 2, np.linalg.inv(s.covariance)
    linear = np.einsum("kij,kj->ki", inverse, s.mean)
    constant = level - (linear * s.mean).sum(1) / 2
    formula = constant + s.x @ linear.T - np.einsum("kij,ni,nj->nk", inverse, s.x, s.x) / 2
    yield formula, log_rho(s)
    yield formula.T, product_form(Full(), point(s).natural())(Full().features(jnp.asarray(s.x.T)))


def m5():
    s = small()
    scores, shares = log_rho(s), s.weight[:, None] * s.resp
    best = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    complete, without = (shares * scores).sum(), (shares * np.log(s.resp)).sum()
    yield s.weight @ logsumexp(scores, axis=1), complete - without + (shares * np.log(s.resp / best)).sum()
    yield complete, complete_log_prob(Full(), point(s).natural(), stats_of(s))
    yield -without, entropy(s.resp, s.weight)
    yield s.weight @ logsumexp(scores, axis=1), collect(point(s), jnp.asarray(s.x), jnp.asarray(s.weight)).log_norm


def m6():
    s = small()
    counts, sums, scatter = moments(s)
    found = stats_of(s)
    yield from ((counts, found.counts), (sums, found.sums), (scatter, found.scatter))
    yield np.einsum("kii->ki", scatter), stats_of(s, Diagonal()).scatter
    yield np.einsum("kii->k", scatter), stats_of(s, Spherical()).scatter
    yield scatter.sum(0)[None], stats_of(s, tied=True).scatter
    resp = np.exp(log_rho(s) - logsumexp(log_rho(s), axis=1, keepdims=True))
    again = collect(point(s), jnp.asarray(s.x), jnp.asarray(s.weight))
    yield moments(s._replace(resp=resp))[1], again.sums


def m7():
    s = small()
    yield moments(s)[0] / s.weight.sum(), FlatWeights(K).posterior(stats_of(s).counts).weights


def estimate(structure, tied: bool = False):
    return FlatGaussian(1e-9, structure, tied).posterior(stats_of(small(), structure, tied))


def m8():
    counts, sums, _ = moments(small())
    for structure in STRUCTURES.values():
        for tied in (False, True):
            yield sums / counts[:, None], estimate(structure, tied).mean


def centred():
    """Counts, means and M_k of equation M9 times its count."""
    counts, sums, scatter = moments(small())
    mean = sums / counts[:, None]
    return counts, mean, scatter - counts[:, None, None] * np.einsum("ki,kj->kij", mean, mean)


def m9():
    counts, _, within = centred()
    yield within / counts[:, None, None], estimate(Full()).covariance


def m10():
    counts, _, within = centred()
    yield within.sum(0)[None] / counts.sum(), estimate(Full(), tied=True).covariance


def m11():
    counts, _, within = centred()
    yield np.einsum("kii->ki", within) / counts[:, None], estimate(Diagonal()).covariance


def m12():
    counts, _, within = centred()
    yield np.einsum("kii->k", within) / (D * counts), estimate(Spherical()).covariance


def m13():
    s, floor = small(), 1.1
    values, vectors = np.linalg.eigh(s.covariance)
    assert (values < floor).any() and (values > floor).any()
    clipped = np.einsum("kij,kj,klj->kil", vectors, np.maximum(values, floor), vectors)
    yield clipped, FlatGaussian(floor, Full(), tied=False).within(point(s).components).covariance
    yield clipped, Full().floored(jnp.asarray(s.covariance), floor)


def m14():
    for structure, p in ((Full(), D * (D + 1) // 2), (Diagonal(), D), (Spherical(), 1)):
        for tied in (False, True):
            yield K - 1 + K * D + (1 if tied else K) * p, n_parameters(structure, tied, K, D)


ALPHA = np.array([1.5, 2.0, 3.25])
M0, KAPPA0, NU0, S0 = np.array([0.4, -0.2]), 0.35, 4.75, np.array([[1.3, 0.2], [0.2, 0.7]])


def prior_of(structure, tied: bool = False) -> NormalWishart:
    scale = {2: S0, 1: np.diag(S0), 0: S0[0, 0]}[structure.rank]
    arrays = (jnp.asarray(np.asarray(a, float))[None] for a in (M0, KAPPA0, NU0, scale))
    return NormalWishart(*arrays, structure, tied)


def m15():
    counts = moments(small())[0]
    alpha = ALPHA + counts
    q = Dirichlet(jnp.asarray(ALPHA)).posterior(jnp.asarray(counts))
    yield alpha, q.concentration
    yield (alpha - 1) / (alpha - 1).sum(), q.mode().weights


def log_density(mean, covariance) -> float:
    """Equation M16 at the parameters of the prior."""
    inverse, log_det, off = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1], mean - M0
    wishart = NU0 / 2 * np.linalg.slogdet(S0)[1] - NU0 * D / 2 * np.log(2) - multigammaln(NU0 / 2, D)
    wishart += -(NU0 + D + 1) / 2 * log_det - np.trace(S0 @ inverse) / 2
    return wishart + D / 2 * np.log(KAPPA0 / (2 * np.pi)) - log_det / 2 - KAPPA0 / 2 * off @ inverse @ off


def m16():
    s = small()
    total = sum(log_density(m, c) for m, c in zip(s.mean, s.covariance, strict=True))
    yield total, prior_of(Full()).log_density(point(s).components)


def m17():
    q = prior_of(Full()).posterior(stats_of(small()))
    yield q.mean, q.mode().mean
    yield np.asarray(q.scale) / (np.asarray(q.dof) + D + 2)[:, None, None], q.mode().covariance
    best = float(prior_of(Full()).log_density(prior_of(Full()).mode()))
    assert best > max(log_density(M0 + 0.01, S0 / (NU0 + D + 2)), log_density(M0, S0 / (NU0 + D + 1)), log_density(M0, S0 / (NU0 + D + 3)))


def m18():
    for structure, tied, more in ((Full(), True, D + 1 + K), (Diagonal(), False, 3), (Spherical(), False, 2 + D)):
        q = prior_of(structure, tied).posterior(stats_of(small(), structure, tied))
        divisor = (np.asarray(q.dof) + more).reshape((-1,) + (1,) * structure.rank)
        yield np.asarray(q.scale) / divisor, q.mode().covariance


def m19():
    s = small()
    prior = MAP(Mixture(Dirichlet(jnp.asarray(ALPHA)), prior_of(Full())))
    by_hand = s.weight @ logsumexp(log_rho(s), axis=1) + dirichlet.logpdf(s.pi, ALPHA)
    by_hand += sum(log_density(m, c) for m, c in zip(s.mean, s.covariance, strict=True))
    yield by_hand, lower_bound(prior, point(s), collect(point(s), jnp.asarray(s.x), jnp.asarray(s.weight)))


def m20():
    memory = empty(stats_of(small()), 0)
    gain, previous = 0.4, 0.5
    q = gain / previous
    yield gain * q / (1 - q), remaining_gain(jnp.asarray(gain), jnp.asarray(previous), memory)
    yield gain * sum(q**i for i in range(1, 400)), remaining_gain(jnp.asarray(gain), jnp.asarray(previous), memory)


MAXIMUM = {f"M{i}": globals()[f"m{i}"] for i in range(1, 21)}
