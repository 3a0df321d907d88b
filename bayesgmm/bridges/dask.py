"""Dask arrays and data frames: statistics are made where the partitions are, by Dask's own scheduler, and added up in a tree.

With a client of ``dask.distributed`` that is in other processes or on other machines, otherwise in threads of this one. A partition is
read anew for each pass unless the collection was persisted; a worker that is lost costs another reading, which Dask sees to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from dask.base import compute
from dask.delayed import delayed

from bayesgmm.frames import to_rows
from bayesgmm.inference.compiling import numbers
from bayesgmm.inference.stream import Together, Work
from bayesgmm.sources import Piece, Source, put_together

GROUP = 8
"""Answers that are put together at a time."""


class DaskSource(Source):
    """Rows of a Dask collection.

    Parameters
    ----------
    parts : sequence
        Delayed partitions, arrays or data frames of the columns wanted.
    *described
        As of `Source`, but for ``read``.
    """

    def __init__(self, parts: Sequence[Any], *described: Any):
        super().__init__([partial(_here, part, number) for number, part in enumerate(parts)], *described)
        self._delayed, self._described = list(parts), described

    def over(self, work: Work, together: Together, check: bool = False) -> Any:
        """Go through all rows, each partition where it is."""
        source, part_of, joined_by = Source([], *self._described), _delayed(_part), _delayed(_put_together)
        answers = [part_of(part, number, source, work, together, check) for number, part in enumerate(self._delayed)]
        while len(answers) > 1:
            answers = [joined_by(together, *answers[i : i + GROUP]) for i in range(0, len(answers), GROUP)]
        found = compute(answers[0])[0]
        if found is None:
            raise ValueError(f"{self.title} has no rows.")
        return found


def _delayed(function: Callable) -> Callable:
    return delayed(function, pure=False, traverse=False)


def _piece(part: Any, number: int) -> Piece:
    """A computed partition as rows."""
    place = f"partition {number} (counting from 0)"
    try:
        return Piece(to_rows(part).values, place, 0)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None


def _here(part: Any, number: int) -> Iterator[Piece]:
    """A partition computed and brought to this process."""
    yield _piece(compute(part)[0], number)


def _part(part: Any, number: int, source: Source, work: Work, together: Together, check: bool) -> Any:
    """What is found on the rows of a partition; runs where the partition is."""
    with numbers():
        return source.over_part([_piece(part, number)], number, work, together, check)


def _put_together(together: Together, *answers: Any) -> Any:
    return put_together(together, answers)


def known(data: Any) -> tuple[tuple[str, ...] | None, int, str, Callable[..., Source]]:
    """Names and number of the columns of a Dask collection, what it is, and what makes a source of some of its columns."""
    if getattr(data, "ndim", None) != 2:
        raise ValueError(f"A Dask collection of rows is a data frame or an array (N, D); this is a {type(data).__name__}.")
    if hasattr(data, "columns"):
        names = tuple(data.columns)
        columns = names if all(isinstance(name, str) for name in names) else None

        def of_frame(chosen: Sequence[int], *described: Any) -> DaskSource:
            return DaskSource(data[[names[j] for j in chosen]].to_delayed(), *described)

        return columns, len(names), "the Dask data frame", of_frame

    def of_array(chosen: Sequence[int], *described: Any) -> DaskSource:
        return DaskSource(data[:, list(chosen)].rechunk({1: -1}).to_delayed().ravel().tolist(), *described)

    return None, data.shape[1], "the Dask array", of_array
