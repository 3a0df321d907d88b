"""How components were combined into clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.plots.style import COLOURS, open_frame
from bayesgmm.report.combination import VALUES


def plot_combination(combination: Any, ax: Any = None):
    """Entropy of the assignments, or the value of each merge, against the number of clusters.

    Parameters
    ----------
    combination : Combination
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6, 4))[1]
    (_entropies if combination.method == "entropy" else _values)(combination, ax)
    ax.set_xticks(np.arange(1, combination.n_components + 1))
    ax.set_xlim(0.5, combination.n_components + 0.5)
    ax.set_xlabel("number of clusters" if combination.method == "entropy" else "number of clusters before and after each merge")
    ax.legend(frameon=False, fontsize="small")
    return open_frame(ax)


def _entropies(combination: Any, ax) -> None:
    """The curve and, at an elbow, the two lines that meet there."""
    n, chosen = np.arange(1, combination.n_components + 1), combination.n_clusters
    ax.plot(n, combination.entropy, "o-", color=COLOURS[0], label="entropy")
    if combination.rule == "elbow" and combination.n_components > 3:
        for side, label in ((n <= chosen, "regression lines"), (n >= chosen, None)):
            line = np.poly1d(np.polyfit(n[side], combination.entropy[side], 1))
            ax.plot(n[side], line(n[side]), "--", color=COLOURS[1], linewidth=1, label=label)
    label = f"chosen: {chosen} cluster{'s' * (chosen != 1)}"
    ax.plot(chosen, combination.entropy[chosen - 1], "o", markersize=15, fillstyle="none", color="black", label=label)
    ax.set_ylabel("entropy of the assignments, nats")


def _values(combination: Any, ax) -> None:
    """A bar for each merge, between the numbers of clusters before and after it."""
    done = combination.n_components - combination.n_clusters
    before = combination.n_components - np.arange(len(combination.merges))
    value = np.array([merge.value for merge in combination.merges])
    for some, colour, label in ((slice(None, done), COLOURS[0], "merged"), (slice(done, None), COLOURS[6], "left apart")):
        ax.bar(before[some] - 0.5, value[some], width=0.8, color=colour, label=label)
    if combination.threshold is not None:
        ax.axhline(combination.threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {combination.threshold:g}")
    ax.set_ylabel(VALUES[combination.method].replace(", relative", ",\nrelative"))
