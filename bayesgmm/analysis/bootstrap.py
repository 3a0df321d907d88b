"""Likelihood-ratio statistics of K against K + 1 components: of the data, and of sets drawn from their fit with K.

Each set is fitted with K components from the parameters that it was drawn from, and with K + 1 from divisions of the components of
that fit, from k-means, and from the neighbourhoods of single rows. The likelihood of K + 1 has many maxima and no search finds the highest
always. So the data are searched just as the drawn sets are, in the same batch: then under the null hypothesis the statistic of the data is
one more draw of the same thing, and the test is fair however good the search.

Many sets are fitted together in one compiled program, padded so that it serves several K.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.linalg import eigh
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import gaussians, tails
from bayesgmm.core.points import Gaussian
from bayesgmm.core.statistics import product_form
from bayesgmm.core.weights import FlatWeights, PointWeights
from bayesgmm.inference.cells import CHUNK, LONG, SHORT, WIDTHS, Frame, Runs, long_runs, responsibilities, short_runs
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.hierarchy import first_knobs
from bayesgmm.inference.kernel import collect, from_responsibilities, hard
from bayesgmm.inference.kmeans import Centroids, FlatCentroids, seed
from bayesgmm.inference.loop import run
from bayesgmm.inference.problem import Problem

FINALISTS = 4
"""Starts of a set that are followed to convergence."""

LLOYD = 8
"""Passes of k-means for a start."""

SHARE = 0.1
"""Share of the rows that such a neighbourhood holds, unless that is too few for a covariance."""

ENTRIES = 2**18
"""Scores held at a time, by which the number of sets fitted together is chosen."""


class Fits(NamedTuple):
    """Fits of several sets of rows, (S,) each, inner coordinates.

    Attributes
    ----------
    smaller, larger : ndarray
        Log-likelihoods in nats with K and with K + 1 components; NaN, or minus infinity, where every fit collapsed.
    best : Mixture
        The fits with K + 1 components.
    """

    smaller: Any
    larger: Any
    best: Mixture

    @property
    def statistic(self) -> np.ndarray:
        """Twice the gain, at least 0, as K + 1 components can do whatever K can."""
        return 2 * np.maximum(np.asarray(self.larger) - np.asarray(self.smaller), 0)


def draw(key, point: Mixture, n_rows: int, box: tuple | None = None):
    """Rows (N, D) of a mixture of known parameters; those of noise fill ``box``: one corner (D,) and the edges from it (D, D)."""
    chosen, noise = jax.random.split(key)
    components, structure = gaussians(point.components), point.structure
    labels = jax.random.categorical(chosen, point.weights.expected_log(), shape=(n_rows,))
    z = jax.random.normal(noise, (n_rows, components.n_features), components.mean.dtype)
    factors = structure.factor(components.covariance)
    heavy = tails(point.components)
    if heavy is not None:
        half = jnp.append(heavy.dof, jnp.ones(point.n_noise))[labels] / 2
        z = z / jnp.sqrt(jax.random.gamma(jax.random.fold_in(noise, 1), half) / half)[:, None]

    def add(k, rows):
        moved = components.mean[k] + structure.apply(factors[0 if components.tied else k], z)
        return jnp.where((labels == k)[:, None], moved, rows)

    rows = jax.lax.fori_loop(0, len(components.mean), add, z)
    if box is None:
        return rows
    inside = box[0] + jax.random.uniform(jax.random.fold_in(noise, 2), z.shape, z.dtype) @ box[1]
    return jnp.where((labels == len(components.mean))[:, None], inside, rows)


def divisions(key, resp, x, weight, k):
    """Responsibilities (P - 1, N, P) with one component more: the ``k`` there are, each divided by a plane through its mean.

    First each across its longest axis, the heaviest first; where there are fewer than P - 1, then across axes drawn at random.
    """
    n_divisions = resp.shape[1] - 1
    order = jnp.argsort(-(weight @ resp))
    keys = jax.random.split(key, n_divisions)

    def one(j, key):
        c = order[j % k]
        share = weight * resp[:, c]
        total = jnp.maximum(share.sum(), 1e-300)
        centred = x - share @ x / total
        values, vectors = eigh((centred * share[:, None]).T @ centred / total)
        drawn = vectors @ (jax.random.normal(key, values.shape, x.dtype) / jnp.sqrt(jnp.maximum(values, 1e-12)))
        beyond = centred @ jnp.where(j < k, vectors[:, -1], drawn) > 0
        return resp.at[:, k].set(jnp.where(beyond, resp[:, c], 0)).at[:, c].set(jnp.where(beyond, 0, resp[:, c]))

    return jax.vmap(one)(jnp.arange(n_divisions), keys)


def clusterings(key, x, weight, alive):
    """Labels by k-means as responsibilities (N, P) of the components that are ``alive`` (P,)."""
    width = len(alive)
    start = Centroids(seed(key, x, weight, width), alive)
    found = run(FlatCentroids(width), start, x, weight, 0.0, LLOYD, max_steps=LLOYD, assign=hard).posterior
    centred = found.natural().level + x @ found.mean.T - (found.mean**2).sum(1) / 2
    return jax.nn.one_hot(centred.argmax(1), width, dtype=x.dtype)


def neighbourhood(key, resp, x, weight, k, n_near):
    """Responsibilities (N, P) in which a row drawn at random and its ``n_near`` nearest rows are component ``k``."""
    centre = x[jax.random.categorical(key, jnp.log(weight))]
    distance = jnp.where(weight > 0, ((x - centre) ** 2).sum(1), jnp.inf)
    near = distance <= jnp.sort(distance)[n_near]
    return jnp.where(near[:, None], jax.nn.one_hot(k, resp.shape[1], dtype=x.dtype), resp)


def _starts(key, resp, x, unit, weight, k, n_near, n_init: int):
    """Responsibilities (A, N, P) to start K + 1 components from."""
    first, *keys = jax.random.split(key, 1 + 2 * n_init)
    second, third = jnp.stack(keys[:n_init]), jnp.stack(keys[n_init:])
    alive = jnp.arange(resp.shape[1]) <= k
    spaces = jnp.stack([(x @ unit, x)[i % 2] for i in range(n_init)])
    clustered = jax.vmap(lambda key, rows: clusterings(key, rows, weight, alive))(second, spaces)
    near = jax.vmap(lambda key: neighbourhood(key, resp, x, weight, k, n_near))(third)
    return jnp.concatenate([divisions(first, resp, x, weight, k), clustered, near])


def _bounds(runs: Runs):
    return jnp.where(runs.usable & jnp.isfinite(runs.bound), runs.bound, -jnp.inf)


def _fit_both(common: Callable, null: Mixture, k, n_near, unit, n_init: int, x, key) -> Fits:
    """One set of rows with K components, from ``null``, and with K + 1; ``common`` makes the first arguments of the programs."""
    _, _, _, weight, _ = shared = common(x)
    knobs = jax.tree.map(lambda a: jnp.asarray(a, float), first_knobs(x.shape[1]))
    alive = jnp.ones((FINALISTS, null.n_components))
    stats = collect(null, x, weight, chunk_size=CHUNK, form=product_form)
    start = Runs(null, null, stats, jnp.zeros(()), jnp.zeros(()), knobs, jnp.ones((), bool))
    smaller = long_runs(*shared, jax.tree.map(lambda a: a[None], start), alive[:1], 0.0, LONG)
    resp = responsibilities(jax.tree.map(lambda a: a[0], smaller.posterior), x)
    short = short_runs(*shared, (x, weight), _starts(key, resp, x, unit, weight, k, n_near, n_init), alive[0], knobs, SHORT)
    _, best = jax.lax.top_k(_bounds(short), FINALISTS)
    larger = long_runs(*shared, jax.tree.map(lambda a: a[best], short), alive, 0.0, LONG)
    top = _bounds(larger).argmax()
    winner = jax.tree.map(lambda a: a[top], larger.posterior)
    return Fits(jnp.where(smaller.usable[0], smaller.bound[0], jnp.nan), _bounds(larger)[top], winner)


@jit(static_argnames=("tied", "n_init"))
def _fit_sets(tied: bool, coordinates, law, weight, null: Mixture, k, n_near, unit, rows, keys, n_init: int) -> Fits:
    """`_fit_both` for several sets (S, N, D)."""

    def one(x, key):
        return _fit_both(lambda x: (tied, coordinates, x, weight, law), null, k, n_near, unit, n_init, x, key)

    return jax.vmap(one)(rows, keys)


@jit(static_argnames=("n_rows",))
def _draw_sets(null: Mixture, keys, n_rows: int):
    return jax.vmap(lambda key: draw(key, null, n_rows))(keys)


def width_for(n_components: int) -> int:
    """Components of the arrays that serve this many."""
    last = WIDTHS[-1]
    return next((w for w in WIDTHS if w >= n_components), -(-n_components // last) * last)


def sets_at_once(frame: Frame, width: int, n_init: int) -> int:
    """Sets that are fitted together."""
    return int(np.clip(ENTRIES // (len(frame.problem.weight) * width * (width - 1 + 2 * n_init)), 1, 64))


def one_component(frame: Frame) -> Mixture:
    """The fit with one component, padded."""
    problem, width = frame.problem, width_for(2)
    resp = jnp.zeros((len(problem.weight), width)).at[:, 0].set(1)
    stats = from_responsibilities(problem.structure, frame.tied, problem.x, resp, problem.weight)
    return Mixture(FlatWeights(width), frame.law).posterior(stats)


def widened(point: Mixture, width: int) -> Mixture:
    """The same mixture with empty components appended."""
    weights, components = point.weights.weights, point.components
    more = width - len(weights)
    blank = jnp.broadcast_to(components.structure.identity(components.n_features), (more, *components.covariance.shape[1:]))
    covariance = components.covariance if point.tied else jnp.concatenate([components.covariance, blank])
    mean = jnp.pad(components.mean, ((0, more), (0, 0)))
    return Mixture(PointWeights(jnp.pad(weights, (0, more))), Gaussian(mean, covariance, components.structure))


def compare(
    frame: Frame, null: Mixture, k: int, key: Any, n_sets: int, n_init: int, notify: Callable[[int], None] = lambda done: None
) -> Fits:
    """Fits with K and K + 1 components of the data and of sets drawn from their fit with K.

    Parameters
    ----------
    frame : Frame
        The data, with the law of maximum likelihood.
    null : Mixture
        Fit with ``k`` components in the frame's coordinates.
    key : jax.Array
    n_sets : int
        Sets to draw, each with as many rows as the data.
    n_init : int
        Starts by k-means, and as many from neighbourhoods, for each set.
    notify : callable
        Told the number of sets done.

    Returns
    -------
    Fits
        Of the data, and then of the drawn sets: (1 + n_sets,).
    """
    problem, null = frame.problem, widened(null, width_for(k + 1))
    n_near, unit = jnp.asarray(_near(problem)), _unit(problem)
    several = sets_at_once(frame, null.n_components, n_init)
    batches = -(-(1 + n_sets) // several)
    drawing, starting = (jax.random.split(one, batches * several) for one in jax.random.split(key))
    parts = []
    for i in range(0, batches * several, several):
        notify(max(i - 1, 0))
        rows = _draw_sets(null, drawing[i : i + several], len(problem.weight))
        rows = rows if i else rows.at[0].set(problem.x)
        args = (frame.law, problem.weight, null, jnp.asarray(k), n_near, unit, rows, starting[i : i + several])
        parts.append(_fit_sets(frame.tied, problem.coordinates, *args, n_init=n_init))
    return jax.tree.map(lambda *a: np.concatenate([np.asarray(part) for part in a])[: 1 + n_sets], *parts)


def _near(problem: Problem) -> int:
    """Rows of a neighbourhood to start from: enough for a covariance."""
    enough = 2 * problem.structure.blocks(problem.n_features).size + 4
    return int(min(max(SHARE * problem.n_rows, enough), problem.n_rows - 1))


def _unit(problem: Problem):
    """Matrix (D, D) that takes inner coordinates to those with every column at unit variance; spherical ones stay as they are."""
    if problem.structure.rank < 2:
        return jnp.eye(problem.n_features)
    factor = problem.coordinates.factor
    return (factor / jnp.linalg.norm(factor, axis=1, keepdims=True)).T
