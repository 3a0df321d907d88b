"""Rows that need not be in memory: a source reads them a batch at a time, as often as a fit needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesgmm.frames import column_label, to_rows, unmasked
from bayesgmm.inference.cluster import share
from bayesgmm.inference.problem import SAMPLE
from bayesgmm.inference.stream import Batch, Together, Work, batch_rows, regrouped, workers
from bayesgmm.validation import LARGEST, Names, close_match

PART = 32
"""Batches a part of the rows of an array has; parts are worked on at the same time."""


class Piece(NamedTuple):
    """Some rows of a source, one after the other.

    Attributes
    ----------
    values : ndarray, shape (M, D')
        All columns that the source reads.
    place : str
        Where they are from, for messages: ``file 'a.parquet', row group 3``.
    first : int
        Number of the first of them, counted from 0 in that place.
    """

    values: np.ndarray
    place: str
    first: int


class Source:
    """Rows (N, D) to be read a batch at a time, in the same order every time; `bayesgmm.scan` makes one.

    Parameters
    ----------
    parts : sequence of callables
        Parts of the rows, in order: each answers an iterator of `Piece`, anew each time.
    columns : tuple of str, or None
        Names of the columns of pieces, weights included.
    n_columns : int
    weight : int, optional
        Number of the column that holds weights of rows.
    title : str
        What it is, for messages.
    sample : int
        Rows that starts and pruning look at.
    shared : bool
        Whether every process of ``jax.distributed`` has such a source, of other rows.

    Attributes
    ----------
    names : tuple of str, or None
        Names of the D columns.
    n_features : int
    """

    def __init__(
        self,
        parts: Sequence[Callable[[], Iterable[Piece]]],
        columns: Names,
        n_columns: int,
        weight: int | None = None,
        title: str = "X",
        sample: int = SAMPLE,
        shared: bool = False,
    ):
        self._parts, self._columns, self._n_columns, self.title, self.sample = parts, columns, n_columns, title, sample
        self.shared, self._weight = shared, weight
        self._kept = [j for j in range(n_columns) if j != self._weight]
        self.names = None if columns is None else tuple(columns[j] for j in self._kept)
        self.n_features = len(self._kept)
        if not self._kept:
            raise ValueError(f"{title} has no columns{' beside that of weights' if weight is not None else ''}.")

    def __repr__(self) -> str:
        columns = f"{self.n_features} columns" + (f" ({', '.join(self.names[:8])})" if self.names else "")
        return f"<{self.title}: {columns}, read in batches>"

    def batches(self, check: bool = False) -> Iterator[Batch]:
        """Rows (M, D) and weights (M,), batch after batch; with ``check`` numbers that no fit can use are refused with their place."""
        return self.divided((piece for part in self._parts for piece in part()), check)

    def divided(self, pieces: Iterable[Piece], check: bool = False) -> Iterator[Batch]:
        """Rows and weights of pieces that were read."""
        for piece in pieces:
            values = piece.values
            if values.shape[1] != len(self._kept) + (self._weight is not None):
                raise ValueError(f"{piece.place} has {values.shape[1]} columns; the first rows of {self.title} have {len(self._kept)}.")
            if check:
                self._check(piece)
            if self._weight is None:
                yield values, np.ones(len(values))
            else:
                yield values[:, self._kept], values[:, self._weight]

    def even(self, check: bool = False) -> Iterator[Batch]:
        """The same in batches of equal size but for the last, however the source divides its rows."""
        return regrouped(self.batches(check), batch_rows(self.n_features))

    def over(self, work: Work, together: Together, check: bool = False) -> Any:
        """Go through all rows; see `bayesgmm.inference.stream.Over`."""
        if not self.shared:
            found = self._over_here(work, together, check)
        else:
            found = put_together(together, self._over_processes(work, together, check))
        if found is None:
            raise ValueError(f"{self.title} has no rows.")
        return found

    def _over_processes(self, work: Work, together: Together, check: bool) -> list[Any]:
        """What each process finds on its rows; what goes wrong in one is raised in all."""
        begin = jax.process_index() << 32
        return share(lambda: self._over_here(lambda place, batch: work((begin + place[0], place[1]), batch), together, check))

    def _over_here(self, work: Work, together: Together, check: bool) -> Any:
        """What is found on the rows that this process reads.

        Threads read parts and work on them at the same time; where there is one part only, they work on batches while later ones are read.
        """
        with workers() as each:
            if len(self._parts) > 1:
                answers = each(lambda number: self.over_part(self._parts[number](), number, work, together, check), range(len(self._parts)))
            else:
                answers = each(lambda item: work((0, item[0]), item[1]), enumerate(self.even(check)))
            return put_together(together, answers)

    def over_part(self, pieces: Iterable[Piece], number: int, work: Work, together: Together, check: bool) -> Any:
        """What is found on the rows of a part; None if it has none."""
        batches = regrouped(self.divided(pieces, check), batch_rows(self.n_features))
        return put_together(together, (work((number, i), batch) for i, batch in enumerate(batches)))

    def checked(self, work: Work, together: Together) -> Any:
        """The same, with a check of every number."""
        return self.over(work, together, check=True)

    def _check(self, piece: Piece) -> None:
        """Finite numbers whose squares can be held, and weights that are not negative."""
        values, weight = piece.values, self._weight
        low, high = values.min(initial=0), values.max(initial=0)  # not a number, if one is
        if not (-LARGEST <= low and high <= LARGEST):
            i, j = np.argwhere(~(np.abs(values) <= LARGEST))[0]
            kind = "NaN" if np.isnan(values[i, j]) else "an infinite number" if np.isinf(values[i, j]) else f"{values[i, j]:g}"
            raise ValueError(f"{self._told(piece, i, j)} holds {kind}; leave such rows out or fill them in.")
        if weight is not None and (values[:, weight] < 0).any():
            i = int(np.argmax(values[:, weight] < 0))
            raise ValueError(f"{self._told(piece, i, weight)} holds the weight {values[i, weight]:g}; weights cannot be negative.")

    def _told(self, piece: Piece, i: int, j: int) -> str:
        """A cell in words."""
        return f"{piece.place}: row {piece.first + int(i)} (counting from 0), {column_label(int(j), self._columns)}"


def put_together(together: Together, answers: Iterable[Any]) -> Any:
    """Answers put together in their order; None where there is nothing."""
    some = (answer for answer in answers if answer is not None)
    first = next(some, None)
    return first if first is None else reduce(together, some, first)


def place_of(column: str | int, columns: Names, n_columns: int, title: str) -> int:
    """Number of a column given by its name, or its number."""
    if isinstance(column, str):
        if columns is None:
            raise ValueError(f"The columns of {title} have no names; give a number from 0 to {n_columns - 1} instead of {column!r}.")
        if column not in columns:
            raise ValueError(f"{title} has no column {column!r}; its columns are {', '.join(columns[:20])}.{close_match(column, columns)}")
        return columns.index(column)
    if isinstance(column, bool) or not isinstance(column, (int, np.integer)) or not 0 <= column < n_columns:
        raise ValueError(f"A column of {title} is a name or a number from 0 to {n_columns - 1}; got {column!r}.")
    return int(column)


def places_of(chosen: Sequence[str | int] | None, columns: Names, n_columns: int, title: str) -> list[int]:
    """Numbers of the columns to read; all where none are chosen."""
    if chosen is None:
        return list(range(n_columns))
    found = [place_of(column, columns, n_columns, title) for column in ([chosen] if isinstance(chosen, (str, int)) else chosen)]
    if len(set(found)) < len(found) or not found:
        raise ValueError(f"columns must name one or more different columns of {title}; got {list(chosen)!r}.")
    return found


def of_array(array: Any, place: str) -> Callable[[Sequence[int]], list[Callable[[], Iterator[Piece]]]]:
    """From the columns wanted to the parts of an array (N, D), of which a batch at a time is held as float64."""
    if len(array.shape) != 2 or not len(array):
        raise ValueError(f"{place} must hold rows and columns (N, D), N at least 1; got an array of shape {array.shape}.")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{place} must hold real numbers; got an array of dtype {array.dtype}.")

    def parts(chosen: Sequence[int]) -> list[Callable[[], Iterator[Piece]]]:
        whole, size = list(chosen) == list(range(array.shape[1])), batch_rows(len(chosen))

        def read(begin: int) -> Iterator[Piece]:
            for first in range(begin, min(begin + PART * size, len(array)), size):
                rows = array[first : first + size]
                rows = rows if whole else rows[:, list(chosen)]
                rows = unmasked(rows) if isinstance(rows, np.ma.MaskedArray) else rows
                with np.errstate(over="ignore", invalid="ignore"):
                    values = np.asarray(rows, np.float64, order="C")
                yield Piece(values, place, first)

        return [partial(read, begin) for begin in range(0, len(array), PART * size)]

    return parts


def of_batches(
    again: Callable[[], Iterable[Any]], columns: Names, n_columns: int, chosen: Sequence[int]
) -> list[Callable[[], Iterator[Piece]]]:
    """The one part of an iterable of arrays or data frames, which ``again`` answers each time; columns by name if they have some."""

    def pick(batch: Any) -> np.ndarray:
        rows = to_rows(batch)
        if rows.values.ndim != 2 or (not columns and rows.values.shape[1] != n_columns):
            raise ValueError(f"it has the shape {rows.values.shape}, where {n_columns} columns are needed, as in the first.")
        if not columns:
            return rows.values[:, list(chosen)]
        known, wanted = rows.names or (), [columns[j] for j in chosen]
        missing = [name for name in wanted if name not in known]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}.")
        return rows.values[:, [known.index(name) for name in wanted]]

    def read() -> Iterator[Piece]:
        for number, batch in enumerate(again()):
            place = f"batch {number} (counting from 0)"
            try:
                yield Piece(pick(batch), place, 0)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{place}: {error}") from None

    return [read]
