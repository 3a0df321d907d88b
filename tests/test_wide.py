"""Very many columns: passes without products of columns, and triangular algebra by blocks, give what the usual ways give."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import naive_stats
from registry import cases, responsibilities, start

import bayesgmm as bg
from bayesgmm.core import linalg
from bayesgmm.inference import kernel
from bayesgmm.inference.compiling import forget

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(16, 4)) + 2, RNG.normal(size=(17, 4)) * np.arange(1, 5)])
WEIGHT = RNG.uniform(0.5, 2, len(X))
MODELS = {
    "likelihood": bg.GaussianMixture(2, n_init=1, random_state=0),
    "tied": bg.BayesianGaussianMixture(n_components=2, covariance_type="tied", n_init=1, moves=False, random_state=0),
    "tails": bg.GaussianMixture(2, student_t=5, n_init=1, random_state=0, prior="default"),
    "float32": bg.GaussianMixture(2, n_init=1, random_state=0, dtype="float32"),
}


@pytest.fixture
def four_are_many(monkeypatch):
    """As if a cache could not hold the products of four columns."""

    def begin():
        assert not kernel.wide(bg.Full(), 4)
        monkeypatch.setattr(kernel, "MOST_ENTRIES", 64)
        assert kernel.wide(bg.Full(), 4) and not kernel.wide(bg.Diagonal(), 4)
        forget()

    yield begin
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize("name", ["likelihood", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tied", "tails", "float32"))])
def test_the_fit_is_the_usual_one(name, four_are_many):
    model, digits = MODELS[name], 1e-4 if name == "float32" else 1e-9
    usual = model.fit(X, sample_weight=WEIGHT).lower_bound_, model.means_, model.covariances_, model.score_samples(X)
    four_are_many()
    model.fit(X, sample_weight=WEIGHT)
    for a, b in zip(usual, (model.lower_bound_, model.means_, model.covariances_, model.score_samples(X)), strict=True):
        np.testing.assert_allclose(b, a, rtol=digits, atol=digits)


@pytest.mark.parametrize("tied", [False, True])
def test_the_pass_is_that_of_loops(x64, tied, four_are_many):
    """Statistics of given responsibilities, of labels, and of a pass, in chunks that do not come out even."""
    four_are_many()
    (case,) = (c for c in cases(("vb",), ("conjugate",), ("asymmetric",)) if (c.structure, c.tied) == ("full", tied))
    given, labels = responsibilities(len(X), 3), np.arange(len(X)) % 3
    posterior = start(case.prior(3, 4), X, WEIGHT, given)
    resp = np.asarray(kernel.responsibilities(bg.Full(), posterior.natural())(jnp.asarray(X)))
    found = {
        "given": (kernel.from_responsibilities(bg.Full(), tied, X, given, WEIGHT, 8), given),
        "labels": (kernel.from_labels(bg.Full(), tied, X, labels, 3, WEIGHT, 8), np.eye(3)[labels]),
        "pass": (kernel.collect(posterior, jnp.asarray(X), jnp.asarray(WEIGHT), chunk_size=8), resp),
    }
    for stats, assigned in found.values():
        loops = naive_stats(X, assigned, WEIGHT)
        np.testing.assert_allclose(stats.counts, loops["counts"], rtol=1e-12)
        np.testing.assert_allclose(stats.sums, loops["sums"], rtol=1e-12, atol=1e-12)
        scatter = loops["full"].sum(0, keepdims=True) if tied else loops["full"]
        np.testing.assert_allclose(stats.scatter, scatter, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [129, 200, 256])
def test_factors_and_solutions_by_blocks(x64, size):
    """Backward stable: what they multiply to is off by rounding of the whole; the upper triangle is 0; NaN where there is no factor."""
    assert linalg.MANY < size and size % linalg.BLOCK in (0, 1, 8)
    rows = np.random.default_rng(size).normal(size=(2, size, size + 5))
    matrix = rows @ rows.transpose(0, 2, 1)
    factor = np.asarray(linalg._cholesky_by_columns(jnp.asarray(matrix)))
    np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), rtol=1e-9, atol=1e-12 * size)
    np.testing.assert_allclose(factor @ factor.transpose(0, 2, 1), matrix, rtol=0, atol=1e-14 * size * np.abs(matrix).max())
    assert not np.triu(factor, 1).any()
    right = np.random.default_rng(0).normal(size=(2, size, 3))
    found = np.asarray(linalg._solve_by_rows(jnp.asarray(factor), jnp.asarray(right)))
    np.testing.assert_allclose(factor @ found, right, rtol=0, atol=1e-11)
    matrix[1, size - 1, size - 1] = -1
    assert np.isnan(np.asarray(linalg._cholesky_by_columns(jnp.asarray(matrix)))[1, -1, -1])


def test_the_derivative_by_blocks(x64):
    """That of the log determinant is the inverse."""
    size = 130
    matrix = np.eye(size) + 0.5
    slope = jax.grad(lambda a: 2 * jnp.log(jnp.diagonal(linalg._cholesky_by_columns(a))).sum())(jnp.asarray(matrix))
    np.testing.assert_allclose((slope + slope.T) / 2, np.linalg.inv(matrix), rtol=1e-9, atol=1e-12)
