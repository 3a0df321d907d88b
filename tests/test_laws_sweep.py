"""Laws of the search for the number of components: batches are loops, padding changes nothing, the chosen prior is the best of its kind."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesgmm.analysis.evidence import response
from bayesgmm.core.coordinates import standardising
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import product_form
from bayesgmm.core.structures import STRUCTURES, Full
from bayesgmm.core.weights import Dirichlet
from bayesgmm.inference import hierarchy
from bayesgmm.inference.cells import Frame, long_runs, padded_widths, short_runs
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_responsibilities
from bayesgmm.inference.loop import lower_bound, run
from bayesgmm.inference.problem import prepare
from bayesgmm.inference.proposals import Clusterings, merge_starts, one_hot, split_merge_starts, split_starts
from bayesgmm.inference.sweep import Sweep

pytestmark = pytest.mark.usefixtures("x64")
rng = np.random.default_rng(5)
LABELS = np.repeat([0, 1, 2], [30, 25, 25])
X = rng.normal(size=(80, 2)) * [1.0, 3.0] + np.array([[0, 0], [6, 2], [1, 15]])[LABELS]
WIDTH = 4


def frame(name: str = "full", tied: bool = False) -> Frame:
    return Frame(prepare(X, np.ones(len(X)), STRUCTURES[name]), tied)


def starts(n: int, width: int = WIDTH) -> np.ndarray:
    return np.stack([np.pad(np.random.default_rng(i).dirichlet([1, 1, 1], 80), ((0, 0), (0, width - 3))) for i in range(n)])


def knobs() -> hierarchy.Knobs:
    return jax.tree.map(lambda a: jnp.asarray(a, float), hierarchy.first_knobs(2))


@pytest.fixture(scope="module")
def batch():
    """A frame, its common arguments, and twelve short runs."""
    with jax.enable_x64(True):
        one = frame()
        return one, short_runs(*one.common, one.plain, jnp.asarray(starts(12)), one.alive(3, WIDTH), knobs(), 7)


def test_a_batch_is_a_loop(batch):
    one, runs = batch
    tied, coordinates, x, weight, _ = one.common
    for i in (0, 7):
        stats = from_responsibilities(Full(), tied, x, jnp.asarray(starts(12)[i, :, :3]), weight)
        prior, price = hierarchy.tune(coordinates, tied, stats, Dirichlet.symmetric(3), knobs(), 0.0)[:2]
        alone = run(prior, prior.posterior(stats), x, weight, 0.0, 7, max_steps=7, form=product_form)
        np.testing.assert_allclose(runs.bound[i], alone.lower_bound - price, rtol=1e-11)
        np.testing.assert_allclose(runs.stats.counts[i, :3], alone.stats.counts, rtol=1e-8)


def test_padding_holds_nothing(batch):
    one, runs = batch
    assert (np.asarray(runs.stats.counts)[:, 3] == 0).all()
    wide = short_runs(*one.common, one.plain, jnp.asarray(starts(12, 8)), one.alive(3, 8), knobs(), 7)
    np.testing.assert_allclose(wide.bound, runs.bound, rtol=1e-12)


def test_long_runs_return_an_exact_bound(batch):
    one, runs = batch
    ended = long_runs(*one.common, runs.take(np.array([0, 1])), jnp.stack([one.alive(3, WIDTH)] * 2), 0.8, 100)
    _, _, x, weight, _ = one.common
    for i in range(2):
        prior, posterior = (jax.tree.map(lambda a: a[i], law).take(np.arange(3)) for law in (ended.prior, ended.posterior))
        bound = lower_bound(prior, posterior, collect(posterior, x, weight)) - ended.price[i]
        np.testing.assert_allclose(ended.bound[i], bound, rtol=1e-10)
    assert (np.asarray(ended.bound) > np.asarray(runs.bound)[:2]).all()


@pytest.mark.parametrize(("name", "tied"), [("full", False), ("full", True), ("diag", False), ("spherical", False)])
def test_the_tuned_prior_is_the_best_of_a_grid(name, tied):
    one = frame(name, tied)
    _, coordinates, x, weight, _ = one.common
    stats = from_responsibilities(
        coordinates.structure, tied, x, jnp.asarray(np.pad(one_hot(LABELS, 3), ((0, len(x) - 80), (0, 0)))), weight
    )
    weights = Dirichlet.symmetric(3)

    @jit
    def value(log_kappa, log_surplus, step):
        found = hierarchy.tune(coordinates, tied, stats, weights, hierarchy.Knobs(log_kappa, log_surplus), step)
        return found.prior.components.log_marginal(stats) - found.price

    start = hierarchy.first_knobs(2)
    best = value(jnp.asarray(start.log_kappa), jnp.asarray(start.log_surplus), 0.8)
    grid = [value(jnp.log(k), jnp.log(s), 0.0) for k in np.geomspace(1e-3, 0.7, 9) for s in np.geomspace(0.5, 3000, 12)]
    assert best >= max(grid) - 0.05


def test_targets_follow_the_units_of_the_columns():
    """As pooled and without correlations: equivariant under scaling of columns; with one variance: a multiple of the user's identity."""
    a = rng.normal(size=(3, 3))
    for scale in (np.ones(3), np.array([1.0, 10.0, 0.1])):
        covariance = (a @ a.T + np.eye(3)) * np.outer(scale, scale)
        coordinates = standardising(Full(), jnp.zeros(3), jnp.asarray(covariance))
        factor = np.asarray(coordinates.factor)
        outward = [factor @ np.asarray(t) @ factor.T for t in hierarchy.targets(coordinates, jnp.eye(3))]
        np.testing.assert_allclose(outward[0], covariance, rtol=1e-10)
        np.testing.assert_allclose(outward[1], np.diag(np.diag(covariance)), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(outward[2], np.eye(3) * np.diag(covariance).mean(), rtol=1e-8, atol=1e-9)


def test_one_column_has_one_target():
    coordinates = standardising(Full(), jnp.zeros(1), jnp.array([[4.0]]))
    np.testing.assert_allclose(hierarchy.targets(coordinates, jnp.array([[0.3]])).ravel(), 0.3)
    prices = np.array(hierarchy.target_prices(Full(), 1))
    np.testing.assert_allclose(prices[0], 0.5)
    np.testing.assert_allclose(prices[1], 1 / 3)


def test_response_of_padded_components_is_that_of_those_present(batch):
    one, runs = batch
    _, _, x, weight, _ = one.common
    padded = jax.tree.map(lambda a: a[0], runs.posterior)
    np.testing.assert_allclose(response(padded, x, weight), response(padded.take(np.arange(3)), x, weight), rtol=1e-9)
    alone = Mixture(Dirichlet(padded.weights.concentration.at[1:].set(0)), padded.components)
    assert response(alone, x, weight) == (0.0, 0.0)


def test_widths():
    small = prepare(X, np.ones(80), Full())
    large = prepare(np.tile(X, (100, 1)) + rng.normal(size=(8000, 2)), np.ones(8000), Full())
    assert padded_widths(small, 3) == (4,) and padded_widths(small, 15) == (16,) and padded_widths(small, 40) == (48,)
    assert padded_widths(large, 3) == (4,) and padded_widths(large, 15) == (4, 8, 16) and padded_widths(large, 40) == (4, 8, 16, 32, 48)


def test_proposals_keep_all_rows():
    weight = np.ones(80)
    resp = np.random.default_rng(1).dirichlet([1, 1, 1], 80)
    four = np.pad(resp, ((0, 0), (0, 1)))
    found = {"split": list(split_starts(four, 3, X, weight)), "merge": list(merge_starts(four, 3, weight, 2))}
    found["both"] = list(split_merge_starts(four, 3, X, weight, 2))
    assert len(found["split"]) == 9 and len(found["merge"]) == 3 and len(found["both"]) == 8
    alive = {"split": 4, "merge": 2, "both": 3}
    for kind, some in found.items():
        for one in some:
            np.testing.assert_allclose(one.sum(1), 1, rtol=1e-12)
            assert ((one.sum(0) > 0) == (np.arange(4) < alive[kind])).all()


def test_clusterings_find_separate_groups():
    rows = jnp.asarray(rng.normal(size=(90, 2)) * 0.1 + np.repeat([[0, 0], [5, 0], [0, 5]], 30, 0))
    found = Clusterings(jax.random.key(0), [rows, rows], jnp.ones(90), 6, np.random.default_rng(0))
    for labels in [*found.kmeans(3), found.ward(3)]:
        assert [len(set(labels[i : i + 30])) for i in (0, 30, 60)] == [1, 1, 1] and len(set(labels)) == 3
    assert len(set(found.kmeans(5)[0])) == 5


def test_a_search_on_a_sample_ends_with_fits_to_all_rows(monkeypatch):
    monkeypatch.setattr("bayesgmm.inference.sweep.SAMPLE", 60)
    x = np.concatenate([X, X + 0.01])
    sweep = Sweep({"full": Frame(prepare(x, np.ones(160), Full()), False)}, [1, 2, 3], 0)
    sweep.run()
    assert len(sweep.sample) == 60
    cell = sweep.cells["full", 3]
    np.testing.assert_allclose(np.sort(np.asarray(cell.run.stats.counts))[1:], [50, 50, 60], atol=0.5)
    assert sweep.best() == ("full", 3)
