"""Rows as the user knows them, in blocks of one pattern each for `bayesgmm.inference.partial`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.pytree import pytree
from bayesgmm.inference.partial import Partial

LARGEST = 256
"""Rows of a block at most."""

FACTOR = 0.5
"""What the factorization of a block costs, in multiplications by D^3; a row of it costs D^2."""


class Known(NamedTuple):
    """What is known of rows, in the user's units.

    Attributes
    ----------
    values : ndarray, shape (N, D)
        NaN where a number is missing.
    error : ndarray, shape (D, D) or (N, D, D), or None
        Covariance of the errors of the numbers, of all rows or of each.
    allowed : ndarray of bool, shape (N, C + 1), or None
        Which of the first C components each row may belong to, and whether to any other.
    group : ndarray of int, shape (N,), or None
        Rows of the same number of at least 0 belong to the same component.
    weight : ndarray, shape (N,), or None
    """

    values: np.ndarray
    error: np.ndarray | None = None
    allowed: np.ndarray | None = None
    group: np.ndarray | None = None
    weight: np.ndarray | None = None

    @property
    def n_named(self) -> int:
        """Components that labels of rows may name."""
        return 0 if self.allowed is None else self.allowed.shape[1] - 1

    @property
    def exact(self) -> np.ndarray:
        """Numbers (N, D) that are known without error, NaN in place of others."""
        return self.values if self.error is None else np.full_like(self.values, np.nan)

    @property
    def limits(self) -> bool:
        """Whether something is known of labels."""
        return self.allowed is not None or self.group is not None

    def take(self, index: Any) -> Known:
        """Some of the rows."""
        error = self.error if self.error is None or self.error.ndim == 2 else self.error[index]
        others = (None if a is None else a[index] for a in (self.allowed, self.group, self.weight))
        return Known(self.values[index], error, *others)

    def placed(self, places: np.ndarray | None) -> Known:
        """The same, where component k of a fit is the one of number ``places[k]`` here."""
        if self.allowed is None or places is None:
            return self
        return self._replace(allowed=self.allowed[:, np.append(np.minimum(places, self.n_named), self.n_named)])

    def without_labels(self, rows: np.ndarray) -> Known:
        """The same, but for what is known of the labels of some rows (N,)."""
        allowed = None if self.allowed is None else self.allowed | rows[:, None]
        return self._replace(allowed=allowed, group=None if self.group is None else np.where(rows, -1, self.group))


@pytree
class Arranged:
    """Rows in blocks, their weights (N',), and the place (N,) among these of each row."""

    rows: Partial
    weight: Any
    place: Any

    def __len__(self) -> int:
        return len(self.place)

    def scores(self, structure, natural):
        """Scores (K, N) of the rows in their order, in the user's units."""
        return self.rows.scores(structure, natural, self.weight)[:, self.place]

    def leaders(self) -> np.ndarray:
        """The place (N,) of the first row of each row's group, or its own."""
        return np.asarray(self.rows.group).reshape(-1)[self.place] % len(self.weight)

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """Weights (..., N) of the rows in their order as those (..., N') of the blocks."""
        found = np.zeros((*weights.shape[:-1], len(self.weight)))
        found[..., self.place] = weights
        return found


def for_passes(x: Any, weight: Any) -> tuple[Any, Any]:
    """What passes are made over: rows and weights as they are, or those of such as are `Arranged`."""
    return (x.rows, x.weight) if isinstance(x, Arranged) else (x, weight)


def scales(coordinates: Coordinates) -> tuple[np.ndarray, np.ndarray | None]:
    """Spread (D,) of each column that coordinates stand for, and the matrix that takes them to columns of unit spread, if any."""
    factor, d = np.asarray(coordinates.factor), len(coordinates.shift)
    if coordinates.structure.rank < 2:
        return np.broadcast_to(factor, (d,)), None
    scale = np.sqrt((factor**2).sum(1))
    return scale, factor / scale[:, None]


def arrange(known: Known, coordinates: Coordinates, dtype: str = "float64") -> Arranged:
    """Sort rows by pattern and divide them into blocks."""
    scale, turn = scales(coordinates)
    seen = ~np.isnan(known.values)
    pattern, of_row = _patterns(seen, known.error)
    size, place, n_blocks = _divided(np.bincount(of_row), of_row, known.values.shape[1])
    n_blocks += -n_blocks % (1 << max(n_blocks.bit_length() - 4, 0))  # so that few shapes compile
    standard = np.where(seen, (np.nan_to_num(known.values) - np.asarray(coordinates.shift)) / scale, 0)

    def blocks(values: np.ndarray, filler: Any, kind: Any) -> np.ndarray:
        found = np.full((n_blocks * size, *values.shape[1:]), filler, kind)
        found[place] = values
        return found.reshape(n_blocks, size, *values.shape[1:])

    def by_block(values: np.ndarray, filler: Any, kind: Any) -> np.ndarray:
        found = np.full((n_blocks, *values.shape[1:]), filler, kind)
        found[place // size] = values[of_row]
        return found

    log_scale = np.where(seen[pattern], np.log(scale), 0).sum(1)
    rows = Partial(
        x=blocks(standard, 0, dtype),
        seen=by_block(seen[pattern], True, bool),
        log_scale=by_block(log_scale, 0, dtype),
        error=None if known.error is None else by_block(_errors(known.error, pattern, scale), 0, dtype),
        allowed=None if known.allowed is None else blocks(known.allowed, True, bool),
        group=None if known.group is None else _groups(known.group, place, n_blocks * size).reshape(n_blocks, size),
        turn=turn,
    )
    weights = np.zeros(n_blocks * size, dtype)
    weights[place] = 1 if known.weight is None else known.weight
    return Arranged(rows, weights, place)


def _patterns(seen: np.ndarray, error: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """A row (P,) of each pattern, and the pattern (N,) of each row."""
    key = seen.astype(np.float64)
    if error is not None and error.ndim == 3:
        key = np.concatenate([key, error.reshape(len(seen), -1)], 1)
    return np.unique(key, axis=0, return_index=True, return_inverse=True)[1:]


def _divided(sizes: np.ndarray, of_row: np.ndarray, d: int) -> tuple[int, np.ndarray, int]:
    """Rows a block, so that factorizations and rows that fill blocks up cost least; the place (N,) of each row; and blocks."""
    tried = 2 ** np.arange(LARGEST.bit_length())
    n_blocks = -(-sizes[:, None] // tried)
    size = int(tried[(n_blocks.sum(0) * (FACTOR * d + tried)).argmin()])
    needed = -(-sizes // size)
    order = np.argsort(of_row, kind="stable")
    first_row, first_block = (np.append(0, np.cumsum(a)[:-1]) for a in (sizes, needed))
    place = np.empty(len(of_row), int)
    place[order] = first_block[of_row[order]] * size + np.arange(len(of_row)) - first_row[of_row[order]]
    return size, place, int(needed.sum())


def _errors(error: np.ndarray, pattern: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Covariances (P, D, D) of the errors of each pattern, for columns of unit spread."""
    return np.broadcast_to(error if error.ndim == 2 else error[pattern], (len(pattern), *error.shape[-2:])) / np.outer(scale, scale)


def _groups(group: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    """For each of n places its own number; where rows belong together, n and that of the first of them."""
    found = np.arange(n)
    together = group >= 0
    _, first, which = np.unique(group[together], return_index=True, return_inverse=True)
    found[place[together]] = n + place[together][first][which]
    return found
