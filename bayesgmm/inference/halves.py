"""Both halves of a batch at the same time: programs on small arrays leave all but one core idle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from bayesgmm.inference.compiling import elsewhere, settings


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
    half, odd = divmod(len(leaves[0]), 2)
    if odd or elsewhere() or any(isinstance(leaf, Tracer) for leaf in leaves):
        return function(*batch)
    wide, mine = bool(jax.config.read("jax_enable_x64")), settings()

    def work(places: slice):
        with jax.enable_x64(wide):
            if settings() == mine and not elsewhere():  # nothing was changed for the caller's thread alone
                return jax.tree.map(np.asarray, function(*jax.tree.map(lambda a: a[places], batch)))

    batch = jax.tree.map(lambda a: a if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else np.asarray(a), batch)
    with ThreadPoolExecutor(1) as other:
        later = other.submit(work, slice(half, None))
        first, second = work(slice(half)), later.result()
    second = work(slice(half, None)) if second is None else second
    return jax.tree.map(lambda *both: np.concatenate(both), first, second)
