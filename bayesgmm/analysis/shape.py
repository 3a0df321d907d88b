r"""Do the components look like clusters? Tests of their shape, components that overlap, and components with too few rows.

The test asks of each component whether its rows, weighted by responsibility, have the third and fourth moments of a Gaussian. Overlapping
components cut into one another, and a fit bends itself to its data, so textbook distributions do not hold; instead the same
statistics are computed from data sets drawn from the fitted mixture. Each time a component is centred and whitened by its own weighted
moments, which leaves squared distances q and directions u:

- kurtosis :math:`\sum_n r_n q_n^2 / \sum_n r_n`, too large for heavy tails, too small for flat ones (Mardia 1970, Biometrika 57);
- skewness :math:`|\sum_n r_n q_n u_n / \sum_n r_n|^2` (Mori, Rohatgi & Szekely 1994, Theory of Probability and Its Applications 38).

Their logarithms are standardised by the simulated mean and spread. P values allow for all components and both statistics at once: how often the
largest deviation of a simulated data set is as large (Westfall & Young 1993, Resampling-Based Multiple Testing, sec. 2.3).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from bayesgmm.analysis.combine import misclassification

N_SIMULATED = 199
"""Data sets drawn from the mixture; the smallest p value is 1 / (this + 1)."""

MOST_WORK = 1e9
"""Multiplications allowed; with more rows than that is good for, a random part of them is tested."""

FEWEST = 10
"""Rows beyond the number of columns that a component needs to be tested."""

OVERLAP = 0.05
"""Probability of misclassification from which two components are said to overlap."""

BLOCK = 2**20
"""Numbers of simulated rows held at once."""


class Overlap(NamedTuple):
    """A share ``probability`` of the rows of component ``of`` would be put into ``into``."""

    of: int
    into: int
    probability: float


class Tiny(NamedTuple):
    """A component with fewer rows than parameters of its own."""

    component: int
    n_rows: float
    n_parameters: int


class Point(NamedTuple):
    """A mixture with known parameters: weights (K,), means (K, D), covariances (K, D, D)."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """What speaks against taking components for clusters.

    Attributes
    ----------
    p_value : ndarray, shape (K,)
        Of a Gaussian shape, allowing for all components together; NaN for components with too few rows to be tested.
    deviation : ndarray of str, shape (K,)
        What deviates most: "heavy tails", "flat" or "skewed".
    overlaps : tuple of Overlap
        The most probable first.
    tiny : tuple of Tiny
    """

    p_value: np.ndarray
    deviation: np.ndarray
    overlaps: tuple[Overlap, ...]
    tiny: tuple[Tiny, ...]


def assess(point: Point, x: np.ndarray, weight: np.ndarray, own_parameters: int, seed: int = 0) -> Shape:
    """Judge the components of a fitted mixture.

    Parameters
    ----------
    point : Point
    x : array, shape (N, D)
        Rows of the fit, in the units of ``point``.
    weight : array, shape (N,)
    own_parameters : int
        Parameters of one component that it shares with no other.
    seed : int
    """
    resp = _whitened(point, x[None])[1][0]
    rows = np.bincount(resp.argmax(1), weight, len(point.weights))
    tiny = tuple(Tiny(k, float(n), own_parameters) for k, n in enumerate(rows) if n < own_parameters)
    return Shape(*shape_test(point, x, weight, seed), overlapping(resp, weight), tiny)


def overlapping(resp: np.ndarray, weight: np.ndarray) -> tuple[Overlap, ...]:
    """Pairs of components whose probability of misclassification exceeds `OVERLAP`, each in its worse direction."""
    found = misclassification(resp, weight)
    pairs = [(i, j) if found[i, j] >= found[j, i] else (j, i) for i in range(len(found)) for j in range(i)]
    some = [Overlap(j, i, float(found[i, j])) for i, j in pairs if found[i, j] > OVERLAP]
    return tuple(sorted(some, key=lambda pair: -pair.probability))


def shape_test(point: Point, x: np.ndarray, weight: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """P values (K,) of a Gaussian shape, adjusted for all components, and what deviates most (K,)."""
    rng = np.random.default_rng(seed)
    k, d = point.means.shape
    most = max(int(MOST_WORK / (N_SIMULATED * k * d * (d + 10))), 50 * k)
    if len(x) > most:
        some = rng.choice(len(x), most, replace=False)
        x, weight = x[some], weight[some]
    seen, counts = moments(point, x[None], weight)
    tested = counts[0] >= d + FEWEST
    step = max(BLOCK // x.size, 1)
    parts = (min(step, N_SIMULATED - i) for i in range(0, N_SIMULATED, step))
    null = np.concatenate([moments(point, _draw(point, n, len(x), rng), weight)[0] for n in parts])
    centre, spread = null.mean(0), np.maximum(null.std(0), 1e-12)
    score = (seen[0] - centre) / spread
    size, null_size = _size(score), _size((null - centre) / spread)
    largest = np.where(tested, null_size.max(2), -np.inf).max(1)
    p_value = (1 + (largest[:, None] >= size.max(1)).sum(0)) / (N_SIMULATED + 1)
    tails = np.where(score[:, 0] > 0, "heavy tails", "flat")
    return np.where(tested, p_value, np.nan), np.where(size[:, 0] >= size[:, 1], tails, "skewed")


def _size(score: np.ndarray) -> np.ndarray:
    """Deviation (..., K, 2): of kurtosis in both directions, of skewness upwards."""
    return np.stack([np.abs(score[..., 0]), score[..., 1]], -1)


def moments(point: Point, x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of kurtosis and skewness (B, K, 2) of the components in data sets (B, N, D), and their expected rows (B, K)."""
    inner, resp = _whitened(point, x)
    weighted = resp * weight[:, None]
    counts = weighted.sum(1)
    found = [_moments(y, weighted[..., k]) for k, y in enumerate(inner)]
    return np.log(np.maximum(np.stack(found, 1), 1e-300)), counts


def _whitened(point: Point, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows (B, N, D) whitened by every component, a list of K, and their responsibilities (B, N, K)."""
    inner, scores = [], []
    for share, mean, covariance in zip(*point, strict=True):
        root = np.linalg.cholesky(covariance)
        inner.append((x - mean) @ np.linalg.inv(root).T)
        scores.append(np.log(share) - np.log(np.diag(root)).sum() - np.einsum("bnd,bnd->bn", inner[-1], inner[-1]) / 2)
    score = np.stack(scores, -1)
    power = np.exp(score - score.max(-1, keepdims=True))
    return inner, power / power.sum(-1, keepdims=True)


def _moments(y: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """Kurtosis and skewness (B, 2) of rows (B, N, D) with weights (B, N)."""
    share = (weighted / np.maximum(weighted.sum(1, keepdims=True), 1e-300))[:, None]
    centred = y - share @ y
    covariance = (centred * share[:, 0, :, None]).swapaxes(1, 2) @ centred
    ridge = 1e-9 * np.trace(covariance, axis1=1, axis2=2) + 1e-300
    root = np.linalg.cholesky(covariance + ridge[:, None, None] * np.eye(y.shape[2]))
    u = centred @ np.linalg.inv(root).swapaxes(1, 2)
    q = np.einsum("bnd,bnd->bn", u, u)[:, None]
    skewed = ((share * q) @ u)[:, 0]
    return np.stack([(share * q) @ q[:, 0, :, None], (skewed**2).sum(1)[:, None, None]], -1)[:, 0, 0]


def _draw(point: Point, n_sets: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Data sets (B, N, D) from the mixture."""
    labels = rng.choice(len(point.weights), (n_sets, n), p=point.weights / point.weights.sum())
    x = rng.standard_normal((n_sets, n, point.means.shape[1]))
    for k, (mean, covariance) in enumerate(zip(point.means, point.covariances, strict=True)):
        mine = labels == k
        x[mine] = x[mine] @ np.linalg.cholesky(covariance).T + mean
    return x
