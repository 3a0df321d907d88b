r"""Axes that several symmetric matrices have in common, as nearly as a criterion asks.

An orthogonal matrix is found one plane at a time (Jacobi), as Flury & Gautschi (1986) do for common principal components; within a plane
the angle is the best of all angles, not the nearest stationary one, so that two columns have one answer and more of them few.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.linalg import eigh

ANGLES = 16
"""Angles of a quarter turn that are tried in each plane."""

NEWTON = 3
"""Newton steps from the best of them."""

SWEEPS, FEW = 60, 5
"""Most passes through all planes, and from axes that are known: these are seldom far off, and the next update goes on from there."""


def common_axes(matrices: jax.Array, criterion: Callable[[jax.Array], jax.Array], known: jax.Array | None = None) -> jax.Array:
    """Orthogonal matrix U (D, D), axes in columns, that minimises a criterion of the diagonals of ``U^T A_k U``.

    It starts from axes that are known, or else from those of the sum of the matrices and those of each, and takes the best that it reaches.

    Parameters
    ----------
    matrices : Array, shape (K, D, D)
        Symmetric, positive semi-definite.
    criterion : callable
        Of diagonals (K, D); the order of columns must not matter to it.
    known : Array, shape (K, D, D), optional
        Matrices with the same axes, which are where to start; the answer is no worse than these axes.

    References
    ----------
    Flury & Gautschi (1986), SIAM Journal on Scientific and Statistical Computing 7; Browne & McNicholas (2014), Advances in Data Analysis
    and Classification 8, who minimise the same criteria by majorisation.
    """
    if matrices.shape[-1] == 1:
        return jnp.ones((1, 1), matrices.dtype)
    if known is not None:  # a sum in which equal variances of two axes are unlikely
        whole = (known * jnp.sqrt(1.0 + jnp.arange(len(known), dtype=known.dtype))[:, None, None]).sum(0, keepdims=True)
    elif matrices.shape[-1] == 2:  # any start leads to the best angle
        whole = matrices[:1]
    else:
        whole = jnp.concatenate([matrices.sum(0, keepdims=True), matrices])
    most = SWEEPS if known is None else FEW
    found, heights = jax.vmap(lambda start: _from_axes(matrices, criterion, start, most))(eigh(whole)[1])
    return found[jnp.argmin(jnp.where(jnp.isnan(heights), jnp.inf, heights))]


def _from_axes(matrices, criterion, start, most: int):
    """Axes found from others in so many passes through all planes, and the criterion there."""
    first, second = (jnp.asarray(a) for a in np.triu_indices(matrices.shape[-1], 1))
    small = 0.1 * jnp.sqrt(jnp.finfo(matrices.dtype).eps)

    def turn(i, state):
        turned, axes, largest = state
        angle = _best_angle(turned, first[i], second[i], criterion)
        turned = _rotated(_rotated(turned, first[i], second[i], angle).swapaxes(-1, -2), first[i], second[i], angle)
        return turned, _rotated(axes, first[i], second[i], angle), jnp.maximum(largest, jnp.abs(angle))

    def sweep(state):
        turned, axes, _, n = state
        return *jax.lax.fori_loop(0, len(first), turn, (turned, axes, jnp.zeros((), axes.dtype))), n + 1

    begun = (start.T @ matrices @ start, start, jnp.ones((), start.dtype), 0)
    turned, axes, *_ = jax.lax.while_loop(lambda state: (state[2] > small) & (state[3] < most), sweep, begun)
    return axes, criterion(jnp.diagonal(turned, axis1=-2, axis2=-1))


def _rotated(matrix, p, q, angle):
    """Columns ``p`` and ``q`` turned towards each other."""
    one, other = jnp.take(matrix, p, -1), jnp.take(matrix, q, -1)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return matrix.at[..., p].set(cos * one + sin * other).at[..., q].set(cos * other - sin * one)


def _best_angle(matrices, p, q, criterion):
    """Angle in (-pi/4, pi/4] of the plane of axes ``p`` and ``q`` with the least criterion."""
    values = jnp.diagonal(matrices, axis1=-2, axis2=-1)
    middle, half, mixed = (values[:, p] + values[:, q]) / 2, (values[:, p] - values[:, q]) / 2, matrices[:, p, q]

    def height(angle):
        swing = half * jnp.cos(2 * angle) + mixed * jnp.sin(2 * angle)
        return criterion(values.at[:, p].set(middle + swing).at[:, q].set(middle - swing))

    grid = jnp.arange(ANGLES, dtype=values.dtype) * (np.pi / 2 / ANGLES)  # the present axes come first
    heights = jax.vmap(height)(grid)
    best = grid[jnp.argmin(heights)]
    slope, bend = jax.grad(height), jax.grad(jax.grad(height))

    def closer(_, angle):
        rise, curve = slope(angle), bend(angle)
        step = jnp.where(curve > 0, -rise / jnp.where(curve > 0, curve, 1), 0)
        trial = angle + jnp.clip(step, -np.pi / 2 / ANGLES, np.pi / 2 / ANGLES)
        slack = 4 * jnp.finfo(values.dtype).eps * jnp.abs(height(angle))
        return jnp.where(height(trial) <= height(angle) + slack, trial, angle)

    best = jax.lax.fori_loop(0, NEWTON, closer, best)
    return best - jnp.round(best / (np.pi / 2)) * (np.pi / 2)
