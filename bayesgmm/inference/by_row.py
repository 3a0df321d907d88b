"""Functions of rows one by one, a piece of the rows at a time; pieces of many rows are worked on in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from bayesgmm.inference.compiling import LARGE, jit, traced
from bayesgmm.inference.kernel import block_rows
from bayesgmm.inference.parallel import WORTH, crew, possible

PIECES, LARGEST = 16, 2**14
"""About how many pieces many rows are worked on in, and most rows of a piece."""


class RowFunction:
    """A function of rows (N, D), compiled for few rows and for many.

    Parameters
    ----------
    make : callable
        Answers, for what it is given, a function of rows (M, D), or of such as are `Arranged`; that answers arrays (M, ...).
    """

    def __init__(self, make: Callable[..., Callable[[Any], Any]]):
        def whole(given: tuple, x, size: int):
            found = make(*given)
            return found(x) if len(x) <= size else jax.lax.map(lambda row: found(row[None])[0], x, batch_size=size)

        def blocks(given: tuple, x, size: int):
            found = jax.lax.map(make(*given), x.reshape(-1, size, x.shape[1]))
            return found.reshape(len(x), *found.shape[2:])

        def in_part(given: tuple, rows: Any):
            return make(*given)(rows)

        for function in (whole, blocks, in_part):
            function.__module__, function.__qualname__ = make.__module__, f"{make.__qualname__}.{function.__name__}"
        self._whole = jit(whole, static_argnames=("size",), brief=True)
        self._blocks = jit(blocks, static_argnames=("size",), fast=True)
        self._in_part = jit(in_part, brief=True)
        self.__doc__ = make.__doc__

    def __call__(self, given: tuple, rows: Any, width: int) -> Any:
        """Answers (N, ...) for all rows, each of which holds ``width`` numbers while it is worked on.

        Within another program a part of it; of rows that are bound to devices, there.
        """
        if traced(given, rows) or getattr(rows, "committed", False):
            return self._whole(given, rows, size=block_rows(width))
        found: np.ndarray | None = None
        for places, part in self.pieces(given, np.asarray(rows), width):
            found = np.empty((len(rows), *part.shape[1:]), part.dtype) if found is None else found
            found[places] = part
        assert found is not None
        return found

    def of_known(self, given: tuple, arranged: Any) -> np.ndarray:
        """Answers (N, ...) for rows that are known in part, given what is `Arranged` of them."""
        return np.asarray(self._in_part(given, arranged))

    def pieces(self, given: tuple, rows: np.ndarray, width: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Places and answers, a piece of the rows after the other."""
        n = len(rows)
        if n * width < LARGE:
            yield slice(0, n), np.asarray(self._whole(given, last_repeated(rows, even(n)), size=even(n)))[:n]
            return
        block = block_rows(width)
        size = min(max(min(even(n // PIECES), LARGEST), block), even(n))

        def work(first: int) -> tuple[slice, np.ndarray]:
            part = rows[first : first + size]
            found = np.asarray(self._blocks(given, last_repeated(part, size), size=min(block, size)))
            return slice(first, first + len(part)), found[: len(part)]

        if n * width >= WORTH and possible():
            with crew() as each:
                yield from each(work, range(0, n, size))
        else:
            yield from map(work, range(0, n, size))


def even(n: int) -> int:
    """The next power of two, 8 at least, so that few shapes compile."""
    return 1 << max(n - 1, 7).bit_length()


def last_repeated(rows: np.ndarray, n: int) -> np.ndarray:
    """Rows (N, D) with the last one repeated, up to ``n``."""
    return np.concatenate([rows, np.repeat(rows[-1:], n - len(rows), 0)]) if len(rows) < n else rows
