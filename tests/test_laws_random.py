"""Random fits of every combination, with plain and accelerated passes: the bound never falls and is that of the posterior."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from objectives import describe, describe_prior, objective, posterior_responsibilities
from oracles import elbo_general
from registry import Case, cases, few, is_kept, path_of, solve_many, stack

from bayesgmm.inference.accelerate import DEPTH
from bayesgmm.inference.loop import Outcome

pytestmark = pytest.mark.usefixtures("x64")

ALL = cases()
MOST_ROWS, MOST_COMPONENTS, STEPS = 80, 5, 120
FAMILIES = sorted({case.family for case in ALL})
KEPT = [case for case in ALL if is_kept(case)]
FITS = -(-1000 // len(KEPT))
"""Fits a combination, 1,000 in total without the slow ones."""


def shape_of(case: Case) -> tuple[int, int]:
    """Columns, and capacity for components; they vary over combinations, and laws that share programs share them."""
    place = FAMILIES.index(case.family)
    d = 1 + place % 4
    return d, MOST_COMPONENTS if hides(case) else 1 + (place + d) % MOST_COMPONENTS


def hides(case: Case) -> bool:
    """Whether components can be left out without changing the shapes: not where a point has a prior density."""
    return case.mode != "map"


def random_rows(kind: int, n: int, d: int, rng) -> np.ndarray:
    """Blobs, heavy tails, many duplicates, or a lattice with ties."""
    if kind == 0:
        return rng.normal(size=(3, d))[rng.integers(3, size=n)] * 3 + rng.normal(size=(n, d)) * rng.uniform(0.1, 1.0)
    if kind == 1:
        return rng.standard_t(2.5, size=(n, d)) * rng.uniform(0.3, 2.0, size=d)
    if kind == 2:
        return rng.normal(size=(max(n // 5, 6), d))[rng.integers(max(n // 5, 6), size=n)]
    return np.round(rng.normal(size=(n, d)) * 2) + 0.01 * rng.normal(size=(n, d))


def random_start(n: int, k: int, rng) -> np.ndarray:
    """Soft, hard, or nearly equal responsibilities (n, k)."""
    return rng.dirichlet(np.full(k, rng.choice([0.001, 1.0, 100.0])), n) if k > 1 else np.ones((n, 1))


def random_problem(case: Case, i: int):
    """Prior, rows, weights and responsibilities; components beyond the first ``k`` do not exist."""
    rng = np.random.default_rng([i, ALL.index(case)])
    d, capacity = shape_of(case)
    n = int(rng.integers(12, MOST_ROWS + 1))
    k = int(rng.integers(1, capacity + 1)) if hides(case) else capacity
    prior = case.prior(capacity, d, rng, floor=10.0 ** rng.uniform(-4, -1))
    if hasattr(prior.weights, "without"):
        for j in range(k, capacity):
            prior = prior.without(j)
    x = np.zeros((MOST_ROWS, d))
    x[:n] = random_rows(i % 4, n, d, rng)
    weight = np.zeros(MOST_ROWS)
    weight[:n] = rng.integers(0, 4, size=n) if i % 3 == 2 else 1.0
    resp = np.zeros((MOST_ROWS, capacity))
    resp[:, :k] = random_start(MOST_ROWS, k, rng)
    return prior, x, weight, resp, k


@few(FAMILIES, "family")
def test_bound_never_decreases_and_belongs_to_the_posterior(family):
    for case in (case for case in ALL if case.family == family):
        problems = [random_problem(case, i) for i in range(FITS)]
        *arguments, _ = zip(*problems, strict=True)
        results = solve_many(*(stack(argument) for argument in arguments), 1e-10, STEPS, depth=DEPTH * (FAMILIES.index(family) % 2))
        for i, problem in enumerate(problems):
            result = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], results)
            check_path(result)
            check_bound(case, problem, result, f"{case.name}, fit {i}")


def check_path(result):
    """The bound rises, or stays, from step to step."""
    path = path_of(result)
    assert np.isfinite(path).all()
    assert (np.diff(path) >= -1e-10 * (1 + np.abs(path[1:]))).all(), np.diff(path).min()
    assert int(result.outcome) in (Outcome.CONVERGED, Outcome.MAX_STEPS)
    assert float(result.lower_bound) == path[-1]


def check_bound(case, problem, result, name):
    """Bound and statistics recomputed from the posterior by text-book formulas, after leaving out what does not exist."""
    prior, x, weight, _, k = problem
    if k < prior.n_components:
        prior = prior.take(np.arange(k)) if case.weights != "flat" else prior
    q, law = describe(result.posterior.take(np.arange(k))), describe_prior(prior)
    rows = np.repeat(x, weight.astype(int), axis=0)
    bound, near = float(result.lower_bound), dict(rtol=1e-10, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(objective(rows, q, law), bound, **near)
    resp = posterior_responsibilities(rows, q)
    if case.mode == "vb" and law["weights"] and law["components"]:
        np.testing.assert_allclose(elbo_general(rows, resp, q, law), bound, **near)
    stats, truth = result.stats, counted(rows, resp, case)
    scale = 1 + np.abs(rows).max() ** 2
    for name, value in truth.items():
        np.testing.assert_allclose(getattr(stats, name)[: len(value)], value, rtol=1e-9, atol=1e-9 * len(rows) * scale)


def counted(rows, resp, case) -> dict:
    """Statistics of responsibilities."""
    second = dict(full="na,nb,nk->kab", diag="na,na,nk->ka", spherical="na,na,nk->k")[case.structure]
    scatter = np.einsum(second, rows, rows, resp)
    scatter = scatter.sum(0, keepdims=True) if case.tied else scatter
    return dict(counts=resp.sum(0), sums=resp.T @ rows, scatter=scatter)


def test_enough_random_fits():
    """1,000 fits without the slow ones, every number of columns and components among them, plain and accelerated passes."""
    assert FITS * len(KEPT) >= 1000
    assert {shape_of(case)[0] for case in KEPT} == {1, 2, 3, 4}
    assert {shape_of(case)[1] for case in KEPT if not hides(case)} == {1, 2, 3, 4, 5}
    assert {(case.structure, case.tied, case.mode) for case in KEPT} == {(case.structure, case.tied, case.mode) for case in ALL}
    assert {(case.mode, case.components, case.weights, case.tied) for case in KEPT} == {(*case[0:1], *case[3:], case.tied) for case in ALL}
    assert {(case.tied, FAMILIES.index(case.family) % 2) for case in KEPT} == {(tied, odd) for tied in (False, True) for odd in (0, 1)}
