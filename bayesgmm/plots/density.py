"""The fitted density: a curve of one column, contours of two, and a grid of all pairs of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.contours import content_levels
from bayesgmm.analysis.facts import column_names
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.style import DATA, LINES, on_axes, open_frame, plain
from bayesgmm.validation import check_column

SHARES = (0.5, 0.8, 0.95)
"""Of the probability, within the contours."""

POINTS = 120
"""Points of a grid along each axis."""

MOST_COLUMNS = 6
"""Columns up to which all pairs are shown."""


def plot_density(model: Any, X: Any = None, columns: Any = None, ax: Any = None, shares: tuple[float, ...] = SHARES):
    """Density of one column as a curve, of two as contours that hold stated shares of the probability.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
        Without noise.
    X : array or data frame, shape (N, D), optional
        Rows to show beside it.
    columns : int, str, or two of these, optional
        By number (from 0) or name; the first two unless given.
    ax : matplotlib Axes, optional
    shares : tuple of float, default (0.5, 0.8, 0.95)
        Probability within the contours, each between 0 and 1.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        A column that does not exist, more than two of them, or shares out of range; a model with noise.
    """
    names = column_names(model)
    given = list(range(min(2, len(names)))) if columns is None else [columns] if isinstance(columns, (int, str)) else list(columns)
    chosen = [check_column(column, names) for column in given]
    if len(chosen) not in (1, 2):
        raise ValueError(f"columns must be one or two; got {len(chosen)}.")
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(f"shares must be numbers between 0 and 1; got {shares!r}.")
    found, ax = model.marginal(chosen), on_axes(ax, (6, 4.5))
    rows = None if X is None else np.asarray(X, float)[:, chosen]
    (_curve if len(chosen) == 1 else _contours)(found, rows, sorted(shares), ax)
    ax.set(xlabel=plain(names[chosen[0]]), ylabel="density" if len(chosen) == 1 else plain(names[chosen[1]]))
    return open_frame(ax)


def _grid(found: Any, rows: np.ndarray | None, j: int) -> np.ndarray:
    """Points of a column that hold nearly all of its density, and all rows."""
    low, high = found.quantile([1e-3, 1 - 1e-3])[j]
    if rows is not None:
        low, high = min(low, np.nanmin(rows[:, j])), max(high, np.nanmax(rows[:, j]))
    margin = 0.04 * (high - low)
    return np.linspace(low - margin, high + margin, POINTS if found.n_features > 1 else 4 * POINTS)


def _curve(found: Any, rows: np.ndarray | None, _: list[float], ax) -> None:
    grid = _grid(found, rows, 0)
    if rows is not None:
        ax.hist(rows[:, 0], bins="fd", density=True, color=DATA, edgecolor="white", label="rows")
    ax.plot(grid, np.exp(found.log_density(grid[:, None])), color="black", linewidth=1.8, label="fitted density")
    ax.legend(frameon=False, fontsize="small")


def _contours(found: Any, rows: np.ndarray | None, shares: list[float], ax) -> None:
    across, up = (_grid(found, rows, j) for j in (0, 1))
    points = np.stack(np.meshgrid(across, up), -1)
    logs = found.log_density(points.reshape(-1, 2)).reshape(points.shape[:2])
    levels = np.unique(content_levels(logs, tuple(shares)))
    if rows is not None:
        ax.plot(*rows.T, ".", color="#777777", markersize=4, alpha=0.5, markeredgewidth=0)
    looks = [{"linewidth": 0.7 + 1.5 * i / len(levels), "linestyle": LINES[-i % len(LINES)]} for i in range(1, len(levels) + 1)]
    widths, kinds = [look["linewidth"] for look in looks], [look["linestyle"] for look in looks]
    ax.contour(across, up, logs, levels=levels, colors="black", linewidths=widths, linestyles=kinds)
    for share, look in zip(shares, looks[::-1], strict=False):
        ax.plot([], [], color="black", label=f"{share:.0%} of the probability", **look)
    ax.legend(frameon=False, fontsize="small")


def plot_pairs(model: Any, X: Any, columns: Any = None):
    """Every column against every other: rows and ellipses below the diagonal, densities on it.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
    columns : sequence of int or str, optional
        Two or more; the first six unless given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (C, C)
        Those above the diagonal are empty; the legend has their place.

    Raises
    ------
    ValueError
        Columns that do not exist, or fewer than two.
    """
    import matplotlib.pyplot as plt

    names = column_names(model)
    chosen = list(range(min(len(names), MOST_COLUMNS))) if columns is None else [check_column(column, names) for column in columns]
    if len(chosen) < 2:
        raise ValueError(f"columns must name at least two; got {len(chosen)}: plot_density shows one.")
    n = len(chosen)
    figure, panels = plt.subplots(n, n, figsize=(1.2 + 1.9 * n, 1.0 + 1.7 * n), layout="constrained", squeeze=False)
    for i, up in enumerate(chosen):
        for j, across in enumerate(chosen):
            _panel(model, X, i, j, up, across, panels[i, j])
    for ax in figure.axes:
        ax.label_outer()
    handles, labels = panels[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", frameon=False, fontsize="small")
    return panels


def _panel(model: Any, X: Any, i: int, j: int, up: int, across: int, ax) -> None:
    if j > i:
        ax.set_axis_off()
    elif j < i:
        plot_components(model, X, (across, up), ax)
        ax.get_legend().remove()
    else:
        values = np.asarray(X, float)[:, up]
        ax.hist(values[np.isfinite(values)], bins="fd", density=True, color=DATA, edgecolor="white")
        if not model.posterior_.n_noise:
            grid = np.linspace(np.nanmin(values), np.nanmax(values), 4 * POINTS)
            ax.plot(grid, np.exp(model.marginal(up).log_density(grid[:, None])), color="black", linewidth=1.4)
        ax.set(xlabel=plain(column_names(model)[up]), ylabel="density" if i == 0 else "", yticks=[])
        open_frame(ax)
