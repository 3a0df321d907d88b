"""What the data added to the prior."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.marginals import QUANTITIES, marginals
from bayesgmm.core.noise import tails
from bayesgmm.inference.compiling import numbers
from bayesgmm.plots.style import DATA, line, on_axes, quantity_column, style
from bayesgmm.validation import check_option

WORDS = {"weights": "weight", "means": "mean of {}", "standard_deviations": "standard deviation of {}"}
SHARE = 0.85
"""Of the height of a component's strip, what its densities take."""


def plot_prior_posterior(model: Any, quantity: str = "means", column: int | str | None = None, ax: Any = None):
    """Marginal law of a parameter under prior and posterior, a strip for each component.

    Parameters
    ----------
    model : fitted BayesianGaussianMixture
        Without frozen components.
    quantity : {"means", "weights", "standard_deviations"}, default "means"
    column : int or str, optional
        Column of the data whose means or standard deviations are drawn, by number (from 0) or name; the first by default.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Each density is drawn as high as its strip, in units of the data across: widths can be compared, heights cannot. The posterior is
        the fit's own law, which is too narrow where components overlap.

    Raises
    ------
    ValueError
        A quantity or column that does not exist; a model without a posterior law; the weight of a single component, which is 1.
    """
    check_option("quantity", quantity, QUANTITIES)
    j, name = quantity_column(column_names(model), quantity, column)
    _check(model, quantity)
    with numbers():
        found = marginals(model.prior_, model.posterior_, quantity, j or 0)
    k = model.n_components_
    ax = on_axes(ax, (6.0, 1.4 + 0.62 * k))
    for c in range(k):
        _strip(ax, found.grid, found.prior[c], found.posterior[c], c)
    ax.plot([], [], color="#555555", linestyle="--", linewidth=1.2, label="prior")
    ax.fill_between([], [], [], color=style(0)[0], alpha=0.45, label="posterior")
    ax.set_yticks(np.arange(k), [f"component {c + 1}" for c in range(k)])
    ax.tick_params(axis="y", length=0)
    what = WORDS[quantity].format(name)
    ax.set(xlabel=what if tails(model.posterior_.components) is None else what.replace("standard deviation", "scale"))
    ax.set(ylim=(k - 1 + 0.12, -1.1), xlim=(found.grid[0], found.grid[-1]))
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def _check(model: Any, quantity: str) -> None:
    if not model._bayesian:
        raise ValueError(f"plot_prior_posterior is for BayesianGaussianMixture; a {type(model).__name__} has no posterior law.")
    if model.posterior_.n_known:
        raise ValueError("plot_prior_posterior is not there for models with frozen components, which have no law.")
    if quantity == "weights" and model.posterior_.n_components == 1:
        raise ValueError("The model has one component, whose weight is 1: take quantity='means' or 'standard_deviations'.")


def _strip(ax, grid: np.ndarray, prior: np.ndarray, posterior: np.ndarray, c: int) -> None:
    """Densities of component ``c`` above the line of its name."""
    inner = prior[len(prior) // 25 : -len(prior) // 25]  # priors of weights may be infinite at 0 and 1: cut off there
    before, after = c - SHARE * np.minimum(prior / inner.max(), 1), c - SHARE * posterior / posterior.max()
    ax.axhline(c, color=DATA, linewidth=0.8, zorder=0)
    ax.fill_between(grid, c, after, color=style(c)[0], alpha=0.45, linewidth=0)
    ax.plot(grid, after, **line(c), linewidth=1.4)
    ax.plot(grid, before, color="#555555", linestyle="--", linewidth=1.2)
