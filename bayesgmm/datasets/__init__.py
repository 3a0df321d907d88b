"""Real data sets shipped with the package, each with its source and licence.

The numbers are CSV files in ``data/``, large ones packed by gzip; everything said about them is in ``data/datasets.json``.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

__all__ = ["Dataset", "DatasetInfo", "dataset_names", "describe_datasets", "load_dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set; unpacks as ``x, feature_names, labels``.

    Attributes
    ----------
    name : str
        The name given to :func:`load_dataset`.
    title : str
        Name for people, such as "Old Faithful".
    x : ndarray of float64, shape (N, D)
        The measurements, one row per observation.
    feature_names : tuple of str, length D
        Column names.
    units : tuple of str, length D
        Unit of each column; empty where none is known.
    labels : ndarray of str, shape (N,), or None
        Known class of each row, where there is one. For "weather" it is the month, not a class.
    description, source, licence : str
        What was measured, the publication and the copy used, and the terms.
    groups : ndarray of int, shape (N,), or None
        Which rows were measured together, where that is known: the utterance of each frame of "japanese_vowels".
    """

    name: str
    title: str
    x: np.ndarray = field(repr=False)
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    labels: np.ndarray | None = field(repr=False)
    description: str = field(repr=False)
    source: str = field(repr=False)
    licence: str = field(repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Any]:
        """Yield x (N, D), feature_names (D,) and labels (N,) or None, in this order."""
        yield self.x
        yield self.feature_names
        yield self.labels


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without reading its numbers.

    Attributes
    ----------
    name, title : str
        As in :class:`Dataset`.
    rows, columns : int
        N and D.
    feature_names, units : tuple of str, length D
        As in :class:`Dataset`.
    label_name : str or None
        What the labels are, such as "species"; None where there are none.
    group_name : str or None
        What the groups are, such as "utterance"; None where there are none.
    summary : str
        The description in one line.
    description, source, licence : str
        As in :class:`Dataset`.
    """

    name: str
    title: str
    rows: int
    columns: int
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    label_name: str | None
    group_name: str | None
    summary: str
    description: str
    source: str
    licence: str

    def __str__(self) -> str:
        """Return a short text for a listing: size and summary, source, licence."""
        head = f"{self.name} ({self.rows} x {self.columns}): {self.summary}"
        return f"{head}\n  source: {self.source}\n  licence: {self.licence}"


def load_dataset(name: str) -> Dataset:
    """Load a data set shipped with the package.

    Parameters
    ----------
    name : str
        One of :func:`dataset_names`.

    Returns
    -------
    Dataset
        With x (N, D) float64, labels (N,) of str or None, groups (N,) of int or None, names, units, source and licence.
        The arrays are new on each call, so changing them affects nobody else.

    Raises
    ------
    ValueError
        If there is no data set of that name.

    Examples
    --------
    >>> x, names, labels = load_dataset("faithful")
    >>> x.shape, names
    ((272, 2), ('eruptions', 'waiting'))
    """
    info = _info(name)
    x, labels, groups = _read_csv(info)
    return Dataset(
        name=info.name,
        title=info.title,
        x=x,
        feature_names=info.feature_names,
        units=info.units,
        labels=labels,
        description=info.description,
        source=info.source,
        licence=info.licence,
        groups=groups,
    )


def dataset_names() -> tuple[str, ...]:
    """Return the names that :func:`load_dataset` knows.

    Returns
    -------
    tuple of str
    """
    return tuple(_catalogue())


def describe_datasets() -> tuple[DatasetInfo, ...]:
    """Describe every data set without reading its numbers.

    Returns
    -------
    tuple of DatasetInfo
        One record per name, in the order of :func:`dataset_names`.
    """
    return tuple(_catalogue().values())


def _info(name: str) -> DatasetInfo:
    """Return the record called `name`, or raise a ValueError that helps to find it."""
    known = _catalogue()
    if isinstance(name, str) and name in known:
        return known[name]
    close = difflib.get_close_matches(str(name).strip().lower(), list(known), n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown data set {name!r}.{hint} Known data sets: {', '.join(known)}.")


def _data_text(file_name: str) -> str:
    """Return the text of one file in ``data/``; a large one lies there packed, as ``file_name`` with ``.gz``."""
    folder = resources.files(__name__) / "data"
    plain, packed = folder / file_name, folder / f"{file_name}.gz"
    return (plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())).decode("utf-8")


@cache
def _catalogue() -> dict[str, DatasetInfo]:
    """Read ``datasets.json`` once: name to record, in the order of the file."""
    records = json.loads(_data_text("datasets.json"))
    return {name: _record(name, entry) for name, entry in records.items()}


def _record(name: str, entry: dict[str, Any]) -> DatasetInfo:
    """Turn one entry of ``datasets.json`` into a DatasetInfo."""
    return DatasetInfo(
        name=name,
        title=entry["title"],
        rows=entry["rows"],
        columns=len(entry["features"]),
        feature_names=tuple(entry["features"]),
        units=tuple(entry["units"]),
        label_name=entry["label"],
        group_name=entry.get("group"),
        summary=entry["summary"],
        description=entry["description"],
        source=entry["source"],
        licence=entry["licence"],
    )


def _read_csv(info: DatasetInfo) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Read x (N, D) float64, labels (N,) of str, or None, and groups (N,) of int, or None, of one data set."""
    header, *rows = csv.reader(_data_text(f"{info.name}.csv").splitlines())
    first = [info.group_name] if info.group_name else []
    last = [info.label_name] if info.label_name else []
    if header != [*first, *info.feature_names, *last] or len(rows) != info.rows:
        raise RuntimeError(f"the file of data set {info.name!r} does not match its description")
    start = len(first)
    x = np.array([row[start : start + info.columns] for row in rows], dtype=np.float64)
    labels = np.array([row[-1] for row in rows]) if last else None
    groups = np.array([int(row[0]) for row in rows]) if first else None
    return x, labels, groups
