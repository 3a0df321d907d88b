"""Pictures of uncertainty show the numbers that the answer holds."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.plots import plot_credible_ball, plot_intervals, plot_memberships, plot_similarity
from bayesgmm.plots import uncertainty as module

NAMES = ["eruption length (min)", "waiting time (min)"]
X = bg.load_dataset("faithful").x


@pytest.fixture(scope="module")
def model():
    options = {"weight_concentration_prior_type": "dirichlet_distribution", "prune": False}
    frame = pd.DataFrame(X, columns=NAMES)
    return bg.BayesianGaussianMixture(n_components=3, covariance_type="tied", random_state=0, **options).fit(frame)


@pytest.fixture(scope="module")
def sure(model):
    return model.uncertainty(pd.DataFrame(X, columns=NAMES), n_draws=100)


@pytest.fixture(scope="module")
def field(model):
    return model.uncertainty(pd.DataFrame(X, columns=NAMES), "mean_field", n_draws=100)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("quantity, column, j", [("means", None, 0), ("means", NAMES[1], 1), ("weights", None, None)])
def test_intervals_are_drawn_as_they_are(sure, field, quantity, column, j):
    ax = plot_intervals(sure, quantity, 0.8, {"mean field": field}, column)
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert len(lines) == 2 * 3
    for i, each in enumerate((sure, field)):
        found = each.intervals(0.8)[quantity]
        for k in range(3):
            at = k if j is None else (k, j)
            line = lines[3 * i + k]
            np.testing.assert_array_equal(line.get_xdata(), [found.lower[at], found.mean[at], found.upper[at]])
            assert abs(line.get_ydata()[0] - k) < 0.5 and line.get_markevery() == [1]
    assert texts(ax) == ["linear response", "mean field"] and ax.get_legend().get_title().get_text() == "mean and 80% interval"
    assert ax.get_xlabel() == ("weight" if j is None else f"mean of {NAMES[j]}")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["component 1", "component 2", "component 3"]
    assert len({line.get_color() for line in lines}) == 3 and len({line.get_marker() for line in lines}) == 2


def test_one_spread_for_all_components_is_drawn_once(sure):
    given = plt.subplots()[1]
    ax = plot_intervals(sure, "standard_deviations", column=1, ax=given)
    found = sure.intervals()["standard_deviations"]
    assert ax is given and [label.get_text() for label in ax.get_yticklabels()] == ["all components"]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [found.lower[0, 1], found.mean[0, 1], found.upper[0, 1]])


def test_the_least_certain_rows_stand_on_top(sure):
    ax = plot_memberships(sure, prob=0.8, n_rows=12)
    found = sure.memberships(0.8)
    rows = np.argsort(found.mean.max(1), kind="stable")[:12]
    assert [label.get_text() for label in ax.get_yticklabels()] == [str(row) for row in rows] and ax.yaxis_inverted()
    points = {int(y): x for line in ax.lines for x, y in zip(*line.get_data(), strict=True)}
    np.testing.assert_array_equal([points[y] for y in range(12)], found.mean.max(1)[rows])
    spans = {int(span[0, 1]): span[:, 0] for lines in ax.collections for span in lines.get_segments()}
    best = found.mean.argmax(1)[rows]
    np.testing.assert_array_equal([spans[y] for y in range(12)], np.stack([found.lower[rows, best], found.upper[rows, best]], 1))
    assert texts(ax) == [f"component {k + 1}" for k in np.unique(best)]
    assert len(plot_memberships(sure, n_rows=1000).get_yticks()) == len(X)


def test_similar_rows_stand_together(sure):
    ax = plot_similarity(sure)
    drawn, labels = np.asarray(ax.images[0].get_array()), sure.partition().labels
    sizes = np.bincount(labels)
    sure_of = np.array([sure.similarity[i, labels == k].mean() for i, k in enumerate(labels)])
    order = np.concatenate([np.flatnonzero(labels == k)[np.argsort(-sure_of[labels == k], kind="stable")] for k in range(len(sizes))])
    np.testing.assert_array_equal(drawn, sure.similarity[np.ix_(order, order)])
    assert [line.get_ydata()[0] for line in ax.lines[::2]] == list(np.cumsum(sizes)[:-1] - 0.5)
    assert ax.get_xlabel() == "rows by cluster, surest first" and ax.figure.axes[1].get_ylabel() == "probability of one cluster"


def test_of_many_rows_some_are_shown(sure, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    ax = plot_similarity(sure)
    assert ax.images[0].get_array().shape == (50, 50) and "50 of 272, evenly spread" in ax.get_xlabel()
    assert np.diag(ax.images[0].get_array()).min() == 1


def test_rows_placed_otherwise_have_a_ring(sure):
    axes, ball, centre = plot_credible_ball(sure, loss="binder"), sure.credible_ball(loss="binder"), sure.partition("binder")
    different = {getattr(ball, name)[0].tobytes() for name in ("upper", "lower", "horizontal")}
    assert len(axes) == 1 + len(different) and f"{centre.n_clusters} clusters" in axes[0].get_title()
    assert len(axes[0].collections) == centre.n_clusters and axes[0].get_ylabel() == NAMES[1]
    assert "horizontal bound" in axes[-1].get_title() and f"{100 * ball.radius:.2g}% of pairs differ" in axes[-1].get_title()
    ringed = np.asarray(axes[-1].collections[-1].get_offsets())
    matched = module._matched(centre.labels, ball.horizontal[0])
    np.testing.assert_array_equal(ringed, X[matched != centre.labels])
    assert texts(axes[-1])[-1] == f"placed otherwise: {len(ringed)}"


def test_clusters_are_matched_before_they_are_compared():
    centre = np.array([0, 0, 0, 1, 1, 2])
    np.testing.assert_array_equal(module._matched(centre, np.array([1, 1, 1, 2, 2, 0])), centre)
    np.testing.assert_array_equal(module._matched(centre, np.array([0, 0, 1, 2, 2, 3])), [0, 0, 3, 1, 1, 2])
    np.testing.assert_array_equal(module._matched(centre, np.array([0, 0, 0, 0, 0, 1])), [0, 0, 0, 0, 0, 2])


def test_other_axes_and_other_data(sure):
    given = plt.subplots(2, 2)[1]
    axes = plot_credible_ball(sure, np.c_[X, np.arange(len(X))], columns=(2, 0), axes=given)
    assert [ax.get_xlabel() for ax in axes] == ["x2"] * len(axes) and all(ax is other for ax, other in zip(axes, given.flat, strict=False))
    assert [ax.get_visible() for ax in given.flat] == [i < len(axes) for i in range(4)]
    one = plot_credible_ball(sure, X[:, :1])
    assert one[0].get_xlabel() == "x0" and one[0].get_ylabel() == "row, counted from 0"


WRONG = [
    (plot_intervals, {"quantity": "mean"}, "quantity must be one of 'weights', 'means', 'standard_deviations'; got 'mean'"),
    (plot_intervals, {"prob": 94}, "prob must be"),
    (plot_intervals, {"column": 2}, "column must be a whole number"),
    (plot_intervals, {"column": "waiting"}, "column must be one of 'eruption length"),
    (plot_intervals, {"quantity": "weights", "column": 0}, "weights have none"),
    (plot_intervals, {"others": ["gibbs"]}, "others must be a dictionary"),
    (plot_memberships, {"n_rows": 0}, "n_rows must be a whole number"),
    (plot_memberships, {"prob": 1.5}, "prob must be"),
    (plot_credible_ball, {"loss": "rand"}, "loss must be one of 'vi', 'binder'"),
    (plot_credible_ball, {"prob": 0}, "prob must be"),
    (plot_credible_ball, {"columns": 0}, "columns must be a pair"),
    (plot_credible_ball, {"columns": (0, 2)}, "columns must be a whole number"),
    (plot_credible_ball, {"X": X[:5]}, "X must have the 272 rows"),
    (plot_credible_ball, {"axes": []}, "axes must be four Axes"),
]


@pytest.mark.parametrize("function, options, message", WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_a_wrong_option_is_named(sure, function, options, message):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match=message):
        function(sure, **options)
    assert plt.get_fignums() == before


def test_others_must_have_the_same_components(sure):
    two = dataclasses.replace(sure, draws={name: values[:, :2] for name, values in sure.draws.items()})
    with pytest.raises(ValueError, match="components and columns of uncertainty, 3 and 2; 'two' has 2 and 2"):
        plot_intervals(sure, others={"two": two})
