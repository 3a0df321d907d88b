r"""Parameters of a mixture as real numbers: coordinates in which a given fit is nearly a standard Gaussian.

With :math:`S = F F^T` the scale of a component of the fit, m its mean, kappa and nu its pseudo-rows and degrees of freedom,

.. math:: \Sigma = F\,T^{-1} T^{-T} F^T,\qquad \mu = m + F\,T^{-1} u / \sqrt\kappa,

T lower triangular. Under the fit u and the entries of T below the diagonal are independent standard Gaussians, and the squares of the
diagonal are chi-squared with :math:`\nu - p + 1, \dots, \nu` degrees of freedom (Bartlett's decomposition: Muirhead 1982, Aspects of
Multivariate Statistical Theory, th. 3.2.14, rows in reverse order). The coordinates are u, those entries, the standardised logs of the
diagonal, and the whitened log ratios of the weights. Diagonal and spherical covariances have positive numbers in place of T; a
shared covariance has one T for all components.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, polygamma

from bayesgmm.core.linalg import LOG_2, solve_lower
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.weights import PointWeights


def n_coordinates(posterior: Mixture) -> int:
    """Free parameters P of the mixture: K - 1 for weights, K D for means, and those of K matrices or of one."""
    law = posterior.components
    return posterior.n_components * (1 + law.n_features) - 1 + len(law.scale) * law.structure.n_parameters(law.n_features)


class _Standard(NamedTuple):
    """Where the coordinates have their origin and unit: log ratios of weights, and log diagonals, under the fit."""

    ratio: jax.Array
    root: jax.Array
    centre: jax.Array
    width: jax.Array


def _standard(posterior: Mixture) -> _Standard:
    """Moments of log gammas; centre and width have shape (K or 1, packed diagonal)."""
    alpha, law = posterior.weights.concentration, posterior.components
    count, size, _ = law.structure.blocks(law.n_features)
    covariance = jnp.diag(polygamma(1, alpha[:-1])) + polygamma(1, alpha[-1])
    half = (law.dof[:, None] - size + 1 + jnp.arange(size)) / 2
    half = jnp.broadcast_to(half, (len(half), count * size))
    ratio = digamma(alpha[:-1]) - digamma(alpha[-1])
    return _Standard(ratio, jnp.linalg.cholesky(covariance), (digamma(half) + LOG_2) / 2, jnp.sqrt(polygamma(1, half)) / 2)


def _triangles(law, logs, below):
    """Packed T (K or 1, packed) from log diagonals (., size x count) and the entries below, row by row."""
    if law.structure.rank < 2:
        return jnp.exp(logs).reshape(law.scale.shape)
    rows, columns = np.tril_indices(law.n_features, -1)
    return jax.vmap(jnp.diag)(jnp.exp(logs)).at[:, rows, columns].set(below)


def outward(posterior: Mixture, z) -> tuple[Mixture, jax.Array]:
    """Parameters at coordinates z, and the log of the volume of parameters in a unit volume of coordinates.

    Parameters
    ----------
    posterior : Mixture
        The fit: Dirichlet weights and Normal-Wishart components.
    z : Array, shape (P,)
        Log ratios of weights (K - 1), u (K, D), log diagonals, entries below the diagonals.

    Returns
    -------
    Mixture
        Of `PointWeights` and `Gaussian`.
    Array, shape ()
        Volume in the weights but the last, the means, and the distinct entries of the covariances.
    """
    law, structure, k = posterior.components, posterior.structure, posterior.n_components
    at = _standard(posterior)
    ends = np.cumsum([k - 1, k * law.n_features, at.centre.size])
    ratios, u, logs, below = jnp.split(z, ends)
    log_weights = jax.nn.log_softmax(jnp.append(at.ratio + at.root @ ratios, 0.0))
    logs = at.centre + at.width * logs.reshape(at.centre.shape)
    triangle = _triangles(law, logs, below.reshape(len(law.scale), -1))
    factor = structure.factor(law.scale)
    identity = structure.identity(law.n_features)
    covariance = jax.vmap(lambda f, t: structure.transform(f, structure.untransform(t, identity)))(factor, triangle)

    def moved(f, t, step):
        return structure.apply(f, structure.solve(t, step))

    spread = (jnp.broadcast_to(a, (k, *a.shape[1:])) for a in (factor, triangle))
    steps = u.reshape(law.mean.shape) / jnp.sqrt(law.mean_precision)[:, None]
    point = Mixture(PointWeights(jnp.exp(log_weights)), Gaussian(law.mean + jax.vmap(moved)(*spread, steps), covariance, structure))
    return point, _log_volume(posterior, at, log_weights, logs)


def _log_volume(posterior: Mixture, at: _Standard, log_weights, logs):
    """Log of the absolute determinant of the derivative of `outward`; logs (K or 1, count x size) are log diagonals of T."""
    law, k = posterior.components, posterior.n_components
    _, size, copies = law.structure.blocks(law.n_features)
    scale = law.structure.log_det(law.structure.factor(law.scale))
    log_det = scale - 2 * logs.sum(1)
    weights = log_weights.sum() + jnp.log(jnp.diagonal(at.root)).sum()
    means = (jnp.broadcast_to(copies * log_det, k) - law.n_features * jnp.log(law.mean_precision)).sum() / 2
    powers = jnp.tile(jnp.arange(size) + 2 - 2 * (size + 1), logs.shape[1] // size)
    matrices = (size + 1) / 2 * scale.sum() + (powers * logs).sum() + (LOG_2 + jnp.log(at.width)).sum()
    return weights + means + matrices


def inward(posterior: Mixture, point: Mixture) -> jax.Array:
    """Coordinates (P,) of parameters: the inverse of `outward`."""
    law, structure = posterior.components, posterior.structure
    at = _standard(posterior)
    log_weights = point.weights.expected_log()
    factor, root = structure.factor(law.scale), structure.factor(point.components.covariance)
    triangle = solve_lower(root, factor) if structure.rank == 2 else factor / root
    roots = jnp.broadcast_to(root, (len(law.mean), *root.shape[1:]))
    u = jax.vmap(structure.solve)(roots, point.components.mean - law.mean) * jnp.sqrt(law.mean_precision)[:, None]
    diagonal, below = triangle.reshape(len(triangle), -1), jnp.zeros(0)
    if structure.rank == 2:
        rows, columns = np.tril_indices(law.n_features, -1)
        diagonal, below = jnp.diagonal(triangle, axis1=-2, axis2=-1), triangle[:, rows, columns]
    ratios = solve_lower(at.root, (log_weights[:-1] - log_weights[-1] - at.ratio)[:, None])
    logs = (jnp.log(diagonal) - at.centre) / at.width
    return jnp.concatenate([part.ravel() for part in (ratios, u, logs, below)])
