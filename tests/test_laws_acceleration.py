"""Acceleration changes how many passes a fit takes, not where it ends; a polished fit stands still."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import Case, path_of

import bayesgmm as bg
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.accelerate import DEPTH, empty, propose, remember
from bayesgmm.inference.initialise import initialise
from bayesgmm.inference.loop import Outcome

pytestmark = pytest.mark.usefixtures("x64")

N, STEPS = 1000, 4000
KINDS = [("vb", "full", "dirichlet"), ("vb", "diag", "sticks_gamma"), ("ml", "full", "flat"), ("map", "spherical", "dirichlet")]


def two_groups(separation: float) -> np.ndarray:
    """Standardised rows (N, 2) of two groups of unit spread."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(N, 2)) + separation * rng.integers(2, size=N)[:, None] * np.array([1.0, 0.0])
    return (x - x.mean(0)) / x.std(0)


def passes(case: Case, x, depth: int):
    prior = case.prior(2, 2)
    start = initialise(jax.random.key(0), prior, x, method="kmeans")
    return bg.fit(prior, start, x, tol=1e-13, max_steps=STEPS, depth=depth)


@pytest.mark.parametrize(("mode", "structure", "weights"), KINDS)
@pytest.mark.parametrize(("separation", "fewer"), [(2.2, 5.0), pytest.param(8.0, 1 / 1.2, marks=pytest.mark.slow)])
def test_same_optimum_in_fewer_passes(mode, structure, weights, separation, fewer):
    """Overlapping groups, where plain passes are slow, and clear ones, where they are not."""
    case = Case(mode, structure, False, "flat" if mode == "ml" else "conjugate", weights)
    x = two_groups(separation)
    plain, fast = passes(case, x, 0), passes(case, x, DEPTH)
    assert int(plain.outcome) == int(fast.outcome) == Outcome.CONVERGED
    np.testing.assert_allclose(fast.lower_bound, plain.lower_bound, rtol=1e-9)
    assert int(fast.n_steps) <= int(plain.n_steps) / fewer + 2
    assert (np.diff(path_of(fast)) >= -1e-12 * abs(float(fast.lower_bound))).all()


def test_a_linear_map_is_solved_in_as_many_passes_as_it_has_directions():
    """Anderson's method on T -> A T + b in three dimensions, by hand: after four passes the proposal is the fixed point."""
    rng = np.random.default_rng(0)
    matrix, shift = np.diag([0.9, 0.5, -0.3]), rng.uniform(1, 2, 3)
    solution = np.linalg.solve(np.eye(3) - matrix, shift)

    def stats(t):
        return Stats(jnp.zeros(()), jnp.asarray(t), jnp.zeros((3, 1)), jnp.ones((3, 1)))

    t = np.array([5.0, 2.0, 1.0])
    memory = empty(stats(t), DEPTH)
    for _ in range(4):
        image = stats(matrix @ t + shift)
        memory = remember(memory, stats(t), image)
        proposal, plain = propose(memory, image)
        t = np.asarray(proposal.counts)
    assert not plain
    np.testing.assert_allclose(t, solution, rtol=1e-5)


@pytest.mark.parametrize("kind", ["full", "tied", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("diag", "spherical"))])
def test_a_polished_fit_stands_still(kind):
    """One more plain pass moves no parameter by more than 1e-9 of its kind's size, however slow plain passes are."""
    x = two_groups(2.5)
    model = bg.GaussianMixture(2, covariance_type=kind, n_init=2, random_state=0).fit(x)
    moved = bg.GaussianMixture(2, covariance_type=kind, max_iter=1, init_params=model.predict_proba(x)).fit(x)
    assert moved.n_iter_ == 1
    for name in ("weights_", "means_", "covariances_"):
        ours, theirs = getattr(model, name), getattr(moved, name)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9 * np.abs(ours).max(), err_msg=name)
