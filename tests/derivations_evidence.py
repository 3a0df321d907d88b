"""Equations E1 to E11 of docs/explanation/derivations-evidence.md in plain numpy, each beside what the package computes."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from derivations_bayes import GAMMA, expected_log_weights, expected_scores, mixture, psi_d, sticks, updated
from derivations_ml import ALPHA, D, K, moments, small
from scipy.special import betaln, gammaln, logsumexp, polygamma

from bayesgmm.analysis.evidence import multiplicity, response
from bayesgmm.analysis.response import eigenvalues
from bayesgmm.core.statistics import Stats, product_form
from bayesgmm.core.structures import Full
from bayesgmm.core.weights import Dirichlet, StickBreaking


@functools.cache
def settled():
    """The small case with the responsibilities of an optimum, where eigenvalues are between 0 and 1."""
    s = small()
    for _ in range(2000):
        scores = expected_scores(s)
        s = s._replace(resp=np.exp(scores - logsumexp(scores, axis=1, keepdims=True)))
    return s


FIRST, SECOND = np.triu_indices(D)
COUNTS = np.array([4.0, 9.0, 2.0])


def e1():
    counts = np.array([12.0, 0.0, 3.0, 7.0])
    yield np.log(4 * 3 * 2), multiplicity(Dirichlet.symmetric(4, 1.0), counts)


def by_sticks() -> float:
    """Equation E2."""
    _, a, b = sticks(COUNTS, GAMMA)
    return K * np.log(GAMMA) + betaln(a, b).sum()


def by_partition() -> float:
    """Equation E3."""
    n = COUNTS.sum()
    return K * np.log(GAMMA) + gammaln(COUNTS).sum() + gammaln(GAMMA) - gammaln(GAMMA + n)


def e2():
    yield by_sticks(), StickBreaking.prior(K, GAMMA).log_marginal(jnp.asarray(COUNTS))


def e3():
    yield by_partition() - by_sticks(), multiplicity(StickBreaking.prior(K, GAMMA), COUNTS)
    one_by_one, sizes, drawn = 0.0, np.zeros(K), 0
    for k in np.repeat(np.arange(K), COUNTS.astype(int)):
        one_by_one += np.log((sizes[k] or GAMMA) / (GAMMA + drawn))
        sizes[k], drawn = sizes[k] + 1, drawn + 1
    yield by_partition(), one_by_one


def features() -> np.ndarray:
    """Features (N, 1 + D + P) of equation E4; of two different columns the product counts twice, as both entries of the matrix."""
    x = settled().x
    twice = np.where(FIRST == SECOND, 1, 2)
    return np.concatenate([np.ones((len(x), 1)), x, -0.5 * twice * x[:, FIRST] * x[:, SECOND]], 1)


def expected_coefficients() -> np.ndarray:
    """Means (K, 1 + D + P) of the coefficients, from E Lambda, E Lambda mu, E ln |Lambda| and E mu^T Lambda mu."""
    kappa, m, nu, scale, _ = updated(settled())
    precision = nu[:, None, None] * np.linalg.inv(scale)
    linear = np.einsum("kij,kj->ki", precision, m)
    log_dets = np.array([psi_d(n / 2) + D * np.log(2) - np.linalg.slogdet(a)[1] for n, a in zip(nu, scale, strict=True)])
    constant = expected_log_weights(settled()) + log_dets / 2 - (D / kappa + (linear * m).sum(1)) / 2
    return np.concatenate([constant[:, None], linear, precision[:, FIRST, SECOND]], 1)


def e4():
    formula = features() @ expected_coefficients().T - D / 2 * np.log(2 * np.pi)
    yield formula, expected_scores(settled())
    yield formula.T, product_form(Full(), mixture(s=settled())[1].natural())(Full().features(jnp.asarray(settled().x.T)))


@functools.cache
def hidden() -> np.ndarray:
    """G (K P, K P) by equation E5."""
    s, phi, scores = settled(), features(), expected_scores(settled())
    resp = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    apart = np.einsum("nk,kl->nkl", resp, np.eye(K)) - np.einsum("nk,nl->nkl", resp, resp)
    return np.einsum("n,nkl,na,nb->kalb", s.weight, apart, phi, phi).reshape(K * phi.shape[1], -1)


def of_scale(w, nu):
    """Equation E6: covariance (P, P) of the distinct entries of the precision, and the variance of half its log determinant."""
    i, j, g, h = FIRST[:, None], SECOND[:, None], FIRST, SECOND
    products = nu * (w[i, g] * w[j, h] + w[i, h] * w[j, g])
    return products, polygamma(1, (nu - np.arange(D)) / 2).sum() / 4


def of_linear(w, m, kappa, nu):
    """Equation E7: covariance (D, D) of the linear coefficients, and theirs (D, P) with the entries of the precision."""
    moved = w @ m
    own = nu * (m @ moved * w + np.outer(moved, moved)) + nu / kappa * w
    return own, nu * (w[:, FIRST] * moved[SECOND] + w[:, SECOND] * moved[FIRST])


def of_constant(w, m, kappa, nu):
    """Equation E8: variance of the constant, and its covariance with linear coefficients (D,) and entries of the precision (P,)."""
    moved = w @ m
    a = m @ moved
    own = of_scale(w, nu)[1] - a + nu / 2 * a**2 + nu / kappa * a + D / (2 * kappa**2)
    return own, (1 - nu * a - nu / kappa) * moved, (w - nu * np.outer(moved, moved))[FIRST, SECOND]


def by_derivatives(k: int) -> np.ndarray:
    """Covariance of (half log determinant, -1/2 mu^T Lambda mu, Lambda mu, distinct entries of Lambda), from the log-normaliser."""
    law = mixture(s=settled())[1].components.take(np.array([k]))

    def log_normaliser(shift):
        scatter = Full().from_moments(shift[2 + D :], D)
        moved = law.posterior(Stats(jnp.zeros(()), shift[1:2], shift[None, 2 : 2 + D], scatter[None]), rows=shift[:1])
        return sum(part.sum() for part in moved.log_normaliser())

    unit = np.concatenate([np.ones(2 + D), np.where(FIRST == SECOND, -2, -1)])  # entries of Lambda from its natural statistics
    return np.asarray(jax.hessian(log_normaliser)(jnp.zeros(2 + D + len(FIRST)))) * unit * unit[:, None]


@functools.cache
def each():
    """Of each component W, m, kappa, nu, and the covariance by derivatives."""
    parts = enumerate(zip(*updated(settled())[:4], strict=True))
    return [(np.linalg.inv(scale), m, kappa, nu, by_derivatives(k)) for k, (kappa, m, nu, scale) in parts]


def e5():
    yield 1 - np.sort(eigenvalues_of_product())[::-1], found_eigenvalues()
    assert np.allclose(hidden() @ np.tile(np.eye(1, features().shape[1])[0], K), 0)  # a constant shared by all components is not seen


def e6():
    for w, _, _, nu, found in each():
        products, log_det = of_scale(w, nu)
        yield from ((products, found[2 + D :, 2 + D :]), (w[FIRST, SECOND], found[0, 2 + D :]), (log_det, found[0, 0]))


def e7():
    for w, m, kappa, nu, found in each():
        own, mixed = of_linear(w, m, kappa, nu)
        yield from ((own, found[2 : 2 + D, 2 : 2 + D]), (mixed, found[2 : 2 + D, 2 + D :]))


def e8():
    for w, m, kappa, nu, found in each():
        own, linear, products = of_constant(w, m, kappa, nu)
        both = found[0] + found[1]
        yield from ((own, both[0] + both[1]), (linear, both[2 : 2 + D]), (products, both[2 + D :]))


@functools.cache
def covariance() -> np.ndarray:
    """V (K P, K P) by equations E6 to E8 and the Dirichlet law of the weights."""
    size = 1 + D + len(FIRST)
    whole = np.zeros((K, size, K, size))
    for k, (w, m, kappa, nu, _) in enumerate(each()):
        constant, linear, products = of_constant(w, m, kappa, nu)
        own, mixed = of_linear(w, m, kappa, nu)
        row = np.concatenate([[constant], linear, products])
        below = np.block([[own, mixed], [mixed.T, of_scale(w, nu)[0]]])
        whole[k, 0, k], whole[k, 1:, k, 0], whole[k, 1:, k, 1:] = row, row[1:], below
    alpha = ALPHA + moments(settled())[0]
    whole[:, 0, :, 0] += np.diag(polygamma(1, alpha)) - polygamma(1, alpha.sum())
    return whole.reshape(K * size, -1)


def eigenvalues_of_product() -> np.ndarray:
    root = np.linalg.cholesky(covariance())
    return np.linalg.eigvalsh(root.T @ hidden() @ root)


@functools.cache
def found_eigenvalues() -> np.ndarray:
    s = settled()
    return np.asarray(eigenvalues(mixture(s=settled())[1], jnp.asarray(s.x), jnp.asarray(s.weight)))


def corrected(floor: float):
    s = settled()
    return response(mixture(s=settled())[1], jnp.asarray(s.x), jnp.asarray(s.weight), floor)


def e9():
    values = 1 - np.sort(eigenvalues_of_product())[::-1]
    yield values, found_eigenvalues()
    yield 1 - values.min(), corrected(1e-9)[1]


def e10():
    _, log_det = np.linalg.slogdet(np.eye(len(covariance())) - covariance() @ hidden())
    yield -log_det / 2, corrected(1e-9)[0]


def e11():
    values = 1 - eigenvalues_of_product()
    floor = float(np.sort(values)[1] + 1e-3)
    yield -np.log(np.maximum(values, floor)).sum() / 2, corrected(floor)[0]


EVIDENCE = {f"E{i}": globals()[f"e{i}"] for i in range(1, 12)}
