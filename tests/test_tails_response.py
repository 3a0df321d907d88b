"""Linear response with noise and heavy tails: against derivatives of the pass, the response of the optimum, and exact evidences."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import Case, cases, responsibilities, start

import bayesgmm as bg
from bayesgmm.analysis.evidence import response
from bayesgmm.analysis.response import eigenvalues, n_coefficients
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import with_noise
from bayesgmm.core.statistics import Region
from bayesgmm.core.student import Student
from bayesgmm.core.weights import Dirichlet
from bayesgmm.inference.arrange import Known, arrange
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect
from bayesgmm.inference.loop import run

pytestmark = pytest.mark.usefixtures("x64")
K, D, N = 2, 2, 40
WEIGHT = np.resize([1.0, 2.0, 1.0], N)
SIDES = np.array([12.0, 9.0])
KINDS = ("noise", "tails", "both")
KEPT = {("full-free-sticks", "both"), ("full-tied-asymmetric", "noise"), ("full-tied-asymmetric", "tails"), ("diag-free-asymmetric", "tails")}


def marked(values):
    """Cases and kinds, of which all but a few are slow."""
    found = []
    for case, kind in itertools.product(values, KINDS):
        name = f"{case.structure}-{'tied' if case.tied else 'free'}-{case.weights}"
        found.append(pytest.param(case, kind, id=f"{name}-{kind}", marks=() if (name, kind) in KEPT else pytest.mark.slow))
    return pytest.mark.parametrize(("case", "kind"), found)


every = marked(cases(("vb",), ("conjugate",), ("asymmetric", "sticks")))


def model(case: Case, kind: str, n_components: int = K, dof: float = 4.0) -> Mixture:
    prior = case.prior(n_components, D)
    if kind != "noise":
        prior = Mixture(prior.weights, Student(prior.components, jnp.array([dof]), False, False))
    if kind == "tails":
        return prior
    sides = jnp.log(jnp.asarray(SIDES))
    return with_noise(prior, Region(sides.sum(), sides), Dirichlet(jnp.array([1.5, 0.8])))


def rows(n: int = N, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, D)) / np.sqrt(rng.chisquare(4, (n, 1)) / 4) + 2.5 * (np.arange(n) % 2)[:, None] * np.array([1.0, 0.4])
    x[::8] = rng.uniform(-SIDES / 2, SIDES / 2, (len(x[::8]), D))
    return x


def solve(prior, x, weight=WEIGHT, first=None, depth=5):
    if first is None:
        first = start(prior, x, weight, responsibilities(len(x), prior.n_components, 0))
    return run(prior, first, jnp.asarray(x), jnp.asarray(weight), 1e-15, 3000, max_steps=3000, depth=depth)


def flat(stats):
    return jnp.concatenate([a.ravel() for a in jax.tree.leaves(stats._replace(log_norm=None))])


@every
def test_eigenvalues_are_those_of_the_pass(case, kind):
    """One less the eigenvalues of the derivative of statistics -> posterior -> statistics, wherever it does something."""
    x, prior = rows(), model(case, kind)
    q = solve(prior, x).posterior
    at = collect(q, jnp.asarray(x), WEIGHT)
    tree = jax.tree.structure(at._replace(log_norm=None))

    def unflat(vector):
        parts, begun = [], 0
        for leaf in jax.tree.leaves(at._replace(log_norm=None)):
            parts.append(vector[begun : begun + leaf.size].reshape(leaf.shape))
            begun += leaf.size
        return jax.tree.unflatten(tree, parts)._replace(log_norm=at.log_norm)

    @jit
    def derivative(vector):
        return jax.jacfwd(lambda v: flat(collect(prior.posterior(unflat(v)), jnp.asarray(x), WEIGHT)))(vector)

    rates = np.linalg.eigvals(derivative(flat(at))).real
    rates = np.sort(rates[np.abs(rates) > 1e-5])
    found = np.asarray(eigenvalues(q, jnp.asarray(x), jnp.asarray(WEIGHT)))
    assert len(found) <= n_coefficients(q)
    found = found[np.abs(1 - found) > 1e-5]
    np.testing.assert_allclose(1 - found[::-1], rates, atol=2e-6)
    assert found[0] < 0.95, "the case is too easy to tell anything"
