"""Levels of a density between which stated shares of the probability lie."""

from __future__ import annotations

import numpy as np


def content_levels(log_density: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Log densities (len(shares),) above which shares of the mass of a grid lie: ends of highest-density regions.

    Parameters
    ----------
    log_density : array
        On the cells of an even grid that holds nearly all of the mass.
    shares : tuple of float
        Between 0 and 1.

    References
    ----------
    Hyndman (1996), Computing and graphing highest density regions, American Statistician 50.
    """
    ordered = np.sort(np.ravel(log_density))[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]))
    return ordered[np.minimum(np.searchsorted(mass, np.asarray(shares) * mass[-1]), len(ordered) - 1)]
