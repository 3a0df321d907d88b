"""Responsibilities to start from: clusterings of the rows, and neighbours of a fit with one component more or fewer."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import hard
from bayesgmm.inference.kmeans import Centroids, FlatCentroids, seed
from bayesgmm.inference.loop import run
from bayesgmm.inference.problem import products, summed
from bayesgmm.inference.splits import WAYS, flattest, outer, parts

WARD_ROWS = 1000
"""Rows clustered hierarchically; the others go to the nearest cluster mean."""

LLOYD = 12
"""Passes of k-means for a start."""


@jit
def _lloyd(spaces, weight, centres, alive):
    """Labels (S, N) of k-means in each of S sets of coordinates (S, N, D) from centres (S, P, D), of which ``alive`` (P,) exist."""
    prior = FlatCentroids(centres.shape[1])

    def one(x, start):
        result = run(prior, Centroids(start, alive), x, weight, 0.0, LLOYD, max_steps=LLOYD, assign=hard)
        natural = result.posterior.natural()
        return (natural.level + x @ natural.mean.T - (natural.mean**2).sum(1) / 2).argmax(1)

    return jax.vmap(one)(spaces, centres)


def one_hot(labels: np.ndarray, width: int) -> np.ndarray:
    """Responsibilities (N, width) of labels (N,)."""
    return np.eye(width)[labels]


def shares(assigned: np.ndarray, width: int) -> np.ndarray:
    """Responsibilities (N, width) of labels (N,), or as they are."""
    return one_hot(assigned, width) if assigned.ndim == 1 else np.asarray(assigned, float)


class Clusterings:
    """k-means and Ward labels of the same rows for any number of clusters, computed when asked for.

    Parameters
    ----------
    key : jax.Array
    spaces : list of arrays, (N, D) each
        The rows in several coordinates, one for each k-means start.
    weight : array, shape (N,)
        Rows of weight 0 are labelled but count for nothing.
    most : int
        Largest number of clusters.
    """

    def __init__(self, key, spaces, weight, most: int, rng: np.random.Generator):
        self.spaces, self.weight, self.most = jnp.stack(spaces), weight, most
        keys = jax.random.split(key, len(spaces))
        self.seeds = jnp.stack([seed(k, x, weight, most) for k, x in zip(keys, spaces, strict=True)])
        self._tree(np.asarray(spaces[0]), np.asarray(weight), rng)

    def _tree(self, rows: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        from scipy.cluster.hierarchy import linkage

        used = np.flatnonzero(weight > 0)
        self.chosen = np.sort(rng.choice(used, WARD_ROWS, replace=False)) if len(used) > WARD_ROWS else used
        self.rows = rows
        self.linkage = linkage(rows[self.chosen], "ward") if len(self.chosen) > 1 else None

    def kmeans(self, n_clusters: int) -> np.ndarray:
        """Labels (S, N); k-means++ seeds for fewer clusters are the first of those for more."""
        return np.asarray(_lloyd(self.spaces, self.weight, self.seeds, jnp.arange(self.most) < n_clusters))

    def ward(self, n_clusters: int) -> np.ndarray:
        """Labels (N,) of Ward's clustering of a sample (Ward 1963, JASA 58), cut at ``n_clusters``."""
        from scipy.cluster.hierarchy import fcluster

        found = fcluster(self.linkage, n_clusters, "maxclust") - 1
        labels = np.zeros(len(self.rows), int)
        if len(self.chosen) < len(self.rows):
            means = np.stack([self.rows[self.chosen][found == k].mean(0) for k in range(found.max() + 1)])
            labels = (self.rows @ means.T - (means**2).sum(1) / 2).argmax(1)
        labels[self.chosen] = found
        return labels


def split_starts(resp: np.ndarray, n_alive: int, rows: np.ndarray, weight: np.ndarray, ways=WAYS) -> Iterator[np.ndarray]:
    """One component more: each of the heaviest in turn divided in two, in each of some ways."""
    for k in np.argsort(-summed(weight, resp[:, :n_alive]), kind="stable"):
        share = weight * resp[:, k]
        for part in parts(share, rows, ways):
            if min(share[part].sum(), share[~part].sum()) >= 1:
                divided = resp.copy()
                divided[part, n_alive], divided[part, k] = resp[part, k], 0
                yield divided


def overlapping_pairs(own: np.ndarray, weight: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of components by decreasing overlap of their responsibilities (Ueda et al. 2000, Neural Computation 12)."""
    overlap = products(weight, own, own)
    size = np.sqrt(np.maximum(np.diag(overlap), 1e-300))
    first, second = np.triu_indices(own.shape[1], 1)
    order = np.argsort(-(overlap / np.outer(size, size))[first, second], kind="stable")
    return [(int(a), int(b)) for a, b in zip(first[order], second[order], strict=True)]


def merged(resp: np.ndarray, a: int, b: int, n_alive: int) -> np.ndarray:
    """One component fewer: ``b`` gives its rows to ``a``."""
    joint = resp.copy()
    joint[:, a] += resp[:, b]
    return without(joint, b, n_alive)


def merge_starts(resp: np.ndarray, n_alive: int, weight: np.ndarray, n_merges: int) -> Iterator[np.ndarray]:
    """One component fewer: the most overlapping pairs made one, then the lightest component left out."""
    own = resp[:, :n_alive]
    for a, b in overlapping_pairs(own, weight)[:n_merges]:
        yield merged(resp, a, b, n_alive)
    left = without(resp, int(summed(weight, own).argmin()), n_alive)
    total = left.sum(1, keepdims=True)
    nobody = total[:, 0] < 1e-8
    left[nobody, : n_alive - 1] = 1 / (n_alive - 1)
    yield np.where(nobody[:, None], left, left / np.where(total > 0, total, 1))


def split_merge_starts(resp: np.ndarray, n_alive: int, rows: np.ndarray, weight: np.ndarray, n_merges: int) -> Iterator[np.ndarray]:
    """As many components: an overlapping pair made one and a component divided, pairs, heaviest and ways in turn."""
    pairs = overlapping_pairs(resp[:, :n_alive], weight)[:n_merges]
    smaller = [merged(resp, a, b, n_alive) for a, b in pairs]
    for starts in zip(*(split_starts(one, n_alive - 1, rows, weight, (flattest, outer)) for one in smaller), strict=False):
        yield from starts


def without(resp: np.ndarray, k: int, n_alive: int) -> np.ndarray:
    """Responsibilities with the column of component ``k`` taken by the last component's."""
    fewer = resp.copy()
    fewer[:, k] = resp[:, n_alive - 1]
    fewer[:, n_alive - 1] = 0
    return fewer
