"""Data with the components of a mixture drawn over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.facts import column_names

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
"""Okabe & Ito's palette, told apart by colour-blind readers; it repeats with other markers."""

MARKERS = "os^Dv<>P"


def plot_components(model: Any, X: Any, columns: tuple[int, int] = (0, 1), ax: Any = None):
    """Rows coloured by component with ellipses of two standard deviations; in one dimension a histogram with densities.

    Those of Student t components are of twice the scale.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
        Rows; paler ones are less certain to belong where they were put, crosses are noise.
    columns : (int, int)
        The two columns to show.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6, 4.5))[1]
    values = np.asarray(X, float)
    names = column_names(model)
    if model.n_features_in_ == 1:
        _histogram(model, values[:, 0], ax)
        ax.set(xlabel=names[0], ylabel="density")
    else:
        _scatter(model, X, values[:, list(columns)], ax)
        _ellipses(model, list(columns), ax)
        ax.set(xlabel=names[columns[0]], ylabel=names[columns[1]])
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _style(k: int) -> tuple[str, str]:
    return COLOURS[k % len(COLOURS)], MARKERS[(k // len(COLOURS) + k) % len(MARKERS)]


def _scatter(model, X, points: np.ndarray, ax) -> None:
    table = model.row_table(X)
    for k in range(model.n_components_):
        colour, marker = _style(k)
        mine = table.label == k
        alpha = np.clip(2 * table.probability[mine] - 1, 0.15, 0.75)
        label = f"component {k + 1}: {model.weights_[k]:.0%}, {mine.sum()} rows"
        ax.scatter(*points[mine].T, s=16, c=colour, marker=marker, alpha=alpha, linewidths=0)
        ax.plot([], [], marker=marker, color=colour, linestyle="", label=label)
    noise = table.label == -1
    if model.posterior_.n_noise:
        label = f"noise: {model.noise_weight_:.0%}, {noise.sum()} rows"
        ax.scatter(*points[noise].T, s=22, c="black", marker="x", linewidths=1, label=label)


def _dense(model) -> np.ndarray:
    components = model.posterior_.components
    d = model.n_features_in_
    return np.broadcast_to(components.structure.to_dense(components.covariance, d), (model.n_components_, d, d))


def _ellipses(model, columns: list[int], ax) -> None:
    from matplotlib.patches import Ellipse

    for k, covariance in enumerate(_dense(model)):
        values, vectors = np.linalg.eigh(covariance[np.ix_(columns, columns)])
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        width, height = 4 * np.sqrt(values[::-1])
        centre = tuple(model.means_[k][columns])
        ax.add_patch(Ellipse(centre, width, height, angle=angle, fill=False, edgecolor=_style(k)[0], linewidth=1.8))
        ax.plot(*centre, "+", color="black", markersize=9)


def _histogram(model, values: np.ndarray, ax) -> None:
    ax.hist(values, bins="fd", density=True, color="#dddddd", edgecolor="white")
    grid = np.linspace(values.min(), values.max(), 400)
    ax.plot(grid, np.exp(model.score_samples(grid[:, None])), color="black", linewidth=1.8, label="mixture")
    share = model.predict_proba(grid[:, None])
    density = np.exp(model.score_samples(grid[:, None]))
    for k in range(model.n_components_):
        ax.plot(grid, share[:, k] * density, color=_style(k)[0], linestyle=("-", "--", "-.", ":")[k % 4], label=f"component {k + 1}")
    if model.posterior_.n_noise:
        ax.plot(grid, share[:, -1] * density, color="black", linestyle=":", label="noise")
