"""A fit as it learns: rows and components pass by pass, the weights and the bound beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesgmm.frames import to_rows
from bayesgmm.plots.style import COLOURS, DATA, ellipse, line, open_frame, plain, style
from bayesgmm.validation import check_column, check_number

STEADY = 25
"""Passes of which each is shown; of later ones fewer and fewer."""

GRID = 300
ROW = 0.5
"""Expected rows of a component below which it is no longer drawn."""


class _Panels(NamedTuple):
    rows: Any
    weights: Any
    bound: Any


def animate_fit(estimator: Any, X: Any, columns: Any = None, n_passes: int = 100, interval: int = 200, sample_weight: Any = None):
    """Show how EM, MAP or variational Bayes learns, pass by pass.

    Parameters
    ----------
    estimator : GaussianMixture or BayesianGaussianMixture
        Fitted or not, it stays as it is: `trace` makes the passes. ``init_params="random_from_data"`` begins with nothing known.
    X : array or data frame, shape (N, D)
    columns : int, str, or two of these, optional
        What to draw: one column as a histogram with densities, two as rows with ellipses of two standard deviations (for Student t
        twice the scale). By default the first two, or the only one.
    n_passes : int, default 100
        Most passes to make; the fit may converge before.
    interval : int, default 200
        Milliseconds from one picture to the next.
    sample_weight : array, shape (N,), optional

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Every one of the first 25 passes, then fewer and fewer, and the last. ``.save("fit.gif", writer="pillow")`` writes a file,
        ``.to_jshtml()`` a player for notebooks; ``._fig`` is the figure. Components that lose their rows leave the picture.

    Raises
    ------
    ValueError
        Columns that do not exist, or more than two; what `trace` does not take.
    """
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation

    check_number("interval", interval, 1, integer=True)
    values = np.asarray(to_rows(X)[0], float)
    found = estimator.trace(X, n_passes, sample_weight=sample_weight)
    names = found.feature_names
    given = list(range(min(2, len(names)))) if columns is None else [columns] if isinstance(columns, (int, str)) else list(columns)
    at = [check_column(column, names) for column in given]
    if len(at) not in (1, 2):
        raise ValueError(f"columns must be one or two; got {len(at)}.")
    figure, axes = plt.subplot_mosaic([["rows", "weights"], ["rows", "bound"]], figsize=(10, 5), dpi=80, width_ratios=(1.6, 1))
    figure.subplots_adjust(left=0.075, right=0.98, bottom=0.11, top=0.91, wspace=0.22, hspace=0.32)  # fixed, so that nothing moves
    panels, weight = _Panels(**axes), np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, float)

    def picture(i: int) -> list:
        for ax in panels:
            for artist in [*ax.lines, *ax.patches, *ax.collections]:
                artist.remove()
        (_line if len(at) == 1 else _plane)(found, values, weight, at, i, panels.rows)
        _weights(found, i, panels.weights)
        _bound(found, i, panels.bound)
        figure.suptitle(_title(found, i))
        return []

    return FuncAnimation(figure, picture, frames=shown_passes(found.n_passes), interval=interval, repeat_delay=2000, init_func=lambda: [])


def shown_passes(n_passes: int) -> list[int]:
    """Passes that are shown: all the first, then ever fewer, and the last."""
    later = STEADY * 1.15 ** np.arange(1, 100)
    return sorted({*range(min(STEADY, n_passes) + 1), *later[later < n_passes].astype(int).tolist(), n_passes})


def _title(found: Any, i: int) -> str:
    k, asked = int(found.n_components[i]), found.weights.shape[1]
    where = "start" if i == 0 else f"pass {i} of {found.n_passes}"
    return f"{where}: {k} of {asked} components hold rows" if k < asked else f"{where}: {k} component{'s' * (k != 1)}"


def _kept(found: Any, i: int) -> np.ndarray:
    return np.flatnonzero(found.counts[i] >= ROW)


def _plane(found: Any, values: np.ndarray, weight: np.ndarray, at: list[int], i: int, ax) -> None:
    """Rows and ellipses; pale rows are less certain, crosses are noise."""
    points, labels = values[:, at], found.labels[i]
    for k in np.unique(labels):
        colour, marker = ("black", "x") if k < 0 else style(k)
        mine = labels == k
        alpha = np.clip(2 * found.probability[i][mine] - 1, 0.15, 0.75)
        ax.scatter(*points[mine].T, s=14, c=colour, marker=marker, alpha=alpha, linewidths=0.8 if k < 0 else 0)
    for k in _kept(found, i):
        ellipse(ax, found.means[i, k, at], found.covariances[i, k][np.ix_(at, at)], k)
        ax.plot(*found.means[i, k, at], "+", color="black", markersize=8)
    low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    margin = 0.08 * (high - low)
    (left, bottom), (right, top) = low - margin, high + margin
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel=plain(found.feature_names[at[0]]), ylabel=plain(found.feature_names[at[1]]))
    open_frame(ax)


def _line(found: Any, values: np.ndarray, weight: np.ndarray, at: list[int], i: int, ax) -> None:
    """Histogram with the densities of components and their sum."""
    from scipy.stats import t

    seen = np.isfinite(values[:, at[0]])
    column = values[seen, at[0]]
    edges = np.histogram_bin_edges(column, int(np.clip(1.2 * np.sqrt(len(column)), 10, 50)))
    heights = ax.hist(column, bins=edges, weights=weight[seen], density=True, color=DATA, edgecolor="white", label="rows")[0]
    grid, total = np.linspace(edges[0], edges[-1], GRID), np.zeros(GRID)
    for k in _kept(found, i):
        deviation = np.sqrt(found.covariances[i, k, at[0], at[0]])
        density = t.pdf(grid, found.degrees_of_freedom[i, k], found.means[i, k, at[0]], deviation)
        total += found.weights[i, k] * density
        ax.plot(grid, found.weights[i, k] * density, **line(k), linewidth=1.4)
    ax.plot(grid, total, color="black", linewidth=1.8, label="mixture")
    ax.set(xlabel=plain(found.feature_names[at[0]]), ylabel="density", xlim=(edges[0], edges[-1]), ylim=(0, 1.5 * heights.max()))
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    open_frame(ax)


def _weights(found: Any, i: int, ax) -> None:
    k = found.weights.shape[1]
    ax.bar(np.arange(k) + 1, found.weights[i], color=[style(c)[0] for c in range(k)], width=0.75)
    numbers = np.arange(1, k + 1)
    ax.set(xlim=(0.3, k + 0.7), ylim=(0, 1.05 * found.weights.max()), xlabel="component", ylabel="weight")
    ax.set_xticks(numbers[:: -(-k // 10)])
    open_frame(ax)


def _bound(found: Any, i: int, ax) -> None:
    """The bound up to this pass; the axis leaves out starts far below."""
    passes, bounds = np.arange(len(found.lower_bounds)), found.lower_bounds
    ax.plot(passes[: i + 1], bounds[: i + 1], "-", color=COLOURS[0], linewidth=1.6)
    ax.plot(i, bounds[i], "o", color=COLOURS[1], markersize=6)
    reach = np.ptp(bounds[min(1, len(bounds) - 1) :]) or 1.0
    ax.set(xlim=(-0.02 * len(bounds) - 0.5, 1.02 * len(bounds)), ylim=(bounds.max() - 1.1 * reach, bounds.max() + 0.08 * reach))
    ax.set(xlabel="pass over the rows", ylabel=f"{found.objective}, nats")
    open_frame(ax)
