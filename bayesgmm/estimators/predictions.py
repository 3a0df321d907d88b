"""What a fitted mixture says of every row, written to a file a batch at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm import storage
from bayesgmm.analysis.rows import row_table
from bayesgmm.estimators.data import batches_of
from bayesgmm.progress import Progress

COLUMNS = ("component", "probability", "log_density")

Columns = dict[str, np.ndarray]


def write_predictions(estimator: Any, path: Any, X: Any, verbose: bool | None = None, first: int = 0) -> int:
    """Write component, counted from ``first``, probability and log density of every row; the number of rows."""
    name = storage.as_path(path)
    if name.suffix.lower() not in WRITERS:
        raise ValueError(f"{str(path)!r}: predictions are written to files that end in {' or '.join(WRITERS)}.")
    n = 0
    with Progress(verbose) as told, storage.replacing(name) as beside, WRITERS[name.suffix.lower()](beside) as write:
        for rows, _ in batches_of(estimator, X):
            table = row_table(estimator.posterior_, estimator._coordinates, rows)
            write(dict(zip(COLUMNS, (table.label + first, table.probability, estimator._log_density(rows)), strict=True)))
            n += len(table.label)
            told(f"{n:,} rows written")
    return n


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[Callable[[Columns], None]]:
    import pandas

    with open(path, "x", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        yield lambda columns: pandas.DataFrame(columns).to_csv(file, header=False, index=False)


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Callable[[Columns], None]]:
    try:
        from bayesgmm.bridges.arrow import parquet_writer
    except ImportError:
        raise ValueError(f"Writing {path.suffix} files needs pyarrow: install bayesgmm[parquet].") from None
    with parquet_writer(path) as write:
        yield write


WRITERS = {".csv": _csv, ".parquet": _parquet}
"""Registry of formats by the ending of the file's name."""
