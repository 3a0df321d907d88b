"""From the components of a mixture to clusters: which pairs are merged, in which order, and when to stop.

Every way of combining gives the whole tree of merges, from K clusters down to one. Where it is cut is a decision of its own: at a number of
clusters, where values fall below a threshold, or at the elbow of the entropies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bayesgmm.inference.problem import products, summed

Group = tuple[int, ...]
"""Components of a cluster, ascending."""


class Merge(NamedTuple):
    """Two clusters that become one.

    Attributes
    ----------
    first, second : tuple of int
        Their components, counted from 0.
    value : float
        What spoke for it: nats of entropy removed, a probability of misclassification, or a ratio of densities.
    """

    first: Group
    second: Group
    value: float


def by_entropy(resp: np.ndarray, weight: np.ndarray, n_noise: int = 0) -> list[Merge]:
    r"""Merge, one by one, the pair that removes most entropy of the assignments.

    The value is :math:`\sum_n w_n [h(r_{na} + r_{nb}) - h(r_{na}) - h(r_{nb})]` with :math:`h(r) = r \ln r`, in nats.

    Parameters
    ----------
    resp : array, shape (N, K)
    weight : array, shape (N,)
    n_noise : int
        1 where the last is noise, which is never merged.

    References
    ----------
    Baudry, Raftery, Celeux, Lo & Gottardo (2010), Journal of Computational and Graphical Statistics 19, sec. 3.
    """

    @functools.cache
    def total(group: Group) -> float:
        return float(summed(weight, _xlogx(_column(resp, group))))

    def value(a: Group, b: Group) -> float:
        return total(tuple(sorted(a + b))) - total(a) - total(b)

    def values(groups: list[Group]) -> np.ndarray:
        return np.array([[value(a, b) if a < b else -np.inf for b in groups] for a in groups])

    return _agglomerate(resp.shape[1] - n_noise, values)


def by_misclassification(resp: np.ndarray, weight: np.ndarray, n_noise: int = 0) -> list[Merge]:
    """Merge, one by one, the pair with the largest probability that a row of one is put into the other (DEMP).

    Parameters
    ----------
    resp : array, shape (N, K)
    weight : array, shape (N,)
    n_noise : int
        1 where the last is noise, which is never merged; rows put there are put into no component.

    References
    ----------
    Hennig (2010), Advances in Data Analysis and Classification 4, sec. 4.3: directly estimated misclassification probabilities.
    """

    def values(groups: list[Group]) -> np.ndarray:
        everything = [*groups, *((k,) for k in range(own, resp.shape[1]))]
        found = misclassification(_columns(resp, everything), weight)[: len(groups), : len(groups)]
        return np.maximum(found, found.T)

    own = resp.shape[1] - n_noise
    return _agglomerate(own, values)


def by_ratio(ratio: np.ndarray) -> list[Merge]:
    """Merge, one by one, the clusters that hold the two components with the largest ratio (K, K), as single linkage does.

    So a chain of components, such as a curved cluster, stays together.
    """

    def values(groups: list[Group]) -> np.ndarray:
        return np.array([[ratio[np.ix_(a, b)].max() for b in groups] for a in groups])

    return _agglomerate(len(ratio), values)


def misclassification(resp: np.ndarray, weight: np.ndarray) -> np.ndarray:
    r"""Estimated probability (K, K) that a row of component j is put into i: :math:`\sum_{n \to i} w_n r_{nj} / \sum_n w_n r_{nj}`."""
    put, counts = np.eye(resp.shape[1])[resp.argmax(1)], summed(weight, resp)
    return products(weight, put, resp) / np.where(counts > 0, counts, 1)


def groups_after(merges: list[Merge], n_clusters: int) -> list[Group]:
    """Clusters, as tuples of components, when ``n_clusters`` are left of ``len(merges) + 1``."""
    groups = [(k,) for k in range(len(merges) + 1)]
    for merge in merges[: len(groups) - n_clusters]:
        groups = _merged(groups, merge)
    return groups


def probabilities(resp: np.ndarray, groups: list[Group]) -> np.ndarray:
    """Probability (N, C) that a row belongs to each cluster: the sum over its components."""
    return _columns(resp, groups)


def entropies(resp: np.ndarray, weight: np.ndarray, merges: list[Merge]) -> np.ndarray:
    """Entropy (K,) of the assignments to 1, 2, ... K clusters, in nats; columns that no merge speaks of, noise, stay as they are."""
    k = len(merges) + 1
    steps = (np.append(probabilities(resp, groups_after(merges, n)), resp[:, k:], 1) for n in range(1, k + 1))
    return np.array([max(-float(summed(weight, _xlogx(step).sum(1))), 0.0) for step in steps])


def number_at(merges: list[Merge], threshold: float) -> int:
    """Number of clusters when the first merge below the threshold, and all that follow, are left undone."""
    done = next((i for i, merge in enumerate(merges) if merge.value < threshold), len(merges))
    return len(merges) + 1 - done


def elbow(values: np.ndarray) -> int:
    """Number of clusters where a curve (K,), at 1, 2, ... K of them, is best described by two straight lines that meet there.

    Of 2 to K - 1, by least squares (Baudry et al. 2010, sec. 4); with fewer than three points there is no elbow, and nothing is merged.
    """
    k = len(values)
    if k < 3:
        return k
    misfit = [_straight(values[:c]) + _straight(values[c - 1 :]) for c in range(2, k)]
    return 2 + int(np.argmin(misfit))


def _straight(values: np.ndarray) -> float:
    """Squared distance of evenly spaced values from their regression line."""
    centred, place = values - values.mean(), np.arange(len(values)) - (len(values) - 1) / 2
    return float(centred @ centred - (place @ centred) ** 2 / (place @ place))


def _agglomerate(n: int, values: Callable[[list[Group]], np.ndarray]) -> list[Merge]:
    """All merges, the largest of ``values(groups)`` (G, G) above the diagonal first."""
    groups, merges = [(k,) for k in range(n)], []
    while len(groups) > 1:
        above = np.where(np.triu(np.ones((len(groups),) * 2, bool), 1), values(groups), -np.inf)
        a, b = np.unravel_index(above.argmax(), above.shape)
        merges.append(Merge(groups[a], groups[b], float(above[a, b])))
        groups = _merged(groups, merges[-1])
    return merges


def _merged(groups: list[Group], merge: Merge) -> list[Group]:
    """Groups after one merge, in the order of their first components."""
    kept = [g for g in groups if g not in (merge.first, merge.second)]
    return sorted([*kept, tuple(sorted(merge.first + merge.second))])


def _column(resp: np.ndarray, group: Group) -> np.ndarray:
    return resp[:, list(group)].sum(1)


def _columns(resp: np.ndarray, groups: list[Group]) -> np.ndarray:
    return np.stack([_column(resp, group) for group in groups], 1)


def _xlogx(p: np.ndarray) -> np.ndarray:
    return p * np.log(np.where(p > 0, p, 1))
