"""What a fit may not depend on: chunks, how rows are stored, order, units, and components that do not exist."""

from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import (
    CAPACITY,
    WEIGHTS,
    D,
    K,
    N,
    bayesian_cases,
    blobs,
    bound_of,
    cases,
    each,
    few,
    main_cases,
    normal_wishart,
    padded,
    responsibilities,
    solve,
    start,
    strong,
)

from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.pytree import replace
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.initialise import initialise
from bayesgmm.inference.kernel import collect, from_labels, from_responsibilities
from bayesgmm.inference.loop import fit, run
from bayesgmm.inference.priors import default_components
from bayesgmm.inference.problem import prepare

pytestmark = pytest.mark.usefixtures("x64")
ONES = np.ones(N)
every_structure = pytest.mark.parametrize("structure", STRUCTURES)
SOME_STRUCTURES = [
    pytest.param(structure, tied, marks=() if tied == (structure == "diag") else pytest.mark.slow)
    for structure in STRUCTURES
    for tied in (False, True)
]


def assert_same(ours, truth, rtol, atol=0.0):
    """Two pytrees, leaf by leaf."""
    assert jax.tree.structure(ours) == jax.tree.structure(truth)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def taken(prior, index):
    """Prior of some components; flat weights only have a number of them."""
    if isinstance(prior, MAP):
        return MAP(taken(prior.prior, index))
    weights = FlatWeights(len(index)) if isinstance(prior.weights, FlatWeights) else prior.weights.take(index)
    return Mixture(weights, prior.components.take(index))


@pytest.mark.parametrize(("structure", "tied"), SOME_STRUCTURES)
def test_chunks_do_not_matter(structure, tied):
    """Sizes that divide the rows and that do not, single rows, and more than there are."""
    (case,) = (c for c in bayesian_cases(("asymmetric",)) if (c.structure, c.tied) == (structure, tied))
    x, weight, resp = blobs(), np.arange(N) % 4 / 2.0, responsibilities()
    q = start(case.prior(), x, weight, resp)
    whole = jit(collect)(q, x, weight)
    for size in (7, 16, 1000):
        chunked = jit(lambda q, x, w, size=size: collect(q, x, w, chunk_size=size))
        assert_same(chunked(q, x, weight), whole, 1e-11, 1e-11)
    given, labels = from_responsibilities(q.structure, tied, x, resp, weight), resp.argmax(1)
    assert_same(from_responsibilities(q.structure, tied, x, resp, weight, 7), given, 1e-11, 1e-11)
    given = from_labels(q.structure, tied, x, labels, K, weight)
    assert_same(from_labels(q.structure, tied, x, labels, K, weight, 7), given, 1e-11, 1e-11)


@pytest.mark.parametrize("case", ["vb-full-free-conjugate-sticks_gamma", "ml-full-tied-flat-flat"])
def test_a_chunked_fit_is_the_same_fit(case):
    prior, x = next(c for c in cases() if c.name == case).prior(), blobs()
    truth = solve(prior, x, ONES, responsibilities(), 1e-6, 25)
    first = start(prior, x, ONES, responsibilities())
    result = run(prior, first, x, ONES, 1e-6, 25, max_steps=CAPACITY, chunk_size=5)
    np.testing.assert_allclose(result.history, truth.history, rtol=1e-11)
    assert_same(result.posterior, truth.posterior, 1e-9, 1e-9)
    public = fit(prior, first, x, tol=1e-6, max_steps=25)
    np.testing.assert_allclose(public.lower_bound, truth.lower_bound, rtol=1e-13)


@each(main_cases())
def test_integer_weights_are_repeated_rows(case):
    """And rows of weight 0 do not exist."""
    x, resp, prior = blobs(24), responsibilities(24), case.prior()
    weight = np.resize([0, 1, 2, 5, 1, 3], 24)
    weighted = solve(prior, *padded(x, resp, weight), 1e-8, 40)
    index = np.repeat(np.arange(24), weight)
    repeated = solve(prior, *padded(x[index], resp[index]), 1e-8, 40)
    np.testing.assert_allclose(weighted.history, repeated.history, rtol=1e-9)
    assert_same(weighted.posterior, repeated.posterior, 1e-7, 1e-8)
    assert int(weighted.outcome) == int(repeated.outcome)


@each(main_cases())
def test_order_of_rows_and_components_is_irrelevant(case):
    x, resp, prior, rng = blobs(), responsibilities(), case.prior(), np.random.default_rng(4)
    truth = solve(prior, x, ONES, resp, 1e-8, 40)
    rows, index = rng.permutation(N), np.array([2, 0, 1])
    shuffled = solve(prior, x[rows], ONES, resp[rows], 1e-8, 40)
    np.testing.assert_allclose(shuffled.history, truth.history, rtol=1e-11)
    renamed = solve(taken(prior, index), x, ONES, resp[:, index], 1e-8, 40)
    np.testing.assert_allclose(renamed.history, truth.history, rtol=1e-11)
    np.testing.assert_allclose(renamed.stats.counts, truth.stats.counts[index], rtol=1e-8, atol=1e-9)
    same = truth.posterior.take(index)
    for ours, expected in zip(jax.tree.leaves(renamed.posterior), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(bound_of(taken(prior, index), same, x, ONES), truth.lower_bound, rtol=1e-12)


OTHERS = [pytest.param(*kind, marks=pytest.mark.slow) for kind in (("map", False), ("ml", True), ("vb", True), ("ml", False))]


@pytest.mark.parametrize(("mode", "tied"), [("vb", False), ("map", True), *OTHERS])
def test_structures_agree_in_one_column(mode, tied):
    """With one column a Wishart is a Gamma law."""
    x, resp = blobs(N, 1), responsibilities()
    paths = []
    for name, structure in STRUCTURES.items():
        flat = FlatGaussian(jnp.asarray(1e-3), structure, tied)
        components = flat if mode == "ml" else normal_wishart(name, tied, 1)
        weights = WEIGHTS["flat" if mode == "ml" else "asymmetric"](K, np.full(3, 0.5), 1.0)
        prior = Mixture(weights, components)
        result = solve(MAP(prior) if mode == "map" else prior, x, ONES, resp, 1e-8, 40)
        law = result.posterior.components
        dense = np.asarray(structure.to_dense(jnp.asarray(law.covariance), 1))
        paths.append((np.asarray(result.history), np.asarray(law.mean), dense))
    for path in paths[1:]:
        for ours, truth in zip(path, paths[0], strict=True):
            np.testing.assert_allclose(ours, truth, rtol=1e-10, atol=1e-12)


@few(bayesian_cases())
def test_without_is_exactly_the_smaller_model(case):
    """From the same start, for every weight law; ``take`` then keeps the bound."""
    x, gone = blobs(), 1
    rest = np.array([0, 2])
    small = responsibilities(N, 2)
    resp = np.zeros((N, K))
    resp[:, rest] = small
    prior = case.prior().without(gone)
    larger = solve(prior, x, ONES, resp, 1e-8, 40)
    smaller = solve(prior.take(rest), x, ONES, small, 1e-8, 40)
    np.testing.assert_allclose(larger.history, smaller.history, rtol=1e-12)
    assert float(larger.stats.counts[gone]) == 0
    assert int(larger.n_steps) == int(smaller.n_steps)
    kept = bound_of(prior.take(rest), larger.posterior.take(rest), x, ONES)
    np.testing.assert_allclose(kept, larger.lower_bound, rtol=1e-12)
    if case.weights != "asymmetric":
        fresh = replace(prior, weights=case.prior(2).weights)
        np.testing.assert_allclose(bound_of(fresh, smaller.posterior, x, ONES), smaller.lower_bound, rtol=1e-12)
    np.testing.assert_allclose(larger.posterior.weights.mean()[rest], smaller.posterior.weights.mean(), rtol=1e-9)


@each(bayesian_cases())
def test_a_component_dropped_from_a_posterior(case):
    """Deleting inside a fit reaches the same bound as the smaller model, and never brings the component back."""
    x, rest, prior = blobs(), np.array([0, 2]), case.prior()
    before = solve(prior, x, ONES, responsibilities(), 1e-8, 10)
    cut_prior, cut = prior.without(1), before.posterior.without(1)
    larger = run(cut_prior, cut, x, ONES, 0.0, CAPACITY, max_steps=CAPACITY)
    smaller = run(cut_prior.take(rest), cut.take(rest), x, ONES, 0.0, CAPACITY, max_steps=CAPACITY)
    np.testing.assert_allclose(larger.lower_bound, smaller.lower_bound, rtol=1e-12)
    assert float(larger.stats.counts[1]) == 0
    assert np.isclose(float(larger.posterior.weights.mean()[1]), 0, atol=1e-300)


@each(cases(("ml",)))
def test_flat_weights_of_zero_stay_zero(case):
    """Maximum likelihood has no prior to switch off: a start without the component does it."""
    x, rest, prior = blobs(), np.array([0, 2]), case.prior()
    small = responsibilities(N, 2)
    resp = np.zeros((N, K))
    resp[:, rest] = small
    larger = solve(prior, x, ONES, resp, 1e-8, 40)
    smaller = solve(taken(prior, rest), x, ONES, small, 1e-8, 40)
    np.testing.assert_allclose(larger.history, smaller.history, rtol=1e-12)
    assert float(larger.posterior.weights.mean()[1]) == 0
    cut = larger.posterior.weights.without(0)
    np.testing.assert_allclose(cut.mean(), [0, 0, 1])


def change_of_units(structure: str, rng):
    """A map under which the family is closed, and the log of its determinant."""
    matrix = {
        "full": rng.normal(size=(D, D)) @ np.diag([1.0, 1e3]) @ rng.normal(size=(D, D)),
        "diag": np.diag([1e-3, -40.0]),
        "spherical": 250.0 * np.linalg.qr(rng.normal(size=(D, D)))[0],
    }[structure]
    return matrix, np.linalg.slogdet(matrix)[1]


def fit_in_units(x, structure, tied, weights, labels):
    """Fit as the estimators do: whiten, fit, map back; the bound in the user's units, by three routes."""
    problem = prepare(x, ONES, STRUCTURES[structure])
    prior = strong(Mixture(weights, default_components(STRUCTURES[structure], tied, D)))
    first = initialise(jax.random.key(0), prior, problem.x[:N], labels=labels)
    result = run(prior, first, problem.x, problem.weight, 1e-10, 200, max_steps=CAPACITY)
    bound = float(result.lower_bound) - problem.log_jacobian
    theirs, outer = (problem.coordinates.mixture_outward(law) for law in (prior, result.posterior))
    recomputed = float(result.stats.log_norm) - problem.log_jacobian - float(theirs.penalty(outer))
    np.testing.assert_allclose(recomputed, bound, rtol=1e-9)
    np.testing.assert_allclose(bound_of(theirs, outer, x, ONES), bound, rtol=1e-7)
    return bound, result, outer


def affine_case(name: str, tied: bool, law: str):
    """Each structure with one law free and with the other tied; the others are slow cases."""
    kept = (list(STRUCTURES).index(name) + tied + (law == "dirichlet")) % 2
    return pytest.param(name, tied, law, marks=() if kept else pytest.mark.slow)


AFFINE = [affine_case(*kind) for kind in product(STRUCTURES, (False, True), ("dirichlet", "sticks_gamma"))]


@pytest.mark.parametrize(("structure", "tied", "law"), AFFINE)
def test_fits_follow_affine_changes_of_units(structure, tied, law):
    """``x A + b`` shifts the bound by -n log |det A|: any A for full, axes for diagonal, rotations for spherical."""
    x, labels, shift = blobs(), np.arange(N) * K // N, np.array([5.0, -300.0])
    matrix, log_det = change_of_units(structure, np.random.default_rng(11))
    weights = Dirichlet.symmetric(K, 0.7) if law == "dirichlet" else WEIGHTS[law](K, np.full(3, 0.5), 0.0)
    bound, result, posterior = fit_in_units(x, structure, tied, weights, labels)
    moved, other, there = fit_in_units(x @ matrix + shift, structure, tied, weights, labels)
    np.testing.assert_allclose(moved, bound - N * log_det, rtol=1e-9)
    np.testing.assert_allclose(other.stats.counts, result.stats.counts, rtol=1e-7, atol=1e-7)
    expected = posterior.components.mean @ matrix + shift
    np.testing.assert_allclose(there.components.mean, expected, rtol=1e-6, atol=1e-6 * np.abs(matrix).max())


@every_structure
def test_coordinates_there_and_back(structure):
    """Rows and laws of parameters come back as they were; the inner data are centred and of unit spread."""
    x = blobs(60, 3) * np.array([1.0, 100.0, 1e-3]) + np.array([1e3, 0.0, -5.0])
    problem = prepare(x, np.ones(60), STRUCTURES[structure])
    coordinates, inner = problem.coordinates, np.asarray(problem.x)[:60]
    assert not np.asarray(problem.weight)[60:].any()
    np.testing.assert_allclose(coordinates.outward(jnp.asarray(inner)), x, rtol=1e-10)
    np.testing.assert_allclose(coordinates.inward(jnp.asarray(x)), inner, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(inner.mean(0), 0, atol=1e-9)
    spread = inner.T @ inner / 60
    if structure == "full":
        np.testing.assert_allclose(spread, np.eye(3), atol=1e-9)
    if structure == "diag":
        np.testing.assert_allclose(np.diagonal(spread), 1, atol=1e-9)
    np.testing.assert_allclose(np.trace(spread), 3, rtol=1e-9)
    law = Mixture(Dirichlet.symmetric(K, 0.7), default_components(STRUCTURES[structure], False, 3))
    assert_same(coordinates.mixture_inward(coordinates.mixture_outward(law)), law, 1e-9, 1e-12)
