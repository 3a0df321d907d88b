"""The view in which components differ most: plain numpy, invariance, and the figure of MclustDR."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis.point import Point
from bayesgmm.analysis.projection import directions
from bayesgmm.plots import plot_projection

mpl.use("Agg")
MCLUST = json.loads((Path(__file__).parent / "reference" / "density.json").read_text())["projection"]
IRIS = bg.load_dataset("iris")
RNG = np.random.default_rng(0)
ROOTS = RNG.normal(size=(3, 4, 4)) + 2 * np.eye(4)
POINT = Point(np.array([0.5, 0.3, 0.2]), 3 * RNG.normal(size=(3, 4)), ROOTS @ np.swapaxes(ROOTS, 1, 2))
every_separation = pytest.mark.parametrize("separation", [0.0, 0.3, 0.5, 1.0])


def by_hand(point: Point, separation: float) -> np.ndarray:
    """All eigenvalues, from loops and a plain inverse."""
    weights, means, covariances = point
    centre = sum(w * m for w, m in zip(weights, means, strict=True))
    within = sum(w * c for w, c in zip(weights, covariances, strict=True))
    between = sum(w * np.outer(m - centre, m - centre) for w, m in zip(weights, means, strict=True))
    inverse = np.linalg.inv(within + between)
    shapes = sum(w * (c - within) @ inverse @ (c - within) for w, c in zip(weights, covariances, strict=True))
    matrix = 2 * separation * between @ inverse @ between + 2 * (1 - separation) * shapes
    return np.sort(np.linalg.eigvals(inverse @ matrix).real)[::-1]


@every_separation
def test_eigenvalues_by_hand(separation):
    values = directions(POINT, separation)[1]
    assert len(values) == (2 if separation == 1 else 4)
    np.testing.assert_allclose(values, by_hand(POINT, separation)[: len(values)], rtol=1e-9)


def test_mclusts_eigenvalues():
    point = Point(*(np.array(MCLUST[name]) for name in ("weights", "means", "covariances")))
    np.testing.assert_allclose(directions(point, 1.0)[1], MCLUST["eigenvalues"], rtol=5e-5)


@every_separation
def test_other_coordinates_show_the_same_view(separation):
    """Rows seen after any affine map are the rows seen before it, up to the sign of each direction."""
    shift, matrix = RNG.normal(size=4), RNG.normal(size=(4, 4)) + 4 * np.eye(4)
    moved = Point(POINT.weights, POINT.means @ matrix.T + shift, matrix @ POINT.covariances @ matrix.T)
    (a, values), (b, others) = directions(POINT, separation), directions(moved, separation)
    np.testing.assert_allclose(values, others, rtol=1e-8)
    x = RNG.normal(size=(20, 4))
    seen, again = x @ a, x @ matrix.T @ b
    np.testing.assert_allclose(np.abs(seen), np.abs(again), rtol=1e-6, atol=1e-8)


def test_rows_have_unit_variance_and_no_correlation():
    model = bg.GaussianMixture(3, n_init=2, random_state=0).fit(IRIS)
    found = model.projection(IRIS)
    np.testing.assert_allclose(np.cov(found.rows.T, bias=True), np.eye(found.rows.shape[1]), atol=1e-6)
    np.testing.assert_allclose(found.rows, (IRIS.x - IRIS.x.mean(0)) @ found.directions, atol=1e-6)
    np.testing.assert_array_equal(found.labels, model.predict(IRIS))
    assert found.share.sum() == pytest.approx(1) and (np.diff(found.eigenvalues) <= 0).all()
    related = [[np.corrcoef(x, y)[0, 1] for y in found.rows.T] for x in IRIS.x.T]
    np.testing.assert_allclose(found.correlations, related, atol=1e-6)
    along = [np.cov(found.rows[:, :2].T, aweights=r, bias=True) for r in model.predict_proba(IRIS).T]
    np.testing.assert_allclose(found.covariances[:, :2, :2], along, atol=1e-5)


def test_the_means_of_tied_components_lie_on_discriminant_directions():
    """Tied covariances: the view is that of linear discriminant analysis of the components, whatever ``separation``."""
    tied = POINT._replace(covariances=np.repeat(POINT.covariances[:1], 3, 0))
    one, two = directions(tied, 1.0)[0], directions(tied, 0.4)[0]
    np.testing.assert_allclose(one, two, rtol=1e-7, atol=1e-9)
    centre = tied.weights @ tied.means
    between = np.einsum("k,ki,kj->ij", tied.weights, tied.means - centre, tied.means - centre)
    values, vectors = np.linalg.eig(np.linalg.solve(tied.covariances[0], between))
    fisher = vectors.real[:, np.argsort(-values.real)[:2]]
    for ours, theirs in zip(one.T, fisher.T, strict=True):
        assert abs(ours @ theirs) / np.linalg.norm(ours) / np.linalg.norm(theirs) == pytest.approx(1, abs=1e-9)


def test_the_plot():
    model = bg.GaussianMixture(3, n_init=2, random_state=0).fit(IRIS)
    ax = plot_projection(model.projection(IRIS))
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(ax.patches) == 3 and [w.split(":")[0] for w in words] == ["component 1", "component 2", "component 3"]
    assert ax.get_xlabel().startswith("direction 1 (") and "petal" in ax.get_xlabel()
    tied = bg.GaussianMixture(2, covariance_type="tied", n_init=2, random_state=0).fit(IRIS)
    line = tied.projection(IRIS).plot()
    assert line.get_ylabel() == "density" and len(line.lines) == 2


def test_misuse_is_told():
    one = bg.GaussianMixture(1, n_init=1, init_params=np.zeros(150, int)).fit(IRIS)
    with pytest.raises(ValueError, match=r"The components of this model \(1 in all\) do not differ"):
        one.projection(IRIS)
    tied = bg.GaussianMixture(2, covariance_type="tied", n_init=1, random_state=0).fit(IRIS)
    with pytest.raises(ValueError, match="The covariances of this model"):
        tied.projection(IRIS, separation=0)
    with pytest.raises(ValueError, match="separation must be"):
        tied.projection(IRIS, separation=2)
    with pytest.raises(ValueError, match="NaN"):
        tied.projection(np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match="not fitted yet"):
        bg.GaussianMixture().projection(IRIS)
