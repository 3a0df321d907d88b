"""A mixture beside k-means with as many clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.comparison import kmeans_labels, names_of
from bayesgmm.analysis.facts import column_names
from bayesgmm.inference.compiling import numbers
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.style import open_frame, plain, style


def plot_beside_kmeans(model: Any, X: Any, columns: tuple[int, int] = (0, 1), axes: Any = None, seed: int = 0):
    """k-means of standardised columns on the left, the mixture on the right.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
        Complete rows, of two columns at least.
    columns : (int, int), default (0, 1)
    axes : two matplotlib Axes, optional
    seed : int, default 0
        Of k-means.

    Returns
    -------
    ndarray of two matplotlib Axes
        On the left, centres, where the data have two columns also the lines between clusters, which lie halfway between centres whatever
        the rows do; crosses are rows that the mixture puts elsewhere, clusters numbered as the components they share most rows with.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharex=True, sharey=True)[1]
    k, labels, names, values = model.n_components_, model.predict(X), column_names(model), np.asarray(X, float)
    with numbers():
        found = kmeans_labels(values, k, seed)
    shared, proper = np.zeros((k, k)), labels >= 0
    np.add.at(shared, (found[proper], labels[proper]), 1)
    cluster = names_of(shared)[found]
    centres = np.stack([values[cluster == c].mean(0) for c in np.unique(cluster)])
    plot_components(model, X, columns, axes[1])
    _clusters(values[:, list(columns)], cluster, cluster == labels, axes[0])
    axes[0].plot(*centres[:, list(columns)].T, "+", color="black", markersize=9)
    if len(names) == 2:
        _borders(centres[:, list(columns)], values[:, list(columns)].std(0), axes[0])
    told = f"k-means: {(cluster != labels).sum()} of {len(labels)} rows elsewhere"
    axes[0].set(title=told, xlabel=plain(names[columns[0]]), ylabel=plain(names[columns[1]]))
    axes[1].set(title="mixture")
    return np.asarray(axes)


def _clusters(points: np.ndarray, cluster: np.ndarray, same: np.ndarray, ax) -> None:
    for k in np.unique(cluster):
        colour, marker = style(k)
        mine = cluster == k
        label = f"cluster {k + 1}: {mine.sum()} rows"
        ax.plot(*points[mine & same].T, marker, color=colour, markersize=4, alpha=0.6, markeredgewidth=0, label=label)
        ax.plot(*points[mine & ~same].T, "x", color=colour, markersize=6)
    ax.legend(frameon=False, fontsize="small")
    open_frame(ax)


def _borders(centres: np.ndarray, unit: np.ndarray, ax) -> None:
    """Where the nearest centre changes; ``unit`` (2,) are the standard deviations of the columns."""
    if len(centres) < 2:
        return
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    across, up = np.linspace(left, right, 300), np.linspace(low, high, 300)
    points = np.stack(np.meshgrid(across, up), -1)
    nearest = (((points[..., None, :] - centres) / unit) ** 2).sum(-1).argmin(-1)
    for c in range(len(centres)):
        ax.contour(across, up, (nearest == c).astype(float), levels=[0.5], colors="#555555", linewidths=0.9, linestyles="--")
