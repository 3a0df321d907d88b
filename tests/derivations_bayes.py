"""Equations B1 to B28 of docs/explanation/derivations-bayes.md in plain numpy, each beside what the package computes."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from derivations_ml import ALPHA, KAPPA0, M0, NU0, S0, D, K, log_density, moments, point, prior_of, small, stats_of
from scipy import stats
from scipy.special import betaln, digamma, gammaln, logsumexp

from bayesgmm.core.linalg import multidigamma, multigammaln
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import centred_scores
from bayesgmm.core.structures import Diagonal, Full, Spherical
from bayesgmm.core.weights import Dirichlet, StickBreaking
from bayesgmm.inference.kernel import collect, responsibilities
from bayesgmm.inference.loop import lower_bound


def gamma_d(a: float) -> float:
    """Equation B3."""
    return D * (D - 1) / 4 * np.log(np.pi) + sum(gammaln(a - i / 2) for i in range(D))


def psi_d(a: float) -> float:
    return sum(digamma(a - i / 2) for i in range(D))


def log_det(a) -> float:
    return np.linalg.slogdet(a)[1]


def normaliser(kappa, nu, scale) -> float:
    """Equation B2."""
    return D / 2 * np.log(2 * np.pi / kappa) + nu * D / 2 * np.log(2) + gamma_d(nu / 2) - nu / 2 * log_det(scale)


def updated(s=None):
    """Equations B7 and B9, full: kappa (K,), m (K, D), nu (K,), S (K, D, D); and M (K, D, D)."""
    counts, sums, scatter = moments(s or small())
    kappa = KAPPA0 + counts
    m = (KAPPA0 * M0 + sums) / kappa[:, None]
    change = scatter + KAPPA0 * np.outer(M0, M0) - kappa[:, None, None] * np.einsum("ki,kj->kij", m, m)
    return kappa, m, NU0 + counts, S0 + change, change


def posterior_of(structure=None, tied: bool = False):
    structure = structure or Full()
    return prior_of(structure, tied).posterior(stats_of(small(), structure, tied))


def b1():
    s = small()
    off, precision = s.mean[0] - M0, np.linalg.inv(s.covariance[0])
    log_p = -normaliser(KAPPA0, NU0, S0) + (NU0 - D) / 2 * log_det(precision) - np.trace(S0 @ precision) / 2
    log_p -= KAPPA0 / 2 * off @ precision @ off
    one = point(s).take(np.array([0])).components
    yield log_p, prior_of(Full()).log_density(one) - (D + 1) * log_det(precision)
    yield log_density(s.mean[0], s.covariance[0]), log_p + (D + 1) * log_det(precision)


def b2():
    kappa, _, nu, scale, _ = updated()
    found = posterior_of().log_normaliser()
    yield [normaliser(*args) for args in zip(kappa, nu, scale, strict=True)], found[0] + found[1]


def b3():
    yield gamma_d(3.7), multigammaln(jnp.asarray(3.7), D)


def b4():
    q = posterior_of(Diagonal())
    kappa, nu, scale = (np.asarray(a) for a in (q.mean_precision, q.dof, q.scale))
    halves = np.log(2 * np.pi / kappa) / 2 + gammaln(nu / 2)
    yield D * halves - nu / 2 * np.log(scale / 2).sum(1), sum(q.log_normaliser())
    q = posterior_of(Spherical())
    kappa, nu, scale = (np.asarray(a) for a in (q.mean_precision, q.dof, q.scale))
    yield D / 2 * np.log(2 * np.pi / kappa) + gammaln(nu / 2) - nu / 2 * np.log(scale / 2), sum(q.log_normaliser())


def mixture(weights=None, s=None) -> tuple[Mixture, Mixture]:
    """Prior, and its posterior from the responsibilities of the small case, or of another."""
    prior = Mixture(weights or Dirichlet(jnp.asarray(ALPHA)), prior_of(Full()))
    return prior, prior.posterior(stats_of(s or small()))


def expected_scores(s=None) -> np.ndarray:
    """Scores (N, K) by equations B13 and B16."""
    kappa, m, nu, scale, _ = updated(s)
    delta = small().x[:, None] - m
    squares = np.einsum("nki,kij,nkj->nk", delta, np.linalg.inv(scale), delta)
    level = np.array([psi_d(n / 2) + D * np.log(2) - log_det(a) for n, a in zip(nu, scale, strict=True)])
    return expected_log_weights(s) + (level - D * np.log(2 * np.pi) - D / kappa - nu * squares) / 2


def expected_log_weights(s=None) -> np.ndarray:
    alpha = ALPHA + moments(s or small())[0]
    return digamma(alpha) - digamma(alpha.sum())


def b5():
    scores = expected_scores()
    found = responsibilities(Full(), mixture()[1].natural())(jnp.asarray(small().x))
    yield np.exp(scores - logsumexp(scores, axis=1, keepdims=True)), found


def b6():
    s = small()
    kappa, m, _, _, change = updated()
    mu = np.array([0.9, 1.7])
    off, delta = mu - M0, s.x - mu
    outer = np.einsum("nk,ni,nj->kij", s.weight[:, None] * s.resp, delta, delta) + KAPPA0 * np.outer(off, off)
    yield outer, kappa[:, None, None] * np.einsum("ki,kj->kij", mu - m, mu - m) + change


def b7():
    kappa, m, _, _, change = updated()
    q = posterior_of()
    yield from ((kappa, q.mean_precision), (m, q.mean), (change, q.scale - S0))


def b8():
    s = small()
    counts, sums, scatter = moments(s)
    mean = sums / counts[:, None]
    within = scatter - counts[:, None, None] * np.einsum("ki,kj->kij", mean, mean)
    shrunk = (KAPPA0 * counts / (KAPPA0 + counts))[:, None, None] * np.einsum("ki,kj->kij", mean - M0, mean - M0)
    yield within + shrunk, posterior_of().scale - S0


def b9():
    _, _, nu, scale, change = updated()
    yield from ((nu, posterior_of().dof), (scale, posterior_of().scale))
    tied = posterior_of(tied=True)
    yield [NU0 + small().weight.sum()], tied.dof
    yield (S0 + change.sum(0))[None], tied.scale


def b10():
    counts, change = moments(small())[0], updated()[4]
    diag, ball = posterior_of(Diagonal()), posterior_of(Spherical())
    yield from ((NU0 + counts, diag.dof), (np.diag(S0) + np.einsum("kii->ki", change), diag.scale))
    yield from ((NU0 + D * counts, ball.dof), (S0[0, 0] + np.einsum("kii->k", change), ball.scale))


def b11():
    nu, scale = NU0, S0
    step = 1e-5  # of the derivative by nu, to which the formula is compared first
    slope = (normaliser(1.0, nu + step, scale) - normaliser(1.0, nu - step, scale)) / (2 * step)
    assert abs(2 * slope - (psi_d(nu / 2) + D * np.log(2) - log_det(scale))) < 1e-6
    yield psi_d(nu / 2), multidigamma(jnp.asarray(nu / 2), D)


def b12():
    kappa, m, nu, scale, _ = updated()
    natural, x = posterior_of().natural(), small().x[4]
    delta = x - m
    squares = nu * np.einsum("ki,kij,kj->k", delta, np.linalg.inv(scale), delta)
    found = np.einsum("ki,kij,kj->k", x - natural.mean, natural.precision, x - natural.mean)
    yield D / kappa + squares, found + posterior_of().offset()


def b13():
    natural = mixture()[1].components.natural()
    x = jnp.asarray(small().x)
    yield expected_scores() - expected_log_weights(), centred_scores(Full(), natural, x)


def scored(structure) -> np.ndarray:
    return np.asarray(centred_scores(structure, posterior_of(structure).natural(), jnp.asarray(small().x)))


def numbers_of(structure):
    q = posterior_of(structure)
    return (np.asarray(a) for a in (q.mean, q.mean_precision, q.dof, q.scale))


def b14():
    m, kappa, nu, scale = numbers_of(Diagonal())
    off = (small().x[:, None] - m) ** 2
    inside = (digamma(nu / 2) - 1 / kappa)[:, None] - np.log(scale / 2) - np.log(2 * np.pi)
    yield (inside - nu[:, None] * off / scale).sum(2) / 2, scored(Diagonal())


def b15():
    m, kappa, nu, scale = numbers_of(Spherical())
    off = ((small().x[:, None] - m) ** 2).sum(2)
    yield D / 2 * (digamma(nu / 2) - np.log(scale / 2) - np.log(2 * np.pi) - 1 / kappa) - nu / (2 * scale) * off, scored(Spherical())


def b16():
    q = mixture()[1].weights
    yield from ((ALPHA + moments(small())[0], q.concentration), (expected_log_weights(), q.expected_log()))


GAMMA, SHAPE, RATE = 0.8, 1.4, 0.6


def sticks(counts, gamma):
    """Equation B17 in the order of decreasing counts: that order, a and b (K,), by place."""
    order = np.argsort(-counts)
    placed = counts[order]
    return order, 1 + placed, gamma + np.cumsum(placed[::-1])[::-1] - placed


def b17():
    counts = moments(small())[0]
    order, a, b = sticks(counts, GAMMA)
    q = StickBreaking.prior(K, GAMMA).posterior(jnp.asarray(counts))
    yield from ((order, q.order), (a, q.alpha[order]), (b, q.beta[order]))


def b18():
    counts = moments(small())[0]
    order, a, b = sticks(counts, GAMMA)
    left = digamma(b) - digamma(a + b)
    q = StickBreaking.prior(K, GAMMA).posterior(jnp.asarray(counts))
    yield digamma(a) - digamma(a + b) + np.cumsum(left) - left, q.expected_log()[order]


def b19():
    counts = moments(small())[0]
    q = StickBreaking.prior(K, (SHAPE, RATE)).posterior(jnp.asarray(counts))
    order, a, b = sticks(counts, float(q.shape / q.rate))
    yield SHAPE + K, q.shape
    yield RATE - (digamma(b) - digamma(a + b)).sum(), q.rate
    yield b, q.beta[order]


def kl_dirichlet() -> float:
    """Equation B21."""
    counts = moments(small())[0]
    alpha = ALPHA + counts
    ln_b = lambda a: gammaln(a).sum() - gammaln(a.sum())  # noqa: E731
    return counts @ expected_log_weights() - ln_b(alpha) + ln_b(ALPHA)


def kl_components() -> float:
    """Equations B23 and B24, summed over components."""
    total = 0.0
    for kappa, m, nu, scale in zip(*updated()[:4], strict=True):
        inverse, off = np.linalg.inv(scale), m - M0
        total += NU0 / 2 * (log_det(scale) - log_det(S0)) + nu / 2 * (np.trace(inverse @ S0) - D)
        total += gamma_d(NU0 / 2) - gamma_d(nu / 2) + (nu - NU0) / 2 * psi_d(nu / 2)
        ratio = KAPPA0 / kappa
        total += (D * (ratio - 1 - np.log(ratio)) + KAPPA0 * nu * off @ inverse @ off) / 2
    return total


def b20():
    s = small()
    prior, q = mixture()
    by_hand = s.weight @ logsumexp(expected_scores(), axis=1) - kl_dirichlet() - kl_components()
    yield by_hand, lower_bound(prior, q, collect(q, jnp.asarray(s.x), jnp.asarray(s.weight)))


def b21():
    prior, q = mixture()
    yield kl_dirichlet(), prior.weights.penalty(q.weights)


def b22():
    counts = moments(small())[0]
    _, a, b = sticks(counts, GAMMA)
    log_v, log_rest = digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)
    prior = StickBreaking.prior(K, GAMMA)
    by_hand = ((a - 1) * log_v + (b - GAMMA) * log_rest - betaln(a, b) - np.log(GAMMA)).sum()
    yield by_hand, prior.penalty(prior.posterior(jnp.asarray(counts)))


def b23():
    prior, q = mixture()
    yield kl_components(), prior.components.penalty(q.components)


def b24():
    """With the same precision in both, what is left is the Normal part."""
    prior = prior_of(Full())
    m, kappa = np.array([[0.9, -1.1]]), np.array([2.5])
    q = replace(prior, mean=jnp.asarray(m), mean_precision=jnp.asarray(kappa))
    ratio, off = KAPPA0 / kappa[0], m[0] - M0
    yield (D * (ratio - 1 - np.log(ratio)) + KAPPA0 * NU0 * off @ np.linalg.inv(S0) @ off) / 2, prior.penalty(q)


def b25():
    s = small()
    counts = moments(s)[0]
    kappa, _, nu, scale, _ = updated()
    ln_b = lambda a: gammaln(a).sum() - gammaln(a.sum())  # noqa: E731
    gained = sum(normaliser(*args) for args in zip(kappa, nu, scale, strict=True)) - K * normaliser(KAPPA0, NU0, S0)
    collapsed = gained - counts.sum() * D / 2 * np.log(2 * np.pi) + ln_b(ALPHA + counts) - ln_b(ALPHA)
    shares = s.weight[:, None] * s.resp
    yield collapsed, mixture()[0].log_marginal(stats_of(s))
    general = (shares * (expected_scores() - np.log(s.resp))).sum() - kl_dirichlet() - kl_components()
    yield collapsed - (shares * np.log(s.resp)).sum(), general


def b26():
    s = small()
    one = s._replace(resp=np.ones((len(s.x), 1)))
    n, sums, scatter = (a[0] for a in moments(one))
    m = (KAPPA0 * M0 + sums) / (KAPPA0 + n)
    change = scatter + KAPPA0 * np.outer(M0, M0) - (KAPPA0 + n) * np.outer(m, m)
    by_hand = -n * D / 2 * np.log(np.pi) + gamma_d((NU0 + n) / 2) - gamma_d(NU0 / 2) + NU0 / 2 * log_det(S0)
    by_hand += -(NU0 + n) / 2 * log_det(S0 + change) + D / 2 * np.log(KAPPA0 / (KAPPA0 + n))
    prior = Mixture(Dirichlet.symmetric(1, 1.0), prior_of(Full()))
    q = prior.posterior(stats_of(one))
    yield by_hand, lower_bound(prior, q, collect(q, jnp.asarray(s.x), jnp.asarray(s.weight)))


def log_t(x, m, kappa, nu, scale) -> np.ndarray:
    """Equation B27, the second form."""
    eta, delta = nu - D + 1, x - m
    inside = 1 + kappa / (kappa + 1) * np.einsum("ni,ij,nj->n", delta, np.linalg.inv(scale), delta)
    front = gammaln((eta + D) / 2) - gammaln(eta / 2) - D / 2 * np.log(np.pi) - log_det(scale) / 2
    return front + D / 2 * np.log(kappa / (kappa + 1)) - (eta + D) / 2 * np.log(inside)


def b27():
    x = small().x
    formula = np.stack([log_t(x, m, kappa, nu, scale) for kappa, m, nu, scale in zip(*updated()[:4], strict=True)], 1)
    yield formula, posterior_of().predictive_log_prob(jnp.asarray(x))
    kappa, m, nu, scale, _ = updated()
    eta = nu[0] - D + 1
    yield stats.multivariate_t.logpdf(x, m[0], (kappa[0] + 1) / (kappa[0] * eta) * scale[0], eta), formula[:, 0]
    m, kappa, nu, scale = numbers_of(Diagonal())
    width = np.sqrt((kappa + 1) / (kappa * nu))[:, None] * np.sqrt(scale)
    yield stats.t.logpdf(x[:, None], nu[:, None], m, width).sum(2), posterior_of(Diagonal()).predictive_log_prob(jnp.asarray(x))
    m, kappa, nu, scale = numbers_of(Spherical())
    ball = stats.multivariate_t.logpdf(x, m[0], (kappa[0] + 1) / (kappa[0] * nu[0]) * scale[0] * np.eye(D), nu[0])
    yield ball, posterior_of(Spherical()).predictive_log_prob(jnp.asarray(x))[:, 0]


def b28():
    x, counts = small().x, moments(small())[0]
    parts = np.stack([log_t(x, m, kappa, nu, scale) for kappa, m, nu, scale in zip(*updated()[:4], strict=True)], 1)
    alpha = ALPHA + counts
    yield logsumexp(parts, axis=1, b=alpha / alpha.sum()), mixture()[1].predictive_log_prob(jnp.asarray(x))
    prior, q = mixture(StickBreaking.prior(K, GAMMA))
    order, a, b = sticks(counts, GAMMA)
    passed = b / (a + b)
    weights = np.zeros(K)
    weights[order] = a / (a + b) * np.concatenate([[1], np.cumprod(passed)[:-1]])
    density = np.exp(parts) @ weights + np.prod(passed) * np.exp(log_t(x, M0, KAPPA0, NU0, S0))
    yield from ((weights, q.weights.mean()), (np.prod(passed), q.weights.unseen()))
    yield np.log(density), q.predictive_log_prob(jnp.asarray(x), prior)


BAYES = {f"B{i}": globals()[f"b{i}"] for i in range(1, 29)}
