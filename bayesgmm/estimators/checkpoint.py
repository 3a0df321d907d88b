"""Checkpoints: where a long fit is, in one file that is always whole, so that a process that was stopped costs a pass or two."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import jax
import numpy as np

from bayesgmm import storage
from bayesgmm.estimators.base import FitWarning
from bayesgmm.inference.cluster import first_process, share

SHARE = 0.02
"""Most of the time of a fit that writing takes."""


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : str or Path
    identity : dict
        What tells this fit from others: a file of another fit is not gone on from.
    shared : bool
        Whether several processes make the fit together: then the first writes and reads, for all.
    """

    def __init__(self, path: Any, identity: dict[str, Any], shared: bool = False):
        self.path, self._identity, self._shared = path, identity, shared
        self._due, self._written = 0.0, False

    def read(self) -> dict[str, Any] | None:
        """What was last written; None where there is no file yet.

        Raises
        ------
        ValueError
            The file is damaged or no checkpoint, or of another fit.
        """
        if not self._shared:
            return self._read()
        return share(lambda: self._read() if first_process() else None)[0]

    def _read(self) -> dict[str, Any] | None:
        path = storage.as_path(self.path)
        storage.sweep(path)
        if not os.path.lexists(path):
            return None
        _, trees = storage.read_trees(self.path, storage.CHECKPOINT, ("identity", "content"), "checkpoint")
        other = _differing(self._identity, trees["identity"])
        if other:
            told = f"{str(self.path)!r} is the checkpoint of another fit: its {' and '.join(other[:3])} differ"
            raise ValueError(f"{told}. Give the data and parameters of that fit to go on with it, or another file, or delete this one.")
        return trees["content"]

    def write(self, content: dict[str, Any], now: bool = False) -> None:
        """Replace the file, unless that was done a moment ago and ``now`` is False.

        Raises
        ------
        OSError
            The first one cannot be written.

        Warns
        -----
        FitWarning
            A later one cannot be; the file keeps what it had.
        """
        began = time.monotonic()
        if (began < self._due and not now) or (self._shared and not first_process()):
            return
        trees = {"identity": self._identity, "content": jax.tree.map(np.asarray, content)}
        try:
            storage.write_trees(self.path, storage.CHECKPOINT, {}, trees)
        except OSError as error:
            told = f"No checkpoint was written to {str(self.path)!r}: {error.strerror or error}"
            if not self._written:
                raise OSError(error.errno, f"{told}. Give the name of a file in a folder with room") from None
            warnings.warn(f"{told}. The fit goes on; the file holds an earlier pass.", FitWarning, stacklevel=2)
        self._written, end = True, time.monotonic()
        self._due = end + (end - began) / SHARE


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What differs, of parameters by name."""
    found = []
    for name, value in one.items():
        there = other.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            some = [each for each in value if not _same(value[each], there.get(each))]
            found += [f"{name} ({', '.join(some[:3])})"] if some else []
        elif not _same(value, there):
            found.append(name)
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal trees of words, numbers and arrays."""
    a, b = jax.tree.flatten(one), jax.tree.flatten(other)
    return str(a[1]) == str(b[1]) and all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a[0], b[0], strict=True))
