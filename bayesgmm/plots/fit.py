"""How a fit came about and what it kept: the bound along the way, and the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.plots.style import COLOURS, on_axes, open_frame, style

ROUNDING = 1e-13
"""Share of a bound below which a difference is rounding."""


def plot_bound(model: Any, ax: Any = None):
    """The objective at the start and after each pass of the winning start; where components left, a new model begins.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Nats that are still to come, on a log scale.
    """
    bounds = np.asarray(model.lower_bounds_)
    ax = on_axes(ax, (6, 3.6))
    left = bounds.max() - bounds
    shown = left > ROUNDING * abs(bounds.max())
    kind = "evidence lower bound" if model._bayesian else "log-likelihood" if model.prior is None else "penalised log-likelihood"
    passes = np.arange(len(bounds))
    ax.semilogy(passes[shown], left[shown], "o-", color=COLOURS[0], markersize=3.5, linewidth=1.4)
    for fall in np.flatnonzero(np.diff(bounds) < -1e-6 * (1 + np.abs(bounds[1:]))):
        ax.axvline(fall + 0.5, color=COLOURS[1], linestyle="--", linewidth=1)
    ax.set(xlabel="pass over the rows", ylabel=f"{kind}: nats to come", title=f"ends at {bounds.max():.2f} nats")
    return open_frame(ax)


def plot_weights(model: Any, uncertainty: Any = None, ax: Any = None, prob: float = 0.94):
    """Weights of the components kept, with intervals if there are any, and how many of those asked for left.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    uncertainty : Uncertainty, optional
        Of the same model.
    ax : matplotlib Axes, optional
    prob : float, default 0.94
        Share of the draws in each interval.

    Returns
    -------
    matplotlib Axes
    """
    ax = on_axes(ax, (6, 3.6))
    k, asked = model.n_components_, int(model.n_components)
    for i, weight in enumerate(model.weights_):
        ax.bar(i, weight, color=style(i)[0], width=0.7)
    if uncertainty is not None:
        found = uncertainty.intervals(prob)["weights"]
        reach = np.abs(np.stack([found.lower, found.upper]) - model.weights_)
        ax.errorbar(np.arange(k), model.weights_, reach, fmt="none", ecolor="black", capsize=4)
    names = [str(i + 1) for i in range(k)]
    if model.posterior_.n_noise:
        ax.bar(len(names), model.noise_weight_, color="#444444", width=0.7, hatch="///", edgecolor="white")
        names.append("noise")
    if asked > k:
        ax.bar(len(names) + np.arange(asked - k), 0.004, color="none", edgecolor="#777777", linestyle=":", width=0.7)
        middle, told = len(names) + (asked - k - 1) / 2, f"{asked - k} of {asked} removed"
        ax.annotate(told, (middle, 0.02), ha="center", color="#555555", fontsize="small")
    ax.set_xticks(range(len(names)), names)
    ax.set(xlabel="component", ylabel="weight")
    return open_frame(ax)
