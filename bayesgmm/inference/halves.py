"""Both halves of a batch at the same time: programs on small arrays leave all but one core idle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def in_halves(function: Callable[..., Any], *batch: Any) -> Any:
    """What ``function`` answers for a batch of fits, the two halves of which it works on in two threads.

    Parameters
    ----------
    function : callable
        Compiled; of trees of arrays, fits along the leading axis of each, in what it is given and in what it answers.
    *batch : trees of arrays
        Of as many fits each. Odd numbers are not divided, since one program is to serve both halves; nor are they within a program.

    Returns
    -------
    tree of arrays
    """
    leaves = jax.tree.leaves(batch)
    size = len(leaves[0])
    if size % 2 or any(isinstance(leaf, Tracer) for leaf in leaves):
        return function(*batch)
    wide, half = bool(jax.config.read("jax_enable_x64")), size // 2

    def work(places: slice):
        with jax.enable_x64(wide):
            return jax.tree.map(np.asarray, function(*jax.tree.map(lambda a: a[places], batch)))

    batch = jax.tree.map(lambda a: a if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else np.asarray(a), batch)
    with ThreadPoolExecutor(1) as other:
        second = other.submit(work, slice(half, size))
        first = work(slice(half))
        return jax.tree.map(lambda *both: np.concatenate(both), first, second.result())
