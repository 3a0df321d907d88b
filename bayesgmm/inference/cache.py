"""Compiled programs on disk, so that a fresh process starts fast: the library's own only, and without any change of JAX's settings."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import numbers
import os
import pickle
import platform
import tempfile
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

import jax
import numpy as np

VARIABLE = "BAYESGMM_COMPILATION_CACHE"
"""Variable of the environment: a folder, or ``off``."""

OFF, ON = ("off", "0", "false", "no", "none", "disabled"), ("on", "1", "true", "yes", "enabled")
"""What else it may say."""

LARGEST = 2**29
"""Bytes that the folder may hold by default."""

ENDING = ".program"
KNOWN = {"bayesgmm", "jax", "jaxlib", "numpy", "builtins", "functools", "ml_dtypes"}
"""Packages whose functions and classes are known by name and version; of other code only the name would be known, which may change."""


class _Place:
    """Where programs are kept: undecided until the first is needed, then a folder, or nowhere."""

    folder: Path | None = None
    decided = False
    max_size = LARGEST
    used = 0


def enable_compilation_cache(path: str | os.PathLike | None = None, max_size: int | None = None) -> Path:
    """Keep the library's compiled programs in this folder, from which later processes read them.

    This is on from the start, for the default folder; call it for another folder or size. `disable_compilation_cache` turns it
    off, as does ``BAYESGMM_COMPILATION_CACHE=off`` in the environment. The folder may be deleted at any time.

    Parameters
    ----------
    path : path, optional
        Folder; by default ``$BAYESGMM_COMPILATION_CACHE``, else ``bayesgmm`` in the user's cache folder. Programs are code that
        will be run: let nobody else write there.
    max_size : int, default 536,870,912
        Bytes that the folder may hold. The programs unused for longest are deleted first.

    Returns
    -------
    Path
        The folder in use.

    Raises
    ------
    OSError
        The folder cannot be made, or written to.
    ValueError
        ``max_size`` is negative.

    Notes
    -----
    A program is known by the library's source, the versions of JAX and NumPy, the processor, and shapes and types of its arguments.
    Functions of the library that are replaced at run time are not seen: turn the cache off for such experiments. Functions and classes
    of your own, in a prior say, are never kept.
    """
    size = LARGEST if max_size is None else max_size
    if not isinstance(size, numbers.Integral) or size < 0:
        raise ValueError(f"max_size must be a whole number of bytes, 0 or more; got {max_size!r}.")
    folder = (_told() or _home()) if path is None else Path(path)
    folder = folder.expanduser().absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    _Place.folder, _Place.max_size, _Place.decided = folder, int(size), True
    _Place.used = _trim(folder, int(size))
    return folder


def disable_compilation_cache() -> None:
    """Neither read nor keep compiled programs on disk; those that are there stay."""
    _Place.folder, _Place.decided = None, True


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bayesgmm"


def _word() -> str:
    return os.environ.get(VARIABLE, "").strip()


def _told() -> Path | None:
    """Folder that the environment names, if it does."""
    word = _word()
    return Path(word) if word and word.lower() not in OFF + ON else None


def _folder() -> Path | None:
    """The folder in use. Without leave to write there, or where others might, there is none."""
    if not _Place.decided:
        _Place.decided = True
        if _word().lower() in OFF:
            return None
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: a user without a home
            folder = enable_compilation_cache()
            if _others_write(folder):
                disable_compilation_cache()
                if _told():
                    warnings.warn(
                        f"{VARIABLE} names {str(folder)!r}, where others may write: compiled programs are not kept. Take that permission "
                        "away, or name the folder with bayesgmm.enable_compilation_cache.",
                        RuntimeWarning,
                        stacklevel=2,
                    )
    return _Place.folder


def _others_write(folder: Path) -> bool:
    known = folder.stat()
    return hasattr(os, "getuid") and (known.st_uid != os.getuid() or bool(known.st_mode & 0o022))


def name_of(function: Callable, tree: Any, leaves: list, *others: Any) -> str | None:
    """File name of a program for arguments of this structure and these kinds of ``leaves``.

    None where it cannot be known from one process to the next, or nothing is kept.
    """
    home, name = function.__module__, function.__qualname__
    if _folder() is None or SOURCE is None or "<locals>" in name or home.partition(".")[0] not in KNOWN:
        return None
    told = io.BytesIO()
    try:
        _Namer(told).dump((home, name, jax.tree.unflatten(tree, leaves), others))
    except Exception:  # classes of the user's may refuse anything
        return None
    return hashlib.sha256(_environment() + told.getvalue()).hexdigest()


class _Namer(pickle.Pickler):
    """Writes arguments out, the same in each process; refuses functions and classes from elsewhere."""

    def __init__(self, file):
        super().__init__(file, protocol=5)
        self.fast = True

    def persistent_id(self, obj: Any) -> None:
        if isinstance(obj, (type, FunctionType)):
            if obj.__module__.partition(".")[0] not in KNOWN:
                raise pickle.PicklingError(f"{obj.__module__}.{obj.__qualname__} may change")
        return None


def _source() -> bytes | None:
    """Digest of the library's source; None where there is none."""
    package = Path(__file__).parents[1]
    paths = sorted(package.rglob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"\0{path.relative_to(package)}\0".encode() + path.read_bytes())
    return digest.digest() if paths else None


SOURCE = _source()
"""Of the source as imported: later it may be another."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _environment() -> bytes:
    """Digest of what programs depend on beside their arguments: the library's source, versions, the processor."""
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "numpy")]
    told = SOURCE, versions, platform.system(), platform.machine(), _abilities(), cores(), os.environ.get("XLA_FLAGS")
    return hashlib.sha256(repr(told).encode()).digest()


def _abilities() -> str:
    """What the processor can do, where the system tells."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return "".join(line for line in lines if line.startswith(("flags", "Features", "model name")))
    return ""


def read(name: str | None, tree: Any) -> Callable[..., Any] | None:
    """The program of this name, for arguments of this structure; None if there is none, or it is damaged."""
    folder = _folder()
    if name is None or folder is None:
        return None
    path = folder / (name + ENDING)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    from jax.experimental.serialize_executable import deserialize_and_load

    _load_lapack()
    with contextlib.suppress(Exception):  # whatever another version of JAX may say: it is compiled again
        program, out = pickle.loads(content[32:])
        found = deserialize_and_load(program, tree, jax.tree.structure(out), execution_devices=jax.devices()[:1])
        os.utime(path)
        return found
    return None


@functools.cache
def _load_lapack() -> None:
    """Have JAX look LAPACK up, which it does when it translates a program: one that is only read would call functions at address 0."""
    try:
        from jaxlib.lapack import prepare_lapack_call

        prepare_lapack_call("potrf_ffi", np.dtype("float64"))
    except (ImportError, AttributeError, TypeError):
        jax.jit(jax.lax.linalg.cholesky).lower(np.eye(1, dtype=np.float32))


def write(name: str | None, compiled: Any) -> None:
    """Keep a program; where that fails, it is not kept."""
    folder = _folder()
    if name is None or folder is None or _from_jax():
        return
    from jax.experimental.serialize_executable import serialize

    with contextlib.suppress(Exception):  # a program that JAX cannot write, a full disk, a folder that has gone
        program, _, out = serialize(compiled)
        content = pickle.dumps((program, jax.tree.unflatten(out, range(out.num_leaves))), protocol=5)
        _Place.used += len(content) + 32
        if _Place.used > _Place.max_size:
            _Place.used = _trim(folder, max(_Place.max_size - len(content) - 32, 0)) + len(content) + 32
        if _Place.used <= _Place.max_size:
            _put(folder / (name + ENDING), hashlib.sha256(content).digest() + content)


def _from_jax() -> bool:
    """Whether programs may come from JAX's own cache: XLA cannot write out again what it has read."""
    return all(jax.config.values[name] for name in ("jax_compilation_cache_dir", "jax_enable_compilation_cache"))


def _put(path: Path, content: bytes) -> None:
    """Write a file in one step, or none."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix="new-", suffix=ENDING, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise


def remove(name: str) -> None:
    """Delete a program that does not work."""
    folder = _folder()
    if folder is not None:
        with contextlib.suppress(OSError):
            (folder / (name + ENDING)).unlink()


def _trim(folder: Path, max_size: int) -> int:
    """Delete the programs unused for longest until the others take no more than ``max_size`` bytes, and say how many they take.

    Other processes may do the same at the same time.
    """
    found = []
    for path in folder.glob("*" + ENDING):
        with contextlib.suppress(OSError):
            known = path.stat()
            found.append((known.st_mtime, known.st_size, path))
    used = 0
    for _, size, path in sorted(found, reverse=True):
        if used + size > max_size:
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            used += size
    return used
