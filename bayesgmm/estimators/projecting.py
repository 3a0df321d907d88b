"""The view in which the components of a fitted mixture differ most."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bayesgmm.analysis import rows as row_facts
from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.parameters import dense_covariances
from bayesgmm.analysis.point import Point
from bayesgmm.analysis.projection import correlations, directions


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """Rows seen along the directions in which the components differ most.

    Attributes
    ----------
    rows : ndarray, shape (N, R)
        The rows, the mean of the mixture being 0; the mixture has variance 1 along each direction and no correlations.
    directions : ndarray, shape (D, R)
        Weights of the columns in each direction, in the units of the columns.
    correlations : ndarray, shape (D, R)
        Of each column with each direction, within the mixture.
    eigenvalues : ndarray, shape (R,)
        How much of the difference each direction shows, the most first.
    means : ndarray, shape (K, R)
        Means of the components.
    covariances : ndarray, shape (K, R, R)
        Covariances of the components.
    weights : ndarray, shape (K,)
    labels : ndarray of int, shape (N,)
        Most probable component of each row.
    feature_names : tuple of str
        The D columns.
    separation : float
        As it was given.
    """

    rows: np.ndarray = dataclasses.field(repr=False)
    directions: np.ndarray = dataclasses.field(repr=False)
    correlations: np.ndarray = dataclasses.field(repr=False)
    eigenvalues: np.ndarray
    means: np.ndarray = dataclasses.field(repr=False)
    covariances: np.ndarray = dataclasses.field(repr=False)
    weights: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    feature_names: tuple[str, ...]
    separation: float

    @property
    def share(self) -> np.ndarray:
        """Share (R,) of each eigenvalue in their sum."""
        return self.eigenvalues / self.eigenvalues.sum()

    def plot(self, ax: Any = None):
        """Rows along the first two directions; see `plots.plot_projection`."""
        from bayesgmm.plots import plot_projection

        return plot_projection(self, ax)


def project(model: Any, values: np.ndarray, separation: float) -> Projection:
    """See `Usable.projection`; ``values`` (N, D) are checked."""
    point = Point(model.weights_, model.means_, dense_covariances(model.posterior_))
    vectors, eigenvalues = directions(point, separation) if model.n_components_ > 1 else (np.empty((0, 0)), np.empty(0))
    if not len(eigenvalues):
        what = "covariances" if separation == 0 and model.n_components_ > 1 else "components"
        raise ValueError(f"The {what} of this model ({model.n_components_} in all) do not differ: no direction shows a difference.")
    centre = point.weights @ point.means
    return Projection(
        rows=(values - centre) @ vectors,
        directions=vectors,
        correlations=correlations(point, vectors),
        eigenvalues=eigenvalues,
        means=(point.means - centre) @ vectors,
        covariances=np.einsum("di,kde,ej->kij", vectors, point.covariances, vectors),
        weights=point.weights,
        labels=row_facts.labels(model.posterior_, model._coordinates, values),
        feature_names=tuple(column_names(model)),
        separation=separation,
    )
