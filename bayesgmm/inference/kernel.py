"""Rows to statistics: the only code of a fit that reads the data.

A pass is two matrix products a chunk on the features [1, x, distinct products of x]: scores = natural parameters @ features and
statistics = features @ responsibilities^T. Features lie along the first axis, rows along the last: then every loop over rows is a
loop over neighbours in memory, and both products are of the kind that XLA runs fastest on CPUs. Components that share their
covariance need the features 1 and x only. Memory is O(chunk x (features + K)) beyond the data. Where a chunk holds rows so far
from the origin, relative to the narrowest component, that the product form would lose digits, its scores are computed from
centred differences instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Natural, Stats, centred_scores, product_scores
from bayesgmm.core.structures import with_constant

CHUNK = 512
"""Rows a chunk: measured. Its arrays stay in a core's own cache, and its operations are too small for XLA to divide among cores, which
is done for whole parts of the rows instead (`bayesgmm.inference.threads`)."""

MOST_ENTRIES, CHUNK_ENTRIES = 2**22, 2**19
"""Most numbers held per chunk of a pass, and of a table of rows, whose chunks are calls of a program each."""

LOSS = {4: 1e3, 8: 1e6}
"""Largest ``|x|^2 trace(precision)`` for the product form, by item size: an error of about 1e-9 in float64, 1e-3 in float32."""


def soft(scores, axis: int = 1):
    """Normalisers (N,) of the E-step, and responsibilities shaped as the scores, components along ``axis``."""
    top = jax.lax.stop_gradient(scores.max(axis, keepdims=True))
    powers = jnp.exp(scores - top)
    total = powers.sum(axis, keepdims=True)
    return (top + jnp.log(total)).squeeze(axis), powers * (1 / total)


def hard(scores, axis: int = 1):
    """Best score (N,) and one-hot assignment, components along ``axis``: classification EM, and k-means for equal spherical components."""
    best = scores.argmax(axis)
    return scores.max(axis), jax.nn.one_hot(best, scores.shape[axis], dtype=scores.dtype, axis=axis)


def row_width(structure, tied: bool, n_features: int, n_components: int) -> int:
    """Numbers held for a row: features, scores and responsibilities."""
    return 1 + n_features + (0 if tied else structure.n_parameters(n_features)) + 2 * n_components


def chunk_rows(structure, tied: bool, n_features: int, n_components: int) -> int:
    """Rows a chunk of a pass; a power of two."""
    most = MOST_ENTRIES / row_width(structure, tied, n_features, n_components)
    return int(np.clip(2 ** int(np.log2(max(most, 1))), 64, CHUNK))


def table_rows(structure, n_features: int, n_components: int) -> int:
    """Rows a chunk of what is asked of all rows; a power of two."""
    return int(np.clip(2 ** int(np.log2(CHUNK_ENTRIES / row_width(structure, False, n_features, n_components))), 64, 8192))


def _safe(structure, natural: Natural, x):
    """Whether no row (N, D) is so far out that the product form would lose digits."""
    widest = structure.inner(natural.precision, structure.identity(x.shape[1]).astype(x.dtype)).max()
    if structure.rank == 0:
        widest = widest * x.shape[1]
    return (x**2).sum(1).max() * widest <= LOSS[x.dtype.itemsize]


def plain_scores(structure, natural: Natural, features):
    """Scores (K, N) in the centred form, which loses no digits."""
    return centred_scores(structure, natural, features[1 : natural.mean.shape[1] + 1].T).T


def by_form(structure, natural: Natural, x, finish: Callable, score: Callable | None = None):
    """``finish(form)`` for the form of the scores to use: ``score``, or the product form or, where that loses digits, the centred one.

    Whatever is to be done with the scores belongs into ``finish``: to hand them out of the choice costs as much as to compute them.
    """
    if score is not None:
        return finish(score)
    return jax.lax.cond(_safe(structure, natural, x), lambda: finish(product_scores), lambda: finish(plain_scores))


def scores(structure, natural: Natural, x):
    """Scores (N, K) of rows (N, D), in the form that `by_form` chooses."""
    return by_form(structure, natural, x, lambda form: form(structure, natural, structure.features(x.T)).T)


def responsibilities(structure, natural: Natural, x):
    """Responsibilities (N, K) of rows (N, D)."""
    return soft(scores(structure, natural, x))[1]


def _packed(structure, sums, d: int, log_norm, spread) -> Stats:
    """Statistics from sums (F, K) of features; ``spread`` is the scatter of a tied model, None otherwise."""
    scatter = structure.from_moments(sums[1 + d :].T, d) if spread is None else spread
    return Stats(log_norm, sums[0], sums[1 : 1 + d].T, scatter)


def accumulate(one: Callable, x, others, chunk_size: int):
    """Sum ``one(rows, others of those rows)`` over chunks, without copying the rows; ``others`` is a pytree of (N, ...) arrays."""
    n, size = x.shape[0], min(chunk_size, x.shape[0])
    tail = n - n % size

    def part(start, length):
        return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, length), (x, others))

    if tail < n:
        total = one(*part(tail, n - tail))
    else:
        total = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(one, *part(0, size)))
    return jax.lax.fori_loop(0, n // size, lambda i, sums: jax.tree.map(jnp.add, sums, one(*part(i * size, size))), total)


def collect(
    posterior: Mixture,
    x,
    weight,
    assign: Callable = soft,
    chunk_size: int | None = None,
    score: Callable | None = None,
    spread=None,
    axis: str | None = None,
) -> Stats:
    """E-step and statistics in one pass over rows (N, D) with weights (N,); sums are kept in the posterior's precision.

    ``score`` is None, where each chunk has the form it needs, or `product_scores` for a search, which needs fewer digits: under ``vmap``
    None would compute both forms. ``spread``, of a tied model, is what `shared_spread` answers, for callers that make many passes.
    Where each of several devices holds some of the rows, ``axis`` names the axis of devices over which sums are taken.
    """
    structure, d = posterior.structure, x.shape[1]
    size = chunk_size or chunk_rows(structure, posterior.tied, d, posterior.n_components)
    if spread is None:
        spread = shared_spread(posterior, x, weight, size, axis)
    features = structure.features if spread is None else with_constant
    natural = posterior.natural()
    kept = natural.level.dtype
    natural = jax.tree.map(lambda a: a.astype(x.dtype), natural)

    def summed(rows, weights, form):
        found = features(rows.T)
        norm, resp = assign(form(structure, natural, found), 0)
        return (weights @ norm).astype(kept), (found @ (resp * weights).T).astype(kept)

    def one(rows, weights):
        return by_form(structure, natural, rows, partial(summed, rows, weights), score)

    log_norm, sums = over_devices(accumulate(one, x, weight, size), axis)
    return _packed(structure, sums, d, log_norm, spread)


def over_devices(sums, axis: str | None):
    """Sums over all devices of an axis, each of which has those of its own rows; ``axis`` None: there is one device."""
    return sums if axis is None else jax.lax.psum(sums, axis)


def shared_spread(posterior: Mixture, x, weight, chunk_size: int | None = None, axis: str | None = None):
    """Scatter (1, packed) of all rows where the covariance is shared: no responsibilities change it; None otherwise."""
    if not posterior.tied:
        return None
    size = chunk_size or chunk_rows(posterior.structure, False, x.shape[1], posterior.n_components)
    return over_devices(_spread(posterior.structure, x, weight, size, jax.eval_shape(posterior.natural).level.dtype), axis)


def _spread(structure, x, weight, chunk_size: int, dtype):
    """Packed sum (1, packed) of the outer products of all rows."""
    d = x.shape[1]
    moments = accumulate(lambda rows, weights: (structure.features(rows.T)[1 + d :] @ weights).astype(dtype), x, weight, chunk_size)
    return structure.from_moments(moments, d)[None]


def from_responsibilities(structure, tied: bool, x, resp, weight, chunk_size: int | None = None) -> Stats:
    """Statistics of given responsibilities (N, K); ``log_norm`` is 0."""
    return _given(structure, tied, x, resp, weight, lambda r: r, resp.shape[1], chunk_size)


def from_labels(structure, tied: bool, x, labels, n_components: int, weight, chunk_size: int | None = None) -> Stats:
    """Statistics of given labels (N,) in 0..K-1; ``log_norm`` is 0."""
    one_hot = lambda a: jax.nn.one_hot(a, n_components, dtype=x.dtype)  # noqa: E731
    return _given(structure, tied, x, labels, weight, one_hot, n_components, chunk_size)


def _given(structure, tied, x, assigned, weight, to_resp, n_components, chunk_size):
    d = x.shape[1]
    size = chunk_size or chunk_rows(structure, False, d, n_components)
    features = with_constant if tied else structure.features

    def one(rows, others):
        weights, assigned = others
        return features(rows.T) @ (to_resp(assigned) * weights[:, None])

    shared = _spread(structure, x, weight, size, x.dtype) if tied else None
    return _packed(structure, accumulate(one, x, (weight, assigned), size), d, jnp.zeros((), x.dtype), shared)


def by_chunks(function: Callable, rows: np.ndarray, chunk_size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Places, and what a compiled ``function`` answers for the rows there; odd chunks are padded, so that few shapes compile."""
    for start in range(0, len(rows), chunk_size):
        part = rows[start : start + chunk_size]
        padded = 1 << max(len(part) - 1, 7).bit_length()
        filled = np.concatenate([part, np.repeat(part[-1:], padded - len(part), 0)]) if padded > len(part) else part
        yield slice(start, start + len(part)), np.asarray(function(filled))[: len(part)]


def map_rows(function: Callable, rows: np.ndarray, chunk_size: int) -> np.ndarray:
    """What a compiled ``function`` answers for all rows, a chunk at a time."""
    return np.concatenate([found for _, found in by_chunks(function, rows, chunk_size)])
