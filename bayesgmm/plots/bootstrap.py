"""A bootstrap likelihood-ratio test as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.plots.style import COLOURS, open_frame


def plot_bootstrap_lrt(test: Any, n_components: int | None = None, ax: Any = None):
    """Histogram of the statistics of the drawn sets, and the statistic of the data.

    Parameters
    ----------
    test : BootstrapLRT
    n_components : int, optional
        K of the test of K against K + 1; by default the last one made.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There was no such test.
    """
    tested = test.table["n_components"]
    k = int(tested[-1]) if n_components is None else n_components
    if k not in tested:
        raise ValueError(f"n_components must be one of those tested, {', '.join(map(str, tested))}; got {n_components!r}.")
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6, 4))[1]
    (row,) = np.flatnonzero(tested == k)
    observed, p = test.table["statistic"][row], test.table["p_value"][row]
    ax.hist(test.samples[k], bins="auto", color="#dddddd", edgecolor="white", label=f"sets drawn from {k}")
    ax.axvline(observed, color=COLOURS[1], linewidth=2, label=f"data: {observed:.1f} (p = {p:.3f})")
    ax.set(xlabel=f"likelihood-ratio statistic, {k} against {k + 1} components", ylabel="sets")
    ax.legend(frameon=False, fontsize="small")
    return open_frame(ax)
