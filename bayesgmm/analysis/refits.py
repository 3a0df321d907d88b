"""A fit again and again: on rows drawn anew, reweighted, left out, or simulated from the fit, many at once.

Each fit starts from that of the data, in one compiled program. Efron (1979), Annals of Statistics 7, for rows drawn anew; Newton & Raftery
(1994), JRSS B 56, for random weights; O'Hagan, Murphy, Scrucca & Gormley (2019), Computational Statistics 34, for mixtures.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.bootstrap import draw
from bayesgmm.core.frozen import Frozen
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import product_form
from bayesgmm.core.weights import PointWeights
from bayesgmm.inference.accelerate import DEPTH
from bayesgmm.inference.cells import CHUNK, usable
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.halves import in_halves
from bayesgmm.inference.loop import Result, run

TOLERANCE = 1e-10
"""Nats a row still to come at which a fit has converged."""

MOST_STEPS = 500
"""Passes of one fit."""

ENTRIES = 2**22
"""Numbers held for a batch of sets."""


class Refits(NamedTuple):
    """Estimates of several sets.

    Attributes
    ----------
    points : Mixture
        Of `PointWeights` (S, K), with noise (S, K + 1), and components with leading axis S; of laws where the prior is one.
    usable : ndarray of bool, shape (S,)
        False where a component collapsed onto a few rows, or the fit failed.
    """

    points: Mixture
    usable: np.ndarray


@jit
def _reweighted(prior: Mixture, start: Mixture, x, weights):
    return jax.vmap(lambda weight: _fitted(prior, start, x, weight))(weights)


@jit
def _simulated(prior: Mixture, start: Mixture, keys, weight, box):
    def one(key):
        return _fitted(prior, start, draw(key, start, len(weight), box), weight)

    return jax.vmap(one)(keys)


@jit
def _left_out(prior: Mixture, start: Mixture, x, weight, sets):
    return jax.vmap(lambda one: _fitted(prior, start, x, weight.at[one[0].astype(int)].add(-one[1])))(sets)


def _fitted(prior: Mixture, start: Mixture, x, weight):
    result = run(prior, start, x, weight, TOLERANCE, MOST_STEPS, max_steps=MOST_STEPS, depth=DEPTH, form=product_form, chunk_size=CHUNK)
    posterior = result.posterior
    fine = _fine(prior.components, result) & jnp.isfinite(result.lower_bound)
    if posterior.n_noise:
        posterior = Mixture(PointWeights(posterior.weights.mean()), posterior.components)
    return posterior, fine


def _fine(law, result: Result):
    """Whether no component collapsed, of those that were learnt."""
    posterior, stats = result.posterior, result.stats
    if isinstance(law, Frozen):
        posterior, stats, law = replace(posterior, components=law.others(posterior.components)), law.parts(stats)[1], law.law
    return usable(law, posterior, stats)


def _in_batches(function: Callable, sets, size: int, notify: Callable[[int], None]) -> Refits:
    """Apply a compiled function to a few sets at a time; the last, smaller batch is filled up."""
    parts = []
    for start in range(0, len(sets), size):
        some = sets[start : start + size]
        filled = jnp.concatenate([some, jnp.repeat(some[-1:], size - len(some), axis=0)]) if len(some) < size else some
        found = in_halves(function, filled)
        parts.append(jax.tree.map(operator.itemgetter(slice(len(some))), found))
        notify(min(start + size, len(sets)))
    points, fine = jax.tree.map(lambda *some: np.concatenate(some), *parts)
    return Refits(points, fine)


def _batch(n_rows: int, n_sets: int, k: int) -> int:
    return max(min(ENTRIES // (n_rows * max(k, 4)), n_sets, 64), 1)


def reweighted(prior: Mixture, point: Mixture, x, weights: np.ndarray, notify: Callable[[int], None]) -> Refits:
    """Fits of the same rows (N, D) with each of several weights (S, N)."""
    size = _batch(weights.shape[1], len(weights), point.n_components)
    return _in_batches(lambda some: _reweighted(prior, point, x, some), jnp.asarray(weights), size, notify)


def simulated(
    prior: Mixture, point: Mixture, weight, n_sets: int, seed: int, notify: Callable[[int], None], box: tuple | None = None
) -> Refits:
    """Fits of sets of rows drawn from the estimate, as many as there are weights (N,), which are all 1; ``box`` as for `bootstrap.draw`."""
    keys = jax.random.split(jax.random.key(seed), n_sets)
    size = _batch(len(weight), n_sets, point.n_components)
    return _in_batches(lambda some: _simulated(prior, point, some, weight, box), keys, size, notify)


def left_out(prior: Mixture, start: Mixture, x, weight, rows: np.ndarray, less: np.ndarray, notify: Callable[[int], None]) -> Refits:
    """Fits of rows (N, D), each with so much ``less`` (R,) weight of one of ``rows`` (R,); laws where the prior is one."""
    size, sets = _batch(len(weight), len(rows), start.n_components), jnp.asarray(np.column_stack([rows, less]), weight.dtype)
    return _in_batches(lambda some: _left_out(prior, start, x, weight, some), sets, size, notify)


def resampled_weights(weight: np.ndarray, n_sets: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of times (S, N) that each row is drawn, with replacement."""
    return rng.multinomial(round(float(weight.sum())), weight / weight.sum(), n_sets).astype(float)


def random_weights(weight: np.ndarray, n_sets: int, rng: np.random.Generator) -> np.ndarray:
    """Dirichlet weights (S, N) with the sum of those given; a row of weight 2 counts as two rows."""
    drawn = rng.gamma(np.maximum(weight, 1e-300), size=(n_sets, len(weight))) * (weight > 0)
    return drawn / drawn.sum(1, keepdims=True) * weight.sum()
