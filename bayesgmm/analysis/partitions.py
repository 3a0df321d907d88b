r"""Distances between partitions of the same rows, and what many draws of a partition say about pairs of rows.

Both losses have one form. With sizes :math:`n_k` and :math:`m_l` of the clusters of two partitions and :math:`n_{kl}` of their
intersections,

.. math:: d = \sum_k f(n_k) + \sum_l f(m_l) - 2 \sum_{kl} f(n_{kl}),

where :math:`f(x) = x \ln x` gives N times the variation of information, in nats (Meila 2007, J. Multivariate Analysis 98), and
:math:`f(x) = x^2 / 2` the number of pairs that are together in one partition and apart in the other (Binder 1978, Biometrika 65).
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

LOSSES = ("vi", "binder")


def compact(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) renumbered 0, 1, 2, ... in the order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def growth(loss: str, n: int) -> np.ndarray:
    """Values (n + 1,) of f at 0, 1, ..., n."""
    x = np.arange(n + 1.0)
    return xlogy(x, x) if loss == "vi" else x * x / 2


def unit(loss: str, n: int) -> float:
    """What the sum is divided by: rows for the variation of information, pairs of rows for Binder's loss."""
    return float(n) if loss == "vi" else max(n * (n - 1) / 2, 1.0)


def crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sizes (K, L) of the intersections of two partitions with labels 0, 1, ..."""
    width = int(b.max()) + 1
    return np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width)


def distance(a: np.ndarray, b: np.ndarray, loss: str) -> float:
    """Variation of information in nats, or the share of pairs on which two partitions differ."""
    f, table = growth(loss, len(a)), crossed(a, b)
    total = f[table.sum(1)].sum() + f[table.sum(0)].sum() - 2 * f[table].sum()
    return max(float(total), 0.0) / unit(loss, len(a))


def distances(labels: np.ndarray, draws: np.ndarray, loss: str) -> np.ndarray:
    """Distance (S,) of one partition (N,) to each of several (S, N)."""
    return np.array([distance(labels, draw, loss) for draw in draws])


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Agreement of two partitions beyond chance (Hubert & Arabie 1985, J. Classification 2, eq. 5); 1 where both are trivial alike."""
    table = crossed(a, b).astype(float)
    pairs = lambda sizes: (sizes * (sizes - 1) / 2).sum()  # noqa: E731
    both, first, second, every = pairs(table), pairs(table.sum(1)), pairs(table.sum(0)), len(a) * (len(a) - 1) / 2
    expected, most = first * second / max(every, 1), (first + second) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def similarity(draws: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Share of draws (S, N) in which two rows are together: (N, N), or (M, N) for some rows; by matrix products, one for each label."""
    some = draws if rows is None else draws[:, rows]
    total = np.zeros((some.shape[1], draws.shape[1]))
    for label in range(int(draws.max()) + 1):
        total += (some == label).astype(np.float32).T @ (draws == label).astype(np.float32)
    return total / len(draws)
