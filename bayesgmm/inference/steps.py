"""The loop, driven a pass at a time from here: for rows that threads, files or machines hold parts of.

Whoever holds a part makes the pass over it (`statistics`), parts are added up, and the same programs as in `bayesgmm.inference.loop`
judge the sums and make the next trial.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from bayesgmm.core.statistics import Natural, Stats
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect_under, shared_spread
from bayesgmm.inference.loop import Limits, Outcome, Result, State, begin, finish, judged


def statistics(structure, known: Natural, x, weight, shared, inward=None, dtype=None, *, assign: Callable, chunk_size: int | None) -> Stats:
    """Statistics of a part of the rows, as numpy arrays, given the `natural` parameters and, of a tied model, the part's `spread`.

    Rows in the user's units are taken ``inward`` chunk by chunk, to be of type ``dtype`` there.
    """
    found = _statistics(structure, known, x, weight, shared, inward, dtype=dtype, assign=assign, chunk_size=chunk_size)
    return jax.tree.map(np.asarray, found)


def added(one: Stats, other: Stats) -> Stats:
    """Statistics of two parts together."""
    return jax.tree.map(np.add, one, other)


def drive(
    prior, state: State, collected: Callable, limits: Limits, depth: int, dtype: str, after: Callable[[State], None] = lambda state: None
) -> State:
    """Passes until the loop stops; ``collected`` answers the statistics of all rows under a trial, ``after`` is told every new state."""
    while int(state.outcome) == Outcome.RUNNING:
        state = following(prior, state, collected(state.trial), limits, depth=depth, dtype=dtype)
        after(state)
    return state


def run_by(collected: Callable, prior, start, limits: Limits, *, max_steps: int, depth: int, dtype: str) -> Result:
    """`bayesgmm.inference.loop.run`, given what answers the statistics of all rows under a trial."""
    state = first(prior, start, collected(start), limits, max_steps=max_steps, depth=depth, dtype=dtype)
    return finish(drive(prior, state, collected, limits, depth, dtype))


@jit
def natural(trial) -> Natural:
    """What scores of rows are made of."""
    return trial.natural()


@jit(static_argnames=("structure", "dtype", "assign", "chunk_size"), fast=True)
def _statistics(structure, natural: Natural, x, weight, spread, inward, dtype, assign: Callable, chunk_size: int | None) -> Stats:
    change = None if inward is None else lambda rows: inward(rows).astype(dtype)
    return collect_under(structure, natural, x, weight, assign, chunk_size, spread=spread, change=change)


@jit(static_argnames=("chunk_size",))
def spread(start, x, weight, inward=None, chunk_size: int | None = None):
    """Of a tied model, the scatter of a part of the rows, which no responsibilities change; None otherwise."""
    return shared_spread(start, x if inward is None else inward(x), weight, chunk_size)


@jit(static_argnames=("max_steps", "depth", "dtype"))
def first(prior, start, stats: Stats, limits: Limits, max_steps: int, depth: int, dtype: str) -> State:
    """State after the first pass, which was that of ``start``."""
    return judged(prior, begin(prior, start, stats, max_steps, depth), stats, limits, depth, np.dtype(dtype))


@jit(static_argnames=("depth", "dtype"))
def following(prior, state: State, stats: Stats, limits: Limits, depth: int, dtype: str) -> State:
    """State after a pass that gave the statistics of its trial."""
    return judged(prior, state, stats, limits, depth, np.dtype(dtype))
