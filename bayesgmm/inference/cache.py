"""Compiled programs: kept on disk, so that a fresh process starts fast; forgotten before a process can hold no more of them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import jax

MAPS = Path("/proc/self/maps")
CROWDED = 40_000
"""Memory maps, of which Linux allows a process 65,530 by default; each compiled program holds dozens, and running out is a crash."""


LARGEST = 2**29
"""Bytes that the library's own folder of compiled programs may hold."""


def enable_compilation_cache(path: str | os.PathLike | None = None, max_size: int | None = None) -> Path:
    """Keep JAX's compiled programs in a private folder of the user's.

    The setting belongs to the whole process and so to all JAX code in it; the library never calls this by itself, the command line does.
    ``jax.config.update("jax_enable_compilation_cache", False)`` turns it off again, and the folder may be deleted at any time.

    Parameters
    ----------
    path : path, optional
        Folder; by default ``$JAX_COMPILATION_CACHE_DIR``, else ``bayesgmm/xla-<jax version>`` in the user's cache folder.

    max_size : int, optional
        Bytes that the folder may hold: when it holds more at this call, the programs written longest ago are deleted first. By default
        512 MiB for the library's own folder, and no limit for a folder that was named, which others may use too.

    Returns
    -------
    Path
        The folder in use.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(path or os.environ.get("JAX_COMPILATION_CACHE_DIR") or home / "bayesgmm" / f"xla-{jax.__version__}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path is None and "JAX_COMPILATION_CACHE_DIR" not in os.environ
    if own or max_size is not None:
        _trim(folder, LARGEST if max_size is None else max_size)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def _trim(folder: Path, max_size: int) -> None:
    """Delete the oldest programs until the others take no more than ``max_size`` bytes; another process may be doing the same."""
    found = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            known = path.stat()
            found.append((known.st_mtime, known.st_size, path))
    left = max_size
    for _, size, path in sorted(found, reverse=True):
        left -= size
        if left < 0:
            with contextlib.suppress(OSError):
                path.unlink()


def make_room() -> None:
    """Have JAX forget its compiled programs when the process holds very many; those needed again are compiled again."""
    try:
        crowded = MAPS.read_bytes().count(b"\n") > CROWDED
    except OSError:
        return
    if crowded:
        jax.clear_caches()
