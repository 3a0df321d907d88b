"""``jax.jit`` for the library's own programs, compiled in about half the time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.core import Tracer

QUICKER = {"xla_cpu_use_fusion_emitters": False}
"""XLA's older code generator for fused loops: on CPUs it compiles these programs in half the time and they run as fast."""


@functools.cache
def options() -> dict[str, bool] | None:
    """`QUICKER`, or None where this version of XLA, or this machine, does not have it."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda a: a + 1, compiler_options=QUICKER).lower(1.0).compile()
    except Exception:
        return None
    return QUICKER


def jit(function: Callable[..., Any] | None = None, *, static_argnames: Sequence[str] = ()) -> Callable[..., Any]:
    """Compile as ``jax.jit`` does; within another program, where options are not allowed, it is ``jax.jit``."""
    if function is None:
        return functools.partial(jit, static_argnames=static_argnames)
    inner = jax.jit(function, static_argnames=static_argnames)

    @functools.cache
    def outer() -> Callable[..., Any]:
        return jax.jit(function, static_argnames=static_argnames, compiler_options=options())

    @functools.wraps(function)
    def call(*args, **kwargs):
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((args, kwargs)))
        return (inner if traced else outer())(*args, **kwargs)

    return call
