"""What draws of the parameters say about the rows: in which component each one is, and which rows are together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax.scipy.special import logsumexp

from bayesgmm.analysis.rows import row_scores
from bayesgmm.core.mixture import Mixture
from bayesgmm.inference.arrange import Arranged
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import soft

ENTRIES = 2**22
"""Scores held at a time."""


class Interval(NamedTuple):
    """Summary of draws of one array; all four have its shape.

    Attributes
    ----------
    mean, sd : ndarray
    lower, upper : ndarray
        Quantiles that leave as many draws below as above.
    """

    mean: np.ndarray
    sd: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def interval(draws: np.ndarray, prob: float) -> Interval:
    """Mean, standard deviation and central interval over the leading axis."""
    lower, upper = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return Interval(draws.mean(0), draws.std(0, ddof=1) if len(draws) > 1 else np.zeros(draws.shape[1:]), lower, upper)


@jit
def _scores(points: Mixture, x):
    """Scores (S, N, K) of rows under each of several mixtures of known parameters."""
    return jax.lax.map(lambda point: row_scores(point.structure, point.natural(), x), points)


@jit
def _responsibilities(points: Mixture, x):
    return jax.vmap(lambda scores: soft(scores)[1])(_scores(points, x))


@jit
def _log_densities(points: Mixture, x):
    return logsumexp(_scores(points, x), axis=2)


def _by_rows(function: Callable, points: Mixture, x: np.ndarray | Arranged) -> Iterator[np.ndarray]:
    """Results (S, M, ...) for M rows at a time; a last, smaller part is filled up so that one program serves all.

    Rows that are known in part are taken all at once.
    """
    if isinstance(x, Arranged):
        yield np.asarray(function(points, x))
        return
    s, k = points.weights.weights.shape
    size = min(max(ENTRIES // (s * k), 1), len(x))
    for start in range(0, len(x), size):
        part = x[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), 0)])
        yield np.asarray(function(points, filled))[:, : len(part)]


def responsibilities(points: Mixture, x: np.ndarray | Arranged, prob: float) -> Interval:
    """Probability (N, K) that each row belongs to each component: mean, spread and interval over the draws."""
    parts = [interval(resp, prob) for resp in _by_rows(_responsibilities, points, x)]
    return Interval(*(np.concatenate(some) for some in zip(*parts, strict=True)))


def log_densities(points: Mixture, x: np.ndarray | Arranged) -> np.ndarray:
    """Log density (S, N) of every row under every draw, labels summed out, in the coordinates of the rows."""
    return np.concatenate(list(_by_rows(_log_densities, points, x)), axis=1)


def labels(points: Mixture, x: np.ndarray | Arranged, seed: int) -> np.ndarray:
    """One draw of the component of each row for each draw of the parameters, (S, N)."""
    rng, kind = np.random.default_rng(seed), np.min_scalar_type(points.weights.weights.shape[1])
    parts = []
    for resp in _by_rows(_responsibilities, points, x):
        levels = np.cumsum(resp, axis=2)[:, :, :-1]
        parts.append((rng.random((*resp.shape[:2], 1)) > levels).sum(2).astype(kind))
    return np.concatenate(parts, axis=1)


def similarity(points: Mixture, x: np.ndarray | Arranged) -> np.ndarray:
    """Probability (N, N) that two rows are in one component: the mean over draws of what the responsibilities say."""
    s, k = points.weights.weights.shape
    total, size = np.zeros((len(x), len(x))), min(max(ENTRIES // (len(x) * k), 1), s)
    for start in range(0, s, size):
        some = jax.tree.map(lambda a, i=start: a[i : i + size], points)
        resp = np.concatenate(list(_by_rows(_responsibilities, some, x)), axis=1)
        flat = np.moveaxis(resp, 0, 1).reshape(len(x), -1)
        total += flat @ flat.T
    total /= s
    np.fill_diagonal(total, 1)
    return total
