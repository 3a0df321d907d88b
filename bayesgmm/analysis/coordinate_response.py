r"""The covariance of linear response in the coordinates of a fit, in closed form.

`response` has the scores of rows as linear functions of standardised random coefficients e, and M, whose inverse is the covariance of
linear response of these. Under the fit the coordinates z of `unconstrained` have unit covariance, and B with e, so

.. math:: \mathrm{Cov}(z) = I + B\,(M^{-1} - I)\,B^T.

The identity holds all of the spread that e does not explain, which is why the answer is exact for one component (Giordano, Broderick &
Jordan 2015, sec. 2.2, keep the part that e explains). B follows from Bartlett's decomposition: with :math:`W = T^T T`,
Cov(W_jj, ln T_jj) = 1, Cov(W_ij, T_ij) = E T_ii for i > j, and Cov(T^T u, u) = E T.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesgmm.analysis.response import component_root, eigen, own_root
from bayesgmm.analysis.unconstrained import Chart, half_dofs, places
from bayesgmm.core.mixture import Mixture
from bayesgmm.inference.kernel import in_part

LEAST = 0.005
"""Smallest eigenvalue of M that counts in full: no direction is drawn with a variance of more than 200 times the fit's."""


class Spread(NamedTuple):
    """A covariance close to the identity, I + Q diag(values) Q^T, with orthonormal columns Q.

    Attributes
    ----------
    vectors : ndarray, shape (P, R)
    values : ndarray, shape (R,)
    """

    vectors: np.ndarray
    values: np.ndarray

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviations (P,)."""
        return np.sqrt(1 + self.vectors**2 @ self.values)

    def draw(self, noise: np.ndarray) -> np.ndarray:
        """Numbers (S, P) with this covariance from standard Gaussian ones, by its symmetric root."""
        return noise + (noise @ self.vectors * (np.sqrt(1 + self.values) - 1)) @ self.vectors.T


def spread_of(chart: Chart, x, weight) -> tuple[Spread, float]:
    """The covariance (P, P) of linear response, and the share of an error that one plain pass leaves.

    Parameters
    ----------
    chart : Chart
        Of a converged fit, in the coordinates of the rows.
    x : Array, shape (N, D)
    weight : Array, shape (N,)
    """
    values, vectors = eigen(chart.posterior, x, weight)
    axes, upper = np.linalg.qr(with_coefficients(chart, in_part(x)) @ vectors)
    more, turned = np.linalg.eigh((upper * (1 / np.maximum(values, LEAST) - 1)) @ upper.T)
    return Spread(axes @ turned, np.maximum(more, -1)), float(np.clip(1 - values[0], 0, 1))


def with_coefficients(chart: Chart, part: bool = False):
    """Covariance B (P, C) of the coordinates with the standardised coefficients, in the order of `response_matrix`.

    For components with matrices of their own it is sparse, a scipy matrix. ``part``: rows are known in part.
    """
    return _shared(chart, part) if chart.posterior.tied else _own(chart)


def _mean_diagonals(chart: Chart) -> np.ndarray:
    """Expected diagonals (K or 1, L) of T."""
    from scipy.special import gammaln

    half = half_dofs(chart.posterior.components)
    return np.exp(gammaln(half + 0.5) - gammaln(half)) * np.sqrt(2)


def _own(chart: Chart):
    """B for components with matrices of their own."""
    from scipy.sparse import csr_array

    posterior: Mixture = chart.posterior
    law, structure = posterior.components, posterior.structure
    k, d = law.mean.shape
    squares = np.flatnonzero(np.asarray(structure.coefficients(structure.identity(d)) > 0))
    n_products = structure.n_parameters(d)
    width, dof, means = np.asarray(chart.width), np.asarray(law.dof), _mean_diagonals(chart)
    size, copies, length = 1 + d + n_products, structure.blocks(d).copies, width.shape[1]
    shares, u, logs, below = places(chart)
    entries, constants = [], np.zeros((below.stop, k))
    constants[shares] = chart.weights.log_covariance()
    for c in range(k):
        first = c * size + 1
        entries.append((u.start + c * d + np.arange(d), first + np.arange(d), means[c] / np.sqrt(dof[c])))
        place = logs.start + c * length + np.arange(length)
        entries.append((place, first + d + squares, -1 / (np.sqrt(2 * dof[c]) * width[c])))
        constants[place, c] = copies * (width[c] - 1 / (2 * dof[c] * width[c]))
        if structure.rank == 2:
            rows = np.tril_indices(d, -1)[0]
            place = below.start + c * len(rows) + np.arange(len(rows))
            entries.append((place, first + d + _product_places(structure, d), -means[c][rows] / np.sqrt(dof[c])))
    found = np.linalg.solve(own_root(posterior), constants.T).T
    rows, columns = np.nonzero(found)
    entries.append((rows, columns * size, found[rows, columns]))
    rows, columns, values = (np.concatenate([np.broadcast_to(e[i], e[0].shape) for e in entries]) for i in range(3))
    return csr_array((values, (rows, columns)), shape=(len(constants), k * size))


def _product_places(structure, d: int) -> np.ndarray:
    """Place among the packed products of each pair of columns (i, j), i > j, row by row."""
    rows, columns = np.tril_indices(d, -1)
    marks = np.zeros((len(rows), d, d))
    marks[np.arange(len(rows)), rows, columns] = marks[np.arange(len(rows)), columns, rows] = 1
    return np.array([int(np.argmax(np.asarray(structure.coefficients(mark)))) for mark in marks], int)


def _shared(chart: Chart, products: bool) -> np.ndarray:
    """B for components that share a matrix; the ``products`` that all of them have in common tell no component from another."""
    posterior = chart.posterior
    law, structure = posterior.components, posterior.structure
    root, inner = component_root(posterior, products=products)
    mean, kappa = np.asarray(inner.mean), np.asarray(law.mean_precision)
    k, d = mean.shape
    width, expected = np.asarray(chart.width)[0], _mean_diagonals(chart)[0]
    shares, u, logs, below = places(chart)
    found = np.zeros((below.stop, k, 1 + d))
    found[shares, :, 0] = chart.weights.log_covariance()
    columns, length = np.arange(d), len(width)
    for c in range(k):
        place = u.start + c * d + columns
        found[place, c, 1 + columns] = expected / np.sqrt(kappa[c])
        found[place, c, 0] = -expected * mean[c] / np.sqrt(kappa[c])
        np.add.at(found, (logs.start + columns % length, c, 1 + columns), mean[c] / width)
        np.add.at(found, (logs.start + columns % length, c, 0), -(mean[c] ** 2) / (2 * width))
        if structure.rank == 2:
            rows, others = np.tril_indices(d, -1)
            place = below.start + np.arange(len(rows))
            found[place, c, 1 + rows] = mean[c][others] * expected[rows]
            found[place, c, 1 + others] = mean[c][rows] * expected[rows]
            found[place, c, 0] = -mean[c][rows] * mean[c][others] * expected[rows]
    found = found.reshape(len(found), -1)
    if products:
        found = np.concatenate([found, _products(chart)], 1)
    return np.linalg.solve(root, found.T).T


def _products(chart: Chart) -> np.ndarray:
    """Covariance (P, products) of the coordinates with the coefficients of products of columns that components share."""
    law, structure = chart.posterior.components, chart.posterior.structure
    d, width, expected = law.n_features, np.asarray(chart.width)[0], _mean_diagonals(chart)[0]
    _, _, logs, below = places(chart)
    found = np.zeros((below.stop, structure.n_parameters(d)))
    squares = np.flatnonzero(np.asarray(structure.coefficients(structure.identity(d)) > 0))
    found[logs.start + np.arange(len(width)), squares] = -1 / (2 * width)
    if structure.rank == 2:
        rows = np.tril_indices(d, -1)[0]
        found[below.start + np.arange(len(rows)), _product_places(structure, d)] = -expected[rows]
    return found
