r"""Rows that may be noise, to start from: those in sparse surroundings.

Where rows are scattered evenly, the volume of the ball around a row that reaches its k-th neighbour is Gamma distributed with shape k and
the density of rows as its rate. The volumes of all rows are a mixture of two such laws, of a dense and a sparse part of the data (Byers &
Raftery 1998, JASA 93, eqs. 3-5; the start that mclust recommends, ``NNclean``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.inference.proposals import shares

NEIGHBOURS = 12
"""The k above, as Byers & Raftery have it."""

MOST = 4000
"""Rows among which neighbours are sought."""

STEPS = 200

WIDEST = 600
"""Largest log of a ratio of volumes: its exponential, times the number of rows, is a number."""

LEAST, GREATEST = 0.01, 0.99
"""Limits of the answers: a start without noise would never find any."""


def sparse_rows(rows: Any, weight: Any) -> np.ndarray:
    """Probability (N,) that rows (N, D), in units in which distances mean something, are of the sparse part; 0 where weights (N,) are."""
    from scipy.spatial import KDTree
    from scipy.special import expit

    rows, used = np.asarray(rows, float), np.asarray(weight) > 0
    counted = rows[used]
    among = counted[:: -(-len(counted) // MOST)]
    k = max(min(NEIGHBOURS, len(among) - 1), 1)
    distance = KDTree(among).query(counted, min(k + 1, len(among)))[0].reshape(len(counted), -1)[:, -1]
    logs = rows.shape[1] * np.log(np.maximum(distance, 1e-12 * distance.max() + 1e-300))
    volume = np.exp(np.clip(logs - np.median(logs), -WIDEST, WIDEST))
    sparse = np.where(logs > np.quantile(logs, 0.75), GREATEST, LEAST)
    for _ in range(STEPS):
        before, share = sparse, sparse.mean()
        rates = [k * part.sum() / (part @ volume) for part in (1 - sparse, sparse)]
        odds = k * np.log(rates[1] / rates[0]) + (rates[0] - rates[1]) * volume
        sparse = np.clip(expit(odds + np.log(share) - np.log1p(-share)), LEAST, GREATEST)
        if np.abs(sparse - before).max() < 1e-6:
            break
    found = np.zeros(len(rows))
    found[used] = sparse
    return found


def dense_weight(sparse: np.ndarray, weight, n_components: int) -> np.ndarray:
    """Weights (N,) for clusterings, which leave out rows that are likely noise, unless hardly any are left then."""
    weight = np.asarray(weight)
    dense = np.where(sparse > 0.5, 0, weight)
    return dense if (dense > 0).sum() > 2 * n_components else weight


def beside(assigned: np.ndarray, sparse: np.ndarray, n_components: int) -> np.ndarray:
    """Responsibilities (N, K + 1) from labels (N,) or responsibilities (N, K), and the probability (N,) of noise, which comes last."""
    resp = shares(assigned, n_components)
    return np.concatenate([resp * (1 - sparse)[:, None], sparse[:, None]], 1)


def apart(resp: np.ndarray, n_noise: int) -> tuple[np.ndarray, np.ndarray]:
    """Responsibilities (N, K) of rows given that they are not noise, and the probability (N,) that they are."""
    if not n_noise:
        return resp, np.zeros(len(resp))
    own, sparse = resp[:, :-1], resp[:, -1]
    return own / np.maximum(own.sum(1, keepdims=True), 1e-300), sparse
