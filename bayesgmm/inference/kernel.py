"""Rows to statistics: the only code of a fit that reads the data.

A pass is two matrix products a chunk on the features [1, x, distinct products of x]: scores = natural parameters @ features and
statistics = features @ responsibilities^T. Features lie along the first axis, rows along the last: then every loop over rows is a
loop over neighbours in memory, and both products are of the kind that XLA runs fastest on CPUs. Components that share their
covariance need the features 1 and x only. Memory is O(chunk x (features + K)) beyond the data. Where a chunk holds rows so far
from the origin, relative to the narrowest component, that the product form would lose digits, its scores are computed from
centred differences instead. Rows of so many columns that no cache holds the products of a few (`wide`) are passed over without
features: scores from centred differences, and a matrix product for the outer products of each component.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Natural, Stats, centred_scores, product_form
from bayesgmm.core.structures import Full, with_constant

CHUNK = 512
"""Rows a chunk: measured. Its arrays stay in a core's own cache, and its operations are too small for XLA to divide among cores, which
is done for whole parts of the rows instead (`bayesgmm.inference.threads`)."""

MOST_ENTRIES = 2**20
"""Most numbers held per chunk; but for rows of very many components, of which a chunk has `FEWEST`."""

FEWEST = 8

ELSEWHERE = 128
"""Times as many on accelerators, which have no use for small chunks; not measured, for want of one."""

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


def wide(structure, n_features: int) -> bool:
    """Whether rows have too many columns for their products to be features."""
    return isinstance(structure, Full) and FEWEST * structure.n_parameters(n_features) > MOST_ENTRIES


def row_width(structure, tied: bool, n_features: int, n_components: int) -> int:
    """Numbers held for a row: features, scores and responsibilities."""
    products = 0 if tied or wide(structure, n_features) else structure.n_parameters(n_features)
    return 1 + n_features + products + 2 * n_components


def chunk_rows(structure, tied: bool, n_features: int, n_components: int) -> int:
    """Rows a chunk of a pass; a power of two."""
    return block_rows(row_width(structure, tied, n_features, n_components))


def block_rows(width: int) -> int:
    """Rows worked on at a time where each holds so many numbers; a power of two."""
    times = 1 if jax.default_backend() == "cpu" else ELSEWHERE
    return int(np.clip(2 ** int(np.log2(max(times * MOST_ENTRIES / width, 1))), FEWEST, times * CHUNK))


def centred_form(structure, natural: Natural) -> Callable:
    """Scores (K, N) of features, from differences to each mean, which loses no digits."""
    d = natural.mean.shape[1]
    return lambda features: centred_scores(structure, natural, features[1 : d + 1].T).T


def by_form(structure, natural: Natural, form: Callable | None = None) -> Callable[[Any, Callable], Any]:
    """A function that answers, for rows (N, D) and ``finish``, ``finish(scores of features)`` in the form to use.

    That is ``form`` or, without it, the product form where no row is so far out that it would lose digits, or else the centred one.
    Whatever is to be done with the scores belongs into ``finish``: to hand them out of the choice costs as much as to compute them.
    """
    d, size = natural.mean.shape[1], natural.mean.dtype.itemsize
    if wide(structure, d):
        form = centred_form
    if form is not None:
        known = form(structure, natural)
        return lambda x, finish: finish(known)
    product, centred = product_form(structure, natural), centred_form(structure, natural)
    widest = structure.inner(natural.precision, structure.identity(d).astype(natural.mean.dtype)).max() * (d if structure.rank == 0 else 1)

    def choose(x, finish: Callable):
        safe = (x**2).sum(1).max() * widest <= LOSS[size]
        return jax.lax.cond(safe, lambda: finish(product), lambda: finish(centred))

    return choose


def features_of(structure, n_features: int, tied: bool = False) -> Callable:
    """What makes features of rows, given as columns, for scores and statistics."""
    return with_constant if tied or wide(structure, n_features) else structure.features


def outer_products(x, share):
    """Sums (K, D, D) of the outer products of rows (N, D), counted as often as ``share`` (K, N) says."""
    return jax.lax.map(lambda one: (x.T * one) @ x, share)


def from_scores(structure, natural: Natural, finish: Callable) -> Callable:
    """A function of rows (N, D): ``finish`` of their scores (K, N), in the form that `by_form` chooses."""
    choose = by_form(structure, natural)
    features = features_of(structure, natural.mean.shape[1])
    return lambda x: choose(x, lambda form: finish(form(features(x.T))))


def scores(structure, natural: Natural) -> Callable:
    """A function of rows (N, D) that answers their scores (N, K)."""
    return from_scores(structure, natural, lambda values: values.T)


def responsibilities(structure, natural: Natural) -> Callable:
    """A function of rows (N, D) that answers their responsibilities (N, K)."""
    return from_scores(structure, natural, lambda values: soft(values, 0)[1].T)


def _packed(structure, sums, d: int, log_norm, spread) -> Stats:
    """Statistics from sums (F, K) of features; ``spread`` is the scatter of a tied model, None otherwise."""
    scatter = structure.from_moments(sums[1 + d :].T, d) if spread is None else spread
    return Stats(log_norm, sums[0], sums[1 : 1 + d].T, scatter)


def accumulate(one: Callable, x, others, chunk_size: int):
    """Sum ``one(rows, others of those rows)`` over chunks, without copying the rows; both are pytrees of (N, ...) arrays."""
    n = len(jax.tree.leaves(x)[0])
    size = min(chunk_size, n)
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
    form: Callable | None = None,
    spread=None,
    axis: str | None = None,
) -> Stats:
    """E-step and statistics in one pass over rows (N, D) with weights (N,); sums are kept in the posterior's precision.

    ``form`` is None, where each chunk has the form it needs, or `product_form` for a search, which needs fewer digits: under ``vmap``
    None would compute both forms. ``spread``, of a tied model, is what `shared_spread` answers, for callers that make many passes.
    Where each of several devices holds some of the rows, ``axis`` names the axis of devices over which sums are taken. Rows that are known
    in part (`bayesgmm.inference.partial`) are summed up in a way of their own.
    """
    if in_part(x):
        return x.collect(posterior, weight, assign, chunk_size)
    if spread is None:
        spread = shared_spread(posterior, x, weight, chunk_size, axis)
    return collect_under(posterior.structure, posterior.natural(), x, weight, assign, chunk_size, form, spread, axis)


def collect_under(
    structure,
    natural: Natural,
    x,
    weight,
    assign: Callable = soft,
    chunk_size: int | None = None,
    form: Callable | None = None,
    spread=None,
    axis: str | None = None,
    change: Callable | None = None,
) -> Stats:
    """`collect`, given the natural parameters and, of a tied model, the ``spread``; ``change`` is made to rows before all else."""
    d, kept, dtype = x.shape[1], natural.level.dtype, x.dtype if change is None else jax.eval_shape(change, x).dtype
    size = chunk_size or chunk_rows(structure, spread is not None, d, len(natural.level))
    features, dense = features_of(structure, d, spread is not None), spread is None and wide(structure, d)
    natural = jax.tree.map(lambda a: a.astype(dtype), natural)
    choose, tails = by_form(structure, natural, form), natural.tails

    def summed(rows, weights, scores):
        found = features(rows.T)
        values = scores(found)
        norm, resp = assign(values, 0)
        share = resp * weights
        pull, log_pull = (1, None) if tails is None else tails.weights(values, d)
        sums = found @ (share * pull).T, outer_products(rows, share * pull) if dense else None
        more = None if tails is None else jnp.stack([share.sum(1), (share * log_pull).sum(1)], 1)
        return jax.tree.map(lambda a: a.astype(kept), (weights @ norm, sums, more))

    def one(rows, weights):
        rows = rows if change is None else change(rows)
        return choose(rows, partial(summed, rows, weights.astype(dtype)))

    log_norm, (sums, outer), more = over_devices(accumulate(one, x, weight, size), axis)
    stats = _packed(structure, sums, d, log_norm, outer if dense else spread)
    return stats if more is None else stats._replace(counts=more[:, 0], tails=jnp.stack([stats.counts, more[:, 1]], 1))


def in_part(x) -> bool:
    """Whether rows are known in part: they know how their statistics are collected."""
    return hasattr(x, "collect")


def over_devices(sums, axis: str | None):
    """Sums over all devices of an axis, each of which has those of its own rows; ``axis`` None: there is one device."""
    return sums if axis is None else jax.lax.psum(sums, axis)


def shared_spread(posterior: Mixture, x, weight, chunk_size: int | None = None, axis: str | None = None):
    """Scatter (1, packed) of all complete rows where the covariance is shared: no responsibilities change it; None otherwise."""
    if not posterior.tied or in_part(x):
        return None
    size = chunk_size or chunk_rows(posterior.structure, False, x.shape[1], posterior.n_components)
    return over_devices(_spread(posterior.structure, x, weight, size, jax.eval_shape(posterior.natural).level.dtype), axis)


def _spread(structure, x, weight, chunk_size: int, dtype):
    """Packed sum (1, packed) of the outer products of all rows."""
    d = x.shape[1]
    if wide(structure, d):
        return accumulate(lambda rows, weights: outer_products(rows, weights[None]).astype(dtype), x, weight, chunk_size)
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
    features, dense = features_of(structure, d, tied), not tied and wide(structure, d)

    def one(rows, others):
        weights, assigned = others
        share = to_resp(assigned) * weights[:, None]
        return features(rows.T) @ share, outer_products(rows, share.T) if dense else None

    sums, outer = accumulate(one, x, (weight, assigned), size)
    shared = _spread(structure, x, weight, size, x.dtype) if tied else outer
    return _packed(structure, sums, d, jnp.zeros((), x.dtype), shared)
