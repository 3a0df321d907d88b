"""How sure the places and shapes of components are."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.regions import draws_region, spread_draws
from bayesgmm.frames import to_rows
from bayesgmm.plots.style import LINES, check_kind, ellipse, on_axes, open_frame, plain, style
from bayesgmm.validation import check_column, check_number


def plot_ellipses(
    uncertainty: Any, X: Any = None, columns: tuple[int | str, int | str] = (0, 1), ax: Any = None, n_draws: int = 40, prob: float = 0.94
):
    """Ellipses of two standard deviations of the components in several draws, and regions of their means.

    Parameters
    ----------
    uncertainty : Uncertainty
    X : array or data frame, shape (N, D), optional
        Rows to show; by default those of the fit.
    columns : (int, int) or (str, str), default (0, 1)
        The two columns to show, by number (from 0) or name.
    ax : matplotlib Axes, optional
    n_draws : int, default 40
        Draws whose ellipses are shown, evenly spread among all.
    prob : float, default 0.94
        Probability within the filled ellipse of a mean: that of a Gaussian with the moments of the draws.

    Returns
    -------
    matplotlib Axes
        Where the thin lines spread, the shape of a component is in doubt; a filled ellipse holds its mean. For Student t components thin
        ellipses are of twice the scale.

    Raises
    ------
    ValueError
        Columns that do not exist, or are not two; numbers out of range; rows with other columns.
    """
    check_kind("uncertainty", uncertainty, "draws", "model.uncertainty(X)")
    names = uncertainty.feature_names
    if len(names) < 2:
        raise ValueError(f"ellipses need two columns; the fit has one ({names[0]}): plot_intervals and plot_prior_posterior show it.")
    if not isinstance(columns, (tuple, list)) or len(columns) != 2:
        raise ValueError(f"columns must be two of {', '.join(names)}; got {columns!r}.")
    check_number("n_draws", n_draws, 1, integer=True)
    check_number("prob", prob, 0, high=0.999999, strict=True)
    at = [check_column(column, names) for column in columns]
    values = uncertainty._values if X is None else to_rows(X)[0]
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(f"X must have the {len(names)} columns of the fit; got shape {values.shape}.")
    ax = on_axes(ax, (6.5, 5))
    ax.plot(*values[:, at].T, ".", color="#a6a6a6", markersize=4, markeredgewidth=0, zorder=0, label="rows")
    for i in spread_draws(uncertainty.n_draws, n_draws):
        _draw(uncertainty, int(i), at, ax)
    for k in range(uncertainty.draws["means"].shape[1]):
        _mean(uncertainty.draws["means"][:, k][:, at], k, prob, ax)
    ax.plot([], [], color="black", linewidth=0.8, label="two standard deviations, by draw")
    ax.set(xlabel=plain(names[at[0]]), ylabel=plain(names[at[1]]))
    ax.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize="small", title=f"filled: {100 * prob:.3g}% region of the mean")
    ax.get_legend().get_title().set_fontsize("small")
    return open_frame(ax)


def _draw(uncertainty: Any, i: int, at: list[int], ax) -> None:
    """The ellipses of all components in draw ``i``."""
    means, dense = uncertainty.draws["means"][i], uncertainty.dense_covariances[i]
    for k, mean in enumerate(means):
        ellipse(ax, mean[at], dense[k % len(dense)][np.ix_(at, at)], k)
        ax.patches[-1].set(linewidth=0.6, alpha=0.35)


def _mean(draws: np.ndarray, k: int, prob: float, ax) -> None:
    colour, marker = style(k)
    ellipse(ax, *draws_region(draws, prob), k)
    ax.patches[-1].set(fill=True, facecolor=colour, edgecolor="black", linewidth=1, alpha=0.8, zorder=3)
    ax.plot(*draws.mean(0), marker, color="white", markersize=4, markeredgecolor="black", markeredgewidth=0.8, zorder=4)
    look = {"marker": marker, "color": colour, "linestyle": LINES[k % len(LINES)]}
    ax.plot([], [], label=f"component {k + 1}", markeredgecolor="black", **look)
