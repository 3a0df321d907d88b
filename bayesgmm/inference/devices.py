"""Rows divided among several devices of one process: each makes its passes over its own rows, and statistics are added up."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

ROWS = "rows"
"""Name of the axis of devices."""


def holders(x: Any) -> tuple[Any, ...]:
    """The devices that an array is spread over, in order; none for an array that is being traced or has copies of itself everywhere."""
    sharding = None if isinstance(x, Tracer) else getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or sharding.is_fully_replicated:
        return ()
    return tuple(np.asarray(sharding.mesh.devices).flat)


def read_devices(devices: Any) -> tuple[Any, ...]:
    """One device, or several that differ, as a tuple."""
    found = (devices,) if isinstance(devices, jax.Device) else tuple(devices)
    if not found or len(set(found)) < len(found) or not all(isinstance(device, jax.Device) for device in found):
        raise ValueError(f"devices must be one or more different devices, such as jax.devices(); got {devices!r}.")
    return found


def run_divided(run: Callable, devices: Sequence[Any], prior, start, x, weight, tol, limit, **options):
    """What ``run`` of the loop answers, with the rows divided among devices; rows of weight 0 make the parts even."""
    extra = -len(x) % len(devices)
    if extra:
        x, weight = (jnp.concatenate([a, jnp.zeros((extra, *a.shape[1:]), a.dtype)]) for a in (x, weight))
    mesh = Mesh(np.array(devices), (ROWS,))
    x, weight = (jax.device_put(a, NamedSharding(mesh, PartitionSpec(ROWS))) for a in (x, weight))
    program = _program(run, mesh, tuple(sorted(options.items())))
    prior, start = jax.device_put((prior, start), NamedSharding(mesh, PartitionSpec()))
    return program(prior, start, x, weight, tol, limit)


@functools.lru_cache(maxsize=32)
def _program(run: Callable, mesh: Mesh, options: tuple):
    """One compiled program for each set of devices and options."""
    one, rows = PartitionSpec(), PartitionSpec(ROWS)
    body = functools.partial(run, axis=ROWS, **dict(options))
    return jax.jit(jax.shard_map(body, mesh=mesh, in_specs=(one, one, rows, rows, one, one), out_specs=one, check_vma=False))
