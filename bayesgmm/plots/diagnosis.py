"""Data beside data drawn from a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.plots.style import DATA, on_axes, open_frame, plain, style
from bayesgmm.validation import check_column

BAND = 0.94
"""Share of the drawn data sets within the band."""

DRAWN = "#0072B2"


def plot_predictive_check(diagnosis: Any, column: int | str | None = None, ax: Any = None):
    """Histogram of a column with the range of histograms of data drawn from the fit, and the fitted density.

    Parameters
    ----------
    diagnosis : Diagnosis
    column : int or str, optional
        Column of the data, by number (from 0) or name; by default the one with the smallest p value.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Bars that leave the band show where the data differ; a few of many do by chance.

    Raises
    ------
    ValueError
        A column that does not exist.
    """
    names = diagnosis.feature_names
    j = int(diagnosis.predictive.column_p.argmin()) if column is None else check_column(column, names)
    ax = on_axes(ax, (6.5, 4))
    values, weight = diagnosis._values[:, j], diagnosis._weight
    edges = np.histogram_bin_edges(values, int(np.clip(1.2 * np.sqrt(len(values)), 10, 50)))
    seen = np.histogram(values, edges, weights=weight, density=True)[0]
    low, high = _band(diagnosis, j, edges)
    ax.stairs(seen, edges, fill=True, color=DATA, label="data")
    ax.fill_between(edges, *(np.append(part, part[-1]) for part in (low, high)), step="post", color=DRAWN, alpha=0.25, linewidth=0)
    ax.fill_between([], [], [], color=DRAWN, alpha=0.25, linewidth=0, label=f"{BAND:.0%} of data sets drawn from the fit")
    _densities(diagnosis, j, edges, ax)
    ax.set(xlabel=plain(names[j]), ylabel="density", title=f"p = {diagnosis.predictive.column_p[j]:.3f}", xlim=(edges[0], edges[-1]))
    ax.set_ylim(0, 1.35 * max(seen.max(), high.max()))
    ax.legend(frameon=False, fontsize="small", loc="upper left", ncols=2)
    return open_frame(ax)


def _band(diagnosis: Any, j: int, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Range (B,), (B,) of the histograms of data sets drawn from every draw of the parameters."""
    from scipy.special import ndtr

    rng, weight = np.random.default_rng(0), diagnosis._weight
    n = round(weight.sum() ** 2 / (weight**2).sum())
    found = []
    for point in diagnosis._points:
        reached = ndtr((edges[:, None] - point.means[:, j]) / np.sqrt(point.covariances[:, j, j])) @ point.weights / point.weights.sum()
        inside = np.diff(reached)
        found.append(rng.multinomial(n, [*inside, max(1 - inside.sum(), 0)])[:-1])
    low, high = np.quantile(found, [(1 - BAND) / 2, (1 + BAND) / 2], axis=0)
    return low / n / np.diff(edges), high / n / np.diff(edges)


def _densities(diagnosis: Any, j: int, edges: np.ndarray, ax) -> None:
    """The fitted density: mean over the draws, and the parts of the components."""
    grid = np.linspace(edges[0], edges[-1], 400)
    parts = np.mean([_parts(point, j, grid) for point in diagnosis._points], axis=0)
    ax.plot(grid, parts.sum(1), color="black", linewidth=1.4, label="fitted density")
    for k, part in enumerate(parts.T):
        if len(parts.T) > 1:
            ax.plot(grid, part, color=style(k)[0], linewidth=1, linestyle="--", label=f"component {k + 1}")


def _parts(point: Any, j: int, grid: np.ndarray) -> np.ndarray:
    """Density (G, K) of a column under each component, times its weight."""
    deviation = np.sqrt(point.covariances[:, j, j])
    z = (grid[:, None] - point.means[:, j]) / deviation
    return point.weights / point.weights.sum() * np.exp(-(z**2) / 2) / deviation / np.sqrt(2 * np.pi)
