"""Data with the components of a mixture drawn over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.parameters import dense_covariances
from bayesgmm.inference.compiling import numbers
from bayesgmm.plots.style import DATA, ellipse, line, on_axes, open_frame, plain, style
from bayesgmm.validation import check_column


def plot_components(model: Any, X: Any, columns: tuple[int | str, int | str] = (0, 1), ax: Any = None):
    """Rows coloured by component with ellipses of two standard deviations; in one dimension a histogram with densities.

    Those of Student t components are of twice the scale.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
        Rows; paler ones are less certain to belong where they were put, crosses are noise.
    columns : pair of int or str
        The two columns to show, by number (from 0) or name.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = on_axes(ax, (6, 4.5))
    values = np.asarray(X, float)
    names = column_names(model)
    if model.n_features_in_ == 1:
        _histogram(model, values[:, 0], ax)
        ax.set(xlabel=plain(names[0]), ylabel="density")
    else:
        shown = [check_column(column, names) for column in columns]
        _scatter(model, X, values[:, shown], ax)
        _ellipses(model, shown, ax)
        ax.set(xlabel=plain(names[shown[0]]), ylabel=plain(names[shown[1]]))
    ax.legend(frameon=False, fontsize="small")
    return open_frame(ax)


def _scatter(model, X, points: np.ndarray, ax) -> None:
    table = model.row_table(X)
    for k in range(model.n_components_):
        colour, marker = style(k)
        mine = table.label == k
        alpha = np.clip(2 * table.probability[mine] - 1, 0.15, 0.75)
        label = f"component {k + 1}: {model.weights_[k]:.0%}, {mine.sum()} rows"
        ax.scatter(*points[mine].T, s=16, c=colour, marker=marker, alpha=alpha, linewidths=0)
        ax.plot([], [], marker=marker, color=colour, linestyle="", label=label)
    noise = table.label == -1
    if model.posterior_.n_noise:
        label = f"noise: {model.noise_weight_:.0%}, {noise.sum()} rows"
        ax.scatter(*points[noise].T, s=22, c="black", marker="x", linewidths=1, label=label)


def _ellipses(model, columns: list[int], ax) -> None:
    with numbers():
        covariances = dense_covariances(model.posterior_)
    for k, covariance in enumerate(covariances):
        ellipse(ax, model.means_[k][columns], covariance[np.ix_(columns, columns)], k)
        ax.plot(*model.means_[k][columns], "+", color="black", markersize=9)


def _histogram(model, values: np.ndarray, ax) -> None:
    ax.hist(values, bins="fd", density=True, color=DATA, edgecolor="white")
    grid = np.linspace(values.min(), values.max(), 400)
    ax.plot(grid, np.exp(model.score_samples(grid[:, None])), color="black", linewidth=1.8, label="mixture")
    share = model.predict_proba(grid[:, None])
    density = np.exp(model.score_samples(grid[:, None]))
    for k in range(model.n_components_):
        ax.plot(grid, share[:, k] * density, **line(k), label=f"component {k + 1}")
    if model.posterior_.n_noise:
        ax.plot(grid, share[:, -1] * density, color="black", linestyle=":", label="noise")
