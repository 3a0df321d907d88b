"""Work in several threads of this process, each of which finds JAX's settings as the caller does."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import attrgetter
from typing import Any

import jax

from bayesgmm.inference.cache import cores
from bayesgmm.inference.compiling import elsewhere, numbers, settings

WORTH = 2**22
"""Numbers held in a pass over rows (rows x features, scores and responsibilities) from which threads gain more than they cost."""

_of_numbers = attrgetter("jax_enable_x64", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion")


def possible() -> bool:
    """Whether threads may do the work: they find JAX's settings as they are here; `crew` sees to those of numbers."""
    if jax.default_backend() != "cpu" or elsewhere():
        return False
    alike = _as_here()

    def there() -> tuple[tuple, bool]:
        with alike():
            return settings(), elsewhere()

    with ThreadPoolExecutor(1) as other:
        return _begun(other, there)() == (settings(), False)


def _as_here() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """What makes another thread take numbers as this one does."""
    return partial(numbers, *_of_numbers(jax.config))


def _begun(pool: ThreadPoolExecutor, work: Callable[..., Any], *given: Any) -> Callable[[], Any]:
    """What waits for the answer of work begun in a thread; where the process is about to end, and starts none, it is done at once."""
    try:
        return pool.submit(work, *given).result
    except RuntimeError:
        found = work(*given)
        return lambda: found


@contextlib.contextmanager
def crew(most: int | None = None, each_core: int = 1) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """A function like ``map`` that works on the items in at most so many threads; few answers lie waiting at a time.

    Work that waits now and then, as reading does, keeps the cores busy with more than one thread for ``each_core``.
    """
    alike, size = _as_here(), min(each_core * cores(), most or each_core * cores())

    with ThreadPoolExecutor(size) as pool:

        def each(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            def one(item: Any) -> Any:
                with alike():
                    return work(item)

            ahead: deque = deque()
            for item in items:
                if len(ahead) == 2 * size:
                    yield ahead.popleft()()
                ahead.append(_begun(pool, one, item))
            while ahead:
                yield ahead.popleft()()

        yield each
