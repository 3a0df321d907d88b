"""Arrays and data frames in, one float64 array and the names of its columns out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.datasets import Dataset

TABLE = "a table of numbers (N, D): an array, a nested list or a data frame"
LONG = 60
"""Characters of a name that messages show."""

KINDS = {"String": "text", "Categorical": "categories", "Enum": "categories", "Date": "dates", "Datetime": "dates", "Duration": "times"}
"""What columns of other types are called in messages."""


class Rows(NamedTuple):
    """Rows (N, D) as float64 and, for data frames with string column names, those names."""

    values: np.ndarray
    names: tuple[str, ...] | None


def to_rows(data: Any) -> Rows:
    """Read an array, a nested list, a data set of the package, or a pandas / polars / pyarrow frame; missing cells become NaN.

    Raises
    ------
    TypeError
        Sparse matrices and lazy frames, which would have to be loaded first, and cells that are no numbers at all.
    ValueError
        Complex numbers, text, or anything else that is not a table of numbers.
    """
    if isinstance(data, Rows):
        return data
    if isinstance(data, Dataset):
        return Rows(_from_array(data.x), data.feature_names)
    _refuse(data)
    names = _column_names(data)
    frame = None if names is None else _as_frame(data)
    if frame is not None:
        return Rows(_from_frame(frame), names)
    return Rows(_from_array(_as_array(data)), names)


def _refuse(data: Any) -> None:
    kind = type(data).__name__
    if hasattr(data, "label_names"):
        raise ValueError("Observations are for mixtures and select; this needs a table of numbers (N, D).")
    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise TypeError(f"Sparse input ({kind}) is not supported; pass X.toarray() if it fits in memory.")
    if hasattr(data, "batches") and hasattr(data, "n_features"):
        raise TypeError(f"X is read as it is needed ({data!r}); this needs rows in memory, for example a sample of them.")
    if kind in ("LazyFrame", "DuckDBPyRelation"):
        advice = "collect it first, for example with .collect(), or give its files to bayesgmm.scan"
        raise TypeError(f"X is lazy ({type(data).__module__}.{kind}); {advice}.")
    if hasattr(data, "dask"):
        raise TypeError(f"X is a Dask collection ({kind}), and this needs rows in memory, for example a sample of them by .compute().")
    if data is None or isinstance(data, (str, bytes, dict, set, frozenset)) or hasattr(data, "__next__"):
        given = repr(data)[:40] if data is None or isinstance(data, (str, bytes)) else f"a {kind}"
        raise ValueError(f"X must be {TABLE}; got {given}.")


def _column_names(data: Any) -> tuple[str, ...] | None:
    """Names of the columns of a frame; None for arrays and for frames with numbers or tuples as names."""
    if isinstance(data, (np.ndarray, list, tuple)) or not hasattr(data, "columns"):
        return None
    names = list(data.column_names if hasattr(data, "column_names") else data.columns)
    text = [isinstance(name, str) for name in names]
    if any(text) and not all(text):
        raise TypeError("Feature names are only supported if all input features have string names; rename the columns.")
    doubles = sorted(name for name, times in Counter(names).items() if times > 1) if all(text) else []
    if doubles:
        raise ValueError(f"Column names must differ; {', '.join(map(repr, doubles[:5]))} appears more than once.")
    return tuple(names) if names and all(text) else None


def _as_frame(data: Any):
    """A narwhals frame, or None where narwhals does not know the type."""
    import narwhals

    if type(data).__name__ == "RecordBatch":
        data = sys.modules["pyarrow"].Table.from_batches([data])
    frame = narwhals.from_native(data, eager_only=True, pass_through=True)
    return frame if isinstance(frame, narwhals.DataFrame) else None


def _from_frame(frame) -> np.ndarray:
    other = [(name, frame[name]) for name in frame.columns if not _may_hold_numbers(frame[name])]
    if other:
        shown = ", ".join(f"{name!r} ({_kind(series)})" for name, series in other[:8])
        more = f" and {len(other) - 8} more" if len(other) > 8 else ""
        raise ValueError(f"X must hold numbers, but these columns do not: {shown}{more}. Leave them out or encode them.")
    values = np.empty((len(frame), len(frame.columns)))
    for j, name in enumerate(frame.columns):
        values[:, j] = _column(frame[name], name)
    return values


def _may_hold_numbers(series) -> bool:
    return series.dtype.is_numeric() or str(series.dtype) in ("Boolean", "Object")


def _kind(series) -> str:
    kind = str(series.dtype).split("(")[0]
    return KINDS.get(kind, str(series.to_native().dtype) if kind == "Unknown" else kind.lower())


def _column(series, name: str) -> np.ndarray:
    if str(series.dtype) in ("Int128", "UInt128"):
        import narwhals

        series = series.cast(narwhals.Float64)
    values = np.asarray(series.to_numpy())
    if values.dtype.kind == "O":
        return _from_objects(values[:, None], (name,))[:, 0]
    return _from_array(values, (name,))


def _as_array(data: Any) -> np.ndarray:
    if isinstance(data, np.ma.MaskedArray):
        return unmasked(data)
    try:
        return np.asarray(data)
    except Exception as error:
        lengths = [len(row) for row in data if isinstance(row, Sequence)] if isinstance(data, Sequence) else []
        if len(set(lengths)) > 1:
            i = next(i for i, n in enumerate(lengths) if n != lengths[0])
            raise ValueError(f"The rows of X differ in length: row 0 has {lengths[0]} values, row {i} has {lengths[i]}.") from None
        raise ValueError(f"X ({type(data).__name__}) could not be read as a table of numbers: {str(error).rstrip('.')}.") from None


def unmasked(data: np.ma.MaskedArray) -> np.ndarray:
    """The same with NaN, or nothing among objects, where it is masked."""
    if data.dtype.kind == "O":
        return np.where(np.ma.getmaskarray(data), np.array(None, object), data.data)
    if data.dtype.kind not in "biuf":
        return data.filled()
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ma.filled(data.astype(np.float64), np.nan)


def _from_array(array: np.ndarray, names: tuple[str, ...] | None = None) -> np.ndarray:
    """Numbers as float64, row after row in memory, so that a frame gives bit for bit what its array gives."""
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError("Complex data not supported: X must hold real numbers.")
    if kind in "USOT":
        return _from_objects(array, names)
    if kind not in "biuf":
        raise ValueError(f"X must hold numbers; got an array of dtype {array.dtype}.")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array, np.float64, order="C")


def _from_objects(array: np.ndarray, names: tuple[str, ...] | None = None) -> np.ndarray:
    """Numbers held as objects; a cell that is not a number is named with its place."""
    if array.ndim == 0:
        raise ValueError(f"X must be {TABLE}; got a {type(array.item()).__name__}.")
    values = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        try:
            values[index] = _number(array[index])
        except (TypeError, ValueError, OverflowError) as error:
            place = f"row {index[0]}" + (f", {column_label(index[1], names)}" if len(index) > 1 else "")
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"X must hold numbers; {place} (counting from 0) holds {error}.") from None
    return values


def _number(cell: Any) -> float:
    """A cell as a number, NaN where it is empty; the error says what it is."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(cell, (str, bytes)):
        raise ValueError(f"the text {repr(bytes(cell) if isinstance(cell, bytes) else str(cell))[:40]}")
    try:
        return float(cell)
    except OverflowError:
        raise OverflowError("a whole number too large for float64") from None
    except (TypeError, ValueError):
        raise TypeError(f"{repr(cell)[:40]}, but the argument must be free of strings and hold only numbers") from None


def column_label(j: int, names: Sequence[str] | None) -> str:
    """``column 'x'`` or ``column 3``; a long name is cut."""
    if not names:
        return f"column {j}"
    name = names[j]
    return f"column {name if len(name) <= LONG else name[: LONG - 3] + '...'!r}"
