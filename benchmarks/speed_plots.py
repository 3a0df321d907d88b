"""What `speed.py` measured, as pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

COLOURS = {"bayesgmm": "#1b6ca8", "daal4py": "#8a8a8a", "scikit-learn": "#d9822b"}
EXPECTED = {"rows": 1, "columns": 2, "components": 1}


def draw_iterations(found: dict[str, dict], path: str) -> None:
    """Seconds of an iteration by case and library, medians with their ranges."""
    labels = list(found)[::-1]
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(labels) + 1.2), layout="constrained")
    for name, colour in COLOURS.items():
        rows = [(y, *found[label][name]) for y, label in enumerate(labels) if name in found[label]]
        if not rows:
            continue
        y, middle, low, high = np.array(rows).T
        axes.errorbar(middle, y, xerr=[middle - low, high - middle], fmt="o", color=colour, label=name, capsize=3)
    for y, label in enumerate(labels):
        ours = found[label]["bayesgmm"][0]
        for name, (middle, *_) in found[label].items():
            if name != "bayesgmm":
                axes.annotate(f"{middle / ours:.1f} x", (middle, y), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xscale="log", xlabel="seconds an iteration (log scale; ranges over the rounds)", yticks=range(len(labels)), yticklabels=labels)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_growth(found: dict[str, tuple], path: str) -> None:
    """Seconds of an iteration against rows, columns and components, with the fitted exponents."""
    figure, panels = plt.subplots(1, len(found), figsize=(11, 3.6), layout="constrained")
    for axes, (name, (sizes, times, slope)) in zip(panels, found.items(), strict=True):
        sizes, times = np.array(sizes, float), np.array(times)
        axes.loglog(sizes, times, "o-", color=COLOURS["bayesgmm"], label=f"measured, exponent {slope:.2f}")
        power = EXPECTED[name]
        axes.loglog(sizes, times[-1] * (sizes / sizes[-1]) ** power, "--", color="#8a8a8a", label=f"exponent {power}")
        axes.set(xlabel=name, ylabel="seconds an iteration")
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
