"""The partition with the smallest expected distance to draws: a stochastic greedy search.

After Dahl, Johnson & Mueller (2022, JCGS 31, "SALSO"): rows are allocated one after the other, each to the cluster, old or new, that is
best given those allocated before; scans move single rows until none moves; then clusters are taken apart and their rows allocated
anew. All of it needs the sizes of intersections with the draws only, never a matrix of pairs: memory is draws x clusters x labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayesgmm.analysis.partitions import compact, growth

SCANS = 100
"""Most scans over the rows of one search."""

BREAKS = 10
"""Clusters taken apart in one search."""

GAIN = 1e-9
"""Least fall of the expected loss, in units of f, for which a cluster's new allocation is kept."""


class Search:
    """One candidate partition and its intersections with the draws.

    Parameters
    ----------
    draws : ndarray of int, shape (S, N)
        Partitions with labels 0, 1, ...
    loss : {"vi", "binder"}
    most : int
        Largest number of clusters of the candidate.
    """

    def __init__(self, draws: np.ndarray, loss: str, most: int):
        n_draws, n_rows = draws.shape
        self.draws, self.most, self.each = np.ascontiguousarray(draws.T), most, np.arange(n_draws)
        self.f = growth(loss, n_rows)
        self.steps = np.append(np.diff(self.f), 0.0)
        self.labels = np.full(n_rows, -1)
        self.sizes = np.zeros(most, int)
        self.table = np.zeros((n_draws, int(draws.max()) + 1, most), np.int32)

    def put(self, row, cluster: int) -> None:
        """Give an unallocated row to a cluster."""
        self.labels[row] = cluster
        self.sizes[cluster] += 1
        self.table[self.each, self.draws[row], cluster] += 1

    def take(self, row) -> int:
        """Make a row unallocated; the cluster that it was in."""
        cluster = int(self.labels[row])
        self.labels[row] = -1
        self.sizes[cluster] -= 1
        self.table[self.each, self.draws[row], cluster] -= 1
        return cluster

    def costs(self, row) -> np.ndarray:
        """What each cluster (most,) adds to the expected loss if it gets an unallocated row; infinite for all empty ones but one."""
        cost = self.steps[self.sizes] - 2 * self.steps[self.table[self.each, self.draws[row]]].mean(0)
        cost[np.flatnonzero(self.sizes == 0)[1:]] = np.inf
        return cost

    def allocate(self, rows: np.ndarray) -> None:
        """Each row in turn to its best cluster."""
        for row in rows:
            self.put(row, int(self.costs(row).argmin()))

    def scan(self, rows: np.ndarray) -> bool:
        """Move each row in turn to its best cluster; whether any moved. Of equals a row keeps its own."""
        moved = False
        for row in rows:
            own = self.take(row)
            costs = self.costs(row)
            best = int(costs.argmin())
            if costs[best] >= costs[own] - 1e-12:
                best = own
            self.put(row, best)
            moved |= best != own
        return moved

    def settle(self, rng: np.random.Generator) -> None:
        """Scan in random orders until nothing moves."""
        for _ in range(SCANS):
            if not self.scan(rng.permutation(len(self.labels))):
                return

    def loss(self) -> float:
        """Expected distance up to what does not depend on the candidate, in units of f."""
        return float(self.f[self.sizes].sum() - 2 * self.f[self.table].sum() / len(self.each))

    def restore(self, labels: np.ndarray) -> None:
        """Take the rows that are elsewhere to where they were."""
        for row in np.flatnonzero(self.labels != labels):
            self.take(row)
            self.put(row, int(labels[row]))

    def break_up(self, rng: np.random.Generator) -> None:
        """Take clusters apart one after the other; keep what that improves."""
        for _ in range(BREAKS):
            before, labels = self.loss(), self.labels.copy()
            rows = rng.permutation(np.flatnonzero(labels == rng.choice(np.unique(labels))))
            for row in rows:
                self.take(row)
            self.allocate(rows)
            self.settle(rng)
            if self.loss() > before - GAIN:
                self.restore(labels)


def search(draws: np.ndarray, loss: str, n_runs: int, most: int, seed: int, notify: Callable[[int], None]) -> np.ndarray:
    """The best partition (N,) of several searches; one in two starts from random clusters."""
    found: list[tuple[float, np.ndarray]] = []
    for i in range(n_runs):
        notify(i)
        rng = np.random.default_rng([seed, i])
        one, order = Search(draws, loss, most), rng.permutation(draws.shape[1])
        if i % 2:
            for row, cluster in zip(order, rng.integers(rng.integers(1, most + 1), size=len(order)), strict=True):
                one.put(row, int(cluster))
        else:
            one.allocate(order)
        one.settle(rng)
        one.break_up(rng)
        found.append((one.loss(), compact(one.labels)))
    return min(found, key=lambda pair: pair[0])[1]
