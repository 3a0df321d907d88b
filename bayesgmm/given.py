"""What the command line was given: a table in memory, or rows that are read as they are needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.datasets import dataset_names
from bayesgmm.frames import Rows
from bayesgmm.inference.problem import SAMPLE
from bayesgmm.reading import scan
from bayesgmm.tables import read_table
from bayesgmm.validation import check_enough, check_spread, count_distinct, without_gaps


@dataclasses.dataclass
class Given:
    """Rows for a command.

    Attributes
    ----------
    x : data frame or Source
        What estimators take.
    values : ndarray, shape (N, D), or None
        The same in memory, if they are.
    columns, units : tuple of str
    title : str
    """

    x: Any
    values: np.ndarray | None
    columns: tuple[str, ...]
    units: tuple[str, ...]
    title: str

    def most(self, enough: int) -> int:
        """Distinct rows, counted up to ``enough``; of rows that are not in memory there are enough."""
        return enough if self.values is None else count_distinct(self.values, enough)

    def check(self, name: str, n_components: int | None) -> None:
        """Rows that differ, and enough of them; of rows not in memory a fit tells."""
        if self.values is None:
            return
        weight = np.ones(len(self.values))
        values = without_gaps(Rows(self.values, self.columns), weight)
        check_spread(values, weight, self.columns, data=repr(name))
        if n_components is not None:
            check_enough(values, weight, n_components, "--max-components", repr(name))

    def batches(self) -> Iterable[np.ndarray]:
        """All rows, a batch at a time."""
        return [self.values] if self.values is not None else (rows for rows, _ in self.x.even())


def _chosen(name: str, columns: Sequence[str]) -> Sequence[str | int]:
    """Columns by name; those of files without names are x0, x1, ..., as in tables."""
    bare = name.lower().endswith(".npy") and all(column[:1] == "x" and column[1:].isdecimal() for column in columns)
    return [int(column[1:]) for column in columns] if bare else columns


def read_given(name: str, columns: Sequence[str] | None, stream: bool, sample: int | None = None, missing: str = "error") -> Given:
    """A file or a data set's name; folders, patterns and, if asked to ``stream``, files are not read into memory."""
    folder = Path(name).is_dir() and name not in dataset_names()
    if stream or folder or (any(sign in name for sign in "*?[") and not Path(name).exists()):
        if missing != "error":
            raise ValueError("--missing is for rows in memory; those that are read as they are needed must be complete.")
        size = SAMPLE if sample is None else sample
        source = scan(name, sample=size) if columns is None else scan(name, _chosen(name, columns), sample=size)
        names = source.names or tuple(f"x{j}" for j in range(source.n_features))
        return Given(source, None, names, ("",) * len(names), Path(name).name)
    if sample is not None:
        raise ValueError("--sample is for rows that are not read into memory; add --stream.")
    table = read_table(name, columns, gaps=missing != "error")
    import pandas

    frame = pandas.DataFrame(table.values, columns=list(table.columns))
    return Given(frame, table.values, table.columns, table.units, table.title)
