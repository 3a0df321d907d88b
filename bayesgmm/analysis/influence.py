r"""Rows that drive a component: how far the estimates move when one row is left out.

Were the labels known, leaving out a row with responsibility r and squared distance q from component k would move its mean by
:math:`r\sqrt{q/N_k}` of its standard errors and its spread by about :math:`r\,q/\sqrt{2 N_k}`. The rows where that is largest are left
out one by one, and the mixture is fitted anew from where it was, so what is reported is no approximation (case deletion: Cook & Weisberg
1982, Residuals and Influence in Regression, ch. 3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BY_COMPONENT = 5
"""Rows tried for each component."""

MOST = 64
"""Rows tried in all."""

LEVEL = 1.0
"""Standard errors from which a row is said to drive a component."""


class Influence(NamedTuple):
    """What leaving out single rows does, the most influential row first.

    Attributes
    ----------
    rows : ndarray of int, shape (R,)
        Rows that were left out, one by one.
    moved : ndarray, shape (R, K, 1 + 2 D)
        Change of each weight, mean and standard deviation, in that order, without the row, in standard errors of the estimate.
    """

    rows: np.ndarray
    moved: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        """Largest change (R,) without each row, in standard errors."""
        return np.abs(self.moved).max((1, 2))

    @property
    def driving(self) -> np.ndarray:
        """Rows without which an estimate moves by more than `LEVEL`."""
        return self.rows[self.largest > LEVEL]


def candidates(resp: np.ndarray, squares: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows (R,) that matter most to a component, by what leaving them out would do were the labels known.

    Parameters
    ----------
    resp, squares : array, shape (N, K)
        Responsibilities, and squared distances from the components in their own covariances.
    weight : array, shape (N,)
    """
    weighted = weight[:, None] * resp
    pull = weighted * np.maximum(np.sqrt(squares), np.maximum(squares / np.sqrt(2), 1)) / np.sqrt(np.maximum(weighted.sum(0), 1e-300))
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


def influence(rows: np.ndarray, without: np.ndarray, whole: np.ndarray, errors: np.ndarray) -> Influence:
    """Changes in standard errors, of estimates ``without`` (R, K, P) each row to those of the ``whole`` data (K, P)."""
    moved = np.where(errors > 0, (without - whole) / np.where(errors > 0, errors, 1), 0)
    order = np.argsort(-np.abs(moved).max((1, 2)), kind="stable")
    return Influence(rows[order], moved[order])
