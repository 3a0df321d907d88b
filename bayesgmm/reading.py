"""``bayesgmm.scan``: rows that stay where they are, in files, arrays on disk, batches or Dask, and are read as a fit needs them."""

from __future__ import annotations

import glob
import os
import tokenize
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.frames import to_rows
from bayesgmm.inference.problem import SAMPLE
from bayesgmm.sources import Source, of_array, of_batches, place_of, places_of
from bayesgmm.validation import check_flag, check_number

ENDINGS = (".parquet", ".feather", ".arrow", ".npy")


def scan(
    data: Any,
    columns: Sequence[str | int] | None = None,
    *,
    weight: str | int | None = None,
    sample: int = SAMPLE,
    across_processes: bool = False,
) -> Source:
    """Rows that are too many for memory, to be read a batch at a time by whatever takes an ``X``.

    Nothing is read but names and types of columns. A fit reads all rows once to know their spread and once for a sample; finds starts, and
    components that are not needed, on the sample; then makes as many passes over all rows as it needs, each exact. No copy of the
    rows is kept.

    Parameters
    ----------
    data : str or Path, array, iterable, callable, Dask array or Dask data frame
        A Parquet, Feather, Arrow or ``.npy`` file; a folder of such files, or a pattern such as ``"data/part-*.parquet"``, read in the
        order of their names; a ``numpy.memmap`` or other array (N, D); a list of arrays or data frames; a function without
        arguments that answers an iterator over arrays or data frames, anew each time it is called.
    columns : sequence of str or int, optional
        Columns to use, in this order; all by default.
    weight : str or int, optional
        Column that holds the weights of the rows; it is not one of the D columns.
    sample : int, default 65,536
        Rows, drawn in proportion to their weights, that starts and pruning look at. A component with a share of the rows far below 1
        in so many may be missed.
    across_processes : bool, default False
        Whether every process of ``jax.distributed``, which is to be initialised before, gives rows of its own here: all of them make the
        same calls, statistics of all rows are shared, and each ends with the same fit.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        No such file, no file of a known kind in a folder, a column that a file lacks or that holds no numbers, an iterator that can be read
        only once.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> rows = bg.scan([x[:100], x[100:]])
    >>> model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(rows)
    >>> model.n_components_
    2
    """
    check_number("sample", sample, 2, integer=True)
    if isinstance(data, Source):
        raise ValueError("This is a source of rows already; scan takes files, arrays, batches or Dask collections.")
    names, n_columns, title, make = _known(data)
    if not n_columns:
        raise ValueError(f"{title} has no columns.")
    chosen = places_of(columns, names, n_columns, title)
    if weight is not None:
        weight = place_of(weight, names, n_columns, title)
        chosen += [weight] if weight not in chosen else []
        weight = chosen.index(weight)
    kept = None if names is None else tuple(names[j] for j in chosen)
    return make(chosen, kept, len(chosen), weight, title, sample, check_flag("across_processes", across_processes))


Known = tuple[tuple[str, ...] | None, int, str, Callable[..., Source]]
"""Names of all columns, their number, what the source is, and what makes it, given the columns wanted and how they are described."""


def _local(parts: Callable[[list[int]], Sequence[Callable]]) -> Callable[..., Source]:
    """What makes a source that is read in this process, given what answers its parts."""
    return lambda chosen, *described: Source(parts(chosen), *described)


def _known(data: Any) -> Known:
    if isinstance(data, (str, os.PathLike)):
        return _of_files(_files(os.fspath(data)), os.fspath(data))
    if isinstance(data, (list, tuple)) and data and all(isinstance(each, (str, os.PathLike)) for each in data):
        return _of_files([path for each in data for path in _files(os.fspath(each))], f"a list of {len(data)} names")
    return _of_object(data)


def _of_object(data: Any) -> Known:
    """Rows that are not named but given."""
    if hasattr(data, "toarray") and hasattr(data, "nnz") and not hasattr(data, "dask"):
        raise TypeError(f"Sparse input ({type(data).__name__}) is not supported; scan reads dense rows.")
    if hasattr(data, "dask"):
        try:
            from bayesgmm.bridges.dask import known
        except ImportError:
            raise ValueError("Dask collections need dask[array,dataframe]: install bayesgmm[dask].") from None

        return known(data)
    if hasattr(data, "shape") and hasattr(data, "dtype") and hasattr(data, "__getitem__"):
        place = f"file {str(data.filename)!r}" if isinstance(data, np.memmap) and data.filename else "the array"
        return None, data.shape[-1] if data.shape else 0, place, _local(of_array(data, place))
    if hasattr(data, "__next__"):
        raise ValueError("This iterator can be read only once, and a fit reads its rows many times; give a function that makes it.")
    if not callable(data) and not isinstance(data, Sequence):
        raise ValueError(
            f"scan takes files, arrays, lists of batches, functions that make them, or Dask collections; got a {type(data).__name__}."
        )
    return _of_batches(data if callable(data) else lambda: data)


def _of_batches(again: Callable[[], Any]) -> Known:
    batches = iter(again())
    first = next(batches, None)
    getattr(batches, "close", lambda: None)()
    if first is None:
        raise ValueError("There is no batch of rows to read.")
    rows = to_rows(first)
    if rows.values.ndim != 2:
        told = f"Each batch must hold rows and columns (M, D); the first has the shape {rows.values.shape}"
        raise ValueError(f"{told}. Rows that are one batch are given in a list: [rows].")
    n = rows.values.shape[1]
    return rows.names, n, "the series of batches", _local(lambda chosen: of_batches(again, rows.names, n, chosen))


def _files(name: str) -> list[Path]:
    """The files that a name, a folder or a pattern stands for."""
    if not name:
        raise ValueError("There is no file ''.")
    path = Path(name)
    if path.is_dir():
        every = (p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
        found = sorted(p for p in every if not any(part.startswith((".", "_")) for part in p.relative_to(path).parts))
        if not found:
            raise ValueError(f"{name!r} is a directory that holds no file whose name ends in {', '.join(ENDINGS)}.")
    else:
        found = [path] if path.is_file() else sorted(Path(p) for p in glob.glob(name, recursive=True))
        if not found:
            raise ValueError(f"There is no file {name!r}.")
    kinds = sorted({p.suffix.lower() for p in found})
    if len(kinds) > 1 or kinds[0] not in ENDINGS:
        listed = " and ".join(map(repr, kinds))
        raise ValueError(f"{name!r} stands for files that end in {listed}; needed is one kind of {', '.join(ENDINGS)}.")
    if kinds == [".npy"] and len(found) > 1:
        raise ValueError(f"{name!r} stands for {len(found)} .npy files; give one, or a list of arrays opened with mmap_mode='r'.")
    return found


def _of_files(paths: list[Path], name: str) -> Known:
    if paths[0].suffix.lower() == ".npy":
        return _known(_mapped(paths[0]))
    try:
        from bayesgmm.bridges import arrow
    except ImportError:
        raise ValueError(f"Reading {name!r} needs pyarrow: install bayesgmm[parquet].") from None
    names = arrow.columns_of(paths)

    def parts(chosen: list[int]) -> Sequence[Callable]:
        wanted = [names[j] for j in chosen]
        arrow.check_numeric(paths, wanted)
        return arrow.parts(paths, wanted)

    title = f"file {str(paths[0])!r}" if len(paths) == 1 else f"{len(paths)} files of {name!r}"
    return names, len(names), title, _local(parts)


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except tokenize.TokenError:
        raise ValueError(f"file {str(path)!r} could not be read: its header is damaged.") from None
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"file {str(path)!r} could not be read: {str(error).rstrip('.')}. It may be damaged or incomplete.") from None
