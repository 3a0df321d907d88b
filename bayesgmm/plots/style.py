"""What all pictures have in common: colours, markers and lines that tell components, axes without frames, names of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.validation import brief, check_column

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
"""Okabe & Ito's palette, told apart by colour-blind readers; it repeats with other markers."""

MARKERS = "os^Dv<>P"

LINES = ("-", "--", "-.", ":")

LONGEST = 40
"""Characters of a name that fit an axis."""

DATA = "#d9d9d9"
"""Colour of rows that belong to no component in particular."""


def style(k: int) -> tuple[str, str]:
    """Colour and marker of component ``k``."""
    return COLOURS[k % len(COLOURS)], MARKERS[(k // len(COLOURS) + k) % len(MARKERS)]


def line(k: int) -> dict[str, Any]:
    """Colour and kind of the line of component ``k``."""
    return {"color": style(k)[0], "linestyle": LINES[k % len(LINES)]}


def plain(name: str) -> str:
    """The name of a column as a label: short enough for an axis, and a dollar sign is no formula."""
    shown = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
    return shown.replace("$", r"\$")


def quantity_column(names: list[str], quantity: str, column: int | str | None) -> tuple[int | None, str]:
    """Number and label of the column whose means or standard deviations are drawn, the first by default; no number for weights.

    Raises
    ------
    ValueError
        A column that does not exist, or one of weights.
    """
    if quantity == "weights":
        if column is not None:
            raise ValueError(f"column is for means and standard deviations; weights have none. Got {brief(column)}.")
        return None, ""
    j = 0 if column is None else check_column(column, names)
    return j, plain(names[j])


def check_kind(name: str, value: Any, attribute: str, made_by: str) -> None:
    """Whether a plot was given what it draws.

    Raises
    ------
    ValueError
        Something else.
    """
    if not hasattr(value, attribute):
        raise ValueError(f"{name} must be what {made_by} returns; got {type(value).__name__}.")


def on_axes(ax: Any, size: tuple[float, float]):
    """The Axes given, or new ones of this size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def open_frame(ax):
    """Without the lines above and to the right."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def ellipse(ax, mean, covariance, k: int) -> None:
    """The ellipse of two standard deviations of component ``k`` in two columns."""
    from matplotlib.patches import Ellipse

    values, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    width, height = 4 * np.sqrt(np.maximum(values[::-1], 0))
    shape = {"fill": False, "edgecolor": style(k)[0], "linewidth": 1.8, "linestyle": LINES[k % len(LINES)]}
    ax.add_patch(Ellipse(tuple(mean), width, height, angle=angle, **shape))
