"""Files of rows: CSV, TSV, Parquet, Feather and .npy, or the name of a data set in the package."""

from __future__ import annotations

import csv
import itertools
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.datasets import dataset_names, load_dataset
from bayesgmm.frames import LONG, to_rows
from bayesgmm.validation import check_rows, close_match

TEXT = (".csv", ".tsv", ".txt")
READERS = (*TEXT, ".parquet", ".feather", ".arrow", ".npy")
SHOWN = 20
"""Most column names that a message lists."""

MOST_COMPARED = 1000
"""Columns among which the one that was meant is looked for."""

PART = 2**20
"""Characters of a text that are looked at in one go."""

MOST_COLUMNS = 100_000
"""Columns of a text file, which would take minutes to read if they were more."""


class Table(NamedTuple):
    """Named columns of numbers.

    Attributes
    ----------
    values : ndarray, shape (N, D)
    columns, units : tuple of str
    title : str
    """

    values: np.ndarray
    columns: tuple[str, ...]
    units: tuple[str, ...]
    title: str


def read_table(source: str, columns: Sequence[str] | None = None, gaps: bool = False) -> Table:
    """Read a file, or a data set by name; ``columns`` picks some of them, in that order; with ``gaps`` numbers may be missing.

    Raises
    ------
    ValueError
        Nothing of that name, a folder, an empty or unreadable file, unknown columns, text or gaps among the numbers.
    """
    path = Path(source)
    if path.is_dir() and source not in dataset_names():
        raise ValueError(f"{source!r} is a directory; give a file ({', '.join(READERS)}) or a data set ({', '.join(dataset_names())}).")
    if not path.is_file():
        return _dataset(source, columns)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        ending = f"the ending {suffix!r}" if suffix else "a name without an ending"
        raise ValueError(f"{source!r}: cannot tell the format from {ending}; known endings are {', '.join(READERS)}.")
    frame = _pick(_read(path, suffix), columns, source)
    _refuse_text(frame, source)
    names = tuple(frame.columns)
    return Table(
        check_rows(frame, what=repr(source), gaps=gaps, instead="--missing at_random takes them as they are").values,
        names,
        ("",) * len(names),
        path.name,
    )


def _dataset(name: str, columns: Sequence[str] | None) -> Table:
    known = dataset_names()
    if name not in known:
        hint = close_match(name, known)
        raise ValueError(f"There is no file {name!r} and no data set of that name (data sets: {', '.join(known)}).{hint}")
    data = load_dataset(name)
    index = _indices(list(data.feature_names), columns, name)
    return Table(data.x[:, index], tuple(data.feature_names[j] for j in index), tuple(data.units[j] for j in index), data.title)


def _indices(known: list[str], columns: Sequence[str] | None, source: str) -> list[int]:
    if columns is None:
        return list(range(len(known)))
    missing = [c for c in columns if c not in known]
    if missing:
        listed = ", ".join(map(_in_line, known[:SHOWN])) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
        hint = close_match(missing[0], [name for name in known[:MOST_COMPARED] if len(name) <= LONG])
        raise ValueError(f"{source!r} has no column {_in_line(missing[0])!r}; its columns are {listed}.{hint}")
    if len(set(columns)) < len(columns):
        raise ValueError(f"--columns names a column twice: {', '.join(columns)}.")
    return [known.index(c) for c in columns]


def _in_line(name: str) -> str:
    """A name on one line, cut where it is long."""
    name = " ".join(name.split())
    return name if len(name) <= LONG else name[: LONG - 3] + "..."


def _choice(names: Sequence[str]) -> str:
    """An example of ``--columns``, of names that can be typed."""
    plain = [name for name in names if _in_line(name) == name and name.isprintable()][:SHOWN]
    return f" for example --columns {','.join(plain)}." if plain else ""


def _read(path: Path, suffix: str):
    """A file as a pandas frame; whatever goes wrong is one sentence with the name of the file."""
    import pandas

    try:
        if suffix in (".parquet", ".feather", ".arrow"):
            with path.open("rb") as file:  # Arrow takes no names that are not text in UTF-8
                return pandas.read_parquet(file) if suffix == ".parquet" else pandas.read_feather(file)
        return _npy(path) if suffix == ".npy" else _text(path, suffix)
    except pandas.errors.EmptyDataError:
        raise ValueError(f"{str(path)!r} is empty.") from None
    except ImportError:
        raise ValueError(f"Reading {suffix} files needs pyarrow: install bayesgmm[parquet].") from None
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} could not be read as {suffix[1:]}: it is not text in UTF-8.") from None
    except (ValueError, OSError, EOFError, NotImplementedError, csv.Error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{str(path)!r} could not be read as {suffix[1:]}: {reason.rstrip('.')}.") from None
    except MemoryError:
        raise ValueError(f"{str(path)!r} needs more memory than there is to be read as {suffix[1:]}, or is damaged.") from None
    except Exception:  # whatever else pandas and pyarrow meet in a damaged description of columns
        raise ValueError(f"{str(path)!r} could not be read as {suffix[1:]}: it is damaged.") from None


def _npy(path: Path):
    import pandas

    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, tokenize.TokenError):
        raise ValueError("it is damaged, or not an array of numbers") from None
    if not isinstance(array, np.ndarray):
        raise ValueError("it is an archive of several arrays")
    if array.dtype.names:
        return pandas.DataFrame({name: array[name] for name in array.dtype.names})
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"it holds an array of shape {array.shape}, where rows and columns (N, D) are needed")
    return pandas.DataFrame(array, columns=[f"x{j}" for j in range(array.shape[1])])


def _text(path: Path, suffix: str):
    """A text file with or without a line of names, separated by commas, semicolons, tabs or spaces."""
    import pandas

    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(itertools.islice((line for line in file if line.strip()), 2))
        zero = "\0" in "".join(lines) or any("\0" in part for part in iter(lambda: file.read(PART), ""))
    if not lines:
        raise pandas.errors.EmptyDataError
    if zero:  # where some versions of pandas end a cell
        raise ValueError("it holds a byte of zero, which is no text")
    separator = "\t" if suffix == ".tsv" else _separator(lines[0])
    first = next(csv.reader(lines[:1], delimiter=separator, skipinitialspace=True)) if separator != r"\s+" else lines[0].split()
    if len(first) > MOST_COLUMNS:
        raise ValueError(f"its first line has {len(first):,} columns, where at most {MOST_COLUMNS:,} are read")
    decimal = "," if separator == ";" and re.search(r"\d,\d", lines[-1]) else "."
    header = None if all(_is_number(cell, decimal) for cell in first) else 0
    options = {"sep": separator, "header": header, "decimal": decimal, "index_col": False, "encoding": "utf-8-sig"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        try:
            frame = pandas.read_csv(path, **options, skipinitialspace=True, low_memory=False, **_exactly(pandas.__version__))
        except pandas.errors.ParserWarning:
            raise ValueError(f"its first line has {len(first)} columns, but later lines have more") from None
    return frame if header == 0 else frame.add_prefix("x")


def _exactly(version: str) -> dict[str, Any]:
    """What has pandas read numbers as they were written, to the last bit; from 3.1 on it does."""
    return {"float_precision": "round_trip"} if [int(part) for part in version.split(".")[:2]] < [3, 1] else {}


def _separator(line: str) -> str:
    """The sign that divides a line most often, outside quotation marks."""
    bare = re.sub(r'"[^"]*"', "", line).strip()
    best = max(",;\t", key=bare.count)
    return best if best in bare or " " not in bare else r"\s+"


def _is_number(cell: str, decimal: str) -> bool:
    try:
        float(cell.replace(decimal, "."))
    except ValueError:
        return False
    return True


def _pick(frame, columns: Sequence[str] | None, source: str):
    """The columns asked for, as strings without surrounding spaces."""
    if not len(frame):
        raise ValueError(f"{source!r} has a header but no rows.")
    frame.columns = [str(c).strip() for c in frame.columns]
    names = list(frame.columns)
    doubles = [name for name, times in Counter(names).items() if times > 1]
    if doubles:
        raise ValueError(f"{source!r} has more than one column {_in_line(doubles[0])!r}.")
    nameless = [j for j, c in enumerate(names) if c.startswith("Unnamed: ") or not c]
    if nameless and columns is None:
        others = _choice([names[j] for j in sorted(set(range(len(names))) - set(nameless))])
        advice = f" Choose columns by name,{others}" if others else ""
        raise ValueError(f"{source!r}: column {nameless[0]} (counting from 0) has no name; is it a row number?{advice}")
    return frame if columns is None else frame.iloc[:, _indices(names, columns, source)]


def _refuse_text(frame, source: str) -> None:
    """Name the first cell of text, and the columns that would do."""
    from pandas.api.types import is_numeric_dtype

    doubtful = [c for c, kind in zip(frame.columns, frame.dtypes, strict=True) if not is_numeric_dtype(kind)]
    wrong = {c: place for c in doubtful if (place := _first_text(frame[[c]])) is not None}
    if not wrong:
        return
    name, place = next(iter(wrong.items()))
    numeric = _choice([c for c in frame.columns if c not in wrong])
    advice = f" Choose numeric columns,{numeric}" if numeric else ""
    cell = str(frame[name].iloc[place])[:40]
    raise ValueError(f"{source!r}: column {_in_line(name)!r} is not numeric: row {place} (counting from 0) holds {cell!r}.{advice}")


def _first_text(column) -> int | None:
    """Place of the first cell of a one-column frame that is not a number, if there is one."""
    try:
        to_rows(column)
        return None
    except (TypeError, ValueError):
        pass
    for i, cell in enumerate(column.iloc[:, 0]):
        try:
            float(cell)
        except (TypeError, ValueError):
            if cell is not None:
                return i
    return 0
