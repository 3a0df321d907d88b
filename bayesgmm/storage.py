"""Save and load: one ``.npz`` file with a JSON header, versioned, with a checksum, without pickle."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm import archives
from bayesgmm.analysis import density
from bayesgmm.analysis.collapsed import Collapse
from bayesgmm.core import (
    components,
    coordinates,
    frozen,
    low_rank,
    mixture,
    noise,
    points,
    shared,
    sharing,
    statistics,
    structures,
    student,
    weights,
)
from bayesgmm.inference import accelerate, loop

MODELS = ("BayesianGaussianMixture", "DiscriminantAnalysis", "GaussianMixture", "KMeans")
FORMAT = "bayesgmm-model"
CHECKPOINT = "bayesgmm-checkpoint"
VERSIONS = {FORMAT: 2, CHECKPOINT: 2}
"""Formats of files, and the version of each that is written; the one before is read, too. Version 1 had no checksum."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, or of the user's share of it, that is full."""

LONGEST = 240
"""Bytes of a name to which ten can be added."""

STALE = 60
"""Seconds after which a file that is being written must have been left by a process that was killed."""

KNOWN = {
    cls.__name__: cls
    for cls in (
        accelerate.Memory,
        components.NormalWishart,
        coordinates.Coordinates,
        density.Density,
        frozen.Frozen,
        low_rank.LowRank,
        mixture.MAP,
        mixture.Mixture,
        noise.NoiseShare,
        noise.WithNoise,
        points.FlatGaussian,
        points.Gaussian,
        shared.SharedGaussian,
        sharing.Sharing,
        structures.Diagonal,
        structures.Full,
        structures.Spherical,
        student.Student,
        weights.Dirichlet,
        weights.FlatWeights,
        weights.PointSticks,
        weights.PointWeights,
        weights.StickBreaking,
    )
}
"""Classes a file may name."""

RECORDS = {cls.__name__: cls for cls in (Collapse, loop.Limits, loop.State, statistics.Region, statistics.Stats)}
"""Named tuples a file may name."""


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.generic):
        return {"scalar": _encode(np.asarray(value), arrays)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple(RECORDS.values())):
        return {"record": type(value).__name__, "items": [_encode(v, arrays) for v in value]}
    if isinstance(value, (list, tuple)):
        return {"sequence": type(value).__name__, "items": [_encode(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"mapping": {k: _encode(v, arrays) for k, v in value.items()}}
    if dataclasses.is_dataclass(value):
        fields = {f.name: _encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, "fields": fields}
    array = np.asarray(value)
    words = array.dtype == object and all(isinstance(item, str) for item in array.flat)
    if not words and array.dtype.kind not in archives.KINDS:
        raise TypeError(f"A {type(value).__name__} cannot be saved: {value!r}.")
    name = f"a{len(arrays)}"
    arrays[name] = array.astype(str) if words else array
    return {"array": name, "words": words}


def _decode(value: Any, arrays) -> Any:
    if not isinstance(value, dict):
        return value
    if "scalar" in value:
        return _decode(value["scalar"], arrays)[()]
    if "array" in value:
        return arrays[value["array"]].astype(object) if value["words"] else arrays[value["array"]]
    if "record" in value:
        return RECORDS[value["record"]](*(_decode(v, arrays) for v in value["items"]))
    if "sequence" in value:
        items = [_decode(v, arrays) for v in value["items"]]
        return tuple(items) if value["sequence"] == "tuple" else items
    if "mapping" in value:
        return {k: _decode(v, arrays) for k, v in value["mapping"].items()}
    return KNOWN[value["class"]](**{k: _decode(v, arrays) for k, v in value["fields"].items()})


def write(path: Any, kind: str, params: dict[str, Any], fitted: dict[str, Any]) -> None:
    """Write a fitted estimator's parameters and attributes."""
    params = storable(params)
    fitted = {k: v for k, v in fitted.items() if k not in params and k != "_metadata_request"}  # an object of scikit-learn's
    write_trees(path, FORMAT, {"class": kind}, {"params": params, "fitted": fitted})


def storable(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of an estimator without generators of random numbers, which files do not hold."""
    return {k: None if isinstance(v, (np.random.Generator, np.random.RandomState)) else v for k, v in params.items()}


def write_trees(path: Any, kind: str, header: dict[str, Any], trees: dict[str, dict[str, Any]]) -> None:
    """Write ``header``, words and numbers, and ``trees`` of arrays and laws to one file of a format."""
    arrays: dict[str, np.ndarray] = {}
    header = {"format": kind, "version": VERSIONS[kind]} | header
    header |= {name: {k: _encode(v, arrays) for k, v in tree.items()} for name, tree in trees.items()}
    with replacing(as_path(path)) as beside:
        archives.write(beside, header, arrays)


def as_path(path: Any) -> Path:
    """The name of a file, checked."""
    if isinstance(path, (str, os.PathLike)) and os.fspath(path):
        return Path(path)
    raise TypeError(f"The path of a file must be a file name; got {path!r}.")


def check_place(path: Path) -> None:
    """Whether a file of this name can be made."""
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write {path.name!r} in.")
    if path.exists() and not path.is_file():  # a new file would take the place of the device
        raise FileExistsError(f"{str(path)!r} is a device or a pipe; give the name of an ordinary file.")


def _shorter(name: str) -> str:
    """The name, or its beginning and a number where more could not be added to it: most systems allow names 255 bytes."""
    whole = os.fsencode(name)
    return name if len(whole) <= LONGEST else f"{name[: LONGEST // 5]}-{zlib.crc32(whole):08x}"


def sweep(path: Path) -> None:
    """Remove unfinished files beside ``path``, of processes that were killed while they wrote, long ago."""
    ours = re.compile(rf"\.{re.escape(_shorter(path.name))}\.[0-9a-f]{{8}}")
    for left in path.parent.iterdir():
        if ours.fullmatch(left.name) and left.is_file() and time.time() - left.stat().st_mtime > STALE:
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` for a new file, which takes its place when it is complete: no half-written file is ever found there."""
    check_place(path)
    beside = path.with_name(f".{_shorter(path.name)}.{secrets.token_hex(4)}")
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        told = f"{str(path)!r} could not be written: {os.strerror(error.errno)}; what was written of it is removed"
        raise OSError(error.errno, told) from None
    finally:
        beside.unlink(missing_ok=True)


def read(path: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Class name, parameters and attributes from a file.

    Raises
    ------
    ValueError
        The file is not a saved model, or of a later version of the format.
    """
    header, trees = read_trees(path, FORMAT, ("params", "fitted"), "model")
    try:
        return MODELS[MODELS.index(header["class"])], trees["params"], trees["fitted"]
    except (KeyError, ValueError):
        raise ValueError(f"{str(path)!r} is a damaged model file.") from None


def read_trees(path: Any, kind: str, trees: tuple[str, ...], what: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Header and trees of a file of a format, a ``what`` in words."""
    name = str(as_path(path))
    if not Path(name).is_file():
        raise ValueError(f"There is no {what} file at {name!r}.")
    try:
        with archives.Archive(name) as archive:
            header = archive.header()
            version = _version(header, kind)
            arrays = archive.arrays(checksum=version > 1) if version <= VERSIONS[kind] else {}
    except PermissionError:
        raise
    except archives.Untrue as error:
        raise ValueError(f"{name!r} is not a {what} saved by bayesgmm, or the file is damaged: it {error}.") from None
    except Exception:
        raise ValueError(f"{name!r} is not a {what} saved by bayesgmm, or the file is damaged.") from None
    if version > VERSIONS[kind]:
        raise ValueError(f"{name!r} was saved by a later bayesgmm (format {version}, this one reads up to {VERSIONS[kind]}); upgrade it.")
    try:
        return header, {name: {k: _decode(v, arrays) for k, v in header[name].items()} for name in trees}
    except Exception:
        raise ValueError(f"{name!r} is a damaged {what} file.") from None


def _version(header: dict[str, Any], kind: str) -> int:
    """The version of a header of this format."""
    version = header["version"]
    if header["format"] != kind or type(version) is not int or version < 1:
        raise KeyError
    return version
