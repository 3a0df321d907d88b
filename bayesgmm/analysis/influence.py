r"""Rows that drive a component: how far the estimates move when one row is left out.

Were the labels known, leaving out a row with responsibility r and squared distance q from component k would move its mean by
:math:`r\sqrt{q/N_k}` of its standard errors and its spread by about :math:`r\,q/\sqrt{2 N_k}`. The rows where that is largest are left
out one by one, and the mixture is fitted anew from where it was, so what is reported is no approximation (case deletion: Cook & Weisberg
1982, Residuals and Influence in Regression, ch. 3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesgmm.analysis.point import whole
from bayesgmm.inference.problem import summed

BY_COMPONENT = 5
"""Rows tried for each component."""

MOST = 64
"""Rows tried in all."""

LEVEL = 1.0
"""Standard errors that a row must at least move an estimate by to be said to drive a component."""

RARE = 0.01
"""Probability that a row of a component that is Gaussian does as much: with few rows that is more than `LEVEL`."""


class Influence(NamedTuple):
    """What leaving out single rows does, the most influential row first.

    Attributes
    ----------
    rows : ndarray of int, shape (R,)
        Rows that were left out, one by one.
    moved : ndarray, shape (R, K, 1 + 2 D)
        Change of each weight, mean and standard deviation, in that order, without the row, in standard errors of the estimate; infinite
        where a component collapses.
    bars : ndarray, shape (K,)
        Changes of a component up to this size are nothing remarkable.
    """

    rows: np.ndarray
    moved: np.ndarray
    bars: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        """Largest change (R,) without each row, in standard errors."""
        return np.abs(self.moved).max((1, 2))

    @property
    def driving(self) -> np.ndarray:
        """Rows without which an estimate of a component moves by more than its bar."""
        return self.rows[(np.abs(self.moved).max(2) > self.bars).any(1)]


def bars(counts: np.ndarray, d: int) -> np.ndarray:
    """Change (K,) in standard errors that few Gaussian samples of so many rows (K,) in D columns have a row for: at least `LEVEL`."""
    from scipy.stats import chi2

    counts = np.maximum(counts, 1)
    return np.maximum(_pull(chi2.isf(RARE / counts, d)) / np.sqrt(counts), LEVEL)


def _pull(squares: np.ndarray) -> np.ndarray:
    """What a row at such squared distances does to a component, times the root of its number of rows."""
    return np.maximum(np.sqrt(squares), np.maximum(squares / np.sqrt(2), 1))


def taken(weight: np.ndarray) -> np.ndarray:
    """How much of the weight (N,) of a row is left out: one copy, or all of it where weights are not copies."""
    return np.minimum(weight, 1) if whole(weight) else weight


def candidates(resp: np.ndarray, squares: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows (R,) that matter most to a component, by what leaving them out would do were the labels known.

    Parameters
    ----------
    resp, squares : array, shape (N, K)
        Responsibilities, and squared distances from the components in their own covariances.
    weight : array, shape (N,)
    """
    pull = taken(weight)[:, None] * resp * _pull(squares) / np.sqrt(np.maximum(summed(weight, resp), 1e-300))
    each = max(min(BY_COMPONENT, MOST // resp.shape[1]), 1)
    first = np.argsort(-pull, axis=0, kind="stable")[:each]
    found = np.unique(first)
    return found[weight[found] > 0]


def deviations(covariances: np.ndarray) -> np.ndarray:
    """Standard deviations (..., D) of covariance matrices (..., D, D)."""
    return np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))


def estimates(weights: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Weights (S, K), means (S, K, D) and standard deviations (S, K or 1, D) beside each other, (S, K, 1 + 2 D)."""
    return np.concatenate([weights[:, :, None], means, np.broadcast_to(deviations, means.shape)], 2)


def influence(
    rows: np.ndarray, without: np.ndarray, complete: np.ndarray, errors: np.ndarray, usable: np.ndarray, bars: np.ndarray
) -> Influence:
    """Changes in standard errors, of estimates ``without`` (R, K, P) each row to those of the ``complete`` data (K, P)."""
    moved = np.where(errors > 0, (without - complete) / np.where(errors > 0, errors, 1), 0)
    moved = np.where(usable[:, None, None] & np.isfinite(moved), moved, np.inf)
    order = np.argsort(-np.abs(moved).max((1, 2)), kind="stable")
    return Influence(rows[order], moved[order], bars)
