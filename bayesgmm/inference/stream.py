"""Rows that come in batches, as often as they are asked for: what a fit needs to know of them, and its passes over them.

A pass reads batch after batch while threads work on those before; it holds a few batches at a time. Batches are divided anew into equal
ones, and statistics added in the order of the rows, so that answers do not depend on how a source divides its rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import Structure
from bayesgmm.inference.kernel import soft
from bayesgmm.inference.loop import Limits, Result, finish
from bayesgmm.inference.parallel import crew, possible
from bayesgmm.inference.problem import Layout, held_rows, lay_out
from bayesgmm.inference.steps import added, drive, first, natural, spread, statistics

Batch = tuple[np.ndarray, np.ndarray]
"""Rows (M, D) and their weights (M,)."""

NUMBERS = 2**20
"""About how many numbers a batch holds."""

FEWEST = 1024
"""Rows of a batch at least, however wide they are."""


def batch_rows(n_features: int) -> int:
    """Rows a batch; a power of two."""
    return max(FEWEST, 2 ** int(np.log2(NUMBERS / n_features)))


def regrouped(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """The same rows in batches of ``size``, of which the last may be smaller."""
    parts: list[Batch] = []
    missing = size
    for rows, weight in batches:
        while len(rows):
            parts.append((rows[:missing], weight[:missing]))
            rows, weight = rows[missing:], weight[missing:]
            missing -= len(parts[-1][0])
            if not missing:
                yield _joined(parts)
                parts, missing = [], size
    if parts:
        yield _joined(parts)


def _joined(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([weight for _, weight in parts])


class Survey(NamedTuple):
    """What one reading tells of rows.

    Attributes
    ----------
    n_rows : int
    total : float
        Sum of the weights.
    mean : ndarray, shape (D,)
    scatter : ndarray, shape (D, D)
        Weighted sum of the outer products of differences to the mean.
    low, high : ndarray, shape (D,)
        Range of the rows of positive weight.
    """

    n_rows: int
    total: float
    mean: np.ndarray
    scatter: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations (D,) of the columns."""
        return np.sqrt(np.diagonal(self.scatter) / self.total)

    def lay_out(self, structure: Structure) -> Layout:
        """Inner coordinates for a structure, as of rows in memory."""
        scale = self.scale
        return lay_out(structure, self.mean, scale, self.scatter / self.total / np.outer(scale, scale) if structure.rank == 2 else None)


def _survey(batch: Batch) -> Survey:
    rows, weight = batch
    used, kept = (rows, weight) if (weight > 0).all() else (rows[weight > 0], weight[weight > 0])
    d, total = rows.shape[1], float(kept.sum())
    if not len(used):
        return Survey(len(rows), 0.0, np.zeros(d), np.zeros((d, d)), np.full(d, np.inf), np.full(d, -np.inf))
    mean = kept @ used / total
    mean = mean + kept @ (used - mean) / total
    rest = used - mean
    return Survey(len(rows), total, mean, (rest * kept[:, None]).T @ rest, used.min(0), used.max(0))


def _together(one: Survey, other: Survey) -> Survey:
    """Moments of two sets of rows from those of each (Chan, Golub & LeVeque 1983, The American Statistician 37, eq. 2.1)."""
    n_rows, total = one.n_rows + other.n_rows, one.total + other.total
    low, high = np.minimum(one.low, other.low), np.maximum(one.high, other.high)
    if not one.total or not other.total:
        return (one if one.total else other)._replace(n_rows=n_rows)
    apart = other.mean - one.mean
    mean = one.mean + apart * (other.total / total)
    scatter = one.scatter + other.scatter + np.outer(apart, apart) * (one.total * other.total / total)
    return Survey(n_rows, total, mean, scatter, low, high)


def survey(batches: Iterable[Batch], n_features: int) -> Survey:
    """Read all rows once, for their moments."""
    with _workers() as each:
        return reduce(_together, each(_survey, regrouped(batches, batch_rows(n_features))))


@contextlib.contextmanager
def _workers() -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """A function like ``map``, in threads where they may do the work."""
    if not possible():
        yield map
        return
    with crew() as each:
        yield each


def draw(batches: Iterable[Batch], known: Survey, n: int, generator: np.random.Generator) -> Batch:
    """About ``n`` rows, drawn in proportion to their weights and of equal weight, at most 1; or all of them, where they are no more.

    One row is drawn from each of as many equal shares of the total weight, in the order of the rows.
    """
    batches = ((rows[weight > 0], weight[weight > 0]) for rows, weight in batches)
    if known.n_rows <= n:
        return _joined(list(batches))
    shares = (np.arange(n) + generator.random(n)) / n * known.total
    found, passed, taken = [], 0.0, 0
    for rows, weight in (batch for batch in batches if len(batch[0])):
        steps = passed + np.cumsum(weight)
        until = len(shares) if steps[-1] >= known.total else int(np.searchsorted(shares, steps[-1], side="left"))
        places = np.minimum(np.searchsorted(steps, shares[taken:until], side="right"), len(rows) - 1)
        found.append(rows[places])
        passed, taken = float(steps[-1]), max(until, taken)
    sample = np.concatenate(found)
    return sample, np.full(len(sample), min(known.total / n, 1.0))


class Passes:
    """A way to collect statistics: a pass over batches of rows in the user's units.

    Parameters
    ----------
    read : callable
        Answers the batches anew each time.
    change : callable
        Takes rows (M, D) into inner coordinates.
    n_features, n_rows : int
        How many columns and rows there must be.
    dtype : str
        Of the rows while they are worked on.
    assign : callable
        ``soft`` or ``hard``.
    chunk_size : int, optional
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Batch]],
        change: Callable[[np.ndarray], np.ndarray],
        n_features: int,
        n_rows: int,
        dtype: str = "float64",
        assign: Callable = soft,
        chunk_size: int | None = None,
    ):
        self.read, self.change, self.n_rows, self.dtype = read, change, n_rows, dtype
        self.size = batch_rows(n_features)
        self.options = {"assign": assign, "chunk_size": chunk_size}
        self._spread: np.ndarray | None = None

    def __call__(self, trial) -> Stats:
        """Statistics of all rows under ``trial``."""
        known, fresh = natural(trial), trial.tied and self._spread is None

        def one(batch: Batch) -> tuple[Stats, int]:
            x, weight = self.inward(batch)
            shared = spread(trial, x, weight, chunk_size=self.options["chunk_size"]) if fresh else self._spread
            return statistics(trial.structure, known, x, weight, shared, **self.options), len(batch[0])

        with _workers() as each:
            both = each(one, regrouped(self.read(), self.size))
            stats, n = reduce(lambda a, b: (added(a[0], b[0]), a[1] + b[1]), both)
        if n != self.n_rows:
            raise ValueError(f"The rows changed while they were read: there were {self.n_rows} of them, then {n}.")
        if fresh:
            self._spread = np.asarray(stats.scatter)
        return stats if not trial.tied else stats._replace(scatter=self._spread)

    def inward(self, batch: Batch):
        """A batch in inner coordinates, made as large as all others by rows of weight 0."""
        rows, weight = batch
        return held_rows(rows, weight, self.change, self.dtype, self.size)


def run_over(passes: Passes, prior, start, limits: Limits, max_steps: int, depth: int = 0) -> Result:
    """`bayesgmm.inference.loop.run` by such passes."""
    state = first(prior, start, passes(start), limits, max_steps=max_steps, depth=depth, dtype=passes.dtype)
    return finish(drive(prior, state, passes, limits, depth, passes.dtype))
