"""Which component rows belong to, and how surely."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.facts import column_names
from bayesgmm.plots.style import on_axes, open_frame, plain, style
from bayesgmm.validation import check_option

KINDS = ("sorted", "heat map", "ternary")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "+++", "ooo", "---")
SMALLEST, LARGEST = 10, 130
"""Area, in square points, of the mark of a certain row, and what is added for one that belongs to no component more than to others."""


def plot_responsibilities(model: Any, X: Any, kind: str = "sorted", ax: Any = None):
    """Probabilities that rows belong to components.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
    kind : {"sorted", "heat map", "ternary"}, default "sorted"
        Rows side by side, the most certain of each component first, and probabilities on top of one another; the same as shades; or, for
        three components (noise counts as one), places in a triangle.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Another kind; a triangle for other than three components.
    """
    check_option("kind", kind, KINDS)
    resp = model.predict_proba(X)
    names = [f"component {k + 1}" for k in range(model.n_components_)] + ["noise"] * model.posterior_.n_noise
    if kind == "ternary" and len(names) != 3:
        raise ValueError(f"kind='ternary' is for three components; the model has {len(names)}: use kind='sorted' or 'heat map'.")
    ax = on_axes(ax, (5.5, 5.0) if kind == "ternary" else (7, 3.2))
    {"sorted": _stacked, "heat map": _shades, "ternary": _triangle}[kind](resp, names, ax)
    return ax


def _ordered(resp: np.ndarray) -> np.ndarray:
    """Rows by component, and within it by falling probability."""
    return resp[np.lexsort((-resp.max(1), resp.argmax(1)))]


def _stacked(resp: np.ndarray, names: list[str], ax) -> None:
    ordered = _ordered(resp)
    base, edges = np.zeros(len(ordered)), np.arange(len(ordered) + 1)
    for k, name in enumerate(names):
        top = base + ordered[:, k]
        colour = style(k)[0] if name != "noise" else "#444444"
        hatch = HATCHES[k % len(HATCHES)]
        ax.stairs(top, edges, baseline=base, fill=True, facecolor=colour, edgecolor="white", hatch=hatch, linewidth=0, label=name)
        base = top
    ax.set(xlim=(0, len(ordered)), ylim=(0, 1), xlabel="rows, the most certain of each component first", ylabel="probability")
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    open_frame(ax)


def _shades(resp: np.ndarray, names: list[str], ax) -> None:
    shown = ax.imshow(_ordered(resp).T, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("rows, the most certain of each component first")
    ax.figure.colorbar(shown, ax=ax, label="probability")


def _triangle(resp: np.ndarray, names: list[str], ax) -> None:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    ax.plot(*np.append(corners, corners[:1], 0).T, color="black", linewidth=1)
    places, best = resp @ corners, resp.argmax(1)
    for k, (corner, name) in enumerate(zip(corners, names, strict=True)):
        colour, marker = style(k)
        ax.plot(*places[best == k].T, marker, color=colour, markersize=5, alpha=0.6, markeredgewidth=0)
        side, offset = ("right", "left", "center")[k], ((-8, 0), (8, 0), (0, 16))[k]
        told = f"{name}\n{(best == k).sum()} rows"
        ax.annotate(told, corner, offset, textcoords="offset points", ha=side, va="center")
    ax.set(aspect="equal", xlim=(-0.35, 1.35), ylim=(-0.12, 1.02))
    ax.set_axis_off()


def plot_doubt(model: Any, X: Any, columns: tuple[int, int] = (0, 1), ax: Any = None):
    """Rows in two columns, the larger the less certain their component; what mclust calls the uncertainty plot.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
    columns : (int, int), default (0, 1)
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Areas are proportional to one less the largest probability.
    """
    resp, names, points = model.predict_proba(X), column_names(model), np.asarray(X, float)[:, list(columns)]
    doubt, best, ax = 1 - resp.max(1), resp.argmax(1), on_axes(ax, (6, 4.5))
    for k in range(resp.shape[1]):
        noise = k == model.n_components_
        colour, marker = ("black", "x") if noise else style(k)
        mine = best == k
        size = SMALLEST + LARGEST * doubt[mine] / (1 - 1 / resp.shape[1] if resp.shape[1] > 1 else 1)
        label = "noise" if noise else f"component {k + 1}"
        ax.scatter(*points[mine].T, s=size, c=colour, marker=marker, alpha=0.6, linewidths=1 if noise else 0)
        ax.plot([], [], marker=marker, color=colour, linestyle="", label=label)
    ax.set(xlabel=plain(names[columns[0]]), ylabel=plain(names[columns[1]]))
    ax.legend(frameon=False, fontsize="small", title="larger: less certain", title_fontsize="small")
    return open_frame(ax)
