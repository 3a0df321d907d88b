"""Many fits of one structure at once: compiled programs over batches of starts, padded to few shapes so that all cells share them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import NoiseShare, WithNoise, around, beneath, gaussians
from bayesgmm.core.points import is_flat
from bayesgmm.core.statistics import Stats, product_form
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.inference import kernel
from bayesgmm.inference.accelerate import DEPTH
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.halves import in_halves
from bayesgmm.inference.hierarchy import Knobs, tune
from bayesgmm.inference.kernel import from_responsibilities
from bayesgmm.inference.loop import run
from bayesgmm.inference.problem import Problem

CHUNK = 512
"""Rows a chunk: with many fits at once, scores must stay in cache."""

WIDTHS = (4, 8, 16)
"""Numbers of components to which arrays are padded, before multiples of the last."""

SMALL = 12_000
"""Rows x columns x (columns + 3) up to which one width serves all numbers of components."""

STARTS = 9
"""Short runs of a cell besides those from k-means."""

SHORT = 7
"""Passes of a short run."""

FINALISTS = 2
"""Starts of a cell that are followed to convergence."""

LONG = 100
"""Most passes of one call of `long_runs`."""

CLOSE = 2e-3
"""Nats still to come below which a long run has converged."""

ROUND = 12
"""Passes between two choices of the prior."""

ROUNDS = 8
"""Most choices of the prior."""

SETTLED = 0.05
"""Nats gained in a round below which the prior is kept."""

HOPE = 8
"""Rounds as good as the last one that a fit is given to come near the best."""

SINGLE = 100_000
"""Rows x columns up to which a pass has little to do for a second core."""

THIN, FEW = 1e-4, 2.5
"""A maximum-likelihood component counts as collapsed below this share of the data's spread, or this many rows."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """What all fits of one structure have in common.

    Attributes
    ----------
    problem : Problem
    tied : bool
    law : NormalWishart, FlatGaussian, SharedGaussian or None; or WithNoise or Student around one of these
        Law of the components in inner coordinates; None is the hierarchical prior, chosen by the data.
    concentration : float
        Dirichlet concentration of the weights.
    """

    problem: Problem
    tied: bool
    law: Any = None
    concentration: float = 1.0

    @property
    def hierarchical(self) -> bool:
        """Whether the data choose the prior."""
        return gaussians(self.law) is None

    @property
    def robust(self) -> bool:
        """Whether there is noise, or components have heavy tails."""
        return gaussians(self.law) is not self.law

    @property
    def n_noise(self) -> int:
        """Components of noise, 0 or 1: the last of all arrays, after the padding."""
        return getattr(self.law, "n_noise", 0)

    @functools.cached_property
    def log_jacobian(self) -> float:
        """Nats between a bound in inner coordinates and in the user's units."""
        return self.problem.log_jacobian

    @functools.cached_property
    def common(self) -> tuple[Any, ...]:
        """First arguments of the compiled programs."""
        return self.tied, self.problem.coordinates, *self.problem.passed, self.law

    @property
    def plain(self) -> tuple[Any, Any]:
        """Rows (N', D) and weights (N',) that responsibilities belong to."""
        return self.problem.x, self.problem.weight

    def alive(self, n_components: int, width: int) -> np.ndarray:
        """Concentrations (width,) of a model with this many components, noise left out."""
        return np.where(np.arange(width) < n_components, float(self.concentration), 0.0)


@dataclasses.dataclass
class Runs:
    """A batch of fits; every array has the batch as leading axis.

    Attributes
    ----------
    prior, posterior : Mixture
    stats : Stats
    bound : Array, shape (B,)
        Exact bounds less the price of the prior, inner coordinates.
    price : Array, shape (B,)
    knobs : Knobs
    usable : Array of bool, shape (B,)
        False where a component has collapsed (maximum likelihood only).
    """

    prior: Mixture
    posterior: Mixture
    stats: Stats
    bound: Any
    price: Any
    knobs: Knobs
    usable: Any

    def take(self, index) -> Runs:
        """Some of the fits, or one of them."""
        return jax.tree.map(lambda a: np.asarray(a)[index], self)


jax.tree_util.register_dataclass(Runs, data_fields=[f.name for f in dataclasses.fields(Runs)], meta_fields=[])


def _weights(law, alive) -> Any:
    own, share = (FlatWeights(len(alive)), FlatWeights(2)) if is_flat(law) else (Dirichlet(alive), Dirichlet.symmetric(2))
    return NoiseShare(share, own) if isinstance(law, WithNoise) else own


def _tuned(law, coordinates, tied: bool, stats: Stats, alive, knobs: Knobs, step) -> tuple[Mixture, Any, Knobs]:
    """The hierarchical prior for some statistics, with noise and tails as ``law`` has them, its price and its hyperparameters."""
    plain, rows = beneath(law, stats)
    if tied and law is not None:
        plain = plain._replace(scatter=plain.scatter.sum(0, keepdims=True))
    found = tune(coordinates, tied, plain, Dirichlet(alive), knobs, step, rows)
    return Mixture(_weights(law, alive), around(law, found.prior.components)), found.price, found.knobs


def usable(law, posterior: Mixture, stats: Stats):
    """Whether no component has collapsed; those without any row are padding."""
    if not is_flat(law):
        return jnp.ones((), bool)
    structure, proper = posterior.structure, gaussians(posterior.components)
    counts = stats.counts[: len(proper.mean)]
    thick = structure.smallest(proper.covariance) > THIN
    several = counts > max(FEW, gaussians(law).fewest(proper.n_features))
    return ((thick & several) | (counts == 0)).all()


def _finished(law, prior, price, knobs, result) -> Runs:
    posterior, stats = result.posterior, result.stats
    fine = usable(law, posterior, stats)
    return Runs(prior, posterior, stats, result.lower_bound - price, price, knobs, fine)


@jit(static_argnames=("tied",))
def short_runs(tied: bool, coordinates, x, weight, law, plain, resp, alive, knobs: Knobs, limit) -> Runs:
    """A few passes, at most ``limit``, from each of many responsibilities (B, N, P); ``alive`` (P,) holds the concentrations.

    Under the hierarchical prior (no law of Gaussians in ``law``) each start has the ``knobs`` given and the target that suits it. With
    noise responsibilities are (B, N, P + 1).
    """
    shared = tied and gaussians(law) is law  # noise and tails keep a scatter for each component

    def one(resp):
        stats = from_responsibilities(coordinates.structure, shared, plain[0], resp, plain[1], CHUNK)
        if gaussians(law) is None:
            prior, price, _ = _tuned(law, coordinates, tied, stats, alive, knobs, 0.0)
        else:
            prior, price = Mixture(_weights(law, alive), law), jnp.zeros(())
        result = run(prior, prior.posterior(stats), x, weight, 0.0, limit, max_steps=LONG, form=product_form, chunk_size=CHUNK)
        return _finished(law, prior, price, knobs, result)

    return jax.vmap(one)(resp)


@jit(static_argnames=("tied",))
def long_runs(tied: bool, coordinates, x, weight, law, runs: Runs, alive, step, limit) -> Runs:
    """Go on from the statistics of each of a few fits with at most ``limit`` passes.

    ``alive`` (B, P) holds the concentrations of each. Under the hierarchical prior (no law of Gaussians in ``law``) the prior is chosen
    anew first; ``step`` is the first step of that choice, 0 keeps it.
    """

    def chosen():
        return jax.vmap(lambda s, a, k: _tuned(law, coordinates, tied, s, a, k, step))(runs.stats, alive, runs.knobs)

    if gaussians(law) is None:
        kept = runs.prior, runs.price, runs.knobs
        priors, prices, knobs = jax.lax.cond(step > 0, chosen, lambda: kept)
    else:
        priors = jax.vmap(lambda a: Mixture(_weights(law, a), law))(alive)
        prices, knobs = jnp.zeros_like(runs.bound), runs.knobs
    tol = CLOSE / weight.sum()

    def one(prior, price, knobs, stats):
        start = prior.posterior(stats)
        result = run(prior, start, x, weight, tol, limit, max_steps=LONG, depth=DEPTH, form=product_form, chunk_size=CHUNK)
        return _finished(law, prior, price, knobs, result)

    return jax.vmap(one)(priors, prices, knobs, runs.stats)


@jit(brief=True)
def responsibilities(posterior: Mixture, x):
    """Responsibilities (N, P) of rows."""
    return kernel.responsibilities(posterior.structure, posterior.natural())(x)


def responsibilities_of(posterior: Mixture, problem: Problem) -> np.ndarray:
    """Responsibilities (N', P) of the rows of a problem."""
    if problem.part is None:
        return np.asarray(responsibilities(posterior, problem.x))
    found = np.asarray(_responsibilities_in_part(posterior, problem.part))
    return np.pad(found, ((0, len(problem.x) - len(found)), (0, 0)))


@jit(brief=True)
def _responsibilities_in_part(posterior: Mixture, part):
    return kernel.soft(part.scores(posterior.structure, posterior.natural()), 0)[1].T


def padded_widths(problem: Problem, most: int) -> tuple[int, ...]:
    """Numbers of components to which arrays are padded, for up to ``most``; one for small data, where compiling takes longest."""
    last = WIDTHS[-1]
    longest = next((w for w in WIDTHS if w >= most), -(-most // last) * last)
    if problem.x.size * (problem.n_features + 3) <= SMALL:
        return (longest,)
    return (*(w for w in WIDTHS if w < longest), *range(2 * last, longest, last), longest)


def fitted(resp: np.ndarray, width: int, n_noise: int = 0) -> np.ndarray:
    """Responsibilities with columns of zeros appended, or taken away, at the end; before that of noise if there is one."""
    own, noise = np.split(resp, [resp.shape[1] - n_noise], axis=1)
    return np.concatenate([np.pad(own, ((0, 0), (0, max(width - own.shape[1], 0))))[:, :width], noise], 1)


def follow(frame: Frame, runs: Runs, alive: np.ndarray, step: float, limit: int) -> Runs:
    """`long_runs` of a few fits; on small data both halves at once, on large data XLA has work for all cores."""

    def some(runs: Runs, alive: np.ndarray) -> Runs:
        return long_runs(*frame.common, runs, alive, step, limit)

    return in_halves(some, runs, alive) if frame.problem.x.size <= SINGLE else some(runs, alive)


def converge(frame: Frame, runs: Runs, alive, settled: float = SETTLED, enough: float = -np.inf) -> Runs:
    """Long runs until the bounds settle, the prior chosen anew along the way.

    Parameters
    ----------
    alive : Array, shape (B, P)
        Concentrations of each model.
    settled : float
        Nats gained in a round below which the prior is kept. If that is less than a nat, its fit is then taken to convergence.
    enough : float
        Bound that is out of reach for fits not worth going on with.
    """
    bound = -np.inf
    step = 0.8 if frame.hierarchical else 0.0
    for i in range(ROUNDS + 1):
        last = step == 0
        runs = follow(frame, runs, alive, step, LONG if last else ROUND)
        top = float(np.max(np.asarray(runs.bound)))
        gained, bound = top - bound, top
        if last or (i > 0 and (bound + HOPE * gained < enough or gained < settled >= 1)):
            break
        step = 0.3 if gained >= settled and i < ROUNDS - 1 else 0.0
    return runs
