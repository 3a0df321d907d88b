"""Fewer components: empty ones leave, others are deleted or merged whenever the exact bound of the smaller model is higher.

Each candidate is the model without one component (its prior included), so bounds are compared between models as they are; arrays
keep their shape, and one compiled program serves all of them. After Hughes, Kim & Sudderth (2015, AISTATS) for deletes and
Ueda, Nakano, Ghahramani & Hinton (2000, Neural Computation 12) for merges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.problem import Problem
from bayesgmm.inference.restarts import Fit, Settings, advance, proceed

EMPTY = 1e-6
"""Expected rows below which a component holds no data."""

GAIN = 1e-6
"""Nats by which a smaller model's bound must be higher."""

TRIES = 6
"""Deletes, and merges, tried in vain before giving up; the likeliest are tried first."""

PROBE = 10
TRIAL = 100


def alive(fit: Fit) -> np.ndarray:
    """Indices of the components that exist in the fit's model; noise always does, and is not among them."""
    present = np.asarray(fit.prior.weights.alive())
    return np.flatnonzero(present[: len(present) - fit.prior.n_noise])


def removable(fit: Fit) -> np.ndarray:
    """Those that may leave: components that are known stay, whatever they hold."""
    kept = alive(fit)
    return kept[kept >= fit.prior.n_known]


def merged_stats(stats: Stats, a, b) -> Stats:
    """Statistics after component ``b`` gave all its rows to ``a``."""

    def move(values):
        return values.at[a].add(values[b]).at[b].set(0)

    shared = stats.scatter.shape[0] == 1
    moved = jax.tree.map(move, stats._replace(log_norm=None, scatter=None if shared else stats.scatter))
    return moved._replace(log_norm=stats.log_norm, scatter=stats.scatter if shared else moved.scatter)


@jit(brief=True)
def merge_gains(prior: Mixture, stats: Stats, pairs):
    """Upper bound (P,) on what a hard merge of each pair gains, from statistics alone (METHODS: merge gap without its entropy)."""
    now = prior.log_marginal(stats)
    return jax.lax.map(lambda pair: prior.without(pair[1]).log_marginal(merged_stats(stats, pair[0], pair[1])) - now, pairs)


@jit(brief=True)
def merged_start(prior: Mixture, stats: Stats, a, b) -> tuple[Mixture, Mixture]:
    """The model without component ``b``, and a start in which ``a`` has its rows."""
    smaller = prior.without(b)
    return smaller, smaller.posterior(merged_stats(stats, a, b))


@jit(brief=True)
def without(prior: Mixture, posterior: Mixture, k) -> tuple[Mixture, Mixture]:
    """Model and posterior without component ``k``."""
    return prior.without(k), posterior.without(k)


@jit(brief=True)
def _taken(prior: Mixture, posterior: Mixture, stats: Stats, index) -> tuple[Mixture, Mixture, Stats]:
    tails, scatter = None if stats.tails is None else stats.tails[index], stats.scatter
    scatter = scatter if scatter.shape[0] == 1 else scatter[index]
    small = Stats(stats.log_norm, stats.counts[index], stats.sums[index], scatter, tails)
    return prior.take(index), posterior.take(index), small


def drop_empty(fit: Fit, problem: Problem, settings: Settings) -> Fit:
    """Remove all components that hold no data at once."""
    counts = np.asarray(fit.result.stats.counts)
    empty = [k for k in removable(fit) if counts[k] < EMPTY]
    if not empty or len(empty) == len(alive(fit)):
        return fit
    prior, posterior = fit.prior, fit.result.posterior
    for k in empty:
        prior, posterior = without(prior, posterior, k)
    limit = max(settings.max_steps - fit.n_steps, 1)
    return advance(prior, posterior, problem, settings, limit, fit.history)


def merges(fit: Fit, least: float = -np.inf) -> Iterator[tuple[Mixture, Mixture]]:
    """Smaller models with two components made one, the best first; those that gain no more than ``least`` at best are left out."""
    kept = alive(fit)
    pairs = np.array([(a, b) for i, a in enumerate(kept) for b in kept[i + 1 :] if b >= fit.prior.n_known])
    if not len(pairs):
        return
    width = fit.prior.n_components * (fit.prior.n_components - 1) // 2
    padded = np.concatenate([pairs, np.repeat(pairs[:1], width - len(pairs), 0)])
    gains = np.asarray(merge_gains(fit.prior, fit.result.stats, jnp.asarray(padded)))[: len(pairs)]
    order = np.argsort(-gains)
    for a, b in pairs[order[gains[order] > least]]:
        yield merged_start(fit.prior, fit.result.stats, a, b)


def _deletes(fit: Fit) -> Iterator[tuple[Mixture, Mixture]]:
    """Smaller models without one component, the lightest first."""
    kept = removable(fit)
    if len(alive(fit)) > 1:
        counts = np.asarray(fit.result.stats.counts)
        for k in kept[np.argsort(counts[kept])]:
            yield without(fit.prior, fit.result.posterior, k)


def _accepted(prior, start, fit: Fit, problem: Problem, settings: Settings) -> Fit | None:
    """The trial, if its bound beats the present one; hopeless trials stop after a few steps."""
    trial = advance(prior, start, problem, settings, PROBE)
    gains = np.diff(trial.history[-4:])
    if len(gains) == 3 and trial.bound + 20 * max(gains.max(), 0) < fit.bound:
        return None
    trial = proceed(trial, problem, settings, TRIAL)
    return trial if trial.bound > fit.bound + GAIN else None


def _improved(fit: Fit, candidates, problem: Problem, settings: Settings) -> Fit | None:
    for _, (prior, start) in zip(range(TRIES), candidates, strict=False):
        better = _accepted(prior, start, fit, problem, settings)
        if better is not None:
            better.history = np.concatenate([fit.history, better.history])
            better.start_bounds = fit.start_bounds
            return better
    return None


def simplify(fit: Fit, problem: Problem, settings: Settings, notify: Callable[[str], None] = lambda text: None) -> Fit:
    """Merge and delete components as long as the exact bound rises, then converge."""
    bounds = fit.start_bounds
    while True:
        fit = drop_empty(fit, problem, settings)
        notify(f"{len(alive(fit))} components, trying fewer")
        better = _improved(fit, merges(fit), problem, settings) or _improved(fit, _deletes(fit), problem, settings)
        if better is None:
            break
        fit = better
    fit = proceed(fit, problem, settings, settings.max_steps)
    fit.start_bounds = bounds
    return fit


def order(fit: Fit, first: int = 0) -> np.ndarray:
    """Components that exist: those of the ``first`` places, which labels of rows name, and known ones as they are; others by decreasing
    weight; noise.
    """
    counts, kept, first = np.asarray(fit.result.stats.counts), alive(fit), max(first, fit.prior.n_known)
    named, others = kept[kept < first], kept[kept >= first]
    noise = np.arange(len(counts) - fit.prior.n_noise, len(counts))
    return np.concatenate([named, others[np.argsort(-counts[others], kind="stable")], noise])


def compact(fit: Fit, first: int = 0) -> Fit:
    """The same fit with only the components that exist, in `order`."""
    index = order(fit, first)
    prior, posterior, stats = _taken(fit.prior, fit.result.posterior, fit.result.stats, index)
    return dataclasses.replace(fit, prior=prior, result=replace(fit.result, posterior=posterior, stats=stats))
