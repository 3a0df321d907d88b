"""Rows to statistics: the only code of a fit that reads the data.

A pass is two matrix products a chunk on the features [x, distinct products of x]: scores = features @ natural parameters and
statistics = responsibilities^T @ features. Memory is O(chunk x (features + K)) beyond the data. Where a chunk holds rows so far
from the origin, relative to the narrowest component, that the product form would lose digits, its scores are computed from
centred differences instead.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Natural, Stats, centred_scores, product_scores

CHUNK_ENTRIES = 2**20
"""Numbers held per chunk of features and scores: about 8 MiB in float64, chosen by measurement to stay in cache."""

LOSS = {4: 1e3, 8: 1e6}
"""Largest ``|x|^2 trace(precision)`` for the product form, by item size: an error of about 1e-9 in float64, 1e-3 in float32."""


def soft(scores):
    """Normalisers (N,) and responsibilities (N, K) of the E-step."""
    top = jax.lax.stop_gradient(scores.max(1, keepdims=True))
    powers = jnp.exp(scores - top)
    total = powers.sum(1, keepdims=True)
    return (top + jnp.log(total))[:, 0], powers / total


def hard(scores):
    """Best score (N,) and one-hot assignment (N, K): classification EM, and k-means for equal spherical components."""
    best = scores.argmax(1)
    return scores.max(1), jax.nn.one_hot(best, scores.shape[1], dtype=scores.dtype)


def chunk_rows(n_features: int, n_components: int) -> int:
    """Rows a chunk for `CHUNK_ENTRIES` numbers of full features and scores."""
    width = n_features * (n_features + 3) // 2 + 2 * n_components
    return int(np.clip(2 ** int(np.log2(CHUNK_ENTRIES / width)), 128, 8192))


def scores(structure, natural: Natural, x, moments):
    """Scores (N, K) of rows, in the product form or, where that loses digits, the centred one."""
    widest = structure.inner(natural.precision, structure.identity(x.shape[1]).astype(x.dtype)).max()
    if structure.rank == 0:
        widest = widest * x.shape[1]
    reach = (x**2).sum(1).max() * widest
    safe = reach <= LOSS[x.dtype.itemsize]
    return jax.lax.cond(
        safe,
        lambda: product_scores(structure, natural, x, moments),
        lambda: centred_scores(structure, natural, x),
    )


def summarise(structure, tied: bool, natural: Natural, x, weight, assign: Callable = soft, score: Callable = scores) -> Stats:
    """Statistics of one chunk of rows (N, D) with weights (N,)."""
    moments = structure.moments(x)
    norm, resp = assign(score(structure, natural, x, moments))
    weighted = resp * weight[:, None]
    spread = (weight[None] if tied else weighted.T) @ moments
    return Stats(weight @ norm, weighted.sum(0), weighted.T @ x, structure.from_moments(spread, x.shape[1]))


def accumulate(one: Callable, x, others, chunk_size: int) -> Stats:
    """Sum ``one(rows, others of those rows)`` over chunks, without copying the rows; ``others`` is a pytree of (N, ...) arrays."""
    n, size = x.shape[0], min(chunk_size, x.shape[0])
    tail = n - n % size

    def part(start, length):
        return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, length), (x, others))

    if tail < n:
        total = one(*part(tail, n - tail))
    else:
        total = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(one, *part(0, size)))
    return jax.lax.fori_loop(0, n // size, lambda i, stats: stats + one(*part(i * size, size)), total)


def collect(posterior: Mixture, x, weight, assign: Callable = soft, chunk_size: int | None = None, score: Callable = scores) -> Stats:
    """E-step and statistics in one pass over rows (N, D) with weights (N,); sums are kept in the posterior's precision.

    ``score`` is `scores`, or `product_scores` for a search, which needs fewer digits: under ``vmap`` `scores` would compute both forms.
    """
    structure, tied = posterior.structure, posterior.tied
    natural = posterior.natural()
    kept = natural.level.dtype
    natural = jax.tree.map(lambda a: a.astype(x.dtype), natural)

    def one(rows, weights):
        stats = summarise(structure, tied, natural, rows, weights, assign, score)
        return jax.tree.map(lambda a: a.astype(kept), stats)

    return accumulate(one, x, weight, chunk_size or chunk_rows(x.shape[1], posterior.n_components))


def from_responsibilities(structure, tied: bool, x, resp, weight, chunk_size: int | None = None) -> Stats:
    """Statistics of given responsibilities (N, K); ``log_norm`` is 0."""
    return _given(structure, tied, x, resp, weight, lambda r: r, resp.shape[1], chunk_size)


def from_labels(structure, tied: bool, x, labels, n_components: int, weight, chunk_size: int | None = None) -> Stats:
    """Statistics of given labels (N,) in 0..K-1; ``log_norm`` is 0."""
    one_hot = lambda a: jax.nn.one_hot(a, n_components, dtype=x.dtype)  # noqa: E731
    return _given(structure, tied, x, labels, weight, one_hot, n_components, chunk_size)


def _given(structure, tied, x, assigned, weight, spread, n_components, chunk_size):
    d = x.shape[1]

    def one(rows, others):
        weights, assigned = others
        weighted = spread(assigned) * weights[:, None]
        second = (weights[None] if tied else weighted.T) @ structure.moments(rows)
        zero = jnp.zeros((), rows.dtype)
        return Stats(zero, weighted.sum(0), weighted.T @ rows, structure.from_moments(second, d))

    return accumulate(one, x, (weight, assigned), chunk_size or chunk_rows(d, n_components))


def map_rows(function: Callable, rows: np.ndarray, chunk_size: int) -> np.ndarray:
    """Apply a compiled ``function`` to chunks of rows on the host; odd chunks are padded to a power of two, so few shapes compile."""
    parts = []
    for start in range(0, len(rows), chunk_size):
        part = rows[start : start + chunk_size]
        padded = 1 << max(len(part) - 1, 7).bit_length()
        filled = np.concatenate([part, np.repeat(part[-1:], padded - len(part), 0)]) if padded > len(part) else part
        parts.append(np.asarray(function(filled))[: len(part)])
    return np.concatenate(parts)
