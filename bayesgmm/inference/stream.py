"""Rows that come in batches, as often as they are asked for: what a fit needs to know of them, and its passes over them.

Whoever has the rows goes through them: an ``over`` is told what to do with each batch, in threads, processes or on other machines, and how
to put two answers together, and does that in the order of the rows. So do a first reading, the drawing of a sample, and every pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Natural, Stats
from bayesgmm.core.structures import Structure
from bayesgmm.inference.by_row import even, last_repeated
from bayesgmm.inference.kernel import soft
from bayesgmm.inference.parallel import crew, possible
from bayesgmm.inference.problem import Inward, Layout, lay_out, products, summed
from bayesgmm.inference.steps import added, natural, spread, statistics

Batch = tuple[np.ndarray, np.ndarray]
"""Rows (M, D) and their weights (M,)."""

Place = tuple[int, int]
"""Number of the part of the rows that a batch is from, and of the batch in it."""

Work = Callable[[Place, Batch], Any]
Together = Callable[[Any, Any], Any]
Over = Callable[[Work, Together], Any]
"""Goes through all rows: what is done with each batch, and how two answers become one."""

NUMBERS = 2**18
"""About how many numbers a batch holds: measured. What is read stays in cache until it is worked on."""

FEWEST = 1024
"""Rows of a batch at least, however wide they are."""


CHANGED = "The rows changed while they were read; a fit needs them to stay as they are."


def batch_rows(n_features: int) -> int:
    """Rows a batch; a power of two."""
    return max(FEWEST, 2 ** int(np.log2(NUMBERS / n_features)))


def regrouped(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """The same rows in batches of ``size``, of which the last may be smaller: answers do not depend on how a source divides its rows."""
    parts: list[Batch] = []
    missing = size
    for rows, weight in batches:
        while len(rows):
            parts.append((rows[:missing], weight[:missing]))
            rows, weight = rows[missing:], weight[missing:]
            missing -= len(parts[-1][0])
            if not missing:
                yield joined(parts)
                parts, missing = [], size
    if parts:
        yield joined(parts)


def joined(parts: list[Batch]) -> Batch:
    """One batch of several."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([weight for _, weight in parts])


@contextlib.contextmanager
def workers() -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """A function like ``map``, in threads where they may do the work."""
    if not possible():
        yield map
        return
    with crew(each_core=2) as each:
        yield each


class Survey(NamedTuple):
    """What one reading tells of rows.

    Attributes
    ----------
    sizes : dict
        Rows, and their total weight, of each batch by its place.
    total : float
        Sum of the weights.
    mean : ndarray, shape (D,)
    scatter : ndarray, shape (D, D)
        Weighted sum of the outer products of differences to the mean.
    low, high : ndarray, shape (D,)
        Range of the rows of positive weight.
    """

    sizes: dict[Place, tuple[int, float]]
    total: float
    mean: np.ndarray
    scatter: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def n_rows(self) -> int:
        return sum(n for n, _ in self.sizes.values())

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations (D,) of the columns."""
        return np.sqrt(np.diagonal(self.scatter) / self.total)

    def lay_out(self, structure: Structure) -> Layout:
        """Inner coordinates for a structure, as of rows in memory."""
        scale = self.scale
        return lay_out(structure, self.mean, scale, self.scatter / self.total / np.outer(scale, scale) if structure.rank == 2 else None)

    def before(self) -> dict[Place, tuple[int, float]]:
        """Rows, and their weight, that come before each batch."""
        found, n, total = {}, 0, 0.0
        for place in sorted(self.sizes):
            found[place] = n, total
            n, total = n + self.sizes[place][0], total + self.sizes[place][1]
        return found


def filled(batch: Batch) -> Batch:
    """As many rows as the next power of two, those added of weight 0, so that few shapes compile."""
    rows, weight = batch
    n = max(FEWEST, even(len(rows)))
    return batch if n == len(rows) else (last_repeated(rows, n), np.pad(weight, (0, n - len(rows))))


def _survey(place: Place, batch: Batch) -> Survey:
    rows, weight = batch
    used, kept = counted(batch)
    d, total, size = rows.shape[1], float(kept.sum()), {place: (len(rows), float(weight.sum()))}
    if not len(used):
        return Survey(size, 0.0, np.zeros(d), np.zeros((d, d)), np.full(d, np.inf), np.full(d, -np.inf))
    mean = summed(kept, used) / total
    mean = mean + summed(kept, used - mean) / total
    rest = used - mean
    return Survey(size, total, mean, products(kept, rest, rest), used.min(0), used.max(0))


def _together(one: Survey, other: Survey) -> Survey:
    """Moments of two sets of rows from those of each (Chan, Golub & LeVeque 1983, The American Statistician 37, eq. 2.1)."""
    sizes, total = one.sizes | other.sizes, one.total + other.total
    if not one.total or not other.total:
        return (one if one.total else other)._replace(sizes=sizes)
    apart = other.mean - one.mean
    mean = one.mean + apart * (other.total / total)
    scatter = one.scatter + other.scatter + np.outer(apart, apart) * (one.total * other.total / total)
    return Survey(sizes, total, mean, scatter, np.minimum(one.low, other.low), np.maximum(one.high, other.high))


def survey(over: Over) -> Survey:
    """Read all rows once, for their moments."""
    return over(_survey, _together)


def counted(batch: Batch) -> Batch:
    """Rows of positive weight."""
    rows, weight = batch
    return batch if (weight > 0).all() else (rows[weight > 0], weight[weight > 0])


@dataclasses.dataclass(frozen=True)
class _Draw:
    """Rows of a batch at given sums of weights: the first whose weight, added to all before it, is above each."""

    shares: np.ndarray
    before: dict[Place, tuple[int, float]]
    sizes: dict[Place, tuple[int, float]]

    def __call__(self, place: Place, batch: Batch) -> list[Batch]:
        rows, weight = counted(batch)
        if not len(rows) or not len(self.shares):
            return [(rows, weight)] if not len(self.shares) else []
        if place not in self.sizes or self.sizes[place][0] != len(batch[0]):
            raise ValueError(CHANGED)
        low, high = self.before[place][1], self.before[place][1] + self.sizes[place][1]
        mine = self.shares[(self.shares >= low) & (self.shares < high)] - low
        places = np.minimum(np.searchsorted(np.cumsum(weight), mine, side="right"), len(rows) - 1)
        return [(rows[places], np.ones(len(places)))]


def draw(over: Over, known: Survey, n: int, generator: np.random.Generator) -> Batch:
    """About ``n`` rows, drawn in proportion to their weights and of equal weight, at most 1; or all of them, where they are no more.

    One row is drawn from each of as many equal shares of the total weight, in the order of the rows.
    """
    if known.n_rows <= n:
        return joined(over(_Draw(np.empty(0), {}, {}), list.__add__))
    shares = (np.arange(n) + generator.random(n)) / n * known.total
    rows, weight = joined(over(_Draw(shares, known.before(), known.sizes), list.__add__))
    if not np.isfinite(rows).all():
        raise ValueError(CHANGED)
    return rows, weight * min(known.total / n, 1.0)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics of a batch under a trial, and how many rows it has; of a tied model with ``spread`` None its scatter too."""

    trial: Mixture
    known: Natural
    spread: np.ndarray | None
    inward: Inward
    dtype: str
    assign: Callable
    chunk_size: int | None

    def __call__(self, place: Place, batch: Batch) -> tuple[Stats, int]:
        x, weight = (jax.device_put(a, may_alias=True) for a in filled(batch))
        unknown = self.trial.tied and self.spread is None
        shared = spread(self.trial, x, weight, self.inward, chunk_size=self.chunk_size) if unknown else self.spread
        options = {"dtype": self.dtype, "assign": self.assign, "chunk_size": self.chunk_size}
        return statistics(self.trial.structure, self.known, x, weight, shared, self.inward, **options), len(batch[0])


def _added(one: tuple[Stats, int], other: tuple[Stats, int]) -> tuple[Stats, int]:
    return added(one[0], other[0]), one[1] + other[1]


class Passes:
    """A way to collect statistics: passes over rows in the user's units, wherever they are.

    Parameters
    ----------
    over : callable
    inward : Inward
        Takes rows (M, D) into inner coordinates.
    n_rows : int
        How many there must be.
    dtype : str
        Of the rows while they are worked on.
    assign : callable
        ``soft`` or ``hard``.
    chunk_size : int, optional
    """

    def __init__(
        self,
        over: Over,
        inward: Inward,
        n_rows: int,
        dtype: str = "float64",
        assign: Callable = soft,
        chunk_size: int | None = None,
    ):
        self.over, self.n_rows, self.dtype = over, n_rows, dtype
        self._spread: np.ndarray | None = None
        self._given = (inward, dtype, assign, chunk_size)

    def __call__(self, trial) -> Stats:
        """Statistics of all rows under ``trial``."""
        trial, known = jax.tree.map(np.asarray, (trial, natural(trial)))
        stats, n = self.over(Statistics(trial, known, self._spread, *self._given), _added)
        if n != self.n_rows:
            raise ValueError(f"{CHANGED} There were {self.n_rows} of them, then {n}.")
        if trial.tied and self._spread is None:
            self._spread = np.asarray(stats.scatter)
        return stats._replace(scatter=self._spread) if trial.tied else stats
