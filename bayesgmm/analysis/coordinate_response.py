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

from bayesgmm.analysis.coefficients import found_hidden, is_plain, own_coordinates
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


def spread_of(chart: Chart, x, weight, posterior: Mixture | None = None) -> tuple[Spread, float]:
    """The covariance (P, P) of linear response, and the share of an error that one plain pass leaves.

    Parameters
    ----------
    chart : Chart
        Of a converged fit, in the coordinates of the rows.
    x : Array, shape (N, D)
    weight : Array, shape (N,)
    posterior : Mixture, optional
        The fit, where it has noise or heavy tails.
    """
    if posterior is None or is_plain(posterior):
        values, vectors = eigen(chart.posterior, x, weight)
        moved = with_coefficients(chart, in_part(x)) @ vectors
    else:
        values, combinations = found_hidden(posterior, x, weight)
        values, moved = np.append(values, 1.0), with_all_coefficients(chart) @ np.pad(combinations, ((0, 0), (0, 1)))
    axes, upper = np.linalg.qr(moved)
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
    root, inner = component_root(chart.posterior, products=products)
    found = _with_rows(chart, np.asarray(inner.mean))
    found[places(chart).weights, :, 0] = chart.weights.log_covariance()
    found = found.reshape(len(found), -1)
    if products:
        found = np.concatenate([found, _products(chart)], 1)
    return np.linalg.solve(root, found.T).T


def _with_rows(chart: Chart, mean: np.ndarray) -> np.ndarray:
    """Covariance (P, K, 1 + D) of the coordinates with -1/2 mu^T W mu and W mu, of ``mean`` (K, D) where scales are 1."""
    law, structure = chart.posterior.components, chart.posterior.structure
    (k, d), kappa = mean.shape, np.asarray(law.mean_precision)
    widths, means = np.asarray(chart.width), _mean_diagonals(chart)
    _, u, logs, below = places(chart)
    found = np.zeros((below.stop, k, 1 + d))
    columns, length = np.arange(d), widths.shape[1]
    for c in range(k):
        matrix = min(c, len(widths) - 1)
        width, expected = widths[matrix], means[matrix]
        place = u.start + c * d + columns
        found[place, c, 1 + columns] = expected / np.sqrt(kappa[c])
        found[place, c, 0] = -expected * mean[c] / np.sqrt(kappa[c])
        place = logs.start + matrix * length + columns % length
        np.add.at(found, (place, c, 1 + columns), mean[c] / width)
        np.add.at(found, (place, c, 0), -(mean[c] ** 2) / (2 * width))
        if structure.rank == 2:
            rows, others = np.tril_indices(d, -1)
            place = below.start + matrix * len(rows) + np.arange(len(rows))
            found[place, c, 1 + rows] = mean[c][others] * expected[rows]
            found[place, c, 1 + others] = mean[c][rows] * expected[rows]
            found[place, c, 0] = -mean[c][rows] * mean[c][others] * expected[rows]
    return found


def _products(chart: Chart) -> np.ndarray:
    """Covariance (P, K x products, or products) of the coordinates with the coefficients of products of columns."""
    law, structure = chart.posterior.components, chart.posterior.structure
    d, widths, means = law.n_features, np.asarray(chart.width), _mean_diagonals(chart)
    _, _, logs, below = places(chart)
    (m, length), size = widths.shape, structure.n_parameters(d)
    found = np.zeros((below.stop, m, size))
    squares = np.flatnonzero(np.asarray(structure.coefficients(structure.identity(d)) > 0))
    for c in range(m):
        found[logs.start + c * length + np.arange(length), c, squares] = -1 / (2 * widths[c])
        if structure.rank == 2:
            rows = np.tril_indices(d, -1)[0]
            found[below.start + c * len(rows) + np.arange(len(rows)), c, _product_places(structure, d)] = -means[c][rows]
    return found.reshape(len(found), -1)


def with_all_coefficients(chart: Chart) -> np.ndarray:
    """Covariance (P, C) of the coordinates with coefficients as `bayesgmm.analysis.coefficients` has them, not standardised."""
    law = chart.posterior.components
    k, widths = len(law.mean), np.asarray(chart.width)
    (m, length), copies = widths.shape, law.structure.blocks(law.n_features).copies
    shares, _, logs, below = places(chart)
    labels, by_weights = np.zeros((below.stop, k, 1)), chart.weights.log_covariance()
    labels[shares, :, 0] = by_weights[:, :k]
    for c in range(k):
        matrix = min(c, m - 1)
        labels[logs.start + matrix * length + np.arange(length), c, 0] = copies * widths[matrix]
    noise = np.zeros((below.stop, by_weights.shape[1] - k))
    noise[shares] = by_weights[:, k:]
    mean = np.asarray(own_coordinates(law).mean)
    first = np.concatenate([labels, _with_rows(chart, mean)], 2).reshape(below.stop, -1)
    return np.concatenate([first, _products(chart), noise], 1)
