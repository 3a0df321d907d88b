"""The loop on large data, its passes divided among threads.

Each thread makes the pass over parts of the rows by itself, in chunks that stay in its core's cache; the same programs judge the sums and
make the next trial. XLA's own threads divide every single operation instead, which gains little.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import jax
import numpy as np

from bayesgmm.core.statistics import Natural, Stats
from bayesgmm.inference.compiling import jit, traced
from bayesgmm.inference.kernel import collect_under, row_width, shared_spread, soft
from bayesgmm.inference.loop import Limits, Outcome, Result, State, begin, finish, judged
from bayesgmm.inference.parallel import WORTH, crew, possible

PARTS = 8
"""Parts of the rows, however many cores there are, so that sums are rounded alike; at most as many threads."""


def pays(start, x) -> bool:
    """Whether threads make a fit of rows (N, D) faster, were there cores for them."""
    width = row_width(start.structure, start.tied, x.shape[1], start.n_components)
    return len(x) * width >= WORTH and len(x) % PARTS == 0 and not traced(start, x) and possible()


def run_in_threads(
    prior,
    start,
    x,
    weight,
    tol,
    limit,
    settle=np.inf,
    *,
    max_steps: int,
    assign: Callable = soft,
    chunk_size: int | None = None,
    depth: int = 0,
) -> Result:
    """`bayesgmm.inference.loop.run` of rows ``x`` (N, D) and ``weight`` (N,) in the memory of this process."""
    parts = list(zip(_parts(x), _parts(weight), strict=True))
    spreads = [_spread(start, *part, chunk_size=chunk_size) for part in parts]
    limits = Limits(float(np.asarray(weight).sum()), tol, limit, settle)
    dtype = str(x.dtype)

    with crew(PARTS) as each:

        def collected(trial) -> Stats:
            natural = _natural(trial)

            def one(part: int) -> Stats:
                found = _statistics(start.structure, natural, *parts[part], spreads[part], assign=assign, chunk_size=chunk_size)
                return jax.tree.map(np.asarray, found)

            return jax.tree.map(lambda *terms: reduce(np.add, terms), *each(one, range(PARTS)))

        state = _first(prior, start, collected(start), limits, max_steps=max_steps, depth=depth, dtype=dtype)
        while int(state.outcome) == Outcome.RUNNING:
            state = _next(prior, state, collected(state.trial), limits, depth=depth, dtype=dtype)
    return finish(state)


def _parts(values) -> list[jax.Array]:
    """Equal parts of an array, without a copy where it is large."""
    return [jax.device_put(part, may_alias=True) for part in np.split(np.asarray(values), PARTS)]


@jit
def _natural(trial) -> Natural:
    return trial.natural()


@jit(static_argnames=("structure", "assign", "chunk_size"), fast=True)
def _statistics(structure, natural: Natural, x, weight, spread, assign: Callable, chunk_size: int | None) -> Stats:
    return collect_under(structure, natural, x, weight, assign, chunk_size, spread=spread)


@jit(static_argnames=("chunk_size",))
def _spread(start, x, weight, chunk_size: int | None):
    return shared_spread(start, x, weight, chunk_size)


@jit(static_argnames=("max_steps", "depth", "dtype"))
def _first(prior, start, stats: Stats, limits: Limits, max_steps: int, depth: int, dtype: str) -> State:
    return judged(prior, begin(prior, start, stats, max_steps, depth), stats, limits, depth, np.dtype(dtype))


@jit(static_argnames=("depth", "dtype"))
def _next(prior, state: State, stats: Stats, limits: Limits, depth: int, dtype: str) -> State:
    return judged(prior, state, stats, limits, depth, np.dtype(dtype))
