"""The loop on large data, its passes divided among threads.

Each thread makes the pass over parts of the rows by itself, in chunks that stay in its core's cache; the same programs judge the sums and
make the next trial. XLA's own threads divide every single operation instead, which gains little.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import jax
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.cache import cores
from bayesgmm.inference.compiling import elsewhere, jit, settings
from bayesgmm.inference.kernel import collect, row_width, shared_spread
from bayesgmm.inference.loop import Limits, Outcome, Result, State, begin, finish, judged

PARTS = 8
"""Parts of the rows, however many cores there are beyond one, so that sums are rounded alike; at most as many threads."""

WORTH = 2**22
"""Numbers held in a pass (rows x features, scores and responsibilities) from which threads gain more than they cost."""

WIDEST = 512
"""Numbers held for a row up to which a chunk stays in a core's cache; products of wider rows are large enough for XLA to divide well."""


def pays(start: Mixture, x) -> bool:
    """Whether threads make a fit of rows (N, D) faster."""
    width = row_width(start.structure, start.tied, x.shape[1], start.n_components)
    enough = width <= WIDEST and len(x) * width >= WORTH and len(x) % PARTS == 0 and cores() > 1
    return enough and jax.default_backend() == "cpu" and not elsewhere() and _same_settings()


def _same_settings() -> bool:
    """Whether another thread would find the settings of JAX, but for the width of numbers, as this one does."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(settings).result()[1:] == settings()[1:]


def run_in_threads(
    prior, start: Mixture, x, weight, tol, limit, settle=np.inf, *, max_steps: int, chunk_size: int | None = None, depth: int = 0
) -> Result:
    """`bayesgmm.inference.loop.run` for soft assignment; ``x`` (N, D) and ``weight`` (N,) lie in the memory of this process."""
    parts = list(zip(_parts(x), _parts(weight), strict=True))
    wide = bool(jax.config.read("jax_enable_x64"))

    def pass_over(trial: Mixture, part: int) -> Stats:
        with jax.enable_x64(wide):
            rows, weights = parts[part]
            return jax.tree.map(np.asarray, _statistics(trial, rows, weights, spreads[part], chunk_size=chunk_size))

    spreads = [_spread(start, *part, chunk_size=chunk_size) for part in parts]
    limits = Limits(float(np.asarray(weight).sum()), tol, limit, settle)
    with ThreadPoolExecutor(min(cores(), PARTS)) as pool:
        state: State | None = None
        while state is None or int(state.outcome) == Outcome.RUNNING:
            trial = start if state is None else state.trial
            found = list(pool.map(lambda part, trial=trial: pass_over(trial, part), range(PARTS)))
            stats = jax.tree.map(lambda *terms: reduce(np.add, terms), *found)
            state = (
                _first(prior, start, stats, limits, max_steps=max_steps, depth=depth, dtype=str(x.dtype))
                if state is None
                else _next(prior, state, stats, limits, depth=depth, dtype=str(x.dtype))
            )
    return finish(state)


def _parts(values) -> list[jax.Array]:
    """Equal parts of an array, without a copy where it is large."""
    return [jax.device_put(part, may_alias=True) for part in np.split(np.asarray(values), PARTS)]


@jit(static_argnames=("chunk_size",), fast=True)
def _statistics(trial: Mixture, x, weight, spread, chunk_size: int | None) -> Stats:
    return collect(trial, x, weight, chunk_size=chunk_size, spread=spread)


@jit(static_argnames=("chunk_size",))
def _spread(start: Mixture, x, weight, chunk_size: int | None):
    return shared_spread(start, x, weight, chunk_size)


@jit(static_argnames=("max_steps", "depth", "dtype"))
def _first(prior, start: Mixture, stats: Stats, limits: Limits, max_steps: int, depth: int, dtype: str) -> State:
    return judged(prior, begin(prior, start, stats, max_steps, depth), stats, limits, depth, np.dtype(dtype))


@jit(static_argnames=("depth", "dtype"))
def _next(prior, state: State, stats: Stats, limits: Limits, depth: int, dtype: str) -> State:
    return judged(prior, state, stats, limits, depth, np.dtype(dtype))
