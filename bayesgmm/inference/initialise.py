"""Where a fit starts: a partition of the rows, or responsibilities, turned into a posterior by one update."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.compiling import check_process, jit
from bayesgmm.inference.kernel import from_labels, from_responsibilities
from bayesgmm.inference.kmeans import Centroids, lloyd, nearest_centre, seed
from bayesgmm.inference.problem import sampled


@jit(brief=True)
def _two_keys(key):
    return tuple(jax.random.split(key))


def _labels(x, centres):
    return nearest_centre(x, Centroids(centres, np.ones(len(centres), bool)))[0]


def kmeans_centres(key, x, weight, n_components: int) -> Centroids:
    """Centres of k-means from a k-means++ seed."""
    key = _two_keys(key)[1]
    return lloyd(x, weight, seed(key, x, weight, n_components), tol=1e-6, max_steps=50).posterior


def by_kmeans(key, x, weight, n_components: int):
    """Clusters of k-means from a k-means++ seed."""
    return nearest_centre(x, kmeans_centres(key, x, weight, n_components))[0]


def by_kmeans_plus_plus(key, x, weight, n_components: int):
    """Rows nearest to each k-means++ seed."""
    return _labels(x, seed(_two_keys(key)[1], x, weight, n_components))


def by_random_rows(key, x, weight, n_components: int):
    """Rows nearest to each of K distinct rows drawn at random."""
    return _labels(x, seed(_two_keys(key)[1], x, weight, n_components, spread=False))


def by_random_responsibilities(key, x, weight, n_components: int):
    """Responsibilities (N, K) drawn uniformly from the simplex."""
    return jax.random.dirichlet(key, jnp.ones(n_components, x.dtype), (len(x),))


WARD_ROWS = 2000
"""Most rows, counted with their weights, that are clustered hierarchically."""


def by_ward(x, weight, n_components: int):
    """Ward's hierarchical clustering cut at K, or None for many rows or weights that are no whole numbers.

    Deterministic; a start of good quality for few rows (Ward 1963, JASA 58; by scipy). Rows of weight 0 get label 0.
    """
    weight = np.asarray(weight, float)
    if weight.sum() > WARD_ROWS or (weight != np.round(weight)).any() or weight.sum() < n_components or n_components == 1:
        return None
    from scipy.cluster.hierarchy import fcluster, linkage

    copies = np.repeat(np.arange(len(weight)), weight.astype(int))
    labels = np.zeros(len(weight), np.int32)
    labels[copies] = fcluster(linkage(np.asarray(x, float)[copies], "ward"), n_components, "maxclust") - 1
    return jnp.asarray(labels)


STARTS: dict[str, Callable] = {
    "kmeans": by_kmeans,
    "k-means++": by_kmeans_plus_plus,
    "random": by_random_responsibilities,
    "random_from_data": by_random_rows,
}
"""Registry of starts: ``(key, rows, weight, n_components)`` to labels (N,) or responsibilities (N, K)."""


def assigned_stats(structure, tied: bool, x, assigned, n_components: int, weight) -> Stats:
    """Statistics of labels (N,) or responsibilities (N, K)."""
    if assigned.ndim == 1:
        return from_labels(structure, tied, x, assigned, n_components, weight)
    return from_responsibilities(structure, tied, x, assigned.astype(x.dtype), weight)


@jit(static_argnames=("n_components",), brief=True)
def start_from(prior, x, assigned, weight, n_components: int) -> Mixture:
    """Posterior after one update with labels (N,) or responsibilities (N, K); in the prior's precision."""
    stats = assigned_stats(prior.structure, prior.tied, x, assigned, n_components, weight)
    return prior.posterior(jax.tree.map(lambda a: a.astype(float), stats))


def initialise(key, prior, x, *, method: str = "kmeans", sample_weight=None, labels=None) -> Mixture:
    """Starting posterior for `fit`.

    Parameters
    ----------
    key : jax.Array
        Random key, such as ``jax.random.key(0)``.
    prior : Mixture or MAP
        What the fit will use.
    x : Array, shape (N, D)
        Rows; distances are Euclidean in the columns as given. Of more than 65,536 rows a random sample of that size is divided.
    method : {"kmeans", "k-means++", "random_from_data", "random"}
        How to divide the rows; ignored when ``labels`` is given.
    sample_weight : Array, shape (N,), optional
    labels : Array of int (N,) or of float (N, K), optional
        Known labels, or responsibilities, to start from.

    Returns
    -------
    Mixture

    References
    ----------
    Arthur & Vassilvitskii (2007), k-means++: the advantages of careful seeding.
    """
    check_process()
    x = jnp.asarray(x)
    weight = jnp.ones(x.shape[0], x.dtype) if sample_weight is None else jnp.asarray(sample_weight, x.dtype)
    if labels is None:
        if method not in STARTS:
            raise ValueError(f"method must be one of {', '.join(map(repr, STARTS))}; got {method!r}.")
        x, weight = sampled(_two_keys(key)[0], x, weight)
        labels = STARTS[method](key, x, weight, prior.n_components)
    return start_from(prior, x, jnp.asarray(labels), weight, prior.n_components)
