"""Pareto-smoothed importance weights, whichever ArviZ is installed."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np

FEWEST = 100
"""Draws below which a tail cannot be judged."""


def smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Smooth the largest importance weights and estimate the shape of their tail.

    Parameters
    ----------
    log_weights : ndarray, shape (S,)
        At least `FEWEST`; ``-inf`` where a draw counts for nothing.

    Returns
    -------
    ndarray, shape (S,)
        Log weights on the same scale, the largest replaced by quantiles of a generalised Pareto law.
    float
        k-hat: the variance of the weights is finite below 0.5; above 0.7 averages of them are not to be trusted; infinite where too few
        draws count.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (2024), Journal of Machine Learning Research 25(72).
    """
    counted = np.isfinite(log_weights)
    if counted.sum() < FEWEST / 2:
        return log_weights, float("inf")
    found, k_hat = _arviz()(np.where(counted, log_weights, log_weights[counted].min() - 1000))
    found = np.asarray(found)
    shift = np.median((log_weights - found)[counted])  # fewer than half of them belong to the tail, the others are only rescaled
    return np.where(counted, found + shift, -np.inf), float(k_hat)


def _arviz():
    """ArviZ' smoothing of log weights; from version 1 on it lives elsewhere and takes their negatives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if int(version("arviz").split(".")[0]) < 1:
            from arviz import psislw

            return psislw
        from arviz_stats.base import array_stats

        return lambda log_weights: array_stats.psislw(-log_weights)
