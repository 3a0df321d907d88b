"""The loop on large data, its passes divided among threads.

Each thread makes the pass over parts of the rows by itself, in chunks that stay in its core's cache; the same programs judge the sums and
make the next trial. XLA's own threads divide every single operation instead, which gains little.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import jax
import numpy as np

from bayesgmm.core.statistics import Stats
from bayesgmm.inference.compiling import traced
from bayesgmm.inference.kernel import in_part, row_width, soft
from bayesgmm.inference.loop import Limits, Result
from bayesgmm.inference.parallel import WORTH, crew, possible
from bayesgmm.inference.steps import added, natural, run_by, spread, statistics

PARTS = 8
"""Parts of the rows, however many cores there are, so that sums are rounded alike; at most as many threads."""


def pays(start, x) -> bool:
    """Whether threads make a fit of rows (N, D) faster, were there cores for them."""
    if in_part(x):
        return False
    width = row_width(start.structure, start.tied, x.shape[1], start.n_components)
    return len(x) * width >= WORTH and len(x) % PARTS == 0 and not traced(start, x) and possible()


def run_in_threads(
    prior,
    start,
    x,
    weight,
    tol,
    limit,
    settle=np.inf,
    *,
    max_steps: int,
    assign: Callable = soft,
    chunk_size: int | None = None,
    depth: int = 0,
) -> Result:
    """`bayesgmm.inference.loop.run` of rows ``x`` (N, D) and ``weight`` (N,) in the memory of this process."""
    parts = list(zip(_parts(x), _parts(weight), strict=True))
    spreads = [spread(start, *part, chunk_size=chunk_size) for part in parts]
    limits = Limits(float(np.asarray(weight).sum()), tol, limit, settle)

    with crew(PARTS) as each:

        def collected(trial) -> Stats:
            known = natural(trial)

            def one(part: int) -> Stats:
                return statistics(start.structure, known, *parts[part], spreads[part], assign=assign, chunk_size=chunk_size)

            return reduce(added, each(one, range(PARTS)))

        return run_by(collected, prior, start, limits, max_steps=max_steps, depth=depth, dtype=str(x.dtype))


def _parts(values) -> list[jax.Array]:
    """Equal parts of an array, without a copy where it is large."""
    return [jax.device_put(part, may_alias=True) for part in np.split(np.asarray(values), PARTS)]
