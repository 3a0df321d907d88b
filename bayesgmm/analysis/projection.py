r"""Directions in which the components of a mixture differ most: by their means, and by their covariances.

With weights :math:`\pi_k`, means :math:`\mu_k`, covariances :math:`\Sigma_k` and their averages :math:`\bar\mu = \sum \pi_k \mu_k` and
:math:`\bar\Sigma = \sum \pi_k \Sigma_k`, the covariance between means
:math:`B = \sum \pi_k (\mu_k - \bar\mu)(\mu_k - \bar\mu)^T` and that of the mixture :math:`\Sigma = \bar\Sigma + B`, the directions are the
generalised eigenvectors :math:`M v = l \Sigma v` of

.. math:: M = 2 \lambda B \Sigma^{-1} B + 2 (1 - \lambda) \sum_k \pi_k (\Sigma_k - \bar\Sigma) \Sigma^{-1} (\Sigma_k - \bar\Sigma)

(Scrucca 2010, Statistics and Computing 20, sec. 2, is :math:`\lambda = 1/2`; Scrucca 2014, Advances in Data Analysis and Classification 8,
has :math:`\lambda`). They do not depend on the units of the columns nor on rotations, except for the coordinates they are written in.
"""

from __future__ import annotations

import numpy as np

from bayesgmm.analysis.point import Point

NEGLIGIBLE = 1e-10
"""Share of the largest eigenvalue below which a direction shows nothing."""


def kernel(point: Point, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """The matrices M and Sigma (D, D) above; ``separation`` is lambda."""
    weights, means, covariances = point
    away, within = means - weights @ means, np.tensordot(weights, covariances, 1)
    between = np.einsum("k,ki,kj->ij", weights, away, away)
    total = within + between
    differences = covariances - within
    shapes = np.einsum("k,kij,kjl->il", weights, differences, np.linalg.solve(total, differences))
    matrix = 2 * separation * between @ np.linalg.solve(total, between) + 2 * (1 - separation) * shapes
    return (matrix + matrix.T) / 2, total


def directions(point: Point, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions (D, R) in the order of their eigenvalues (R,), both without those that show nothing.

    Rows of the mixture have variance 1 along each direction, and no correlation between them. The largest loading of each, by columns of
    equal spread, is positive.
    """
    from scipy.linalg import eigh

    matrix, total = kernel(point, separation)
    deviations = np.sqrt(np.diagonal(total))
    scaled = lambda a: a / deviations / deviations[:, None]  # noqa: E731
    values, vectors = eigh(scaled(matrix), scaled(total))  # of columns of unit variance, so that no unit drowns another
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > NEGLIGIBLE * max(values[0], NEGLIGIBLE)
    values, vectors = values[kept], vectors[:, kept]
    signs = np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0))
    return vectors * signs / deviations[:, None], values


def correlations(point: Point, vectors: np.ndarray) -> np.ndarray:
    """Correlation (D, R) of each column with each direction (D, R), within the mixture."""
    total = kernel(point, 1.0)[1]
    return total @ vectors / np.sqrt(np.diagonal(total))[:, None]
