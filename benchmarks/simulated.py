"""Simulated Gaussian mixtures with a known number of components: 68 designs over dimension, number, overlap, rows, shape and weights.

Overlap is the error of the rule that knows the true parameters: low 1 %, medium 5 %, high 12 %, reached by scaling the means. The draws of
each data set follow from its seed alone; another family of the same designs is the same list with a number added to every seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ERROR = {"low": 0.01, "medium": 0.05, "high": 0.12}


class Design(NamedTuple):
    """What is simulated."""

    name: str
    n_features: int
    n_components: int
    n_rows: int
    overlap: str
    shape: str
    weights: str
    seed: int


class Truth(NamedTuple):
    """Rows (N, D), their components (N,), and the components that the true parameters would give them."""

    x: np.ndarray
    labels: np.ndarray
    oracle: np.ndarray


def designs(offset: int = 0) -> list[Design]:
    """The 68 designs, with ``offset`` added to their seeds."""
    rng, made = np.random.default_rng(20240601), []
    overlaps, shapes = ("low", "medium", "high"), ("full", "diag", "spherical", "tied")
    for again in range(2):
        for d in (1, 2, 5, 10, 20):
            for k in (1, 2, 3, 5, 8, 12):
                i, k = len(made), {8: 2, 12: 3}.get(k, k) if d == 1 else k
                n = int(rng.choice(_sizes(d, k)))
                overlap = overlaps[(i + again) % 3] if k > 1 else "none"
                shape = shapes[int(rng.integers(4))] if d > 1 else ("full", "tied")[int(rng.integers(2))]
                weights = ("balanced", "imbalanced")[int(rng.integers(2))]
                made.append((d, k, n, overlap, shape, weights))
    made += [
        (5, 5, 5000, "medium", "full", "imbalanced"),
        (5, 8, 5000, "low", "diag", "balanced"),
        (10, 3, 5000, "high", "tied", "imbalanced"),
        (10, 5, 5000, "low", "spherical", "imbalanced"),
        (2, 8, 5000, "high", "full", "balanced"),
        (20, 3, 5000, "medium", "diag", "balanced"),
        (2, 12, 5000, "medium", "spherical", "imbalanced"),
        (2, 3, 200, "high", "full", "imbalanced"),
    ]
    return [Design(f"main_{i:03d}", *each, 1000 + i + offset) for i, each in enumerate(made)]


def _sizes(d: int, k: int) -> list[int]:
    sizes = [200, 1000, 5000] if d <= 2 else [200, 1000]
    return [n for n in sizes if n >= 40 * k and (n >= 1000 or k * d <= 30)] or [1000]


def simulate(design: Design) -> Truth:
    """Draw the data set of a design."""
    rng = np.random.default_rng(design.seed)
    k, d, n = design.n_components, design.n_features, design.n_rows
    weights = random_weights(rng, k, design.weights)
    covariances, means = random_covariances(rng, k, d, design.shape), spread_means(rng, k, d)
    if k > 1:
        means = means * _stretch(rng, means, covariances, weights, ERROR[design.overlap])
    x, labels = draw(rng, n, weights, means, covariances)
    return Truth(x, labels, _log_density(x, means, covariances, weights).argmax(1))


def draw(rng, n: int, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) of a mixture in random order and their components (N,); sizes are as near to the weights as they can be."""
    labels = np.repeat(np.arange(len(weights)), _counts(n, weights))
    noise = rng.standard_normal((n, means.shape[1]))
    x = means[labels] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[labels], noise)
    shuffled = rng.permutation(n)
    return x[shuffled], labels[shuffled]


def random_weights(rng, k: int, kind: str) -> np.ndarray:
    if kind == "balanced" or k == 1:
        return np.full(k, 1 / k)
    weights = rng.permutation(6.0 ** (np.arange(k) / max(k - 1, 1)))
    return weights / weights.sum()


def _counts(n: int, weights: np.ndarray) -> np.ndarray:
    """Rounded sizes by the largest remainders, so that no component is empty."""
    exact = n * weights
    counts = np.floor(exact).astype(int)
    counts[np.argsort(-(exact - counts), kind="stable")[: n - counts.sum()]] += 1
    return counts


def random_covariances(rng, k: int, d: int, shape: str) -> np.ndarray:
    def full():
        values = np.exp(rng.uniform(-1.2, 1.2, d))
        q, r = np.linalg.qr(rng.standard_normal((d, d)))
        rotation = q * np.sign(np.diag(r))
        return (rotation * values) @ rotation.T

    if shape == "tied":
        return np.array([full()] * k)
    made = []
    for _ in range(k):
        size = np.exp(rng.uniform(-0.6, 0.6))
        if shape == "spherical":
            made.append(np.eye(d) * size)
        elif shape == "diag":
            made.append(np.diag(np.exp(rng.uniform(-1.2, 1.2, d))) * size)
        else:
            made.append(full() * size)
    return np.array(made)


def spread_means(rng, k: int, d: int) -> np.ndarray:
    """On a line evenly; elsewhere the widest of 60 random placements."""
    if k == 1:
        return rng.standard_normal((1, d))
    if d == 1:
        return rng.permutation(np.arange(k) + rng.uniform(-0.15, 0.15, k))[:, None]
    best, found = -1.0, np.zeros((k, d))
    for _ in range(60):
        means = rng.standard_normal((k, d))
        nearest = (np.linalg.norm(means[:, None] - means[None], axis=-1) + 1e9 * np.eye(k)).min()
        if nearest > best:
            best, found = nearest, means
    return found


def _log_density(x, means, covariances, weights) -> np.ndarray:
    """Log of weight times density (N, K)."""
    d, columns = x.shape[1], []
    for mean, covariance, weight in zip(means, covariances, weights, strict=True):
        factor = np.linalg.cholesky(covariance)
        z = np.linalg.solve(factor, (x - mean).T)
        columns.append(np.log(weight) - 0.5 * (z * z).sum(0) - np.log(np.diag(factor)).sum() - 0.5 * d * np.log(2 * np.pi))
    return np.stack(columns, 1)


def _stretch(rng, means, covariances, weights, target: float) -> float:
    """Factor of the means at which the true rule errs on ``target`` of 20,000 draws, by bisection."""
    labels = rng.choice(len(weights), 20000, p=weights)
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[labels], rng.standard_normal((20000, means.shape[1])))

    def error(stretch: float) -> float:
        x = means[labels] * stretch + noise
        return float((_log_density(x, means * stretch, covariances, weights).argmax(1) != labels).mean())

    low, high = 0.0, 1.0
    while error(high) > target and high < 1e4:
        low, high = high, high * 2
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > target else (low, middle)
    return high
