"""The same data through k-means, for comparison."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.inference.initialise import kmeans_centres
from bayesgmm.inference.kmeans import nearest_centre
from bayesgmm.inference.problem import sampled


def names_of(shared: np.ndarray) -> np.ndarray:
    """Names (A,) of clusters, of which ``shared`` (A, B) rows are in others, after those with which they share most rows; clusters left
    over get new names.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(shared, maximize=True)
    names = np.full(len(shared), -1)
    names[rows] = columns
    names[names < 0] = shared.shape[1] + np.arange((names < 0).sum())
    return names


def matched_rows(a: np.ndarray, b: np.ndarray) -> int:
    """Rows on which two labellings agree after the best one-to-one matching of their labels (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((a.max() + 1, b.max() + 1), int)
    np.add.at(table, (a, b), 1)
    rows, columns = linear_sum_assignment(-table)
    return int(table[rows, columns].sum())


def kmeans_labels(values: np.ndarray, n_clusters: int, seed: int = 0) -> np.ndarray:
    """k-means labels (N,) on standardised columns, best of five starts by inertia."""
    scale = values.std(0)
    rows = jnp.asarray((values - values.mean(0)) / np.where(scale > 0, scale, 1))
    weight = jnp.ones(len(rows))
    fits = []
    for key in jax.random.split(jax.random.key(seed), 5):
        some, weights = sampled(key, rows, weight)
        fits.append(nearest_centre(rows, kmeans_centres(key, some, weights, n_clusters)))
    return np.asarray(min(fits, key=lambda fit: float(fit[1].sum()))[0])
