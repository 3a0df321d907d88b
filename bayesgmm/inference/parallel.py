"""Work in several threads of this process, each of which finds JAX's settings as the caller does."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from bayesgmm.inference.cache import cores
from bayesgmm.inference.compiling import elsewhere, settings

WORTH = 2**22
"""Numbers held in a pass over rows (rows x features, scores and responsibilities) from which threads gain more than they cost."""


def possible() -> bool:
    """Whether there are cores for threads, which would find JAX's settings as they are here; `crew` sees to the width of numbers."""
    if cores() < 2 or jax.default_backend() != "cpu" or elsewhere():
        return False
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: (settings()[1:], elsewhere())).result() == (settings()[1:], False)


@contextlib.contextmanager
def crew(most: int | None = None) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """A function like ``map`` that works on the items in at most so many threads; few answers lie waiting at a time."""
    wide, size = bool(jax.config.read("jax_enable_x64")), min(cores(), most or cores())

    with ThreadPoolExecutor(size) as pool:

        def each(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            def one(item: Any) -> Any:
                with jax.enable_x64(wide):
                    return work(item)

            ahead: deque = deque()
            for item in items:
                if len(ahead) == 2 * size:
                    yield ahead.popleft().result()
                ahead.append(pool.submit(one, item))
            while ahead:
                yield ahead.popleft().result()

        yield each
