"""What is done for speed changes no answer: features, generators of code, copies of rows, the table of rows, the cache of programs."""

from __future__ import annotations

import threading
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis import rows
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.inference import by_row, compiling, kernel, kmeans, parallel, restarts, threads
from bayesgmm.inference.halves import in_halves
from bayesgmm.inference.kernel import chunk_rows, collect, shared_spread
from bayesgmm.inference.loop import run
from bayesgmm.inference.priors import default_components
from bayesgmm.inference.problem import WHOLE, prepare, sampled
from bayesgmm.inference.threads import run_in_threads


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_features_are_one_the_columns_and_their_products(x64, name, d):
    structure, rng = STRUCTURES[name], np.random.default_rng(d)
    x = rng.standard_normal((7, d))
    found = np.asarray(structure.features(jnp.asarray(x.T)))
    np.testing.assert_array_equal(found[: 1 + d], np.vstack([np.ones(7), x.T]))
    assert len(found) == 1 + d + structure.n_parameters(d)
    packed = {2: np.eye(d) + 0.3, 1: np.arange(1.0, d + 1), 0: np.array(1.7)}[structure.rank]
    dense = np.asarray(structure.to_dense(jnp.asarray(packed), d))
    weights = np.asarray(structure.coefficients(jnp.asarray(packed)))
    np.testing.assert_allclose(weights @ found[1 + d :], np.einsum("ni,ij,nj->n", x, dense, x), rtol=1e-12)
    sums = np.asarray(structure.from_moments(jnp.asarray(found[1 + d :].sum(1)), d))
    np.testing.assert_allclose(sums, np.asarray(structure.outer(jnp.asarray(x))).sum(0), rtol=1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_known_spread_is_that_of_a_pass(x64, name):
    """The scatter of a shared covariance is the sum over all rows of their outer products, weights included."""
    structure, rng = STRUCTURES[name], np.random.default_rng(1)
    x, weight = rng.standard_normal((300, 3)), rng.uniform(0, 2, 300)
    law = bg.NormalWishart(
        jnp.zeros((1, 3)), jnp.array([0.01]), jnp.array([5.0]), jnp.asarray(structure.identity(3))[None], structure, True
    )
    prior = bg.Mixture(bg.Dirichlet(jnp.ones(2)), law)
    start = bg.initialise(jax.random.key(0), prior, x, sample_weight=weight)
    known = shared_spread(start, jnp.asarray(x), jnp.asarray(weight), 64)
    outer = np.asarray(structure.outer(jnp.asarray(x)))
    np.testing.assert_allclose(known[0], np.tensordot(weight, outer, 1), rtol=1e-12)
    fresh = collect(start, jnp.asarray(x), jnp.asarray(weight), chunk_size=128)
    given = collect(start, jnp.asarray(x), jnp.asarray(weight), chunk_size=128, spread=known)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11), fresh, given)


def test_both_generators_of_code_give_the_same_fit(monkeypatch):
    x = bg.load_dataset("faithful").x[:150]
    model = bg.GaussianMixture(n_components=2, n_init=1, random_state=0)
    quick = model.fit(x).means_
    monkeypatch.setattr(compiling, "LARGE", 0)
    np.testing.assert_allclose(model.fit(x).means_, quick, rtol=1e-9)


@pytest.mark.parametrize("name", STRUCTURES)
def test_rows_are_copied_once(x64, name):
    """Whatever else preparing many rows needs is small beside them; JAX uses the copy where it lies."""
    x = np.random.default_rng(0).standard_normal((200_000, 8)) * np.arange(1, 9) + 5
    prepare(x[:1000], np.ones(1000), STRUCTURES[name])
    tracemalloc.start()
    problem = prepare(x, np.ones(len(x)), STRUCTURES[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.6 * x.nbytes
    assert len(problem.x) % WHOLE == 0
    rows = np.asarray(problem.x)[: len(x)]
    assert np.abs(rows.mean(0)).max() < 1e-12
    np.testing.assert_allclose(problem.x[len(x) :], 0)
    np.testing.assert_allclose(problem.coordinates.outward(jnp.asarray(rows[:50])), x[:50], rtol=1e-11)


def test_chunks_divide_the_rows_of_large_data():
    for structure in STRUCTURES.values():
        for d, k in ((1, 1), (16, 16), (100, 10), (8, 200), (300, 2)):
            assert WHOLE % chunk_rows(structure, False, d, k) == 0


def test_the_table_of_rows_has_the_two_most_probable_components():
    x = bg.load_dataset("iris").x
    for k in (1, 3):
        model = bg.BayesianGaussianMixture(n_components=k, n_init=1, prune=False, moves=False, random_state=0).fit(x)
        resp, table = model.predict_proba(x), model.row_table(x)
        np.testing.assert_array_equal(table.label, resp.argmax(1))
        np.testing.assert_array_equal(table.label, model.labels_)
        np.testing.assert_allclose(table.probability, resp.max(1), rtol=1e-12)
        second = np.sort(resp, 1)[:, -2] if k > 1 else np.zeros(len(x))
        np.testing.assert_allclose(table.second, second, rtol=1e-9, atol=1e-300)
        assert (table.runner_up != table.label).all() or k == 1


def test_the_least_certain_rows_are_found_chunk_by_chunk(monkeypatch):
    """As if all rows were sorted; equal ones in their order, rows of weight 0 left out."""
    rng = np.random.default_rng(0)
    x = np.concatenate([np.repeat(rng.standard_normal((200, 1)), 2, 0), rng.standard_normal((600, 1)) + 3])
    weight = (rng.uniform(size=len(x)) < 0.9).astype(float)
    model = bg.GaussianMixture(n_components=2, n_init=1, random_state=0).fit(x, sample_weight=weight)
    for module, name, value in ((by_row, "LARGE", 0), (by_row, "LARGEST", 128), (kernel, "CHUNK", 64)):
        monkeypatch.setattr(module, name, value)
    table = model.row_table(x)
    with jax.enable_x64(True):
        found = rows.look(model.posterior_, model._coordinates, 30)((0, 0), (x, weight))
    used = np.flatnonzero(weight)
    least = used[np.argsort(table.probability[used], kind="stable")[:30]]
    np.testing.assert_array_equal(found.least, least)
    for name, values in found.table._asdict().items():
        np.testing.assert_array_equal(values, getattr(table, name)[least])
    np.testing.assert_allclose(found.log_likelihood, weight @ model.score_samples(x), rtol=1e-12)
    assert [row[0] for row in model._doubtful] == list(least[:10])


@pytest.mark.parametrize(("n", "worth"), [(1, 0), (900, 0), *(pytest.param(n, 2**60, marks=pytest.mark.slow) for n in (130, 900))])
def test_many_rows_are_answered_as_few_are(monkeypatch, n, worth):
    """In blocks, pieces and threads, the last piece filled up; rows far out, whose blocks take the precise form, included."""
    x = bg.load_dataset("iris").x
    model = bg.BayesianGaussianMixture(n_components=4, n_init=1, moves=False, random_state=0).fit(x)
    centres = bg.KMeans(3, n_init=1, random_state=0).fit(x)
    rows = np.resize(x, (n, 4)) + np.linspace(0, 1, n)[:, None]
    rows[n // 2] *= 1e5
    names = "predict", "predict_proba", "score_samples", "row_table"
    truth = [getattr(model, name)(rows) for name in names] + [centres.predict(rows)]
    for module, name, value in ((by_row, "LARGE", 0), (by_row, "WORTH", worth), (by_row, "LARGEST", 128), (kernel, "CHUNK", 64)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    found = [getattr(model, name)(rows) for name in names] + [centres.predict(rows)]
    for ours, known in zip(found, truth, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), ours, known)


def test_chunks_of_few_wide_rows_stay_small():
    assert [kernel.block_rows(width) for width in (10, 5000, 501_501, 10**7)] == [512, 128, 8, 8]


def test_labels_of_rows_within_a_program_and_on_a_device(x64, monkeypatch):
    """A block of rows at a time too, and the same."""
    monkeypatch.setattr(kernel, "CHUNK", 64)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((150, 2)))
    centres = kmeans.Centroids(x[:4], np.ones(4, bool))
    truth = kmeans.nearest_centre(np.asarray(x), centres)
    for found in (
        jax.jit(lambda x: kmeans.nearest_centre(x, centres))(x),
        kmeans.nearest_centre(jax.device_put(x, jax.devices()[0]), centres),
    ):
        np.testing.assert_array_equal(found[0], truth[0])
        np.testing.assert_allclose(found[1], truth[1], rtol=1e-12)


def test_threads_answer_in_order_and_tell_of_errors(x64):
    """With the width of numbers that the caller has; an error, or a caller who stops, ends the work."""
    with parallel.crew(3) as each:
        assert list(each(lambda i: (i, bool(jax.config.jax_enable_x64)), range(40))) == [(i, True) for i in range(40)]
        with pytest.raises(ZeroDivisionError):
            list(each(lambda i: 1 / (i - 5), range(40)))
        assert next(each(lambda i: i, range(40))) == 0


def test_work_in_threads_goes_on_while_the_process_ends(x64, monkeypatch):
    """As in a thread that fits after the script has come to its end: no new threads start then."""
    monkeypatch.setattr("concurrent.futures.thread._shutdown", True)
    parallel.possible()
    with parallel.crew(3) as each:
        assert list(each(lambda i: i, range(9))) == list(range(9))


def test_k_means_of_many_rows_in_threads(monkeypatch, x64):
    """The same centres; clusters that lose their rows included."""
    rng = np.random.default_rng(0)
    x, weight = jnp.asarray(rng.standard_normal((800, 2)) + 4 * rng.integers(3, size=800)[:, None]), jnp.asarray(rng.uniform(0, 2, 800))
    for centres in (x[:5], jnp.concatenate([x[:4], jnp.full((1, 2), 1e3)])):
        truth = kmeans.lloyd(x, weight, centres)
        monkeypatch.setattr(kmeans, "pays", lambda *given: True)
        ours = kmeans.lloyd(x, weight, centres)
        monkeypatch.undo()
        np.testing.assert_allclose(ours.posterior.mean, truth.posterior.mean, rtol=1e-9)
        np.testing.assert_allclose(ours.lower_bound, truth.lower_bound, rtol=1e-12)


def test_a_fit_within_another_program_that_knows_all_its_arrays(x64):
    x, weight = jnp.asarray(np.random.default_rng(0).standard_normal((40, 2))), jnp.ones(40)
    law = bg.NormalWishart(jnp.zeros((1, 2)), jnp.array([0.01]), jnp.array([4.0]), jnp.eye(2)[None], bg.Full(), False)
    prior = bg.Mixture(bg.Dirichlet(jnp.ones(2)), law)
    start = bg.initialise(jax.random.key(0), prior, x)
    alone = bg.fit(prior, start, x, weight, max_steps=5).lower_bound
    within = jax.jit(lambda: bg.fit(prior, start, x, weight, max_steps=5).lower_bound)()
    np.testing.assert_allclose(within, alone, rtol=1e-12)


def test_devices_are_named(x64):
    x = jnp.ones((4, 1))
    for wrong in ([], "cpu", jax.devices()[:1] * 2):
        with pytest.raises(ValueError, match="devices must be one or more different devices"):
            bg.fit(None, None, x, devices=wrong)


def test_rows_of_weight_zero_are_not_in_doubt_and_hide_no_others():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((100, 1)), rng.standard_normal((100, 1)) + 4])
    model = bg.GaussianMixture(n_components=2, n_init=1, random_state=0).fit(x)
    middle = np.full((15, 1), 2.0)
    weight = np.concatenate([np.ones(200), np.zeros(15)])
    again = bg.GaussianMixture(n_components=2, n_init=1, random_state=0).fit(np.concatenate([x, middle]), sample_weight=weight)
    assert [row[0] for row in again._doubtful] == [row[0] for row in model._doubtful] != []


def test_halves_of_a_batch_are_the_batch(x64):
    """In an order of their own threads, with the settings of the caller; odd numbers, one fit, and programs as they are."""
    keys = jax.random.split(jax.random.key(0), 6)
    batch = {"a": np.arange(12.0).reshape(6, 2), "b": jnp.arange(6)}
    seen = []

    def function(tree, keys):
        seen.append((len(keys), threading.get_ident(), jax.config.jax_enable_x64))
        return tree["a"].sum(1) + tree["b"], jax.vmap(jax.random.uniform)(keys)

    for n in (6, 5, 1):
        some = jax.tree.map(lambda a, n=n: a[:n], (batch, keys))
        seen.clear()
        found = in_halves(function, *some)
        assert sorted(size for size, *_ in seen) == ([3, 3] if n == 6 else [n]) and all(wide for *_, wide in seen)
        assert len({thread for _, thread, _ in seen}) == len(seen)
        for ours, truth in zip(found, function(*some), strict=True):
            np.testing.assert_array_equal(ours, truth)
    np.testing.assert_array_equal(jax.jit(lambda tree, keys: in_halves(function, tree, keys))(batch, keys)[0], function(batch, keys)[0])
    with pytest.raises(ZeroDivisionError):
        in_halves(lambda a: a + 1 // (2 - int(a[0])), np.arange(4))
    for context in (jax.threefry_partitionable(False), jax.default_matmul_precision("float32"), jax.debug_nans(True)):
        seen.clear()
        with context:
            found = in_halves(function, batch, keys)
            np.testing.assert_array_equal(found[1], function(batch, keys)[1])
        assert len({thread for _, thread, _ in seen}) == 1


def test_a_sample_of_many_rows(x64):
    """In proportion to the weights and of the same total; rows of weight 0 never, the last included, whatever is rounded."""
    weight = np.random.default_rng(0).integers(0, 3, 70_000).astype(float)
    weight[-5:] = 0
    numbers = np.arange(70_000.0)[:, None]
    for dtype in (jnp.float32, jnp.float64):
        counts = np.zeros(70_000)
        for i in range(20):
            rows, equal = sampled(jax.random.key(i), jnp.asarray(numbers, dtype), jnp.asarray(weight, dtype))
            assert rows.shape == (65_536, 1) and len(np.unique(equal)) == 1
            np.testing.assert_allclose(equal.sum(), weight.sum(), rtol=1e-5)
            counts += np.bincount(np.asarray(rows[:, 0], int), minlength=70_000)
        assert (counts[weight == 0] == 0).all() and (counts[weight > 0] > 0).all()
        np.testing.assert_allclose([counts[weight == w].mean() for w in (1, 2)], 20 * 65_536 * np.array([1, 2]) / weight.sum(), rtol=1e-2)
    some = numbers[:100], weight[:100]
    assert all(a is b for a, b in zip(sampled(jax.random.key(0), *some), some, strict=True))


KINDS, TYPES = [("full", False), ("full", True), ("diag", False), ("spherical", False)], ("float64", "float32")
CASES = [("full", False, "float64"), ("diag", True, "float64"), ("spherical", False, "float32")]
CASES += [pytest.param(*kind, dtype, marks=pytest.mark.slow) for dtype in TYPES for kind in KINDS if (*kind, dtype) not in CASES]


@pytest.mark.parametrize(("name", "tied", "dtype"), CASES)
def test_passes_divided_among_threads_are_the_loop(x64, name, tied, dtype):
    """Path of the bound, statistics and posterior; accelerated and plain; to the limit of steps and to convergence."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((800, 3)) + 2 * rng.integers(3, size=800)[:, None], dtype)
    weight = jnp.asarray(rng.uniform(0, 2, 800), dtype)
    prior = bg.Mixture(bg.Dirichlet(jnp.ones(3)), default_components(STRUCTURES[name], tied, 3))
    start = bg.initialise(jax.random.key(0), prior, x, sample_weight=weight)
    loose = 1e-4 if dtype == "float32" else 1e-10
    for tol, limit, depth in ((0.0, 7, 0), (0.0, 7, 5), (1e-6, 100, 5), (1e-6, 0, 5)):
        options = {"max_steps": 100, "chunk_size": 64, "depth": depth}
        truth = run(prior, start, x, weight, tol, limit, np.inf, **options)
        ours = run_in_threads(prior, start, x, weight, tol, limit, np.inf, **options)
        np.testing.assert_allclose(ours.lower_bound, truth.lower_bound, rtol=loose)
        if dtype == "float64":  # in float32 rounding decides when to stop
            assert (int(ours.outcome), int(ours.n_steps)) == (int(truth.outcome), int(truth.n_steps))
            np.testing.assert_allclose(ours.history[:8], truth.history[:8], rtol=1e-12)
            near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)  # noqa: E731
            jax.tree.map(near, (ours.posterior, ours.stats), (truth.posterior, truth.stats))


def test_large_fits_use_threads_and_are_the_same(monkeypatch):
    """The very same with one core, which does all parts; where the rows are few, they do not."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60_000, 4)) + 3 * rng.integers(4, size=60_000)[:, None]
    calls = []
    monkeypatch.setattr(restarts, "run_in_threads", lambda *given, **named: calls.append(1) or run_in_threads(*given, **named))
    model = bg.GaussianMixture(n_components=4, n_init=1, random_state=0)
    with jax.default_matmul_precision("float32"):
        assert not parallel.possible()
    for used, many, some in ((True, 2, x), (True, 1, x), (False, 2, x[:1000])):
        monkeypatch.setattr(parallel, "cores", lambda many=many: many)
        monkeypatch.setattr(threads, "WORTH", 2**20)
        calls.clear()
        model.fit(some)
        assert bool(calls) == used
        if many == 2 and used:
            known = model.lower_bound_, model.means_
        elif len(some) == len(x):
            assert model.lower_bound_ == known[0]
            np.testing.assert_array_equal(model.means_, known[1])
