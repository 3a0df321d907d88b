"""A mixture with known parameters on the host: densities of rows, and rows drawn from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SMALLEST = 1e-300
"""Weight below which a component counts as absent."""


class Point(NamedTuple):
    """A mixture with known parameters: weights (K,), means (K, D), covariances (K, D, D)."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def whitened(point: Point, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows (N, D) whitened by every component, a list of K, and their log densities (N, K) up to a constant, log weights included."""
    inner, scores = [], []
    for share, mean, covariance in zip(*point, strict=True):
        root = np.linalg.cholesky(covariance)
        y = (x - mean) @ np.linalg.inv(root).T
        inner.append(y)
        scores.append(np.log(max(share, SMALLEST)) - np.log(np.diag(root)).sum() - np.einsum("nd,nd->n", y, y) / 2)
    return inner, np.stack(scores, -1)


def responsibilities(scores: np.ndarray) -> np.ndarray:
    """Probability (N, K) of the components from their log densities."""
    power = np.exp(scores - scores.max(1, keepdims=True))
    return power / power.sum(1, keepdims=True)


def whole(weight: np.ndarray) -> bool:
    """Whether weights (N,) are numbers of copies."""
    return bool((weight == np.round(weight)).all())


def rows_to_judge(x: np.ndarray, weight: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and weights that data sets drawn from a mixture are compared with: copies each on its own, and no more than ``most``."""
    total = weight.sum()
    if whole(weight) and (weight != 1).any():
        copies = np.repeat(np.arange(len(x)), weight.astype(int)) if total <= most else rng.choice(len(x), most, p=weight / total)
        return x[copies], np.ones(len(copies))
    if len(x) <= most:
        return x, weight
    some = np.sort(rng.choice(len(x), most, replace=False))
    return x[some], weight[some]


def draw(point: Point, n_sets: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Data sets (B, N, D) from the mixture; rows of a component are dealt out to the data sets in turn."""
    x = rng.standard_normal((n_sets * n, point.means.shape[1]))
    ends = rng.multinomial(len(x), point.weights / point.weights.sum()).cumsum()
    for rows, mean, covariance in zip(np.split(x, ends[:-1]), point.means, point.covariances, strict=True):
        rows[:] = rows @ np.linalg.cholesky(covariance).T + mean
    return x.reshape(n, n_sets, -1).swapaxes(0, 1)
