"""The library's own compiled programs: made once, in about half the time where the data are not large, and kept on disk.

A program is known by its source, the static arguments, and the shapes and types of the others, not by what tracing it would give: one
found on disk is neither traced nor compiled.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.core import Tracer

from bayesgmm.inference import cache

QUICKER = {"xla_cpu_use_fusion_emitters": False}
"""XLA's older code generator for fused loops: on CPUs it compiles these programs in half the time. Its exponentials take four times as long
(5.1 ns instead of 1.3), which on small data is lost among other costs."""

LARGE = 2**18
"""Numbers in one array from which programs are compiled to run fast rather than to be compiled fast."""

MAPS = Path("/proc/self/maps")
CROWDED = 40_000
"""Memory maps, of which Linux allows a process 65,530 by default; each compiled program holds dozens, and running out is a crash."""

SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
)
"""Settings of JAX that a program depends on."""

SPECIAL = ("jax_disable_jit", "jax_debug_nans", "jax_debug_infs", "jax_default_device")
"""Settings of JAX with which its own ways of running programs are needed."""

_made: list[dict] = []


def jit(function: Callable[..., Any] | None = None, *, static_argnames: Sequence[str] = ()) -> Callable[..., Any]:
    """Compile as ``jax.jit`` does, which it is within another program, on several devices, and where JAX is to check each operation."""
    if function is None:
        return functools.partial(jit, static_argnames=static_argnames)
    plain = jax.jit(function, static_argnames=static_argnames)
    places = {i for i, name in enumerate(inspect.signature(function).parameters) if name in static_argnames}
    programs: dict[Any, Callable[..., Any]] = {}
    _made.append(programs)

    @functools.wraps(function)
    def call(*args, **kwargs):
        given = tuple(value for i, value in enumerate(args) if i not in places)
        named = {name: value for name, value in kwargs.items() if name not in static_argnames}
        leaves, tree = jax.tree.flatten((given, named))
        kinds = _kinds(leaves)
        if kinds is None or _elsewhere():
            return plain(*args, **kwargs)
        static = tuple((i, type(args[i]), args[i]) for i in places if i < len(args))
        static += tuple((name, type(kwargs[name]), kwargs[name]) for name in static_argnames if name in kwargs)
        key = tree, kinds, static, tuple(getattr(jax.config, name) for name in SETTINGS)
        if key not in programs:
            programs[key] = _program(function, key, lambda: plain.lower(*args, **kwargs))
        return programs[key](*given, **named)

    return call


def _kinds(leaves: list) -> tuple | None:
    """Shapes and types of arguments; None where one is a tracer, or an array bound to devices."""
    kinds = []
    for leaf in leaves:
        if isinstance(leaf, Tracer) or getattr(leaf, "committed", False):
            return None
        kinds.append((getattr(leaf, "shape", ()), getattr(leaf, "dtype", type(leaf)), getattr(leaf, "weak_type", False)))
    return tuple(kinds)


def _elsewhere() -> bool:
    """Whether the user has asked JAX for another device, a mesh of them, or for operations one at a time."""
    return any(getattr(jax.config, name) for name in SPECIAL) or not jax.sharding.get_abstract_mesh().empty


def _program(function: Callable, key: tuple, lower: Callable) -> Callable[..., Any]:
    """The compiled program, from disk if it is there."""
    tree, kinds, static, settings = key
    on_cpu = jax.default_backend() == "cpu"
    quick = on_cpu and not any(_size(shape) >= LARGE for shape, *_ in kinds)
    words = [(shape, str(dtype), weak) for shape, dtype, weak in kinds]
    values = [(place, value) for place, _, value in static]
    name = cache.name_of(function, jax.tree.unflatten(tree, words), values, settings, quick) if on_cpu else None
    found = cache.read(name, tree)
    if found is None:
        found = _compile(lower(), quick)
        cache.write(name, found)
    return found


def _size(shape: tuple[int, ...]) -> int:
    return functools.reduce(int.__mul__, shape, 1)


def _compile(lowered, quick: bool):
    """Compile with `QUICKER` if so asked, and if this version of XLA has it."""
    if quick:
        try:
            return lowered.compile(compiler_options=QUICKER)
        except Exception as error:
            if next(iter(QUICKER)) not in str(error):
                raise
    return lowered.compile()


def make_room() -> None:
    """Forget compiled programs when the process holds very many; those needed again are compiled, or read, again."""
    try:
        crowded = MAPS.read_bytes().count(b"\n") > CROWDED
    except OSError:
        return
    if crowded:
        forget()


def forget() -> None:
    """Forget all compiled programs of this process, JAX's included; those on disk stay."""
    for programs in _made:
        programs.clear()
    jax.clear_caches()
