"""Labels of draws made those of a fit: without it, component 1 of one draw may be component 2 of the next."""

from __future__ import annotations

import numpy as np


def confusions(labels: np.ndarray, pivot: np.ndarray, weight: np.ndarray, k: int) -> np.ndarray:
    """Rows (S, K, K) that each draw (S, N) puts into one component and the pivot (N,) into another."""
    codes = labels.astype(np.int64) * k + pivot
    return np.stack([np.bincount(one, weight, k * k).reshape(k, k) for one in codes])


def permutations(confusion: np.ndarray) -> np.ndarray:
    """For each draw the component (S, K) that takes the place of each one of the pivot.

    By most rows in common, a Hungarian assignment for each draw: the equivalence classes representatives of Papastamoulis & Iliopoulos
    (2010), Journal of Computational and Graphical Statistics 19.
    """
    from scipy.optimize import linear_sum_assignment

    return np.stack([linear_sum_assignment(-one.T)[1] for one in confusion])
