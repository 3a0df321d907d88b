"""Starts that agree with what is known of the labels of rows."""

from __future__ import annotations

import numpy as np

from bayesgmm.inference.arrange import Known
from bayesgmm.inference.proposals import shares


def within(known: Known, assigned: np.ndarray, weight: np.ndarray, n_components: int) -> np.ndarray:
    """Responsibilities (N', K) from labels (N',) or responsibilities of a start, clusters numbered as the rows of known labels are.

    Rows that may not belong to their cluster are divided among the components that they may belong to. Rows beyond those ``known`` are
    padding.
    """
    resp = shares(assigned, n_components).copy()
    n = len(known.values)
    if known.group is not None:
        resp[:n] = _together(resp[:n], known.group, weight[:n])
    if known.allowed is None:
        return resp
    mask = known.allowed[:, np.minimum(np.arange(n_components), known.n_named)]
    resp = resp[:, _numbered(resp[:n], mask, weight[:n])]
    kept = resp[:n] * mask
    total = kept.sum(1, keepdims=True)
    resp[:n] = np.where(total > 0, kept / np.where(total > 0, total, 1), mask / mask.sum(1, keepdims=True))
    return resp


def known_first(known: np.ndarray, assigned: np.ndarray, weight: np.ndarray, n_components: int) -> np.ndarray:
    """Responsibilities (N', K) from labels (N',) or responsibilities of a start, clusters numbered so that known components are first.

    ``known`` (N', F) are log densities of the rows under these: each gets the cluster that fits it best.
    """
    from scipy.optimize import linear_sum_assignment

    resp = shares(assigned, n_components)
    share = resp * weight[:, None]
    first = linear_sum_assignment(known.T @ share / np.maximum(share.sum(0), 1e-300), maximize=True)[1]
    return resp[:, np.append(first, np.setdiff1d(np.arange(n_components), first))]


def _together(resp: np.ndarray, group: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Responsibilities with those of a group averaged."""
    found, together = resp.copy(), group >= 0
    _, code = np.unique(group[together], return_inverse=True)
    sums = np.zeros((code.max(initial=-1) + 1, resp.shape[1]))
    np.add.at(sums, code, resp[together] * weight[together, None])
    found[together] = (sums / np.maximum(sums.sum(1, keepdims=True), 1e-300))[code]
    return found


def _numbered(resp: np.ndarray, mask: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Which cluster (K,) becomes each component, so that most rows may stay where they are."""
    from scipy.optimize import linear_sum_assignment

    said = mask / mask.sum(1, keepdims=True) * (~mask.all(1) * weight)[:, None]
    return linear_sum_assignment(said.T @ resp, maximize=True)[1]
