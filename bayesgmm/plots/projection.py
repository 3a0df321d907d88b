"""Rows and components in the directions in which the components differ most."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.plots.style import DATA, ellipse, line, on_axes, open_frame, plain, style


def plot_projection(projection: Any, ax: Any = None):
    """Rows along the first two directions with ellipses of two standard deviations; along a single one, densities.

    Parameters
    ----------
    projection : Projection
        Of ``model.projection(X)``.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Colours, markers and lines tell components; the axes say how much of the difference a direction shows and which columns weigh most.
    """
    ax = on_axes(ax, (6.5, 5))
    (_plane if projection.rows.shape[1] > 1 else _line)(projection, ax)
    ax.legend(frameon=False, fontsize="small")
    return open_frame(ax)


def _label(projection: Any, r: int) -> str:
    """The direction in words: its share, and the two columns most correlated with it."""
    related = projection.correlations[:, r]
    most = np.argsort(-np.abs(related), kind="stable")[:2]
    named = ", ".join(f"{plain(projection.feature_names[j])} {related[j]:+.2f}".replace("-", "\N{MINUS SIGN}") for j in most)
    return f"direction {r + 1} ({projection.share[r]:.0%}): correlation with\n{named}"


def _plane(projection: Any, ax) -> None:
    for k, (mean, covariance) in enumerate(zip(projection.means[:, :2], projection.covariances[:, :2, :2], strict=True)):
        colour, marker = style(k)
        mine = projection.rows[projection.labels == k]
        label = f"component {k + 1}: {len(mine)} rows"
        ax.plot(mine[:, 0], mine[:, 1], marker, color=colour, markersize=4.5, alpha=0.65, markeredgewidth=0, label=label)
        ellipse(ax, mean, covariance, k)
    ax.set(xlabel=_label(projection, 0), ylabel=_label(projection, 1))


def _line(projection: Any, ax) -> None:
    rows = projection.rows[:, 0]
    grid = np.linspace(rows.min(), rows.max(), 400)
    ax.hist(rows, bins=int(np.clip(1.2 * np.sqrt(len(rows)), 10, 50)), density=True, color=DATA, label="rows")
    for k, (weight, mean, variance) in enumerate(
        zip(projection.weights, projection.means[:, 0], projection.covariances[:, 0, 0], strict=True)
    ):
        density = weight * np.exp(-((grid - mean) ** 2) / variance / 2) / np.sqrt(2 * np.pi * variance)
        label = f"component {k + 1}: {(projection.labels == k).sum()} rows"
        ax.plot(grid, density, **line(k), linewidth=1.8, label=label)
    ax.set(xlabel=_label(projection, 0), ylabel="density")
