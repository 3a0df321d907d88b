"""k-means: the same loop with hard assignment to equal spherical components, and the seeding by k-means++."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.linalg import NEVER
from bayesgmm.core.pytree import pytree, static
from bayesgmm.core.statistics import Natural, Stats
from bayesgmm.core.structures import Spherical
from bayesgmm.inference.by_row import RowFunction
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import hard
from bayesgmm.inference.loop import run
from bayesgmm.inference.threads import pays, run_in_threads


@pytree
class Centroids:
    """Cluster centres as equal spherical components of unit variance; the loop's bound is minus half the inertia.

    Parameters
    ----------
    mean : Array, shape (K, D)
    alive : Array of bool, shape (K,)
        False for centres that no row chose.
    """

    mean: jax.Array | np.ndarray
    alive: jax.Array | np.ndarray

    structure = Spherical()
    tied = True

    @property
    def n_components(self) -> int:
        return self.mean.shape[0]

    def natural(self) -> Natural:
        """Minus half the squared distance to each centre."""
        level = jnp.where(self.alive, 0, NEVER).astype(self.mean.dtype)
        return Natural(level, jnp.asarray(self.mean), jnp.ones(1, self.mean.dtype))


@pytree
class FlatCentroids:
    """The prior of k-means: none."""

    n_components: int = static()

    def posterior(self, stats: Stats) -> Centroids:
        alive = stats.counts > 0
        return Centroids(stats.sums / jnp.where(alive, stats.counts, 1)[:, None], alive)

    def penalty(self, q):
        return jnp.zeros(())


def _canonical_order(x):
    """An order of the rows that depends on their values only, so that a draw ignores how they are stored."""
    direction = jnp.sqrt(jnp.arange(2, x.shape[1] + 2, dtype=x.dtype))
    return jnp.argsort(x @ direction)


def _squared_distances(x, centres):
    """(N, L) from rows to a few centres."""
    cross = x @ centres.T
    return jnp.maximum((x**2).sum(1)[:, None] - 2 * cross + (centres**2).sum(1), 0)


@jit(static_argnames=("n_clusters", "spread"))
def seed(key, x, weight, n_clusters: int, spread: bool = True):
    """Rows (K, D) to start from: k-means++ (Arthur & Vassilvitskii 2007), greedy over a few candidates a step.

    Without ``spread`` the rows are drawn at random, none equal to another. Repeating a row and weighting it, or storing rows in
    another order, leaves the draw as it was.
    """
    order = _canonical_order(x)
    n_trials = 2 + int(n_clusters).bit_length() if spread else 1
    resolution = 1e-24 * (x**2).sum(1).max()

    def draw(key, mass):
        total = jnp.cumsum(mass[order])
        u = jax.random.uniform(key, (n_trials,), x.dtype) * total[-1]
        return x[order[jnp.clip((total[:, None] <= u).sum(0), 0, len(x) - 1)]]

    def add(k, state):
        centres, nearest = state
        mass = weight * (nearest if spread else (nearest > resolution).astype(x.dtype))
        mass = jnp.where(mass.sum() > 0, mass, weight)
        trials = draw(jax.random.fold_in(key, k), mass)
        reached = jnp.minimum(nearest[:, None], _squared_distances(x, trials))
        best = (weight @ reached).argmin()
        return centres.at[k].set(trials[best]), reached[:, best]

    far = jnp.full(len(x), jnp.inf, x.dtype)
    first = draw(jax.random.fold_in(key, 0), weight)[0]
    start = jnp.zeros((n_clusters, x.shape[1]), x.dtype).at[0].set(first)
    nearest = jnp.minimum(far, _squared_distances(x, first[None])[:, 0])
    return jax.lax.fori_loop(1, n_clusters, add, (start, nearest))[0]


def _nearest(centroids: Centroids, origin):
    """Of rows in the user's units, the number of the nearest centre and the squared distance to it, (N, 2)."""
    level = centroids.natural().level

    def one(row):
        squares = ((row - origin - centroids.mean) ** 2).sum(1) - level
        return jnp.stack([squares.argmin().astype(row.dtype), squares.min()])

    return jax.vmap(one)


_nearest_rows = RowFunction(_nearest)


def nearest_centre(x, centroids: Centroids, origin=0.0) -> tuple[Any, Any]:
    """Label (N,) and squared distance (N,) of the nearest centre of rows (N, D), which are ``origin`` + centre."""
    table = _nearest_rows((centroids, origin), x, (1 + x.shape[1]) * centroids.n_components)
    return table[:, 0].astype(np.int32), table[:, 1]


def lloyd(x, weight, centres, *, tol: float = 0.0, max_steps: int = 300, chunk_size: int | None = None):
    """Lloyd's iterations from ``centres`` (K, D); an empty cluster is moved to the row farthest from its centre.

    Returns
    -------
    Result
        ``posterior`` is a `Centroids`, ``lower_bound`` minus half the weighted inertia.
    """
    prior = FlatCentroids(len(centres))
    start = Centroids(centres, np.ones(len(centres), bool))
    for _ in range(len(centres)):
        loop = run_in_threads if pays(start, x) else run
        result = loop(prior, start, x, weight, tol, max_steps, max_steps=max_steps, assign=hard, chunk_size=chunk_size)
        alive = np.asarray(result.stats.counts) > 0
        if alive.all():
            return result
        _, distance = nearest_centre(x, result.posterior)
        farthest, spot = np.where(np.asarray(weight) > 0, distance, -1).argmax(), alive.argmin()
        mean = np.array(result.posterior.mean)
        mean[spot], alive[spot] = np.asarray(x[farthest]), True
        start = Centroids(mean, alive)
    return result
