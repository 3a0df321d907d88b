"""Both halves of a batch at the same time: programs on small arrays leave all but one core idle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.inference.cache import cores
from bayesgmm.inference.compiling import traced
from bayesgmm.inference.parallel import crew, possible


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
    if odd or traced(batch) or cores() < 2 or not possible():
        return function(*batch)
    batch = jax.tree.map(lambda a: a if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else np.asarray(a), batch)

    def work(places: slice) -> Any:
        return jax.tree.map(np.asarray, function(*jax.tree.map(lambda a: a[places], batch)))

    with crew(2) as each:
        found = each(work, (slice(half), slice(half, None)))
        return jax.tree.map(lambda *both: np.concatenate(both), *found)
