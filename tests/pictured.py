"""Fixed inputs of all public plot functions, and their pictures without the text that depends on fonts."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np

import bayesgmm as bg
from bayesgmm import plots
from bayesgmm.analysis.point import Point
from bayesgmm.analysis.selection import Table
from bayesgmm.estimators import Trace
from bayesgmm.estimators.selection import Selection

POOL = 6
"""Pixels, of 100 to the inch, along each side of the squares whose mean colours are kept."""

SHIFTS = [(0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)]
"""Pixels by which releases of matplotlib may put something elsewhere."""

CENTRES = np.array([[0.0, 0.0, 0.0], [3.0, 0.5, 1.0], [1.5, 3.5, -1.0]])


def _rows(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Three groups in three columns, from a formula: (n, 3) rows and their groups."""
    i = np.arange(n)
    angle, radius = 2.399963 * i, np.sqrt((i // 3 + 0.5) / (n / 3)) * 1.7
    spread = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), 0.8 * np.sin(7.1 * i)])
    return CENTRES[i % 3] + spread * np.array([0.9, 0.8, 1.0]), i % 3


X, GROUP = _rows()
NOISY = np.concatenate([X[:, :2], [[-4.0, 5.0], [6.0, -3.0], [-4.5, -3.5]]])


@functools.cache
def model() -> Any:
    """Three components kept of four."""
    law = {"weight_concentration_prior_type": "dirichlet_distribution", "weight_concentration_prior": 0.01}
    return bg.BayesianGaussianMixture(n_components=4, init_params=GROUP, moves=False, **law).fit(X)


@functools.cache
def noisy() -> Any:
    return bg.GaussianMixture(3, init_params=np.append(GROUP, [-1, -1, -1]), noise="box").fit(NOISY)


@functools.cache
def one_column() -> Any:
    return bg.GaussianMixture(2, init_params=(X[:, 1] > 1.8).astype(int)).fit(X[:, 1:2])


@functools.cache
def uncertainty() -> Any:
    """Draws of the fit, each made from a formula: places and spreads swing about those of the fit."""
    import dataclasses

    found = model().uncertainty(X, "mean_field", n_draws=60)
    swing = np.sin(np.outer(np.arange(60), [1.3, 2.1, 2.9]))
    weights = model().weights_ * (1 + 0.15 * swing)
    means = model().means_ + 0.2 * np.stack([swing, np.roll(swing, 1, 1), np.roll(swing, 2, 0)], -1)
    covariances = model().covariances_ * (1 + 0.3 * np.roll(swing, 5, 0))[:, :, None, None]
    labels = np.where((np.arange(60)[:, None] * 7 + np.arange(90)) % 29 == 0, (GROUP + 1) % 3, GROUP)
    parts = {"weights": weights / weights.sum(1, keepdims=True), "means": means, "covariances": covariances}
    return dataclasses.replace(found, draws=parts, _labels=labels)


@functools.cache
def selection() -> Selection:
    """A table as of a search over five numbers of components and two structures."""
    k = np.tile(np.arange(1, 6), 2)
    full = np.repeat([False, True], 5)
    peak = -300.0 - 6 * np.abs(k - np.where(full, 3, 4)) ** 1.5 - 4 * ~full
    nothing = np.full(10, np.nan)
    power = np.exp(peak - peak.max())
    table = Table(covariance_type=np.where(full, "full", "tied").astype(object), n_components=k, prior=np.full(10, "hierarchical", object))
    table.update({"evidence": peak, "elbo": peak - 1.5 * k, "icl_exact": peak - 8 * np.abs(k - 2), "probability": power / power.sum()})
    table.update({"bic": -2 * peak + 9 * k, "icl": -2 * peak + 20 * k, "aic": -2 * peak - 15 * k, "nec": np.abs(k - 2.0) / 9})
    table.update({"log_likelihood": peak + 20, "n_parameters": 6 * k})
    table.update({name: nothing for name in ("held_out", "held_out_se_difference", "aicc", "icl_soft", "slope")})
    return Selection(None, table, "evidence", 7, 1.0, [], None)  # type: ignore[arg-type]


def diagnosis() -> Any:
    points = [Point(model().weights_, model().means_ + 0.05 * np.sin(i), model().covariances_) for i in range(40)]
    predictive = SimpleNamespace(column_p=np.array([0.4, 0.03, 0.5]))
    return SimpleNamespace(feature_names=["a", "b", "c"], predictive=predictive, _values=X, _weight=np.ones(90), _points=points)


def test_of_two() -> Any:
    table = {"n_components": np.array([1, 2]), "statistic": np.array([31.0, 6.0]), "p_value": np.array([0.01, 0.6])}
    return SimpleNamespace(table=table, samples={2: 7 + 4 * np.sin(np.arange(99.0)) + np.arange(99) / 25})


def combination(method: str) -> Any:
    if method == "entropy":
        entropy = np.array([0.0, 1.0, 4.0, 30.0, 62.0])
        return SimpleNamespace(method=method, rule="elbow", n_components=5, n_clusters=3, entropy=entropy)
    merges = [SimpleNamespace(value=value) for value in (0.4, 0.15, 0.02)]
    return SimpleNamespace(method=method, rule="threshold", n_components=4, n_clusters=2, merges=merges, threshold=0.1)


def learner() -> Any:
    """What has a trace: three passes, in the last of which the fourth component is gone."""
    t = np.linspace(0, 1, 4)[:, None]
    counts = np.concatenate([30 - 5 * (1 - t), 30 - 5 * (1 - t), 30 - 5 * (1 - t), 15 * (1 - t)], 1)
    means = np.concatenate([CENTRES * t[..., None] + CENTRES.mean(0) * (1 - t[..., None]), np.full((4, 1, 3), 1.0)], 1)
    covariances = np.broadcast_to(np.eye(3) * (2 - t[..., None, None]), (4, 4, 3, 3))
    labels = np.where((t < 1) & (np.arange(90) % 6 == 0), 3, GROUP)
    certainty = np.broadcast_to(0.5 + 0.45 * t, labels.shape)
    bounds, flat = np.array([-520.0, -430.0, -401.0, -400.0]), np.full((4, 4), np.inf)
    found = Trace(bounds, counts / 90, means, covariances, counts, labels, certainty, flat, ["a", "b", "c"], "evidence lower bound")
    return SimpleNamespace(trace=lambda X, n_passes, sample_weight: found)


def animated(columns: Any, i: int) -> Any:
    animation = plots.animate_fit(learner(), X, columns)
    animation._draw_was_started = True  # a single picture of it is wanted
    animation._func(i)
    return animation._fig


PICTURES = {
    "animate_fit-line": lambda: animated("b", 1),
    "animate_fit-plane": lambda: animated(None, 2),
    "plot_beside_kmeans": lambda: plots.plot_beside_kmeans(one_of_two_columns(), X[:, :2]),
    "plot_bootstrap_lrt": lambda: plots.plot_bootstrap_lrt(test_of_two()),
    "plot_bound": lambda: plots.plot_bound(with_bounds()),
    "plot_combination-entropy": lambda: plots.plot_combination(combination("entropy")),
    "plot_combination-values": lambda: plots.plot_combination(combination("misclassification")),
    "plot_components": lambda: plots.plot_components(model(), X),
    "plot_components-noise": lambda: plots.plot_components(noisy(), NOISY),
    "plot_components-one_column": lambda: plots.plot_components(one_column(), X[:, 1:2]),
    "plot_credible_ball": lambda: plots.plot_credible_ball(uncertainty()),
    "plot_criteria": lambda: plots.plot_criteria(selection()),
    "plot_density": lambda: plots.plot_density(model(), X),
    "plot_density-one_column": lambda: plots.plot_density(model(), X, 1),
    "plot_doubt": lambda: plots.plot_doubt(model(), X),
    "plot_ellipses": lambda: plots.plot_ellipses(uncertainty()),
    "plot_intervals": lambda: plots.plot_intervals(uncertainty(), others={"again": uncertainty()}),
    "plot_memberships": lambda: plots.plot_memberships(uncertainty(), n_rows=20),
    "plot_pairs": lambda: plots.plot_pairs(model(), X),
    "plot_predictive_check": lambda: plots.plot_predictive_check(diagnosis()),
    "plot_prior_posterior": lambda: plots.plot_prior_posterior(model(), "standard_deviations"),
    "plot_projection": lambda: plots.plot_projection(model().projection(X)),
    "plot_responsibilities": lambda: plots.plot_responsibilities(noisy(), NOISY),
    "plot_responsibilities-shades": lambda: plots.plot_responsibilities(model(), X, "heat map"),
    "plot_responsibilities-triangle": lambda: plots.plot_responsibilities(model(), X, "ternary"),
    "plot_selection": lambda: plots.plot_selection(selection()),
    "plot_similarity": lambda: plots.plot_similarity(uncertainty()),
    "plot_weights": lambda: plots.plot_weights(model(), uncertainty()),
}
"""A name for each picture, which begins with that of its function."""


@functools.cache
def one_of_two_columns() -> Any:
    return bg.GaussianMixture(3, init_params=GROUP).fit(X[:, :2])


def with_bounds() -> Any:
    """A model with a course in which components left once."""
    bounds = [-500.0, -430.0, -410.0, -409.0, -420.0, -402.0, -400.1, -400.0]
    return SimpleNamespace(lower_bounds_=bounds, _bayesian=True)


def figure_of(name: str) -> Any:
    """The figure that a picture is on."""
    drawn = PICTURES[name]()
    first = np.ravel(drawn)[0] if isinstance(drawn, (np.ndarray, list, tuple)) else drawn
    return getattr(first, "figure", first) or first


def texts_of(figure: Any) -> list[str]:
    """Titles, names of axes, legends and notes, in order."""
    from matplotlib.text import Text

    ticks = {id(text) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for text in axis.findobj(Text) if text is not axis.label}
    return [text.get_text() for text in figure.findobj(Text) if id(text) not in ticks and text.get_visible() and text.get_text()]


def small(figure: Any) -> np.ndarray:
    """Mean colours (9, H, W, 3) of squares of the figure, without text and legends, moved by each of `SHIFTS`."""
    from matplotlib.text import Text
    from matplotlib.ticker import NullFormatter

    figure.set_dpi(100)
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
        if ax.get_legend():
            ax.get_legend().set_visible(False)
    for legend in figure.legends:
        legend.set_visible(False)
    for text in figure.findobj(Text):
        text.set_visible(False)
    figure.canvas.draw()
    colours = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)
    height, width = (n // POOL for n in colours.shape[:2])
    cut = colours[: height * POOL, : width * POOL]
    moved = [np.roll(cut, shift, (0, 1)) for shift in SHIFTS]
    return np.stack([each.reshape(height, POOL, width, POOL, 3).mean((1, 3)) for each in moved])
