"""Every combination of algorithm, covariance structure and weight law, data for them, and one compiled solver.

A `Case` is five words; ``case.prior(K, D)`` builds its prior, with fixed hyperparameters or, given ``rng``, random ones. Build
priors and data inside tests that use the ``x64`` fixture. Fits of the same shapes share one compiled program, which is why most
tests use `N` rows (padded with rows of weight 0), `D` columns and `K` components.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, FlatWeights, StickBreaking
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_responsibilities
from bayesgmm.inference.loop import lower_bound, run

N, D, K = 48, 2, 3
CAPACITY = 3000
"""Length of the history of a fit."""

WEIGHTS = {
    "dirichlet": lambda k, u, least: Dirichlet.symmetric(k, least + 0.2 + u[0]),
    "asymmetric": lambda k, u, least: Dirichlet(jnp.asarray(least + np.resize(0.2 + 2 * u, k))),
    "sticks": lambda k, u, least: StickBreaking.prior(k, float(least + 0.3 + u[0])),
    "sticks_gamma": lambda k, u, least: StickBreaking.prior(k, (float(0.5 + u[0]), float(0.4 + u[1]))),
    "flat": lambda k, u, least: FlatWeights(k),
}
"""Weight laws by name: ``(K, uniform numbers (3,), least concentration)`` to a law."""

FIXED = np.array([0.55, 0.15, 0.85])
FAMILY = {"asymmetric": "dirichlet"}
"""Laws of one type share compiled programs."""

LAWS = {
    "vb": {"conjugate": tuple(WEIGHTS), "flat": ("asymmetric", "sticks", "sticks_gamma")},
    "map": {"conjugate": ("dirichlet", "asymmetric", "sticks", "flat"), "flat": ("asymmetric", "sticks")},
    "ml": {"flat": ("flat",)},
}
"""Weight laws by algorithm and component law; the Gamma hyperprior has no MAP."""


class Case(NamedTuple):
    """One combination; ``components`` is "conjugate" or "flat"."""

    mode: str
    structure: str
    tied: bool
    components: str
    weights: str

    @property
    def name(self) -> str:
        parts = (self.mode, self.structure, "tied" if self.tied else "free", self.components, self.weights)
        return "-".join(parts)

    @property
    def family(self) -> Case:
        """The case whose compiled programs this one uses."""
        return self._replace(weights=FAMILY.get(self.weights, self.weights))

    def prior(self, n_components: int = K, n_features: int = D, rng=None, floor: float = 1e-4):
        """The prior, with random hyperparameters when ``rng`` is given."""
        u = FIXED if rng is None else rng.uniform(size=3)
        least = 1.0 if self.mode == "map" else 0.0
        weights = WEIGHTS[self.weights](n_components, u, least)
        flat = FlatGaussian(jnp.asarray(floor), STRUCTURES[self.structure], self.tied)
        components = flat if self.components == "flat" else normal_wishart(self.structure, self.tied, n_features, u)
        mixture = strong(Mixture(weights, components))
        return MAP(mixture) if self.mode == "map" else mixture


def strong(law):
    """The same numbers without JAX's weak types, so that laws of one type share programs."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), law)


def normal_wishart(structure: str, tied: bool, n_features: int, u=FIXED) -> NormalWishart:
    """A component prior with no two constants alike."""
    law = STRUCTURES[structure]
    root = np.eye(n_features) + 0.4 * np.tril(np.cos(np.arange(n_features**2)).reshape(n_features, -1))
    dense = (0.3 + u[1]) * root @ root.T
    scale = {2: dense, 1: np.diagonal(dense), 0: dense[0, 0]}[law.rank]
    mean = (u[2] - 0.5) * np.cos(1 + np.arange(n_features))
    dof = law.blocks(n_features).size + 1.2 + u[0]
    arrays = (jnp.asarray(a)[None] for a in (mean, 0.02 + 0.3 * u[2], dof, scale))
    return NormalWishart(*arrays, law, tied)


def scattered(k=3, d=2, seed=0) -> np.ndarray:
    """Covariances (k, d, d) far from alike."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, d, 2 * d))
    return root @ root.swapaxes(1, 2) / d * rng.uniform(0.1, 3, (k, 1, 1))


def cases(modes=tuple(LAWS), components=("conjugate", "flat"), weights=tuple(WEIGHTS)) -> list[Case]:
    """All combinations within a choice of algorithms, component laws and weight laws."""
    return [
        Case(mode, structure, tied, law, name)
        for mode in modes
        for structure in STRUCTURES
        for tied in (False, True)
        for law, names in LAWS[mode].items()
        for name in names
        if law in components and name in weights
    ]


FAMILIES = list(dict.fromkeys((case.mode, case.components, case.weights) for case in (case.family for case in cases())))
"""Algorithms, component laws and weight laws that do not share programs."""


def is_kept(case: Case) -> bool:
    """Whether it is tried by default: maximum likelihood, and all else free and tied, in one of the three structures in turn.

    So each algorithm and each law has two structures, and every structure is there free and tied. The others are slow cases.
    """
    mode, _, tied, components, weights = case.family
    turn = FAMILIES.index((mode, components, weights)) + tied
    return mode == "ml" or case.structure == list(STRUCTURES)[turn % 3]


def kept(values) -> list[Case]:
    """Those tried by default, and where a structure or another word has none of them, the first that has it."""
    found = [case for case in values if is_kept(case)]
    for case in values:
        if any(word not in (other[i] for other in found) for i, word in enumerate(case)):
            found.append(case)
    return found


def each(values, name: str = "case", default=None):
    """Parametrise a test by cases, of which those that are not ``default``, those kept if none are named, are slow."""
    default = kept(values) if default is None else default
    marked = [pytest.param(case, id=case.name, marks=() if case in default else pytest.mark.slow) for case in values]
    return pytest.mark.parametrize(name, marked)


def few(values, name: str = "case"):
    """As `each`, but only full free and tied, diagonal free and spherical tied ones are tried by default."""
    chosen = [case for case in values if (case.structure, case.tied) in FEW and (case.mode == "ml" or case in kept(values))]
    marked = [pytest.param(case, id=case.name, marks=() if case in chosen else pytest.mark.slow) for case in values]
    return pytest.mark.parametrize(name, marked)


FEW = (("full", False), ("full", True), ("diag", False), ("spherical", True))


def main_cases() -> list[Case]:
    """VB and MAP with conjugate laws of components, and ML."""
    return cases(("vb", "map"), ("conjugate",)) + cases(("ml",))


def bayesian_cases(weights=("dirichlet", "asymmetric", "sticks", "sticks_gamma")) -> list[Case]:
    """VB with proper priors throughout."""
    return cases(("vb",), ("conjugate",), weights)


def blobs(n: int = N, n_features: int = D, n_components: int = K, seed: int = 0) -> np.ndarray:
    """Rows of overlapping groups of unequal shape and size."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(n_components, size=n) * rng.integers(1, 3, size=n) % n_components)
    centres = rng.normal(scale=2.5, size=(n_components, n_features))
    scales = rng.uniform(0.4, 1.2, size=(n_components, n_features))
    return centres[labels] + rng.normal(size=(n, n_features)) * scales[labels]


def responsibilities(n: int = N, n_components: int = K, seed: int = 0) -> np.ndarray:
    """Soft, random responsibilities."""
    return np.random.default_rng(seed + 1000).dirichlet(np.ones(n_components), n)


def padded(x, resp, weight=None, n: int = N):
    """Append rows of weight 0, so that data of any size up to ``n`` use one compiled program."""
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, float)
    more = n - len(x)
    rows = np.concatenate([x, np.repeat(x[:1], more, 0)])
    return (
        rows,
        np.concatenate([weight, np.zeros(more)]),
        np.concatenate([resp, np.repeat(resp[:1], more, 0)]),
    )


@jit(brief=True)
def start(prior, x, weight, resp):
    """Posterior of given responsibilities."""
    return prior.posterior(from_responsibilities(prior.structure, prior.tied, x, resp, weight))


def solve(prior, x, weight, resp, tol=1e-9, limit=CAPACITY, depth=0):
    """Fit from given responsibilities; two compiled programs, the update and the loop, that other calls can use too."""
    return run(prior, start(prior, x, weight, resp), x, weight, tol, limit, max_steps=CAPACITY, depth=depth)


@jit(static_argnames=("depth",))
def solve_many(prior, x, weight, resp, tol, limit, depth=0):
    """Many fits of one shape at once; all arguments but the last three have a leading axis."""
    return jax.vmap(partial(solve, tol=tol, limit=limit, depth=depth))(prior, x, weight, resp)


def bound_of(prior, posterior, x, weight):
    """The library's profile bound of any posterior: a fit of no steps."""
    return run(prior, posterior, x, weight, 0.0, 0, max_steps=CAPACITY).lower_bound


@jit(brief=True)
def first_bound(prior, x, weight, resp):
    """Bound after the first update; as `bound_of` but compiled without the loop."""
    posterior = start(prior, x, weight, resp)
    return lower_bound(prior, posterior, collect(posterior, x, weight))


def stack(trees):
    """Pytrees of one structure as one pytree with a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def path_of(result) -> np.ndarray:
    """The bounds that a fit passed through."""
    return np.asarray(result.history)[: int(result.n_steps) + 1]
