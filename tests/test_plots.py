"""Pictures of fits show the numbers that the models hold."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Ellipse

import bayesgmm as bg
from bayesgmm.analysis.contours import content_levels
from bayesgmm.plots import (
    plot_beside_kmeans,
    plot_bound,
    plot_components,
    plot_criteria,
    plot_density,
    plot_doubt,
    plot_ellipses,
    plot_pairs,
    plot_responsibilities,
    plot_weights,
)

IRIS = bg.load_dataset("iris")
FRAME = pd.DataFrame(IRIS.x, columns=["sepal length", "sepal width", "petal length", "petal width"])


@pytest.fixture(scope="module")
def model():
    return bg.GaussianMixture(3, random_state=0, n_init=3).fit(FRAME)


@pytest.fixture(scope="module")
def pruned():
    return bg.BayesianGaussianMixture(n_components=6, random_state=0, n_init=2).fit(bg.load_dataset("faithful"))


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 8, rng.uniform(-15, 25, (20, 2))])
    return bg.GaussianMixture(2, noise="box", n_init=2, random_state=0).fit(x), x


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_levels_hold_the_shares_of_a_gaussian():
    """A share p of two standard normal columns lies within the radius sqrt(-2 log(1 - p))."""
    grid = np.linspace(-6, 6, 801)
    logs = -(grid[:, None] ** 2 + grid**2) / 2 - np.log(2 * np.pi)
    shares = (0.5, 0.8, 0.95)
    np.testing.assert_allclose(content_levels(logs, shares), np.log1p(-np.array(shares)) - np.log(2 * np.pi), atol=2e-3)


def test_a_density_of_one_column_is_that_of_the_marginal(model):
    ax = plot_density(model, FRAME, "petal width")
    curve = ax.lines[0]
    expected = np.exp(model.marginal("petal width").log_density(curve.get_xdata()[:, None]))
    np.testing.assert_allclose(curve.get_ydata(), expected)
    assert ax.get_xlabel() == "petal width" and ax.get_ylabel() == "density"
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(1, abs=0.01)


def test_contours_hold_their_shares_of_draws(model):
    shares = (0.5, 0.9)
    ax = plot_density(model, columns=(2, 3), shares=shares)
    (contours,) = (each for each in ax.collections if hasattr(each, "levels"))
    assert legend(ax) == ["50% of the probability", "90% of the probability"]
    drawn = model.marginal([2, 3]).log_density(model.marginal([2, 3]).sample(20_000))
    for level, share in zip(contours.levels, shares[::-1], strict=True):
        assert np.mean(drawn > level) == pytest.approx(share, abs=0.02)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("petal length", "petal width")


def test_pairs_have_every_column_and_every_component(model):
    panels = plot_pairs(model, FRAME, ["petal width", 0, 2])
    assert panels.shape == (3, 3)
    assert [ax.get_xlabel() for ax in panels[2]] == ["petal width", "sepal length", "petal length"]
    ellipses = [each for each in panels[2, 0].patches if isinstance(each, Ellipse)]
    np.testing.assert_allclose([each.center for each in ellipses], model.means_[:, [3, 2]])
    for each, covariance in zip(ellipses, model.covariances_, strict=True):
        spread = np.sqrt(np.linalg.eigvalsh(covariance[np.ix_([3, 2], [3, 2])]))
        np.testing.assert_allclose([each.width / 4, each.height / 4], spread[::-1])
    assert not panels[0, 2].axison


def test_responsibilities_are_stacked_to_one(model):
    ax = plot_responsibilities(model, FRAME)
    tops = np.array([patch.get_data().values for patch in ax.patches])
    np.testing.assert_allclose(tops[-1], 1)
    resp = model.predict_proba(FRAME)
    np.testing.assert_allclose(np.sort(tops[0]), np.sort(resp[:, 0]))
    assert legend(ax) == ["component 1", "component 2", "component 3"]
    heat = plot_responsibilities(model, FRAME, "heat map").images[0].get_array()
    np.testing.assert_allclose(np.sort(heat[0]), np.sort(resp[:, 0]))


def test_a_triangle_has_sure_rows_in_its_corners(model, pruned):
    ax = plot_responsibilities(model, FRAME, "ternary")
    for k, corner in enumerate([(0, 0), (1, 0), (0.5, np.sqrt(0.75))]):
        places = np.array(ax.lines[1 + k].get_xydata())
        assert len(places) == (model.labels_ == k).sum()
        nearest = np.linalg.norm(places - corner, axis=1).min()
        assert nearest == pytest.approx((1 - model.predict_proba(FRAME)[:, k].max()), abs=1e-6)
    with pytest.raises(ValueError, match="for three components; the model has 2"):
        plot_responsibilities(pruned, bg.load_dataset("faithful").x, "ternary")
    with pytest.raises(ValueError, match="kind must be one of"):
        plot_responsibilities(model, FRAME, "pie")


def test_doubtful_rows_are_larger(model):
    ax = plot_doubt(model, FRAME, (2, 3))
    sizes = np.concatenate([each.get_sizes() for each in ax.collections])
    places = np.concatenate([each.get_offsets() for each in ax.collections])
    assert len(sizes) == 150
    largest = places[sizes.argmax()]
    row = model.predict_proba(FRAME).max(1).argmin()
    np.testing.assert_allclose(largest, IRIS.x[row, 2:])


def test_weights_and_what_was_removed(pruned):
    x = bg.load_dataset("faithful").x
    sure = pruned.uncertainty(x, "mean_field", n_draws=200)
    ax = plot_weights(pruned, sure)
    assert pruned.n_components_ == 2
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches[:2]], pruned.weights_)
    assert "4 of 6 removed" in [text.get_text() for text in ax.texts]


def test_the_bound_falls_only_where_components_leave(pruned):
    ax = plot_bound(pruned)
    bounds = np.array(pruned.lower_bounds_)
    left = ax.lines[0].get_ydata()
    expected = bounds.max() - bounds
    np.testing.assert_allclose(left, expected[expected > 1e-13 * abs(bounds.max())])
    assert "evidence lower bound" in ax.get_ylabel()
    assert f"{bounds.max():.2f}" in ax.get_title()


def test_k_means_is_beside_the_mixture(pruned):
    x = bg.load_dataset("faithful").x
    left, right = plot_beside_kmeans(pruned, x)
    labels = bg.KMeans(n_clusters=2, random_state=0).fit(x / x.std(0)).labels_
    moved = min((labels != pruned.labels_).sum(), (labels == pruned.labels_).sum())
    assert left.get_title() == f"k-means: {moved} of 272 rows elsewhere" and right.get_title() == "mixture"
    crosses = sum(len(line.get_xdata()) for line in left.lines if line.get_marker() == "x")
    assert crosses == moved


def test_noise_is_in_every_picture(noisy):
    model, x = noisy
    assert legend(plot_responsibilities(model, x))[-1] == "noise"
    assert legend(plot_doubt(model, x))[-1] == "noise"
    assert [label.get_text() for label in plot_weights(model).get_xticklabels()][-1] == "noise"
    assert any("noise" in text for text in legend(model.plot(x)))
    assert not plot_pairs(model, x)[0, 0].lines, "the density of one column is that of Gaussians"
    with pytest.raises(ValueError, match="models with noise"):
        plot_density(model, x)


def test_the_view_suits_the_number_of_columns(model, pruned):
    assert pruned.plot(bg.load_dataset("faithful").x).get_xlabel() == "eruptions"
    assert model.plot(FRAME).shape == (4, 4)
    assert model.plot(FRAME, ["petal width", "petal length"]).get_xlabel() == "petal width"
    assert model.plot(FRAME, "petal width").get_ylabel() == "density"
    x = np.concatenate([IRIS.x, IRIS.x + np.random.default_rng(0).normal(size=IRIS.x.shape)], 1)
    wide = bg.GaussianMixture(2, covariance_type="diag", n_init=1, random_state=0).fit(x)
    assert "direction 1" in wide.plot(x).get_xlabel()
    with pytest.raises(ValueError, match="column"):
        model.plot(FRAME, ["petals"])


@pytest.mark.parametrize(("options", "said"), [({"columns": (0, 1, 2)}, "one or two; got 3"), ({"shares": (0.5, 1.0)}, "between 0 and 1")])
def test_mistakes_of_densities(model, options, said):
    with pytest.raises(ValueError, match=said):
        plot_density(model, FRAME, **options)


def test_names_are_labels_and_no_formulas():
    """A dollar sign is one, a long name is cut, and columns may be given by name."""
    names = ["cost in $\\bad{$", "n" * 300]
    x = pd.DataFrame(bg.load_dataset("faithful").x, columns=names)
    model = bg.GaussianMixture(2, covariance_type="spherical", n_init=1, random_state=0).fit(x)
    ax = plot_components(model, x, names)
    ax.figure.canvas.draw()
    assert ax.get_xlabel() == r"cost in \$\bad{\$" and ax.get_ylabel() == "n" * 37 + "..."
    with pytest.raises(ValueError, match="column"):
        plot_components(model, x, (0, 7))


def test_the_wrong_thing_is_named():
    model = bg.GaussianMixture(2)
    with pytest.raises(ValueError, match=r"uncertainty must be what model.uncertainty\(X\) returns; got GaussianMixture"):
        plot_ellipses(model)
    with pytest.raises(ValueError, match=r"selection must be what bg\.select returns; got GaussianMixture"):
        plot_criteria(model)
