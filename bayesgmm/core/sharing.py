r"""What the covariances of components share: volume, shape, orientation.

.. math:: \Sigma_k = \lambda_k D_k A_k D_k^T

with the volume :math:`\lambda_k = |\Sigma_k|^{1/D}`, the shape :math:`A_k` (diagonal, of determinant 1) and the orientation :math:`D_k`
(orthogonal), each of which all components may have in common (Banfield & Raftery 1993, Biometrics 49; Celeux & Govaert 1995, Pattern
Recognition 28). Sharing all of them, or none, is a tied or a free structure; here is what lies between.

Every update is the maximiser of :math:`-\frac12\sum_k (n_k \ln|\Sigma_k| + \mathrm{tr}\,\Sigma_k^{-1} W_k)` over the family, given the
scatter :math:`W_k` of each component about its mean and its number of rows :math:`n_k`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from bayesgmm.core.axes import common_axes
from bayesgmm.core.linalg import cholesky, eigh, solve_lower
from bayesgmm.core.structures import Diagonal, Structure

LEAST = 1e-12
"""Variance, about 1 being usual, that keeps logarithms finite where a component has no extent in some direction."""

STEPS = 60
"""Most Newton steps for the volumes of matrices of one shape; few are needed."""


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Parts of the covariances that all components have in common; the axes of diagonal ones always are.

    Parameters
    ----------
    volume, shape, axes : bool
    """

    volume: bool
    shape: bool
    axes: bool

    def n_parameters(self, structure: Structure, n_components: int, n_features: int) -> int:
        """Free parameters of all covariances together, as mclust counts them (Celeux & Govaert 1995, table 1)."""
        turns = structure.n_parameters(n_features) - n_features
        sizes = ((self.volume, 1), (self.shape, n_features - 1), (self.axes, turns))
        return sum(size if shared else n_components * size for shared, size in sizes)

    def fewest(self, n_features: int) -> int:
        """Rows that a component needs for a covariance of its own."""
        if self.volume and self.shape:
            return 0
        return 2 if self.shape or self.axes else n_features + 1

    @property
    def affine(self) -> bool:
        """Whether an affine change of coordinates leaves the family as it is; otherwise full ones keep to rotations and one scale."""
        return self.shape == self.axes

    def covariances(self, structure: Structure, own: jax.Array, rows: jax.Array, last: jax.Array | None = None) -> jax.Array:
        """Maximiser of the likelihood within the family.

        Parameters
        ----------
        structure : Full or Diagonal
        own : Array, shape (K, packed)
            Scatter of each component over its rows: what its covariance would be by itself.
        rows : Array, shape (K,)
            0 where a component is empty: it then has no say, and some covariance of the family.
        last : Array, shape (K, packed), optional
            Covariances of the family, from which a search for common axes goes on.

        Returns
        -------
        Array, shape (K, packed)
        """
        if structure.rank == 1 or self.affine:
            return self._parted(structure, own, rows)
        if self.axes:
            axes = common_axes(own * rows[:, None, None], lambda values: self._height(values, rows), last)[None]
            values = jnp.diagonal(axes.swapaxes(-1, -2) @ own @ axes, axis1=-2, axis2=-1)
        else:  # aligned by the order of their eigenvalues (Celeux & Govaert 1995, theorem A.1)
            values, axes = eigh(own)
        variances = self._parted(Diagonal(), jnp.maximum(values, 0), rows)
        return (axes * variances[:, None, :]) @ axes.swapaxes(-1, -2)

    def _parted(self, structure: Structure, own, rows):
        """Maximiser where orientations are given, or go with the shapes."""
        if self.shape:
            return pooled(own, rows) if self.volume else of_one_shape(structure, own, rows)
        return of_one_volume(structure, own, rows) if self.volume else own

    def _height(self, values, rows):
        """Twice the negative log-likelihood, up to a constant, given the scatter (K, D) of components along common axes."""
        logs = jnp.log(jnp.maximum(values, LEAST * jnp.where(rows > 0, rows, 1)[:, None])).sum(1)
        if not self.volume:
            return rows @ logs
        d = values.shape[1]
        return rows.sum() * d * logsumexp(jnp.where(rows > 0, logs / d, -jnp.inf))


def _wide(numbers, matrices):
    """One number for each component, with axes appended so that it multiplies matrices."""
    return numbers.reshape(numbers.shape + (1,) * (matrices.ndim - 1))


def pooled(own, rows):
    """One matrix for all: the mean of those of all rows."""
    return jnp.broadcast_to((own * _wide(rows / rows.sum(), own)).sum(0, keepdims=True), own.shape)


def of_one_volume(structure: Structure, own, rows):
    r"""Matrices :math:`\lambda C_k` with :math:`|C_k| = 1`.

    :math:`C_k = W_k / |W_k|^{1/D}` and :math:`\lambda = \sum_k |W_k|^{1/D} / n` (Celeux & Govaert 1995, secs. 3.1.1 and 3.2).
    """
    own = structure.floored(own, LEAST)
    volumes = jnp.exp(structure.log_det(structure.factor(own)) / own.shape[-1])
    return own * _wide(rows @ volumes / rows.sum() / volumes, own)


def of_one_shape(structure: Structure, own, rows):
    r"""Matrices :math:`\lambda_k C`.

    With the best C, that is :math:`M / n` for :math:`M = \sum_k W_k / \lambda_k`, what is left to minimise is
    :math:`D \sum_k n_k \ln\lambda_k + n \ln|M|`, a convex function of the logs of the volumes. Each step is Newton's, or that of Celeux &
    Govaert (1995, sec. 3.1.2), :math:`\lambda_k = \mathrm{tr}(W_k C^{-1}) / (D n_k)`, which never raises it, whichever is lower.
    """
    d, share, present, eps = own.shape[-1], rows / rows.sum(), rows > 0, jnp.finfo(own.dtype).eps
    identity = structure.identity(d).astype(own.dtype)
    scatter = (own + LEAST * identity) * _wide(share, own)

    def shape(logs):
        return (scatter * _wide(jnp.exp(-logs), own)).sum(0)

    def at(logs):
        logs = jnp.where(present, logs - share @ logs, 0)
        factor = structure.factor(shape(logs))
        parts = structure.untransform(factor, scatter) * _wide(jnp.exp(-logs), own)
        flat = parts.reshape(len(rows), -1)
        traces = structure.inner(parts, identity)
        return logs, d * (share @ logs) + structure.log_det(factor), traces, flat @ flat.T, jnp.abs(traces - d * share).max()

    def step(state):
        (logs, _, traces, pairs, _), i = state
        plain = at(logs + jnp.clip(jnp.log(traces / jnp.where(present, d * share, 1)), -30, 30))
        root = cholesky(jnp.diag(jnp.where(present, traces, 1)) - pairs + 1)  # + 1: a factor common to all volumes is C's
        newton = at(logs + jnp.clip(_solve(root, traces - d * share), -5, 5))
        better = newton[1] <= plain[1] + 64 * eps * (1 + jnp.abs(plain[1]))
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), newton, plain), i + 1

    def unfinished(state):  # only compares what is held: in a batch it is computed twice, and rounding must not tell these apart
        (*_, away), i = state
        return (away > 32 * eps * d) & (i < STEPS)

    (logs, *_), _ = jax.lax.while_loop(unfinished, step, (at(jnp.zeros_like(rows)), 0))
    return _wide(jnp.exp(logs), own) * shape(logs)


def _solve(root, b):
    """Solution of ``L L^T y = b`` given the lower factor L; the upper one, turned round, is lower too."""
    half = solve_lower(root, b[:, None])
    return solve_lower(root.T[::-1, ::-1], half[::-1])[::-1, 0]
