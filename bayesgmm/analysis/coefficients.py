r"""Coefficients of the scores of any variational mixture, with noise and heavy tails: how they vary, and what rows hide of them.

The terms of the log probability of a row, its label z and, where tails are heavy, its weight u are

.. math:: z_k\,[\ln\pi_k + \tfrac12\ln|\Lambda_k|],\quad z_k u\,[-\tfrac12\mu_k^T\Lambda_k\mu_k],\quad z_k u\,x^T[\Lambda_k\mu_k],\quad
          z_k u\,x x^T[-\tfrac12\Lambda_k],\quad z_{K+1}\,[\ln\pi_{K+1}],

the last for noise. The bracketed coefficients have a covariance V under the posterior: second derivatives of its log-normaliser. The
features before them have a covariance G under q(labels, u), summed over rows; it is also the matrix of second derivatives of the sum of the
log-normalisers of the rows, by which it is found where rows are known in part. With these two, `bayesgmm.analysis.response` is the same as
without noise and tails (Giordano, Broderick & Jordan 2015, NIPS, sec. 2.2). Degrees of freedom are held fixed.

The order of the coefficients: of each component those of z, z u and z u x; of products, (K or 1, P); of noise.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.hidden import hidden
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.linalg import cholesky
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import gaussians
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Stats, centred_scores
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import accumulate, in_part, soft

NOTHING = 1e-10
"""Part of a coefficient that rows hide below which it is rounding."""

CHUNK = 512


class Hidden(NamedTuple):
    """What rows hide of the coefficients (C,).

    Attributes
    ----------
    values : ndarray, shape (R,)
        Eigenvalues of the linear response that differ from 1, ascending: all of them in (0, 1) at an optimum.
    combinations : ndarray, shape (C, R)
        What the standardised directions that belong to them are combined of: their covariance with any quantity is that of the coefficients
        times this.
    """

    values: np.ndarray
    combinations: np.ndarray


def is_plain(posterior: Mixture) -> bool:
    """Whether components are Gaussian and there is no noise, so that closed forms with fewer coefficients serve."""
    return isinstance(posterior.components, NormalWishart)


def n_all_coefficients(posterior: Mixture) -> int:
    """Coefficients C of all components that are there."""
    law = gaussians(posterior.components)
    k, products = int(np.sum(np.asarray(posterior.weights.alive()))) - posterior.n_noise, law.structure.n_parameters(law.n_features)
    return k * (2 + law.n_features) + (1 if law.tied else k) * products + posterior.n_noise


def found_hidden(posterior: Mixture, x, weight) -> Hidden:
    """Eigenvalues of the linear response and their directions, of rows (N, D), or known in part, with weights (N,)."""
    root = np.asarray(coefficient_root(posterior))
    information = np.asarray(hidden(posterior, x, weight, apart=True) if in_part(x) else information_of(posterior, x, weight))
    lost, vectors = np.linalg.eigh(root.T @ information @ root)
    kept = np.flatnonzero(np.abs(lost) > NOTHING)[::-1]
    return Hidden(1 - lost[kept], information @ (root @ vectors[:, kept]) / lost[kept])


def own_coordinates(law: NormalWishart) -> NormalWishart:
    """The law on rows on which the scale of each component is 1 and its mean 0; or, where they share a scale, that of the first."""
    structure, d = law.structure, law.n_features
    factor, centre = structure.factor(law.scale), law.mean[:1] if law.tied else law.mean
    factors = jnp.broadcast_to(factor, (len(law.mean), *factor.shape[1:]))
    identity = jnp.broadcast_to(structure.identity(d), law.scale.shape).astype(law.scale.dtype)
    return replace(law, mean=jax.vmap(structure.solve)(factors, law.mean - centre), scale=identity)


def _places(k: int, d: int, products: int, tied: bool) -> np.ndarray:
    """Where the coefficients of each component (K, 2 + D + P) stand among all."""
    first = np.arange(k * (2 + d)).reshape(k, -1)
    second = k * (2 + d) + np.arange(products) + products * np.arange(k)[:, None] * (not tied)
    return np.concatenate([first, second], 1)


@jit(brief=True)
def coefficient_root(posterior: Mixture):
    """Lower root (C, C) of the covariance of the coefficients."""
    law = own_coordinates(gaussians(posterior.components))
    (k, d), products = law.mean.shape, law.structure.n_parameters(law.n_features)
    if law.tied:
        variance = _variance(law)
    else:
        own = jax.vmap(lambda one: _variance(jax.tree.map(lambda a: a[None], one)))(law)
        place = _places(k, d, products, False)
        variance = jnp.zeros((place.size,) * 2).at[place[:, :, None], place[:, None]].set(own)
    variance = jnp.pad(variance, (0, posterior.n_noise))
    labels = np.append(np.arange(k) * (2 + d), [len(variance) - 1] * posterior.n_noise).astype(int)
    variance = variance.at[labels[:, None], labels].add(posterior.weights.log_covariance())
    return cholesky(variance + jnp.diag(1e-12 * jnp.diagonal(variance)))


def _variance(law: NormalWishart):
    """Covariance of the coefficients but for the log weights, by second derivatives of the log-normaliser."""
    (k, d), structure = law.mean.shape, law.structure
    size = k * (2 + d)

    def log_normaliser(shift):
        each = shift[:size].reshape(k, 2 + d)
        scatter = structure.from_moments(shift[size:].reshape(len(law.scale), -1), d)
        stats = Stats(jnp.zeros(()), each[:, 1], each[:, 2:], scatter)
        return sum(part.sum() for part in law.posterior(stats, rows=each[:, 0]).log_normaliser())

    return jax.hessian(log_normaliser)(jnp.zeros(size + len(law.scale) * structure.n_parameters(d)))


def _rows_of_own(law: NormalWishart, x):
    """Features of rows (N, K, 1 + D + P) beside z u: 1, rows in the coordinates of each component, and their products."""
    structure, (k, _) = law.structure, law.mean.shape
    factor, centre = structure.factor(law.scale), law.mean[:1] if law.tied else law.mean
    own = jax.vmap(lambda root, mean: structure.features(structure.solve(root, x - mean).T).T)(factor, centre)
    return jnp.broadcast_to(jnp.moveaxis(own, 0, 1), (len(x), k, own.shape[2]))


@jit
def information_of(posterior: Mixture, x, weight):
    """Covariance (C, C) of the features of complete rows under q(labels, u), summed over rows."""
    law, natural = gaussians(posterior.components), posterior.natural()
    (k, d), products = law.mean.shape, law.structure.n_parameters(law.n_features)
    place = _places(k, d, products, law.tied)
    size = int(place.max()) + 1 + posterior.n_noise
    everywhere = np.append(place.ravel(), [size - 1] * posterior.n_noise).astype(int)

    def one(rows, weights):
        scores = centred_scores(posterior.structure, natural, rows)
        resp, moved = soft(scores)[1], _rows_of_own(law, rows)
        pull, spread = _pulls(natural, scores, k, d)
        features = jnp.concatenate([jnp.ones((len(rows), k, 1)), pull[:, :, None] * moved], 2)
        share = resp[:, :k] * weights[:, None]
        own = jnp.einsum("nka,nkb,nk->kab", features, features, share)
        own = own.at[:, 1:, 1:].add(jnp.einsum("nka,nkb,nk->kab", moved, moved, share * spread))
        expected = (features * resp[:, :k, None]).reshape(len(rows), -1)
        expected = jnp.concatenate([expected, resp[:, k:]], 1)
        total = jnp.zeros((size, size)).at[place[:, :, None], place[:, None]].add(own)
        if posterior.n_noise:
            total = total.at[-1, -1].add(weights @ resp[:, -1])
        return total.at[everywhere[:, None], everywhere].add(-expected.T @ (expected * weights[:, None]))

    return jnp.asarray(accumulate(one, x, weight, CHUNK))


def _pulls(natural, scores, k: int, d: int):
    """Expected weights u (N, K) of rows and their variances, given the label."""
    if natural.tails is None:
        return jnp.ones_like(scores[:, :k]), jnp.zeros_like(scores[:, :k])
    pull = natural.tails.weights(scores.T, d)[0].T[:, :k]
    return pull, pull**2 * 2 / (natural.tails.dof[:k] + d)
