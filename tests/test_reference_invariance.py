"""What must not change an answer does not: units, origin, order and repetition of rows, chunks, precision, seeds."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

import bayesgmm as bg

KINDS = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
MODELS = {
    "ml": functools.partial(bg.GaussianMixture, n_components=3, n_init=2, random_state=0),
    "vb": functools.partial(bg.BayesianGaussianMixture, n_components=5, n_init=2, random_state=0),
}
KEPT = {"vb": ("full", "tied_spherical"), "ml": ("tied", "diag")}
"""Free and tied structures of every rank; the other combinations are slow cases."""


def marked(model: str, kind: str, *more):
    return pytest.param(model, kind, *more, marks=() if kind in KEPT[model] else pytest.mark.slow)


COMBINATIONS = [marked(model, kind) for kind in KINDS for model in MODELS]
combinations = pytest.mark.parametrize(("model", "kind"), COMBINATIONS)
N_ROWS, N_DISTINCT = 120, 60


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    """Compiled programs of many shapes hold memory maps, of which a process may have only so many: let them go."""
    yield
    fitted.cache_clear()
    jax.clear_caches()


def clusters(n: int = N_ROWS, seed: int = 0) -> np.ndarray:
    """Rows (n, 3) around three centres, of which two overlap a little."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0, 0.0], [3.5, 1.0, 0.0], [0.0, 6.0, -4.0]])
    label = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return centres[label] + rng.normal(size=(n, 3)) * np.array([1.0, 0.8, 1.3])[label][:, None]


@functools.cache
def fitted(model: str, kind: str):
    return MODELS[model](covariance_type=kind).fit(clusters())


def assert_same(one, other, rtol: float):
    """Equal bounds, labels and parameters; each parameter relative to the largest of its kind."""
    np.testing.assert_allclose(one.lower_bound_, other.lower_bound_, rtol=rtol)
    assert one.n_components_ == other.n_components_
    for name in ("weights_", "means_", "covariances_"):
        ours, theirs = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max(), err_msg=name)


SIGNS = [marked(model, kind, 1 - 2 * (i % 2)) for i, kind in enumerate(KINDS) for model in MODELS]
SIGNS += [pytest.param(model, kind, 2 * (i % 2) - 1, marks=pytest.mark.slow) for i, kind in enumerate(KINDS) for model in MODELS]


@pytest.mark.parametrize(("model", "kind", "sign"), SIGNS)
def test_units_and_origin(model, kind, sign):
    """Columns multiplied by 1e-6..1e6 (spherical: all by one) and moved by a million standard deviations."""
    x = clusters()
    factor = np.full(3, 10.0 ** (6 * sign)) if "spherical" in kind else 10.0 ** (sign * np.array([-6, 0.5, 6]))
    moved = x * factor + 1e6 * factor * x.std(0) * [1, -1, 1]
    plain, other = fitted(model, kind), MODELS[model](covariance_type=kind).fit(moved)
    np.testing.assert_array_equal(plain.labels_, other.labels_)
    expected = plain.lower_bound_ - len(x) * np.log(factor).sum()
    np.testing.assert_allclose(other.lower_bound_, expected, rtol=1e-8)
    np.testing.assert_allclose(other.weights_, plain.weights_, rtol=1e-8)


@combinations
def test_weights_are_repeated_rows(model, kind):
    """Weights 1, 2, 3 or as many copies in any order: the same fit; rows of weight 0 might as well not be there."""
    x = clusters(N_DISTINCT, seed=1)
    weight = np.resize([1, 2, 3], N_DISTINCT)
    assert weight.sum() == N_ROWS
    copies = np.random.default_rng(2).permutation(np.repeat(np.arange(N_DISTINCT), weight))
    weighted = MODELS[model](covariance_type=kind).fit(x, sample_weight=weight)
    repeated = MODELS[model](covariance_type=kind).fit(x[copies])
    assert_same(weighted, repeated, 1e-9)
    np.testing.assert_array_equal(weighted.labels_[copies], repeated.labels_)
    np.testing.assert_allclose(weighted.bic(x, sample_weight=weight), repeated.bic(x[copies]), rtol=1e-9)
    padded, zeros = np.concatenate([x, x[::-1] + 50]), np.concatenate([weight, np.zeros(N_DISTINCT)])
    order = np.random.default_rng(3).permutation(len(padded))
    assert_same(MODELS[model](covariance_type=kind).fit(padded[order], sample_weight=zeros[order]), weighted, 1e-9)


@combinations
def test_order_of_rows_and_same_seed(model, kind):
    x = clusters()
    order = np.random.default_rng(4).permutation(len(x))
    plain = fitted(model, kind)
    shuffled = MODELS[model](covariance_type=kind).fit(x[order])
    assert_same(shuffled, plain, 1e-9)
    np.testing.assert_array_equal(shuffled.labels_, plain.labels_[order])
    again = MODELS[model](covariance_type=kind).fit(x)
    for name in ("weights_", "means_", "covariances_", "lower_bound_", "lower_bounds_", "labels_"):
        assert np.array_equal(getattr(again, name), getattr(plain, name)), name


@pytest.mark.parametrize(("model", "kind"), [("ml", "full"), ("vb", "tied_diag")])
def test_chunks(model, kind):
    """Also a chunk that does not divide the rows."""
    chunked = MODELS[model](covariance_type=kind, chunk_size=50).fit(clusters())
    assert_same(chunked, fitted(model, kind), 1e-10)


@pytest.mark.parametrize(
    ("model", "kind"), [("vb", "full"), *(pytest.param(*kind, marks=pytest.mark.slow) for kind in (("ml", "full"), ("vb", "spherical")))]
)
def test_single_precision(model, kind):
    single = MODELS[model](covariance_type=kind, dtype="float32").fit(clusters())
    plain = fitted(model, kind)
    assert single.n_components_ == plain.n_components_
    np.testing.assert_allclose(single.lower_bound_, plain.lower_bound_, rtol=1e-4)


@pytest.mark.parametrize("n_init", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_two_components_on_old_faithful_whatever_the_seed(seed, n_init):
    x = bg.load_dataset("faithful").x
    model = bg.BayesianGaussianMixture(n_components=20, n_init=n_init, random_state=seed).fit(x)
    assert model.n_components_ == 2
    np.testing.assert_allclose(model.means_, [[4.29, 79.97], [2.04, 54.48]], rtol=0.01)
