r"""Do the components look like clusters? Tests of their shape, components that overlap, and components with too few rows.

The test asks of each component whether its rows, weighted by responsibility, have the third and fourth moments of a Gaussian. Overlapping
components cut into one another, and a fit bends itself to its data, so textbook distributions do not hold; instead the same
statistics are computed from data sets drawn from the fitted mixture. Each time a component is centred and whitened by its own weighted
moments, which leaves squared distances q and directions u:

- kurtosis :math:`\sum_n r_n q_n^2 / \sum_n r_n`, too large for heavy tails, too small for flat ones (Mardia 1970, Biometrika 57);
- skewness :math:`|\sum_n r_n q_n u_n / \sum_n r_n|` (Mori, Rohatgi & Szekely 1994, Theory of Probability and Its Applications 38).

The logarithm of the first, and the second, are standardised by their simulated mean and spread. P values allow for all components and both
statistics at once: they say how often the largest deviation of a simulated data set is as large (Westfall & Young 1993, Resampling-Based
Multiple Testing, sec. 2.3).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from bayesgmm.analysis.combine import misclassification
from bayesgmm.analysis.point import Point, draw, responsibilities, rows_to_judge, whitened
from bayesgmm.inference.problem import products, summed

N_SIMULATED = 199
"""Data sets drawn from the mixture; the smallest p value is 1 / (this + 1)."""

LEVEL = 0.01
"""P value up to which a component is said not to be Gaussian."""

MOST_NUMBERS = 3e7
"""Simulated rows times components times columns, about a second; with more rows than that is good for, a random part of them is tested."""

NEGLIGIBLE = 1e-3
"""Responsibility below which a row is left out of the moments of a component."""

FEWEST = 10
"""Rows beyond the number of columns that a component needs to be tested."""

OVERLAP = 0.05
"""Probability of misclassification from which two components are said to overlap."""

BLOCK = 2**16
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

    @property
    def not_gaussian(self) -> np.ndarray:
        """Components whose p value is at most `LEVEL`."""
        return np.flatnonzero(self.p_value <= LEVEL)


def assess(point: Point, x: np.ndarray, weight: np.ndarray, resp: np.ndarray, own_parameters: int, seed: int = 0) -> Shape:
    """Judge the components of a fitted mixture.

    Parameters
    ----------
    point : Point
    x : array, shape (N, D)
        Rows of the fit, in the units of ``point``; those with NaN are left out of the test of shape.
    weight : array, shape (N,)
    resp : array, shape (N, K)
    own_parameters : int
        Parameters of one component that it shares with no other.
    seed : int
    """
    rows = np.bincount(resp.argmax(1), weight, resp.shape[1])
    tiny = tuple(Tiny(k, float(n), own_parameters) for k, n in enumerate(rows) if n < own_parameters)
    try:
        whole = ~np.isnan(x).any(1)
        p_value, deviation = shape_test(point, x[whole], weight[whole], seed) if whole.any() else _untested(len(rows))
    except np.linalg.LinAlgError:  # columns that depend on one another: there is no shape to test
        p_value, deviation = _untested(len(rows))
    return Shape(p_value, deviation, overlapping(resp, weight), tiny)


def _untested(k: int) -> tuple[np.ndarray, np.ndarray]:
    """What is said of components whose shape cannot be tested."""
    return np.full(k, np.nan), np.full(k, "")


def overlapping(resp: np.ndarray, weight: np.ndarray) -> tuple[Overlap, ...]:
    """Pairs of components whose probability of misclassification exceeds `OVERLAP`, each in its worse direction."""
    found = misclassification(resp, weight) * (summed(weight, resp) >= 1)
    pairs = [(i, j) if found[i, j] >= found[j, i] else (j, i) for i in range(len(found)) for j in range(i)]
    some = [Overlap(j, i, float(found[i, j])) for i, j in pairs if found[i, j] > OVERLAP]
    return tuple(sorted(some, key=lambda pair: -pair.probability))


def shape_test(point: Point, x: np.ndarray, weight: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """P values (K,) of a Gaussian shape, adjusted for all components, and what deviates most (K,)."""
    rng = np.random.default_rng(seed)
    k, d = point.means.shape
    most = max(int(MOST_NUMBERS / (N_SIMULATED * k * (d + 4))), 50 * k)
    x, weight = rows_to_judge(x, weight, most, rng)
    seen, counts = moments(point, x[None], weight[None])
    tested = counts[0] >= d + FEWEST
    null = _null(point, weight, rng)
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


def _null(point: Point, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`moments` (B, K, 2) of data sets drawn from the mixture, in blocks; their rows get the weights (N,) in any order."""
    n, d = len(weight), point.means.shape[1]
    step = max(BLOCK // (n * d), 1)
    sizes = [min(step, N_SIMULATED - i) for i in range(0, N_SIMULATED, step)]
    even = (weight == weight[0]).all()
    found = []
    for n_sets in sizes:
        weights = np.broadcast_to(weight, (n_sets, n))
        found.append(moments(point, draw(point, n_sets, n, rng), weights if even else rng.permuted(weights, axis=1))[0])
    return np.concatenate(found)


def moments(point: Point, x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the kurtosis, and skewness, (B, K, 2) of the components, and their expected rows (B, K).

    Parameters
    ----------
    point : Point
    x : array, shape (B, N, D)
        Data sets.
    weight : array, shape (B, N)
    """
    n_sets, n, d = x.shape
    flat, scores = whitened(point, x.swapaxes(0, 1).reshape(-1, d))
    resp = responsibilities(scores)
    weighted = resp.reshape(n, n_sets, -1) * weight.T[:, :, None]
    found = np.zeros((n_sets, len(flat), 2))
    for k, inner in enumerate(flat):
        belongs, inner = (resp[:, k] > NEGLIGIBLE).reshape(n, n_sets), inner.reshape(n, n_sets, d)
        for b in range(n_sets):
            rows = np.flatnonzero(belongs[:, b])
            found[b, k] = _moments(inner[rows, b], weighted[rows, b, k]) if len(rows) else 0
    return found, weighted.sum(0)


def _moments(y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Logarithm of the kurtosis, and skewness, of rows (N, D) with weights (N,), once centred and whitened by their own moments."""
    share = weight / weight.sum()
    centred = y - summed(share, y)
    covariance = products(share, centred, centred)
    covariance.flat[:: len(covariance) + 1] += 1e-9 * covariance.trace() + 1e-300
    u = centred @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    q = np.einsum("nd,nd->n", u, u)
    weighted = share * q
    return float(np.log(np.maximum(summed(weighted, q), 1e-300))), float(np.linalg.norm(summed(weighted, u)))
