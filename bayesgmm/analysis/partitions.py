r"""Distances between partitions of the same rows, and what many draws of a partition say about pairs of rows.

Both losses have one form. With sizes :math:`n_k` and :math:`m_l` of the clusters of two partitions and :math:`n_{kl}` of their
intersections,

.. math:: d = \sum_k f(n_k) + \sum_l f(m_l) - 2 \sum_{kl} f(n_{kl}),

where :math:`f(x) = x \ln x` gives N times the variation of information, in nats (Meila 2007, J. Multivariate Analysis 98), and
:math:`f(x) = x^2 / 2` the number of pairs that are together in one partition and apart in the other (Binder 1978, Biometrika 65).
"""

from __future__ import annotations

import numpy as np

LOSSES = ("vi", "binder")

DENSE = 8
"""Possible intersections a row up to which they are counted in a table."""

ROUNDING = 1e-13
"""Distances below this share of the largest f are rounding."""


def compact(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) renumbered 0, 1, 2, ... in the order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def growth(loss: str, n: int) -> np.ndarray:
    """Values (n + 1,) of f at 0, 1, ..., n."""
    from scipy.special import xlogy

    x = np.arange(n + 1.0)
    return xlogy(x, x) if loss == "vi" else x * x / 2


def unit(loss: str, n: int) -> float:
    """What the sum is divided by: rows for the variation of information, pairs of rows for Binder's loss."""
    return float(n) if loss == "vi" else max(n * (n - 1) / 2, 1.0)


def crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sizes of the intersections of two partitions with labels 0, 1, ...; those that are not empty, and perhaps some that are."""
    codes = a.astype(np.int64) * (int(b.max()) + 1) + b
    return np.bincount(codes) if codes.max() < DENSE * len(a) else np.unique(codes, return_counts=True)[1]


def distance(a: np.ndarray, b: np.ndarray, loss: str) -> float:
    """Variation of information in nats, or the share of pairs on which two partitions differ."""
    f = growth(loss, len(a))
    total = float(f[np.bincount(a)].sum() + f[np.bincount(b)].sum() - 2 * f[crossed(a, b)].sum())
    return total / unit(loss, len(a)) if total > ROUNDING * f[-1] else 0.0


def distances(labels: np.ndarray, draws: np.ndarray, loss: str) -> np.ndarray:
    """Distance (S,) of one partition (N,) to each of several (S, N)."""
    return np.array([distance(labels, draw, loss) for draw in draws])


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Agreement of two partitions beyond chance (Hubert & Arabie 1985, J. Classification 2, eq. 5); 1 where both are trivial alike."""
    pairs = lambda sizes: (sizes * (sizes - 1.0) / 2).sum()  # noqa: E731
    both, first, second = (pairs(sizes) for sizes in (crossed(a, b), np.bincount(a), np.bincount(b)))
    every = len(a) * (len(a) - 1) / 2
    expected, most = first * second / max(every, 1), (first + second) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def similarity(draws: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Share of draws (S, N) in which two rows are together: (N, N), or (M, N) for some rows; by matrix products, one for each label."""
    some = draws if rows is None else draws[:, rows]
    total = np.zeros((some.shape[1], draws.shape[1]))
    for label in range(int(draws.max()) + 1):
        total += (some == label).astype(np.float32).T @ (draws == label).astype(np.float32)
    return total / len(draws)
