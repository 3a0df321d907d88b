"""Parquet, Feather and Arrow files, read by pyarrow: only the columns wanted, a batch of rows at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pyarrow.types as kinds

from bayesgmm.sources import Piece

ENDINGS = (".parquet", ".feather", ".arrow")

BATCH = 2**16
"""Rows decoded together."""


@contextlib.contextmanager
def _in_words(place: str) -> Iterator[None]:
    """What pyarrow cannot read is one sentence that says where."""
    try:
        yield
    except (pyarrow.ArrowException, OSError, EOFError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__).rstrip(".")
        raise ValueError(f"{place} could not be read: {reason}. It may be damaged or incomplete.") from None


class _Parquet:
    """One Parquet file; its row groups are read one after the other."""

    def __init__(self, path: Path):
        self._file = pyarrow.parquet.ParquetFile(path)
        self.schema = self._file.schema_arrow

    def batches(self, names: list[str], place: str) -> Iterator[tuple[str, int, Any]]:
        """Place, number of the first row there, and record batch."""
        for group in range(self._file.num_row_groups):
            where, first = f"{place}, row group {group}", 0
            with _in_words(where):
                for batch in self._file.iter_batches(BATCH, row_groups=[group], columns=names):
                    yield where, first, batch
                    first += len(batch)


class _Feather:
    """One Feather or Arrow file; its record batches are read one after the other."""

    def __init__(self, path: Path):
        self._file = pyarrow.ipc.open_file(pyarrow.OSFile(str(path)))
        self.schema = self._file.schema

    def batches(self, names: list[str], place: str) -> Iterator[tuple[str, int, Any]]:
        """Place, number of the first row there, and record batch."""
        for number in range(self._file.num_record_batches):
            where = f"{place}, record batch {number}"
            with _in_words(where):
                whole = self._file.get_batch(number).select(names)
            for first in range(0, len(whole), BATCH):
                yield where, first, whole.slice(first, BATCH)


def _open(path: Path) -> _Parquet | _Feather:
    with _in_words(f"file {str(path)!r}"):
        return _Parquet(path) if path.suffix.lower() == ".parquet" else _Feather(path)


def columns_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the columns of files that belong together: those of the first, which all others must have."""
    names = tuple(_open(paths[0]).schema.names)
    for path in paths[1:]:
        missing = [name for name in names if name not in _open(path).schema.names]
        if missing:
            raise ValueError(f"file {str(path)!r} has no column {missing[0]!r}, which {paths[0].name!r} has.")
    return names


def check_numeric(paths: Sequence[Path], names: Sequence[str]) -> None:
    """Columns of these names hold numbers in every file."""
    for path in paths:
        schema = _open(path).schema
        for name in names:
            if name not in schema.names:
                raise ValueError(f"file {str(path)!r} has no column {name!r}, which {paths[0].name!r} has.")
            kind = schema.field(name).type
            if not any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal)):
                told = f"file {str(path)!r}: column {name!r} holds {kind}, not numbers"
                raise ValueError(f"{told}; choose others with columns=[...].")


def reader(paths: Sequence[Path], names: Sequence[str]) -> Callable[[], Iterator[Piece]]:
    """What reads these columns of all files in turn."""

    def read() -> Iterator[Piece]:
        for path in paths:
            for place, first, batch in _open(path).batches(list(names), f"file {str(path)!r}"):
                with _in_words(place):
                    values = _values(batch, names)
                yield Piece(values, place, first)

    return read


def _values(batch: Any, names: Sequence[str]) -> np.ndarray:
    """Columns of a record batch as rows (M, D) of float64; what is missing is NaN."""
    values = np.empty((len(batch), len(names)))
    for j, name in enumerate(names):
        column = batch.column(batch.schema.get_field_index(name))
        column = column if kinds.is_floating(column.type) else column.cast(pyarrow.float64(), safe=False)
        values[:, j] = column.to_numpy(zero_copy_only=False)
    return values
