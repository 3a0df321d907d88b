"""How the number of components was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesgmm.analysis.selection import CRITERIA, chosen_row, share_by
from bayesgmm.plots.style import COLOURS, DATA, check_kind, open_frame
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
    row = selection.row if name == selection.criterion else chosen_row(table, name)
    k, value = table["n_components"][row], table[name][row]
    ax.plot(k, value, marker="o", markersize=15, fillstyle="none", color="black", linestyle="", label="chosen")
    _near(table, name, ax)
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


def _near(table, name: str, ax, near: float = NEAR) -> None:
    """Show values up to so many nats from the best."""
    kind = CRITERIA[name]
    top, low = kind.sign * np.nanmax(kind.sign * table[name]), kind.sign * near * (1 if kind.bayesian else 2)
    if name != "nec":
        ax.set_ylim(*sorted((top - low, top + 0.12 * low)))


def plot_criteria(selection: Any, criteria: Sequence[str] | None = None, axes: Any = None):
    """Every criterion against the number of components, each in a panel of its own, with what it would take.

    Parameters
    ----------
    selection : Selection
    criteria : sequence of str, optional
        Columns of the table; by default all that were computed.
    axes : sequence of matplotlib Axes, optional
        As many as criteria, or more: those that are not needed are hidden.

    Returns
    -------
    ndarray of matplotlib Axes, one for each criterion
        A ring is the choice of the panel's criterion, the grey stripe the number of components of the verdict. Panels show what is near
        the best value; worse models lie outside.

    Raises
    ------
    ValueError
        A criterion that does not exist or was not computed, or none; fewer axes than criteria.
    """
    check_kind("selection", selection, "table", "bg.select")
    table = selection.table
    known = [name for name in CRITERIA if np.isfinite(table[name]).any()]
    given = known if criteria is None else [criteria] if isinstance(criteria, str) else list(criteria)
    names = [check_option("criteria", name, CRITERIA) for name in given]
    lost = [name for name in names if name not in known]
    if lost or not names:
        raise ValueError(f"criteria must be among those computed, {', '.join(known)}; got {', '.join(lost) or 'none'}.")
    panels, own = _panels(len(names), axes)
    for name, ax in zip(names, panels, strict=True):
        _panel(selection, name, ax)
    handles, labels = panels[0].get_legend_handles_labels()
    if own:
        panels[0].figure.legend(handles, labels, loc="outside lower center", frameon=False, fontsize="small", ncols=5)
    else:
        panels[0].legend(handles, labels, frameon=False, fontsize="small")
    return panels


def _panels(n: int, axes: Any) -> tuple[np.ndarray, bool]:
    """Axes for so many panels, and whether the figure is new."""
    if axes is None:
        import matplotlib.pyplot as plt

        across = min(n, 4 if n > 6 else 3)
        down = -(-n // across)
        axes = plt.subplots(down, across, figsize=(0.6 + 3.1 * across, 0.8 + 2.5 * down), layout="constrained", squeeze=False)[1]
        own = True
    else:
        own = False
    given = np.ravel(np.array(axes, dtype=object))
    if len(given) < n:
        raise ValueError(f"axes must be as many as criteria, {n}; got {len(given)}.")
    for ax in given[n:]:
        ax.set_visible(False)
    return given[:n], own


def _panel(selection: Any, name: str, ax) -> None:
    """One criterion, its choice and the verdict."""
    table, kind = selection.table, CRITERIA[name]
    ax.axvspan(selection.n_components - 0.3, selection.n_components + 0.3, color=DATA, linewidth=0, zorder=0, label="verdict")
    _lines(table, name, ax)
    row = chosen_row(table, name)
    k, structure = int(table["n_components"][row]), str(table["covariance_type"][row]).replace("_", " ")
    ax.plot(k, table[name][row], marker="o", markersize=13, fillstyle="none", color="black", linestyle="", label="choice of the criterion")
    _near(table, name, ax)
    title, sign = kind.title.split(" (")[0], "larger" if kind.sign > 0 else "smaller"
    ax.set_title(f"{title}: {k} {structure}", fontsize="medium", fontweight="bold" if name == selection.criterion else "normal")
    numbers = np.unique(table["n_components"])
    ax.set_xticks(numbers[:: -(-len(numbers) // 8)])
    ax.tick_params(labelsize="small")
    ax.set_xlabel("components", fontsize="small")
    ax.set_ylabel(f"{'nats, ' if kind.bayesian else ''}{sign} is better", fontsize="small")
    open_frame(ax)
