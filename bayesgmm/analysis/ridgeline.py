r"""Ridgeline of two Gaussians: the curve that holds every mode and saddle of their mixture.

:math:`x(\alpha) = [(1-\alpha)\Lambda_1 + \alpha\Lambda_2]^{-1} [(1-\alpha)\Lambda_1\mu_1 + \alpha\Lambda_2\mu_2]` for
:math:`\alpha` from 0 to 1 (Ray & Lindsay 2005, Annals of Statistics 33, theorem 1), whatever the number of columns.
"""

from __future__ import annotations

import numpy as np

from bayesgmm.analysis.point import Point

REACH, STEP = 12.0, 0.02
"""Points of the curve are even in log(alpha / (1 - alpha)): ``REACH`` beyond where the components' spreads put the turn, ``STEP`` apart."""


def ratios(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Ridgeline ratio (K, K) of all pairs of components: symmetric, 1 on the diagonal.

    Parameters
    ----------
    weights : array, shape (K,)
    means : array, shape (K, D)
    covariances : array, shape (K, D, D)
    """
    found = np.eye(len(weights))
    for i in range(len(weights)):
        for j in range(i):
            pair = [j, i]
            found[i, j] = found[j, i] = ratio(weights[pair], means[pair], covariances[pair])
    return found


ROUNDING = 1e-9
"""Depth of a valley, in logs, that is none."""

NEAR = 0.01
"""Ratio at the fit below which two components are taken to have a mode each in every draw."""


def one_mode(point: Point, draws: list[Point]) -> np.ndarray:
    """Share (K, K) of the draws of the parameters in which two components together have a single mode; 1 on the diagonal."""
    found, near = np.eye(len(point.weights)), np.triu(ratios(*point) >= NEAR, 1)
    for i, j in np.argwhere(near):
        pair = [i, j]
        single = [ratio(each.weights[pair], each.means[pair], each.covariances[pair]) == 1 for each in draws]
        found[i, j] = found[j, i] = np.mean(single)
    return found


def ratio(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> float:
    """Lowest density between two modes of a mixture of two Gaussians, relative to the lower of them; 1 for a single mode.

    Hennig (2010), Advances in Data Analysis and Classification 4, sec. 4.2.

    Parameters
    ----------
    weights : array, shape (2,)
    means : array, shape (2, D)
    covariances : array, shape (2, D, D)
    """
    height = log_density_along(weights, means, covariances)
    before, after = np.maximum.accumulate(height), np.maximum.accumulate(height[::-1])[::-1]
    depth = float((np.minimum(before, after) - height).max())
    return float(np.exp(-depth)) if depth > ROUNDING else 1.0


def log_density_along(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Log density, up to a constant, at points of the ridgeline from the first mean to the second.

    In coordinates where the first component is standard and the second has uncorrelated columns of variances v.
    """
    root = np.linalg.cholesky(covariances[0])
    inner = np.linalg.solve(root, np.linalg.solve(root, covariances[1]).T)
    v, axes = np.linalg.eigh((inner + inner.T) / 2)
    v = np.maximum(v, np.finfo(float).tiny)
    apart = axes.T @ np.linalg.solve(root, means[1] - means[0])
    turn = np.log(v)
    odds = np.exp(np.arange(min(turn.min(), 0) - REACH, max(turn.max(), 0) + REACH, STEP))[:, None]
    share = odds / (odds + v)
    y = np.concatenate([np.zeros_like(apart)[None], share * apart, apart[None]])
    left = np.concatenate([apart[None], v / (odds + v) * apart, np.zeros_like(apart)[None]])
    first = np.log(weights[0]) - (y**2).sum(1) / 2
    second = np.log(weights[1]) - ((left**2 / v).sum(1) + turn.sum()) / 2
    return np.logaddexp(first, second)
