r"""A prior that the data choose, and what choosing it costs: for comparing numbers of components and structures.

The law of the components is Normal-Wishart with mean 0 (the centre of the data), ``kappa`` pseudo-rows behind it, ``size + surplus``
degrees of freedom and prior mean covariance B, one of three targets made from the pooled covariance W within components: W itself, its
diagonal, or one variance for all columns. Kappa, surplus and target maximise the collapsed bound of the present statistics
less a price, the half log of how well the data determine each of them, so that using the data twice earns nothing.

The bound on kappa says that two components lie, a priori, at least about 2.4 standard deviations apart. Without it, coincident components
tie with a single one.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.linalg import solve_lower
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import Structure
from bayesgmm.core.weights import Dirichlet

LEAST_KAPPA, MOST_KAPPA = 1e-3, 0.35
"""Range of the pseudo-rows behind the prior mean; the upper end counts for each column."""

LEAST_SURPLUS, MOST_SURPLUS = 0.5, 3000.0
"""Range of the degrees of freedom beyond the block size."""

REFERENCE = 0.01
"""Pseudo-rows that count as no knowledge of the prior mean."""

RIDGE = 1e-10
"""Share of the data's variance added to the pooled covariance."""

SEARCHES, FINE = 10, 0.03
"""Most rounds of the search for kappa and surplus, and the step on the log scale below which it ends."""


class Knobs(NamedTuple):
    """Hyperparameters: logarithms of kappa and surplus, () each."""

    log_kappa: jax.Array
    log_surplus: jax.Array


class Tuned(NamedTuple):
    """A prior chosen by the data.

    Attributes
    ----------
    prior : Mixture
    price : Array, shape ()
        Nats that the choice costs.
    knobs : Knobs
    target : Array of int, shape ()
        Which of `targets` was taken.
    """

    prior: Mixture
    price: jax.Array
    knobs: Knobs
    target: jax.Array


def first_knobs(n_features: int) -> Knobs:
    """Where the search starts: typical values on simulated mixtures, about 0.06 pseudo-rows a column and a surplus of 4."""
    return Knobs(jnp.log(0.06 * n_features), jnp.log(4.0))


def pooled(structure: Structure, stats: Stats, rows):
    """Pooled covariance within components, packed, with a small ridge; inner coordinates. ``rows`` (K,) as for `tune`."""
    n_features, total = stats.sums.shape[1], rows.sum()
    counts = jnp.where(stats.counts > 0, stats.counts, 1)
    between = structure.outer(stats.sums / jnp.sqrt(counts)[:, None]).sum(0)
    copies = structure.blocks(n_features).copies
    return (stats.scatter.sum(0) - between) / (total * copies) + RIDGE * structure.identity(n_features)


def targets(coordinates: Coordinates, within):
    """Prior means of the covariances (T, packed): as pooled, without correlations, and one variance for all columns.

    The last two speak of the user's columns and, the last one, of the user's units, as diagonal and spherical models do.
    """
    structure, factor = coordinates.structure, coordinates.factor
    if structure.rank == 0:
        return within[None]
    if structure.rank == 1:
        return jnp.stack([within, (factor**2 * within).mean() / factor**2])
    spread = jnp.diagonal(factor @ within @ factor.T)
    inward = solve_lower(factor, jnp.eye(len(factor), dtype=factor.dtype))
    return jnp.stack([within, (inward * spread) @ inward.T, inward @ inward.T * spread.mean()])


def target_prices(structure: Structure, n_features: int):
    """Parameters and information factor of each target, and the degrees of freedom that it adds: (T,) each."""
    d = n_features
    kinds = [(d * (d + 1) / 4, 1 / (d + 2), d), (d / 2, 1 / 3, 0), (0.5, d / 3, 0)]
    return tuple(jnp.array(column, float) for column in zip(*kinds[2 - structure.rank :], strict=True))


def _law(structure: Structure, tied: bool, n_features: int, knobs: Knobs, target) -> NormalWishart:
    kappa, surplus = jnp.exp(knobs.log_kappa), jnp.exp(knobs.log_surplus)
    scale = jnp.maximum(surplus - 1, 0.5) * target
    dof = structure.blocks(n_features).size + surplus
    return NormalWishart(jnp.zeros((1, n_features)), kappa[None], dof[None], scale[None], structure, tied)


def price(law: NormalWishart, kinds, n_alive, n_rows, surplus):
    """Nats paid for estimating the prior mean and the target from the data; ``kinds`` one column of `target_prices`."""
    d, kappa = law.n_features, law.mean_precision[0]
    share = n_rows / n_alive
    mean = d / 2 * jnp.log1p(n_alive * kappa * share / (kappa + share) / REFERENCE)
    size, factor, more = kinds
    nu = surplus + 1 + more
    rows, copies = (n_rows, 1) if law.tied else (share, n_alive)
    return mean + size * jnp.log1p(copies * factor * nu * rows / (nu + rows))


def tune(coordinates: Coordinates, tied: bool, stats: Stats, weights: Dirichlet, start: Knobs, step=0.8, rows=None) -> Tuned:
    """The prior that the statistics prefer.

    Parameters
    ----------
    coordinates : Coordinates
        Inner coordinates of the statistics.
    tied : bool
    stats : Stats
    weights : Dirichlet
        Prior of the weights; says which components exist.
    start : Knobs
    step : float
        First step of the search, on the log scale; with 0 only the target is chosen.
    rows : Array, shape (K,), optional
        Rows behind the covariances, where rows count more or less than once in ``stats``.
    """
    structure, d = coordinates.structure, stats.sums.shape[1]
    rows = stats.counts if rows is None else rows
    candidates = targets(coordinates, pooled(structure, stats, rows))
    kinds = target_prices(structure, d)
    n_alive, n_rows = weights.alive().sum(), rows.sum()

    def clipped(knobs: Knobs) -> Knobs:
        kappa = jnp.clip(knobs.log_kappa, jnp.log(LEAST_KAPPA), jnp.log(MOST_KAPPA * d))
        return Knobs(kappa, jnp.clip(knobs.log_surplus, jnp.log(LEAST_SURPLUS), jnp.log(MOST_SURPLUS)))

    def value(knobs: Knobs, target, kind):
        law = _law(structure, tied, d, knobs, target)
        return law.log_marginal(stats, rows) - price(law, kind, n_alive, n_rows, jnp.exp(knobs.log_surplus))

    def best(target, kind):
        return _climb(lambda knobs: value(knobs, target, kind), clipped, start, step)

    knobs, values = jax.vmap(best)(candidates, kinds)
    top = values.argmax()
    knobs, kind = jax.tree.map(lambda a: a[top], (knobs, kinds))
    law = _law(structure, tied, d, knobs, candidates[top])
    return Tuned(Mixture(weights, law), price(law, kind, n_alive, n_rows, jnp.exp(knobs.log_surplus)), knobs, top)


STAR = ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))


def _climb(value, clipped, start: Knobs, step) -> tuple[Knobs, jax.Array]:
    """Maximise over two knobs: a star of points and the top of the parabolas through the last star; the step adapts."""
    star = jnp.array(STAR)

    def refined(state):
        knobs, step, leap, _, n = state
        points = Knobs(*(jnp.append(a + step * arm, b) for a, arm, b in zip(knobs, star.T, leap, strict=True)))
        points = clipped(points)
        values = jax.vmap(value)(points)
        slope, bend = (values[1:5:2] - values[2:5:2]) / 2, values[1:5:2] + values[2:5:2] - 2 * values[0]
        move = jnp.where(bend < 0, jnp.clip(-slope / jnp.where(bend < 0, bend, 1), -2, 2), 2 * jnp.sign(slope)) * step
        top = values.argmax()
        narrow = (jnp.abs(move) < step).all() | (top == 0)
        leap = Knobs(knobs.log_kappa + move[0], knobs.log_surplus + move[1])
        return jax.tree.map(lambda a: a[top], points), jnp.where(narrow, step * 0.4, step), leap, values[top], n + 1

    first = start, jnp.asarray(step, float), start, value(clipped(start)), 0
    knobs, _, _, best, _ = jax.lax.while_loop(lambda s: (s[1] > FINE) & (s[4] < SEARCHES), refined, first)
    return knobs, best
