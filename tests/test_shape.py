"""Whether components look like clusters: the test of their shape, overlap, few rows, and what the verdict says of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

import bayesgmm as bg
from bayesgmm.analysis import shape
from bayesgmm.analysis.point import Point, draw, responsibilities, whitened
from bayesgmm.analysis.shape import Overlap, Shape, Tiny
from bayesgmm.report.shape import sentences

TWO = Point(np.array([0.6, 0.4]), np.array([[0.0, 0.0], [7.0, 1.0]]), np.array([np.eye(2), [[2.0, 0.9], [0.9, 0.7]]]))


def rows(noise, labels):
    """Noise (N, 2) in the places and shapes of the two components."""
    roots = np.linalg.cholesky(TWO.covariances)
    return TWO.means[labels] + np.einsum("nij,nj->ni", roots[labels], noise)


def drawn(seed, n=300, noise=None):
    rng = np.random.default_rng(seed)
    labels = rng.choice(2, n, p=TWO.weights)
    given = rng.standard_normal((n, 2))
    return rows(given if noise is None else noise(rng, given, labels), labels)


def p_values(x, **options):
    return shape.shape_test(TWO, x, np.ones(len(x)), **options)


def test_statistics_are_mardias_of_a_single_component():
    """Kurtosis as in the text-book formula, and skewness from the same whitened rows; both free of units."""
    rng = np.random.default_rng(0)
    x = rng.standard_exponential((50, 3)) @ rng.normal(size=(3, 3))
    one = Point(np.ones(1), np.zeros((1, 3)), 4 * np.eye(3)[None])
    centred = x - x.mean(0)
    inverse = np.linalg.inv(centred.T @ centred / 50)
    products = centred @ inverse @ centred.T
    q = np.diag(products)
    found, counts = shape.moments(one, x[None], np.ones((1, 50)))
    np.testing.assert_allclose(found[0, 0], [np.log((q**2).mean()), np.sqrt(q @ products @ q) / 50], rtol=1e-4)
    assert counts[0, 0] == pytest.approx(50)


def test_p_values_are_uniform_where_the_mixture_is_true():
    """Of 60 data sets drawn from the mixture; the p value is that of the least Gaussian component."""
    least = np.array([p_values(drawn(seed, 120), seed=seed)[0].min() for seed in range(60)])
    assert 0.3 < least.mean() < 0.7 and (least <= 0.05).sum() <= 8 and (least <= 0.5).sum() >= 18


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (lambda rng, z, k: z / np.where(k == 1, np.sqrt(rng.chisquare(3, len(z)) / 3), 1)[:, None], "heavy tails"),
        (lambda rng, z, k: np.where(k[:, None] == 1, rng.uniform(-1.7, 1.7, z.shape), z), "flat"),
        (lambda rng, z, k: np.where(k[:, None] == 1, 4 * rng.beta(1, 3, z.shape), z), "skewed"),
    ],
)
def test_the_component_that_is_not_gaussian_is_named(noise, said):
    found = [p_values(drawn(seed, 900, noise)) for seed in range(1, 4)]
    assert all(p[1] <= 0.01 for p, _ in found) and sum(deviation[1] == said for _, deviation in found) >= 2
    assert said == "heavy tails" or all(p[0] > 0.01 for p, _ in found)  # outliers reach the other component too


def test_a_bent_component_is_skewed():
    bend = lambda rng, z, k: np.column_stack([z[:, 0], 0.3 * z[:, 1] + 0.7 * (z[:, 0] ** 2 - 1)])  # noqa: E731
    p, deviation = p_values(drawn(0, 600, bend))
    assert (p <= 0.01).all() and set(deviation) <= {"skewed", "heavy tails"}


def test_units_and_weights():
    """The same answer in other units; rows of weight zero count for nothing."""
    x = drawn(0)
    turn = np.array([[1e3, 0], [30, 1e-2]])
    moved = Point(TWO.weights, TWO.means @ turn.T + 5, turn @ TWO.covariances @ turn.T)
    a, b = (shape.moments(point, rows[None], np.ones((1, 300)))[0] for point, rows in ((TWO, x), (moved, x @ turn.T + 5)))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    np.testing.assert_allclose(shape.shape_test(moved, x @ turn.T + 5, np.ones(300))[0], p_values(x)[0], atol=0.03)
    weight = np.arange(300) % 3.0
    some = weight > 0
    a, b = shape.moments(TWO, x[None], weight[None])[0], shape.moments(TWO, x[None, some], weight[None, some])[0]
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_components_with_few_rows_are_not_tested(monkeypatch):
    x = np.concatenate([drawn(0)[drawn(0)[:, 0] < 4], TWO.means[1] + np.random.default_rng(0).normal(size=(8, 2))])
    p, _ = p_values(x)
    assert np.isnan(p[1]) and p[0] > 0.01
    monkeypatch.setattr(shape, "MOST_NUMBERS", 1.0)
    assert np.isfinite(p_values(drawn(0, 5000))[0]).all()


def test_a_component_without_volume_is_not_tested():
    flat = Point(TWO.weights, TWO.means, np.zeros((2, 2, 2)))
    found = shape.assess(flat, drawn(0), np.ones(300), np.tile([0.98, 0.02], (300, 1)), 5)
    assert np.isnan(found.p_value).all() and not len(found.not_gaussian) and found.tiny == (Tiny(1, 0.0, 5),)


def test_draws_follow_the_mixture():
    x = draw(TWO, 20, 1000, np.random.default_rng(0))
    assert x.shape == (20, 1000, 2)
    np.testing.assert_allclose(x.mean((0, 1)), TWO.weights @ TWO.means, atol=0.08)
    inner, scores = whitened(TWO, x.reshape(-1, 2))
    resp = responsibilities(scores)
    assert (resp.argmax(1).reshape(20, 1000) == 0).mean(1) == pytest.approx(0.6, abs=0.06)
    q = (inner[0][resp[:, 0] > 0.5] ** 2).sum(1)
    np.testing.assert_allclose(np.quantile(q, [0.5, 0.9]), chi2.ppf([0.5, 0.9], 2), rtol=0.03)


def test_overlap_names_the_worse_direction():
    resp = np.array([[0.9, 0.1, 0]] * 50 + [[0.4, 0.6, 0]] * 10 + [[0, 0, 1]] * 40)
    (pair,) = shape.overlapping(resp, np.ones(100))
    assert (pair.of, pair.into) == (1, 0) and pair.probability == pytest.approx(5 / 11)


def test_sentences():
    quiet = Shape(np.array([0.3, np.nan]), np.array(["flat", "flat"]), (), ())
    assert sentences(quiet) == []
    found = Shape(np.array([0.005, 0.4]), np.array(["heavy tails", "flat"]), (Overlap(1, 0, 0.123),), (Tiny(1, 4.0, 5),))
    (said,) = sentences(found)
    assert said.startswith(
        "Component 1 (heavy tails, p = 0.005) does not look Gaussian. Components overlap: 12% of the rows of 2 would be put"
    )
    assert "Fewer rows than the 5 parameters of a component: 2 has 4." in said and said.endswith("joins those that belong together.")
    every = Shape(np.full(6, 0.005), np.full(6, "skewed"), (), ())
    assert "4 (skewed, p = 0.005) and 2 more do not look Gaussian" in sentences(every)[0]
    assert "bg.combine" not in sentences(Shape(np.array([0.005]), np.array(["flat"]), (), ()))[0]


def test_the_verdict_tells_and_keeps_silent():
    """Two Gaussian groups, and the same with one of them even in a square."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(272, 2)) + np.repeat([[0, 0], [12, 0]], 136, 0)
    found = bg.select(x, [2], "full", verbose=False)
    assert not found.shape.overlaps and not len(found.shape.not_gaussian) and "bg.combine" not in found.verdict
    x[136:] = rng.uniform(-2, 2, (136, 2)) + [12, 0]
    square = bg.select(x, [2], "full", verbose=False)
    assert square.shape.not_gaussian.tolist() == [int(square.best.predict([[12, 0]])[0])]
    assert "(flat, p = 0.0" in square.verdict and "bg.combine(selection.best, X)" in square.verdict
