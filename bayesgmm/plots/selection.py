"""How the number of components was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.selection import CRITERIA, share_by
from bayesgmm.plots.style import COLOURS
from bayesgmm.validation import check_option

STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = "os^Dv<"
NEAR = 60.0
"""Nats below the best that the axis shows."""


def plot_selection(selection: Any, criterion: str | None = None, ax: Any = None):
    """A criterion against the number of components, a line for each structure, and prior; bars show the probability of each number.

    Parameters
    ----------
    selection : Selection
    criterion : str, optional
        A column of the table; by default the one that decided.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    name: str = check_option("criterion", criterion or selection.criterion, CRITERIA)
    if not np.isfinite(selection.table[name]).any():
        raise ValueError(f"criterion = {name!r} was not computed; call select with criterion={name!r}.")
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6.5, 4.5))[1]
    table, kind = selection.table, CRITERIA[name]
    _lines(table, name, ax)
    row = selection.row if name == selection.criterion else table.best(name)
    if row is not None:
        k, value = table["n_components"][row], table[name][row]
        ax.plot(k, value, marker="o", markersize=15, fillstyle="none", color="black", linestyle="", label="chosen")
    top, low = kind.sign * np.nanmax(kind.sign * table[name]), kind.sign * NEAR * (1 if kind.bayesian else 2)
    if name != "nec":
        ax.set_ylim(*sorted((top - low, top + 0.12 * low)))
    ax.set(xlabel="number of components", ylabel=kind.title + (", nats" if kind.bayesian else ""))
    ax.set_xticks(np.unique(table["n_components"]))
    ax.spines[["top"]].set_visible(False)
    if kind.bayesian and np.isfinite(table["probability"]).any():
        _bars(table, ax)
    ax.legend(frameon=False, fontsize="small", loc="lower right" if kind.sign > 0 else "upper right")
    return ax


def _lines(table, criterion: str, ax) -> None:
    several = len(set(table["prior"])) > 1
    for i, (name, prior) in enumerate(dict.fromkeys(zip(table["covariance_type"], table["prior"], strict=True))):
        mine = (table["covariance_type"] == name) & (table["prior"] == prior) & np.isfinite(table[criterion])
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % 6], "linestyle": STYLES[i % 6]}
        label = str(name).replace("_", " ") + (f", {prior} prior" if several else "")
        ax.plot(table["n_components"][mine], table[criterion][mine], label=label, markersize=5, **style)


def _bars(table, ax) -> None:
    share = share_by(table["n_components"], table["probability"])
    beside = ax.twinx()
    beside.bar(list(share), list(share.values()), width=0.6, color="#999999", alpha=0.25, zorder=0)
    beside.set(ylim=(0, 1), ylabel="probability (bars)")
    beside.spines[["top"]].set_visible(False)
    ax.set_zorder(beside.get_zorder() + 1)
    ax.patch.set_visible(False)
