"""How well Markov chains have mixed, whichever ArviZ is installed."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np


def effective_size(chains: np.ndarray) -> float:
    """Number of independent draws that draws (C, S) of one quantity are worth, in the bulk.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Buerkner (2021), Bayesian Analysis 16, sec. 4.
    """
    return _arviz("ess", chains)


def r_hat(chains: np.ndarray) -> float:
    """Rank-normalised split r-hat of draws (C, S) of one quantity: above 1.01 the chains do not yet agree (same reference, eq. 4)."""
    if len(chains) == 1:
        half = chains.shape[1] // 2
        chains = chains[:, : 2 * half].reshape(2, half)
    return _arviz("rhat", chains)


def _arviz(name: str, chains: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if int(version("arviz").split(".")[0]) < 1:
            import arviz

            return float(getattr(arviz, name)(chains))
        from arviz_stats.base import array_stats

        return float(getattr(array_stats, name)(chains, chain_axis=0, draw_axis=1))
