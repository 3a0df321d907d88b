"""The additive record that every algorithm collects, and the two Gaussian maps that make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma

from bayesgmm.core.linalg import gammaln_gain
from bayesgmm.core.structures import Structure


class Stats(NamedTuple):
    """Sums over rows; adding two records is adding two data sets.

    Attributes
    ----------
    log_norm : Array, shape ()
        Weighted sum over rows of ``logsumexp_k score_nk``, in nats.
    counts : Array, shape (K,)
        Expected number of rows in each component (sum of weights times responsibilities).
    sums : Array, shape (K, D)
        Expected sums of rows, in data units.
    scatter : Array, shape (K, packed), or (1, packed) when the covariance is tied
        Expected sums of packed outer products, in squared data units, about the origin.
    tails : Array, shape (K, 2), optional
        Of components with heavy tails, whose ``sums`` and ``scatter`` count each row as often as its weight u says: expected sums of u
        and of log u.
    """

    log_norm: jax.Array
    counts: jax.Array
    sums: jax.Array
    scatter: jax.Array
    tails: jax.Array | None = None

    def __add__(self, other: Stats) -> Stats:  # type: ignore[override]
        return jax.tree.map(lambda a, b: a + b, self, other)

    def __sub__(self, other: Stats) -> Stats:
        return jax.tree.map(lambda a, b: a - b, self, other)

    def scaled(self, factor: jax.Array | float) -> Stats:
        """Statistics of data in which every weight is multiplied by ``factor``."""
        return jax.tree.map(lambda a: a * factor, self)


class Region(NamedTuple):
    """Where noise is uniform: only its volume matters, but for columns that were not seen.

    Attributes
    ----------
    log_volume : Array, shape ()
        In the coordinates of a law.
    log_sides : Array, shape (D,)
        Of a box with that volume, in the user's units, whatever the coordinates.
    """

    log_volume: jax.Array
    log_sides: jax.Array


def log_tail(dof: jax.Array, d: Any) -> jax.Array:
    r"""What a Student t density of d columns has beside the determinant at no distance, :math:`\ln\Gamma\frac{\nu+d}2 - \ln\Gamma\frac\nu2
    - \frac d2\ln\frac\nu2`, and a Gaussian one has not.
    """
    return gammaln_gain(dof / 2, d / 2) - d / 2 * jnp.log(dof / 2)


class Tails(NamedTuple):
    """Heavy tails of components (`bayesgmm.core.student`), along the first axis of scores (K, N).

    Attributes
    ----------
    level : Array, shape (K,)
        Score at no distance.
    dof : Array, shape (K,)
    """

    level: jax.Array
    dof: jax.Array

    def scores(self, halves: jax.Array, d: int) -> jax.Array:
        """Scores (K, N) from minus half the squared distances, of rows with d columns."""
        level, dof = self.level[:, None], self.dof[:, None]
        return level - (dof + d) / 2 * jnp.log1p(jnp.maximum(-2 * halves, 0) / dof)

    def weights(self, scores: jax.Array, d: int) -> tuple[jax.Array, jax.Array]:
        """Expected weights u (K, N) of rows and expected log u, from scores."""
        dof = self.dof[:, None]
        log_ratio = 2 * (scores - self.level[:, None]) / (dof + d)
        return (1 + d / dof) * jnp.exp(log_ratio), digamma((dof + d) / 2) - jnp.log(dof / 2) + log_ratio


class Natural(NamedTuple):
    r"""Scores of all components: ``level_k - 1/2 (x - mean_k)^T precision_k (x - mean_k)``.

    Attributes
    ----------
    level : Array, shape (K,)
    mean : Array, shape (K, D)
    precision : Array, shape (K, packed), or (1, packed) when tied
    region : Region, optional
        Where the last component is noise, of precision 0: what it is uniform over.
    tails : Tails, optional
        Where components have heavy tails: makes scores of the function above, which then is minus half the squared distance.
    """

    level: jax.Array
    mean: jax.Array
    precision: jax.Array
    region: Region | None = None
    tails: Tails | None = None

    def raised(self, by: jax.Array) -> Natural:
        """With log weights (K,) added to the scores."""
        if self.tails is None:
            return self._replace(level=self.level + by)
        return self._replace(tails=self.tails._replace(level=self.tails.level + by))

    def finished(self, values: jax.Array) -> jax.Array:
        """Scores (K, N) from the quadratic functions of rows."""
        return values if self.tails is None else self.tails.scores(values, self.mean.shape[1])


def _first_order(structure: Structure, natural: Natural) -> tuple[jax.Array, jax.Array]:
    """What scores have of 1 (K,) and of x (K, D)."""
    linear = structure.multiply(natural.precision, natural.mean)
    return natural.level - (linear * natural.mean).sum(-1) / 2, linear


def product_form(structure: Structure, natural: Natural) -> Callable[[jax.Array], jax.Array]:
    """Scores (K, N) as one matrix product on features (F, N) of rows; what does not depend on the rows is computed once, here.

    Where there is one precision only the first-order features, 1 and x, are used: ``x^T precision x`` is then one number a row.
    """
    constant, linear = _first_order(structure, natural)
    first = jnp.concatenate([constant[:, None], linear], 1)
    if len(natural.precision) > 1:
        known = jnp.concatenate([first, structure.coefficients(natural.precision) / -2], 1)
        return lambda features: natural.finished(known @ features)

    def shared(features: jax.Array) -> jax.Array:
        features = features[: first.shape[1]]
        x = features[1:].T
        return natural.finished(first @ features - (structure.multiply(natural.precision[0], x) * x).sum(-1) / 2)

    return shared


def complete_log_prob(structure: Structure, natural: Natural, stats: Stats) -> jax.Array:
    """Sum of all scores times responsibilities, in nats, from statistics alone: the expected log probability of rows and labels."""
    constant, linear = _first_order(structure, natural)
    return (stats.counts * constant).sum() + (stats.sums * linear).sum() - structure.inner(natural.precision, stats.scatter).sum() / 2


def centred_scores(structure: Structure, natural: Natural, x: jax.Array) -> jax.Array:
    """Scores (N, K) from differences to each mean: slower than `product_form`, no cancellation far from the origin."""
    precision = jnp.broadcast_to(natural.precision, (len(natural.level), *natural.precision.shape[1:]))

    def one(args):
        level, mean, matrix = args
        delta = x - mean
        return level - (structure.multiply(matrix, delta) * delta).sum(-1) / 2

    return natural.finished(jax.lax.map(one, (natural.level, natural.mean, precision))).T
