r"""Parameters of a mixture as real numbers: coordinates in which a given fit is nearly a standard Gaussian.

With :math:`S = F F^T` the scale of a component of the fit, m its mean, kappa and nu its pseudo-rows and degrees of freedom,

.. math:: \Sigma = F\,T^{-1} T^{-T} F^T,\qquad \mu = m + F\,T^{-1} u / \sqrt\kappa,

T lower triangular. Under the fit u and the entries of T below the diagonal are independent standard Gaussians, and the squares of the
diagonal are chi-squared with :math:`\nu - p + 1, \dots, \nu` degrees of freedom (Bartlett's decomposition: Muirhead 1982, Aspects of
Multivariate Statistical Theory, th. 3.2.14, rows in reverse order). The coordinates are u, those entries, the standardised logs of the
diagonal, and those of the weights. Diagonal and spherical covariances have positive numbers in place of T; a
shared covariance has one T for all components.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.weight_charts import Ratios, Shares, Sticks, weight_chart
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.linalg import LOG_2, solve_lower
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import gaussians
from bayesgmm.core.points import Gaussian
from bayesgmm.core.pytree import pytree
from bayesgmm.core.weights import PointWeights
from bayesgmm.inference.compiling import jit


@pytree
class Chart:
    """Coordinates that belong to one fit.

    Parameters
    ----------
    posterior : Mixture
        The fit: Dirichlet or stick-breaking weights and Normal-Wishart components. Where there is noise, weights are `NoiseShare`, K + 1 of
        them. Tails have no coordinates.
    factor : Array, shape (K or 1, packed)
        F of each matrix.
    weights : Ratios, Sticks or Shares
    centre, width : Array, shape (K or 1, L)
        Mean and standard deviation of the logs of the diagonals of T, under the fit.
    """

    posterior: Mixture
    factor: jax.Array
    weights: Ratios | Sticks | Shares
    centre: jax.Array
    width: jax.Array


def chart_of(posterior: Mixture) -> Chart:
    """The coordinates of a fit, from the moments of log gammas; computed on the host, since derivatives of gammaln compile slowly."""
    from scipy.special import digamma, polygamma

    law = gaussians(posterior.components)
    half = half_dofs(law)
    logs = ((digamma(half) + LOG_2) / 2, np.sqrt(polygamma(1, half)) / 2)
    return Chart(Mixture(posterior.weights, law), _factor(law), weight_chart(posterior.weights), *(jnp.asarray(part) for part in logs))


@jit(brief=True)
def _factor(law: NormalWishart):
    return law.structure.factor(law.scale)


def half_dofs(law: NormalWishart) -> np.ndarray:
    """Half the degrees of freedom (K or 1, L) of the squares of the diagonals of T."""
    count, size, _ = law.structure.blocks(law.n_features)
    return np.tile((np.asarray(law.dof)[:, None] - size + 1 + np.arange(size)) / 2, (1, count))


class Places(NamedTuple):
    """Where the coordinates of the weights, u, the log diagonals and the entries below them stand."""

    weights: slice
    u: slice
    logs: slice
    below: slice


def places(chart: Chart) -> Places:
    """The order of the coordinates."""
    law = chart.posterior.components
    below = len(law.scale) * (law.structure.n_parameters(law.n_features) - chart.centre.shape[1])
    ends = np.cumsum([0, chart.weights.size, law.mean.size, chart.centre.size, below]).tolist()
    return Places(*(slice(start, end) for start, end in itertools.pairwise(ends)))


def n_coordinates(chart: Chart) -> int:
    """Number P of coordinates: of the weights, K D for means, and those of K matrices or of one."""
    return places(chart).below.stop


def skewed(chart: Chart, z: np.ndarray) -> np.ndarray:
    """Coordinates (S, P) whose laws are exactly those of the fit (but for Dirichlet weights), from standard Gaussian ones.

    Squares of the diagonals of T get their chi-squared laws, shares of sticks their Beta laws.
    """
    from scipy.special import gammainccinv, gammaincinv, ndtr

    place = places(chart)
    part = z[:, place.logs]
    half, centre, width = (np.asarray(a).ravel() for a in (half_dofs(chart.posterior.components), chart.centre, chart.width))
    squares = np.where(part < 0, gammaincinv(half, ndtr(np.minimum(part, 0))), gammainccinv(half, ndtr(-np.maximum(part, 0))))
    found = z.copy()
    found[:, place.weights] = chart.weights.skewed(z[:, place.weights])
    found[:, place.logs] = ((np.log(squares) + LOG_2) / 2 - centre) / width
    return found


def _triangles(law, logs, below):
    """Packed T (K or 1, packed) from log diagonals (., size x count) and the entries below, row by row."""
    if law.structure.rank < 2:
        return jnp.exp(logs).reshape(law.scale.shape)
    rows, columns = np.tril_indices(law.n_features, -1)
    return jax.vmap(jnp.diag)(jnp.exp(logs)).at[:, rows, columns].set(below)


def outward(chart: Chart, z) -> tuple[Mixture, jax.Array]:
    """Parameters at coordinates z, and the log of the volume of parameters in a unit volume of coordinates.

    Parameters
    ----------
    chart : Chart
    z : Array, shape (P,)
        Weights, u (K, D), log diagonals, entries below the diagonals.

    Returns
    -------
    Mixture
        Of `PointWeights`, K + 1 of them where there is noise, and `Gaussian`.
    Array, shape ()
        Volume in the weights but the last, the means, and the distinct entries of the covariances.
    """
    law, structure, k = chart.posterior.components, chart.posterior.structure, len(chart.posterior.components.mean)
    shares, u, logs, below = (z[place] for place in places(chart))
    log_weights = chart.weights.log_weights(shares)
    logs = chart.centre + chart.width * logs.reshape(chart.centre.shape)
    triangle = _triangles(law, logs, below.reshape(len(law.scale), -1))
    identity = structure.identity(law.n_features)
    covariance = jax.vmap(lambda f, t: structure.transform(f, structure.untransform(t, identity)))(chart.factor, triangle)
    factors, triangles = (jnp.broadcast_to(a, (k, *a.shape[1:])) for a in (chart.factor, triangle))
    steps = u.reshape(law.mean.shape) / jnp.sqrt(law.mean_precision)[:, None]
    moved = jax.vmap(lambda f, t, step: structure.apply(f, structure.solve(t, step)))(factors, triangles, steps)
    point = Mixture(PointWeights(jnp.exp(log_weights)), Gaussian(law.mean + moved, covariance, structure))
    return point, _log_volume(chart, log_weights, logs)


def _log_volume(chart: Chart, log_weights, logs):
    """Log of the absolute determinant of the derivative of `outward`; logs (K or 1, L) are log diagonals of T."""
    law, k = chart.posterior.components, len(chart.posterior.components.mean)
    _, size, copies = law.structure.blocks(law.n_features)
    scale = law.structure.log_det(chart.factor)
    log_det = scale - 2 * logs.sum(1)
    means = (jnp.broadcast_to(copies * log_det, k) - law.n_features * jnp.log(law.mean_precision)).sum() / 2
    powers = jnp.tile(jnp.arange(size) + 2 - 2 * (size + 1), logs.shape[1] // size)
    matrices = (size + 1) / 2 * scale.sum() + (powers * logs).sum() + (LOG_2 + jnp.log(chart.width)).sum()
    return chart.weights.log_volume(log_weights) + means + matrices


def inward(chart: Chart, point: Mixture) -> tuple[jax.Array, jax.Array]:
    """Coordinates (P,) of parameters and the log volume there: the inverse of `outward`."""
    law, structure = chart.posterior.components, chart.posterior.structure
    log_weights = point.weights.expected_log()
    root = structure.factor(point.components.covariance)
    triangle = solve_lower(root, chart.factor) if structure.rank == 2 else chart.factor / root
    roots = jnp.broadcast_to(root, (len(law.mean), *root.shape[1:]))
    u = jax.vmap(structure.solve)(roots, point.components.mean - law.mean) * jnp.sqrt(law.mean_precision)[:, None]
    diagonal, below = triangle.reshape(len(triangle), -1), jnp.zeros(0)
    if structure.rank == 2:
        rows, columns = np.tril_indices(law.n_features, -1)
        diagonal, below = jnp.diagonal(triangle, axis1=-2, axis2=-1), triangle[:, rows, columns]
    diagonal = jnp.broadcast_to(diagonal, chart.centre.shape)
    logs = jnp.log(diagonal)
    z = jnp.concatenate([part.ravel() for part in (chart.weights.coordinates(log_weights), u, (logs - chart.centre) / chart.width, below)])
    return z, _log_volume(chart, log_weights, logs)
