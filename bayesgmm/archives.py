"""Arrays in one ``.npz`` file with a header of words and a checksum; files that are damaged or made to do harm are refused."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

HEADER, CHECKSUM = "header", "checksum"
MEMBER = re.compile(rf"({HEADER}|{CHECKSUM}|a\d{{1,6}})\.npy")
"""Names of members; a name with a folder in it is none."""

KINDS = "biufUSMm"
"""Kinds of arrays that files hold: numbers, text, dates and times."""

LONGEST = 2**25
"""Bytes of the longest header, of four to a character."""

DIRECTORY = 2**21
"""Bytes of the longest list of members, which would be read before anything is known of them."""

SMALL, RATIO = 2**16, 100
"""A member of more bytes than this is never packed to less than one part in so many."""

ALLOWANCE = 2**26
"""Bytes to which the members of any file may unpack, and `RATIO` for each byte of it besides."""

UNICODE = 0x10FFFF
"""Last sign of all."""


class Untrue(ValueError):
    """A file claims what cannot be true of one of ours; the text says what."""


class _Cautious(io.BufferedReader):
    """A file of which nobody reads much in one go while ``most`` is set: a list of members could be as long as the file."""

    most: int | None = DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise Untrue(f"lists its members on {size:,} bytes, where at most {self.most:,} are taken")
        return super().read(size)


def write(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write ``header`` and arrays a0, a1, ... to a new file; equal contents make equal files."""
    text = np.array(json.dumps(header))
    if text.nbytes > LONGEST:
        told = f"The parameters take {text.nbytes // 4:,} characters, and a file holds {LONGEST // 4:,}"
        raise ValueError(f"{told}; give long lists as arrays.")
    digest = hashlib.sha256()
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as file:
        for name, array in {HEADER: text, **arrays}.items():
            add(file, name, array, digest)
        add(file, CHECKSUM, np.array(digest.hexdigest()))


def add(file: zipfile.ZipFile, name: str, array: np.ndarray, digest: Any = None) -> None:
    """One array with a fixed time stamp."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), version=(1, 0), allow_pickle=False)
    content = buffer.getvalue()
    info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    dense = len(content) <= SMALL or len(content) <= RATIO * len(zlib.compress(content))
    info.compress_type = zipfile.ZIP_DEFLATED if dense else zipfile.ZIP_STORED
    file.writestr(info, content)
    if digest is not None:
        _tell(digest, info.filename, content)


def _tell(digest: Any, name: str, content: bytes) -> None:
    """Names and lengths count too, so that no content can pass for another."""
    digest.update(f"{name} {len(content)}\n".encode())
    digest.update(content)


class Archive:
    """A file of arrays that is open for reading.

    Nothing is unpacked before its claimed size is found possible, nothing is executed, and no file is written.

    Raises
    ------
    Untrue
        It claims more than it can hold.
    Exception
        It is no such file; the text is not for users.
    """

    def __init__(self, path: str):
        self._file = _Cautious(io.FileIO(path))
        try:
            size = os.fstat(self._file.fileno()).st_size
            self._zip = zipfile.ZipFile(self._file)
            self._file.most = None
            self._members = {info.filename: info for info in self._zip.infolist()}
            self._check(size)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: Any) -> None:
        self._zip.close()
        self._file.close()

    def _check(self, size: int) -> None:
        """No member twice, none packed in a way that we do not use, and not more in all than a file of this size holds."""
        infos = self._zip.infolist()
        total = sum(info.file_size for info in infos)
        if total > ALLOWANCE + RATIO * size:
            raise Untrue(f"would unpack to {total:,} bytes from {size:,}")
        if len(infos) > len(self._members):
            raise Untrue("holds two members of one name")
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
            raise Untrue("is packed in another way than ours")

    def header(self) -> dict[str, Any]:
        """The header; of its words none is checked."""
        info = self._members[f"{HEADER}.npy"]
        if info.file_size > LONGEST + 128:
            raise Untrue(f"has a header of {info.file_size:,} bytes, where at most {LONGEST:,} are taken")
        return json.loads(str(_array(self._zip.read(info))))

    def arrays(self, checksum: bool) -> dict[str, np.ndarray]:
        """All arrays but the header, checked against the ``checksum`` unless files of this format have none."""
        digest, found = hashlib.sha256(), {}
        for name, info in self._members.items():
            if not MEMBER.fullmatch(name):
                raise Untrue(f"holds a member named {name[:40]!r}")
            content = self._zip.read(info)
            if name != f"{CHECKSUM}.npy":
                _tell(digest, name, content)
            found[name.removesuffix(".npy")] = _array(content)
        given = found.pop(CHECKSUM, None)
        if (checksum or given is not None) and str(given) != digest.hexdigest():
            raise Untrue("does not have the checksum of what it holds")
        return {name: array for name, array in found.items() if name != HEADER}


def _array(content: bytes) -> np.ndarray:
    """The array of a member, whose claimed shape must be just what follows."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise Untrue("holds an array in a layout that is not ours")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in KINDS or dtype.shape:
        raise Untrue(f"holds an array of dtype {str(dtype)[:40]}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise Untrue(f"holds an array of {len(content) - stream.tell():,} bytes that claims another shape")
    array = np.frombuffer(content, dtype, offset=stream.tell()) if dtype.itemsize and math.prod(shape) else np.zeros(0, dtype)
    if dtype.kind == "U" and array.size:
        if (array.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder)) > UNICODE).any():
            raise Untrue("holds text that is none")
    return array.reshape(shape, order="F" if by_column else "C").copy(order="K")
