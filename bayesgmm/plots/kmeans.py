"""A mixture beside k-means with as many clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis.facts import column_names
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.style import open_frame, style


def plot_beside_kmeans(model: Any, X: Any, columns: tuple[int, int] = (0, 1), axes: Any = None, random_state: Any = 0):
    """k-means on the left, the mixture on the right.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
    X : array or data frame, shape (N, D)
        Complete rows, of two columns at least.
    columns : (int, int), default (0, 1)
    axes : two matplotlib Axes, optional
    random_state : int, numpy generator or None, default 0
        Of k-means.

    Returns
    -------
    ndarray of two matplotlib Axes
        On the left, centres, where the data have two columns also the lines between clusters, which lie halfway between centres whatever
        the rows do; crosses are rows that the mixture puts elsewhere, clusters numbered as the components they share most rows with.
    """
    from scipy.optimize import linear_sum_assignment

    from bayesgmm.estimators import KMeans

    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharex=True, sharey=True)[1]
    k, labels, names = model.n_components_, model.predict(X), column_names(model)
    rounded = KMeans(n_clusters=k, random_state=random_state).fit(X)
    together = np.array([[((rounded.labels_ == c) & (labels == i)).sum() for i in range(k)] for c in range(k)])
    number = linear_sum_assignment(together, maximize=True)[1]
    cluster = number[rounded.labels_]
    plot_components(model, X, columns, axes[1])
    _clusters(np.asarray(X, float)[:, list(columns)], cluster, cluster == labels, axes[0])
    axes[0].plot(*rounded.cluster_centers_[:, list(columns)].T, "+", color="black", markersize=9)
    if len(names) == 2:
        _borders(rounded, list(columns), axes[0])
    told = f"k-means: {(cluster != labels).sum()} of {len(labels)} rows elsewhere"
    axes[0].set(title=told, xlabel=names[columns[0]], ylabel=names[columns[1]])
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


def _borders(rounded: Any, columns: list[int], ax) -> None:
    """Where the nearest centre changes."""
    if len(rounded.cluster_centers_) < 2:
        return
    across, up = (np.linspace(*ax.get_xlim(), 300), np.linspace(*ax.get_ylim(), 300))
    points = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)[:, np.argsort(columns)]
    nearest = rounded.predict(points).reshape(300, 300)
    for c in range(len(rounded.cluster_centers_)):
        ax.contour(across, up, (nearest == c).astype(float), levels=[0.5], colors="#555555", linewidths=0.9, linestyles="--")
