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


def heading(intervals: Any) -> str:
    """Where the draws come from, and what a cell holds."""
    return f"{intervals.heading}; mean [{100 * intervals.prob:g}% interval]"


def tables(intervals: Any) -> list[list[list[str]]]:
    """Means with weights, and spreads: lines of cells, the first the titles; none where there are other quantities only."""
    if not set(TABLE) <= set(intervals):
        return []
    return [_table(intervals, "means", "mean"), _table(intervals, "standard_deviations", SPREAD[intervals.heavy])]


def others(intervals: Any) -> list[str]:
    """Quantities that are in no table, a line each."""
    if not set(TABLE) <= set(intervals):
        return [f"{name}: {_listed(each)}" for name, each in intervals.items()]
    return [f"{title}: {_listed(intervals[name])}" for name, title in MORE.items() if name in intervals]


def printed(intervals: Any) -> str:
    """Means with intervals: a line for each component, or for wide data for each column; other quantities one by one."""
    parts = [part for lines in tables(intervals) for part in ("", aligned(lines))]
    return "\n".join([heading(intervals), *parts, *others(intervals)])


def _cell(each: Any, index: tuple[int, ...]) -> str:
    values = [float(part[index]) for part in (each.mean, each.lower, each.upper)]
    shown = [number(value) for value in values]
    width = values[2] - values[1]
    if 0 < 1000 * width < max(map(abs, values)):  # far from 0: as many digits as the width of the interval needs
        digits = max(0, 1 - int(np.floor(np.log10(width))))
        shown = [f"{value:.{digits}f}" for value in values]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _listed(each: Any) -> str:
    return ", ".join(_cell(each, index) for index in np.ndindex(each.mean.shape))


def _table(intervals: Any, quantity: str, title: str) -> list[list[str]]:
    """One quantity by component and column, with the weights beside the means."""
    each, names = intervals[quantity], intervals.feature_names
    k = len(each.mean)
    shared = k < len(intervals["weights"].mean)
    lines = [["component", *("all" if shared else str(i + 1) for i in range(k))]]
    if quantity == "means":
        lines.append(["weight", *(_cell(intervals["weights"], (i,)) for i in range(k))])
    lines += [[f"{title} of {name}", *(_cell(each, (i, j)) for i in range(k))] for j, name in enumerate(names)]
    return [list(line) for line in zip(*lines, strict=True)] if len(names) <= WIDE else lines
