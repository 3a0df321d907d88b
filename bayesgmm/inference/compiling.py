"""The library's own compiled programs: made once, in about half the time where the data are not large, and kept on disk.

A program is known by its source, the static arguments, and the shapes and types of the others, not by what tracing it would give: one
found on disk is neither traced nor compiled.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import jax
from jax.core import Tracer

from bayesgmm.inference import cache

QUICKER = {"xla_cpu_use_fusion_emitters": False}
"""XLA's older code generator for fused loops: on CPUs it compiles these programs in half the time. Its exponentials take four times as long
(5.1 ns instead of 1.3), which on small data is lost among other costs."""

BRIEF = QUICKER | {"xla_backend_optimization_level": 0}
"""For programs that take no time on small data however they are compiled: half the time again."""

LARGE = 2**18
"""Numbers in one array from which programs are compiled to run fast rather than to be compiled fast."""

MAPS = Path("/proc/self/maps")
CROWDED = 40_000
"""Memory maps, of which Linux allows a process 65,530 by default; each compiled program holds dozens, and running out is a crash."""

MOST = 1500
"""Programs of the library that are held where the system tells no memory maps; 40,000 maps are about as many."""

SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_random_seed_offset",
)
"""Settings of JAX that a program depends on."""

SPECIAL = ("jax_disable_jit", "jax_debug_nans", "jax_debug_infs", "jax_default_device")
"""Settings of JAX with which its own ways of running programs are needed."""

_settings, _special = attrgetter(*SETTINGS), attrgetter(*SPECIAL)

PLAIN = object()
"""In place of a program: ``jax.jit`` is to be called."""

FORKED = (
    "A process forked after a fit cannot fit or predict: JAX's threads stay with its parent, and it would wait for them for ever. Start "
    "processes by 'spawn' or 'forkserver', or joblib's backend 'loky', its default, or fork before the first fit."
)

_all: list[Program] = []


def jit(function: Callable[..., Any] | None = None, *, static_argnames: Sequence[str] = (), brief: bool = False, fast: bool = False) -> Any:
    """Compile as ``jax.jit`` does.

    ``brief`` programs run once or so in a fit and have no long loops: on small data they are compiled without optimisation. ``fast`` ones
    see parts of large data, and are compiled to run fast however small those are.
    """
    if function is None:
        return functools.partial(jit, static_argnames=static_argnames, brief=brief, fast=fast)
    return Program(function, static_argnames, {} if fast else BRIEF if brief else QUICKER)


class Program:
    """A function and what it was compiled to.

    It is ``jax.jit`` within another program, on several devices, and where JAX is to check each operation.

    Parameters
    ----------
    function : callable
    static : sequence of str
        Arguments that are part of the program.
    options : dict
        With what to compile for small data on CPUs.
    """

    grown = True
    """Whether programs were added since `make_room` last looked."""

    process: int | None = None
    """The process, or the parent it was forked from, that first ran a program."""

    def __init__(self, function: Callable[..., Any], static: Sequence[str], options: dict[str, Any]):
        functools.update_wrapper(self, function)
        self._function = function
        self._plain = jax.jit(function, static_argnames=static)
        self._static = frozenset(static)
        self._places = {i for i, name in enumerate(inspect.signature(function).parameters) if name in static}
        self._options = options
        self._made: dict[Any, Any] = {}
        self._lock = threading.RLock()
        _all.append(self)

    def __call__(self, *args, **kwargs):
        check_process()
        Program.process = os.getpid()
        given, named, key = self._divided(args, kwargs)
        if key is None:
            return self._plain(*args, **kwargs)
        made = self._made.get(key)
        if made is None:
            with self._lock:
                return self._first(key, args, kwargs, given, named)
        return self._plain(*args, **kwargs) if made is PLAIN else made(*given, **named)

    def _first(self, key: tuple, args: tuple, kwargs: dict, given: tuple, named: dict):
        """The answer to arguments of a new kind: by a program from disk, if there is one that works, or else compiled."""
        if key in self._made:  # by another thread
            return self(*args, **kwargs)
        Program.grown = True
        name, options = self._known(key)
        read = cache.read(name, key[0])
        if name is not None and read is not None:
            try:
                answer = jax.block_until_ready(read(*given, **named))
            except Exception:
                cache.remove(name)
            else:
                self._made[key] = read
                return answer
        try:
            with jax.default_device(jax.local_devices()[0]) if jax.process_count() > 1 else contextlib.nullcontext():
                lowered = self._plain.lower(*args, **kwargs)
        except Exception:  # of classes that JAX cannot build of descriptions of arrays; where something else is wrong, it is told here
            answer = self._plain(*args, **kwargs)
            self._made[key] = PLAIN
            return answer
        made = self._made[key] = _compile(lowered, options)
        cache.write(name, made)
        return made(*given, **named)

    def forget(self) -> None:
        """Forget what was compiled."""
        self._made.clear()

    def _divided(self, args: tuple, kwargs: dict) -> tuple[tuple, dict, tuple | None]:
        """Arguments that are not static, and what a program for them is known by; None where JAX is to do it."""
        given = tuple(value for i, value in enumerate(args) if i not in self._places)
        named = {name: value for name, value in kwargs.items() if name not in self._static}
        leaves, tree = jax.tree.flatten((given, named))
        kinds = _kinds(leaves)
        if kinds is None or elsewhere():
            return given, named, None
        static = [(i, type(args[i]), args[i]) for i in self._places if i < len(args)]
        static += [(name, type(value), value) for name, value in kwargs.items() if name in self._static]
        return given, named, (tree, kinds, tuple(static), settings())

    def _known(self, key: tuple) -> tuple[str | None, dict[str, Any] | None]:
        """Name of the program on disk, and with what to compile it."""
        tree, kinds, static, told = key
        if jax.default_backend() != "cpu":
            return None, None
        options = None if any(_size(shape) >= LARGE for shape, *_ in kinds) else self._options
        words = [(shape, str(dtype), weak) for shape, dtype, weak in kinds]
        values = [(place, value) for place, _, value in static]
        if jax.process_count() > 1:  # a program on disk is for a device, and each process has others
            return None, options
        return cache.name_of(self._function, tree, words, values, told, options, len(jax.devices())), options


def check_process() -> None:
    """A RuntimeError in a process that was forked after its parent ran a program."""
    if Program.process not in (None, os.getpid()):
        raise RuntimeError(FORKED)


def settings() -> tuple:
    """Settings of JAX that programs depend on, as they are in this thread."""
    return *_settings(jax.config), jax.config.values.get("jax_disable_most_optimizations")  # which is no attribute


def _kinds(leaves: list) -> tuple | None:
    """Shapes and types of arguments; None where one is a tracer, or an array bound to devices."""
    kinds = []
    for leaf in leaves:
        if isinstance(leaf, Tracer) or getattr(leaf, "committed", False):
            return None
        kinds.append((getattr(leaf, "shape", ()), getattr(leaf, "dtype", type(leaf)), getattr(leaf, "weak_type", False)))
    return tuple(kinds)


def traced(*values: Any) -> bool:
    """Whether arrays in these trees are known to a program that is being made only."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def elsewhere() -> bool:
    """Whether the user has asked JAX for another device, a mesh of them, or for operations one at a time."""
    return any(_special(jax.config)) or not jax.sharding.get_abstract_mesh().empty


def _size(shape: tuple[int, ...]) -> int:
    return functools.reduce(int.__mul__, shape, 1)


def _compile(lowered, options: dict[str, Any] | None):
    """Compile with these options, if this version of XLA has them."""
    if options:
        try:
            return lowered.compile(compiler_options=options)
        except Exception as error:
            if not any(name in str(error) for name in options):
                raise
    return lowered.compile()


@contextlib.contextmanager
def numbers(wide: bool = True, types: str = "standard", ranks: str = "allow") -> Iterator[None]:
    """JAX as the library needs it, in this thread: 64 bits, and numbers of two sizes or ranks together, whatever the user has set."""
    with jax.enable_x64(wide), jax.numpy_dtype_promotion(types), jax.numpy_rank_promotion(ranks):
        yield


def ready() -> None:
    """What a public call begins with: the process can run programs, and has room for more."""
    check_process()
    make_room()


def make_room() -> None:
    """Forget compiled programs when the process holds very many; those needed again are compiled, or read, again."""
    if not Program.grown:
        return
    Program.grown = False
    try:
        crowded = MAPS.read_bytes().count(b"\n") > CROWDED
    except OSError:
        crowded = sum(len(program._made) for program in _all) > MOST
    if crowded:
        forget()


def forget() -> None:
    """Forget all compiled programs of this process, JAX's included; those on disk stay."""
    for program in _all:
        program.forget()
    jax.clear_caches()
