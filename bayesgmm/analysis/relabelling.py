r"""Relabelled copies of parameters: which share of a point's K! copies counts for the labels it has.

A posterior with exchangeable components is the same at all K! relabellings of a point, but a proposal covers only those near a fit. For any
positive function h, the shares :math:`h(\theta) / \sum_\sigma h(\sigma\theta)` of the relabellings of a point sum to 1, so
:math:`\int f = K! \int f\,h / \sum_\sigma h_\sigma` for every symmetric f, exactly. Here h is the density of the fit, a product over
components, which makes the sum over relabellings the permanent of a K x K matrix.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian

MOST = 12
"""Components up to which relabellings are summed: the work grows as 2^K."""


def pair_densities(posterior: Mixture, point: Mixture) -> jax.Array:
    """Log density (K, K) of each component of ``point`` in the place of each component of the fit, up to a constant."""
    law, own = posterior.components, point.components
    places = jnp.arange(len(law.mean))

    def pair(i, j):
        one = Gaussian(own.mean[i][None], own.covariance if own.tied else own.covariance[i][None], own.structure)
        place = law.take(j[None])
        weight = (posterior.weights.concentration[j] - 1) * point.weights.expected_log()[i]
        return weight + place.log_density(one)

    return jax.vmap(lambda i: jax.vmap(lambda j: pair(i, j))(places))(places)


def log_permanent(logs: np.ndarray) -> np.ndarray:
    """Log permanents (...) of matrices exp(logs) (..., K, K), by sums over subsets of columns."""
    k = logs.shape[-1]
    table = [np.zeros(logs.shape[:-2])]
    for subset in range(1, 2**k):
        row = subset.bit_count() - 1
        terms = [table[subset ^ (1 << j)] + logs[..., row, j] for j in range(k) if subset >> j & 1]
        table.append(np.logaddexp.reduce(terms, axis=0))
    return table[-1]


def log_share(pairs: np.ndarray, log_weight: np.ndarray) -> np.ndarray:
    """Log share (S,) of a point's own labels.

    Parameters
    ----------
    pairs : ndarray, shape (S, M, K, K)
        `pair_densities` of S points under M fits.
    log_weight : ndarray, shape (M,)
        Of each fit.
    """
    own = np.trace(pairs, axis1=-2, axis2=-1) + log_weight
    every = log_permanent(pairs) + log_weight
    return np.logaddexp.reduce(own, axis=1) - np.logaddexp.reduce(every, axis=1)
