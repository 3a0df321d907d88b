"""Parquet, Feather and Arrow files, read by pyarrow: only the columns wanted, a batch of rows at a time."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pyarrow.types as kinds

from bayesgmm.inference.problem import aligned
from bayesgmm.inference.stream import batch_rows
from bayesgmm.sources import Piece

PART = 2**18
"""Rows that a part has at least, of files with smaller row groups; parts are worked on at the same time."""

BLOCK = 4096
"""Rows whose columns are put side by side at a time, in cache."""


@contextlib.contextmanager
def _in_words(place: str) -> Iterator[None]:
    """What pyarrow cannot read is one sentence that says where."""
    try:
        yield
    except UnicodeDecodeError:
        raise ValueError(
            f"{place} could not be read: it holds names that are not text in UTF-8. It may be damaged or incomplete."
        ) from None
    except (pyarrow.ArrowException, OSError, EOFError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__).rstrip(".")
        raise ValueError(f"{place} could not be read: {reason}. It may be damaged or incomplete.") from None


def _named(path: Path) -> Any:
    """A file to read; names are bytes to Arrow, of which not all are text in UTF-8."""
    return pyarrow.OSFile(os.fsencode(path))


class _Parquet:
    """One Parquet file, by its row groups."""

    unit = "row group"

    def __init__(self, path: Path):
        self._file = pyarrow.parquet.ParquetFile(_named(path))
        self.schema = self._file.schema_arrow

    def sizes(self) -> list[int]:
        """Rows of each row group."""
        return [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]

    def batches(self, group: int, names: list[str], size: int) -> Iterator[Any]:
        """Record batches of at most ``size`` rows."""
        yield from self._file.iter_batches(size, row_groups=[group], columns=names, use_threads=False)


class _Feather:
    """One Feather or Arrow file, by its record batches."""

    unit = "record batch"

    def __init__(self, path: Path):
        self._file = pyarrow.ipc.open_file(_named(path))
        self.schema = self._file.schema

    def sizes(self) -> list[int]:
        """Rows of each record batch, which only reading tells: each is a part."""
        return [PART] * self._file.num_record_batches

    def batches(self, group: int, names: list[str], size: int) -> Iterator[Any]:
        """Slices of at most ``size`` rows."""
        whole = self._file.get_batch(group).select(names)
        for first in range(0, len(whole), size):
            yield whole.slice(first, size)


def _open(path: Path) -> _Parquet | _Feather:
    with _in_words(f"file {str(path)!r}"):
        return _Parquet(path) if path.suffix.lower() == ".parquet" else _Feather(path)


def columns_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the columns of files that belong together: those of the first, without the index that pandas wrote."""
    schema = _open(paths[0]).schema
    with _in_words(f"file {str(paths[0])!r}"):
        index = _index(schema)
        names = tuple(name for name in schema.names if name not in index)
    doubles = [name for name, times in Counter(names).items() if times > 1]
    if doubles:
        raise ValueError(f"file {str(paths[0])!r} has more than one column {doubles[0]!r}.")
    return names


def _index(schema: Any) -> set[str]:
    """Names of the columns that are the index of a pandas frame."""
    try:
        told = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        return {name for name in told.get("index_columns", []) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise OSError("what pandas wrote of its columns is no JSON") from None


def check_numeric(paths: Sequence[Path], names: Sequence[str]) -> None:
    """Columns of these names hold numbers in every file."""
    for path in paths:
        schema = _open(path).schema
        for name in names:
            if schema.names.count(name) != 1:
                number = "no" if name not in schema.names else "more than one"
                raise ValueError(f"file {str(path)!r} has {number} column {name!r}, of which {paths[0].name!r} has one.")
            kind = schema.field(name).type
            if not any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal)):
                told = f"file {str(path)!r}: column {name!r} holds {kind}, not numbers"
                raise ValueError(f"{told}; choose others with columns=[...].")


def parts(paths: Sequence[Path], names: Sequence[str]) -> list[Callable[[], Iterator[Piece]]]:
    """Parts of the rows of all files, each of some row groups of one."""
    found = []
    for path in paths:
        groups: list[int] = []
        sizes, rows = _open(path).sizes(), 0
        for group, size in enumerate(sizes):
            groups, rows = [*groups, group], rows + size
            if rows >= PART or group == len(sizes) - 1:
                found.append(partial(_read, path, _stamp(path), groups, list(names)))
                groups, rows = [], 0
    return found


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file, which tell whether it was written anew."""
    told = path.stat()
    return told.st_size, told.st_mtime_ns


def _read(path: Path, stamp: tuple[int, int], groups: Sequence[int], names: list[str]) -> Iterator[Piece]:
    """Rows of some row groups."""
    file = _open(path)
    if _stamp(path) != stamp:
        raise ValueError(f"file {str(path)!r} was changed after scan looked at it; scan it again.")
    for group in groups:
        place, first = f"file {str(path)!r}, {file.unit} {group}", 0
        with _in_words(place):
            for batch in file.batches(group, names, batch_rows(len(names))):
                yield Piece(_values(batch, names), place, first)
                first += len(batch)


def _values(batch: Any, names: Sequence[str]) -> np.ndarray:
    """Columns of a record batch as rows (M, D) of float64; what is missing is NaN."""
    columns = [_numbers(batch.column(batch.schema.get_field_index(name))) for name in names]
    values = aligned((len(batch), len(names)))
    for first in range(0, len(batch), BLOCK):
        rows = slice(first, first + BLOCK)
        for j, column in enumerate(columns):
            values[rows, j] = column[rows]
    return values


def _numbers(column: Any) -> np.ndarray:
    """A column as numbers, NaN where there is none."""
    column = column if kinds.is_floating(column.type) else column.cast(pyarrow.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False)


@contextlib.contextmanager
def parquet_writer(path: Path) -> Iterator[Callable[[dict[str, np.ndarray]], None]]:
    """What writes columns, a row group at each call, to a new file."""
    writer = None
    with pyarrow.OSFile(os.fsencode(path), "wb") as file:

        def write(columns: dict[str, np.ndarray]) -> None:
            nonlocal writer
            table = pyarrow.table(columns)
            writer = writer or pyarrow.parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)

        try:
            yield write
        finally:
            if writer is not None:
                writer.close()
