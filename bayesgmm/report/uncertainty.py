"""Intervals as a table that can be read."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.report.text import WIDE, aligned, number

TABLE = ("weights", "means", "standard_deviations")
"""Quantities shown by component; correlations and covariances are in the dictionary."""


SPREAD = {False: "standard deviation", True: "scale"}
"""What the spread of a component is called, by whether its tails are heavy."""

MORE = {"noise_weight": "weight of noise", "degrees_of_freedom": "degrees of freedom"}
"""Other quantities that some models have."""


def printed(intervals: Any) -> str:
    """Means with intervals: a line for each component, or for wide data for each column; other quantities one by one."""
    head = f"{intervals.heading}; mean [{100 * intervals.prob:g}% interval]"
    if not set(TABLE) <= set(intervals):
        return "\n".join([head, *(f"{name}: {listed(each)}" for name, each in intervals.items())])
    parts = [_table(intervals, "means", "mean"), "", _table(intervals, "standard_deviations", SPREAD[intervals.heavy])]
    more = [f"{title}: {listed(intervals[name])}" for name, title in MORE.items() if name in intervals]
    return "\n".join([head, "", *parts, *more])


def cell(each: Any, index: tuple[int, ...]) -> str:
    """Mean and interval of one number."""
    values = [float(part[index]) for part in (each.mean, each.lower, each.upper)]
    shown = [number(value) for value in values]
    width = values[2] - values[1]
    if 0 < 1000 * width < max(map(abs, values)):  # far from 0: as many digits as the width of the interval needs
        digits = max(0, 1 - int(np.floor(np.log10(width))))
        shown = [f"{value:.{digits}f}" for value in values]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def listed(each: Any) -> str:
    """All numbers of one quantity, with their intervals."""
    return ", ".join(cell(each, index) for index in np.ndindex(each.mean.shape))


def lines(intervals: Any, quantity: str, title: str, columns: list[str] | None = None) -> list[list[str]]:
    """Titles, and a line for each component: one quantity by column, the weights beside the means; for wide data turned about."""
    each, names = intervals[quantity], columns or intervals.feature_names
    k = len(each.mean)
    shared = k < len(intervals["weights"].mean)
    found = [["component", *("all" if shared else str(i + 1) for i in range(k))]]
    if quantity == "means":
        found.append(["weight", *(cell(intervals["weights"], (i,)) for i in range(k))])
    found += [[f"{title} of {name}", *(cell(each, (i, j)) for i in range(k))] for j, name in enumerate(names)]
    return [list(line) for line in zip(*found, strict=True)] if len(names) <= WIDE else found


def _table(intervals: Any, quantity: str, title: str) -> str:
    return aligned(lines(intervals, quantity, title))
