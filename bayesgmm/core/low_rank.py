"""Covariances of few factors: some directions in which a component is long, and one variance for all others."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from bayesgmm.core.linalg import eigh
from bayesgmm.core.structures import Structure


@dataclasses.dataclass(frozen=True)
class LowRank:
    r"""Probabilistic principal components in each component, :math:`\Sigma_k = L_k L_k^T + \sigma_k^2 I` with L of shape (D, Q).

    The identity stands for equal variances of all columns as the whole data have them.

    Parameters
    ----------
    n_factors : int
        Q, fewer than D.

    References
    ----------
    Tipping & Bishop (1999), Mixtures of probabilistic principal component analysers, Neural Computation 11, app. C.
    """

    n_factors: int

    axes, affine = False, False

    def n_parameters(self, structure: Structure, n_components: int, n_features: int) -> int:
        """Free parameters of all covariances together."""
        q = self.n_factors
        return n_components * (n_features * q - q * (q - 1) // 2 + 1)

    def fewest(self, n_features: int) -> int:
        """Rows that a component needs for a covariance of its own."""
        return self.n_factors + 2

    def covariances(self, structure: Structure, own: jax.Array, rows: jax.Array, last: jax.Array | None = None) -> jax.Array:
        """Most likely covariances (K, D, D) of the family: the largest axes of what each would be by itself, and the mean of the rest."""
        values, vectors = eigh(own)
        split = values.shape[-1] - self.n_factors
        rest = values[..., :split].mean(-1, keepdims=True)
        kept = jnp.concatenate([jnp.broadcast_to(rest, (*rest.shape[:-1], split)), jnp.maximum(values[..., split:], rest)], -1)
        return (vectors * kept[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)
