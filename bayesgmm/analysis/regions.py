"""Regions that draws of a point fill."""

from __future__ import annotations

import numpy as np


def draws_region(draws: np.ndarray, prob: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre (2,) of draws (S, 2), and the covariance whose ellipse of two standard deviations holds ``prob`` of a Gaussian like them.

    Parameters
    ----------
    draws : ndarray, shape (S, 2)
    prob : float
        Between 0 and 1. A Gaussian in two dimensions has it within the radius sqrt(-2 log(1 - prob)).
    """
    return draws.mean(0), np.cov(draws.T) * (-2 * np.log1p(-prob) / 4)


def spread_draws(n_draws: int, wanted: int) -> np.ndarray:
    """Numbers of so many draws, evenly spread among all."""
    return np.unique(np.linspace(0, n_draws - 1, min(n_draws, wanted)).round().astype(int))
