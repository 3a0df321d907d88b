r"""Standard errors of maximum likelihood from the curvature of the log-likelihood.

In coordinates where the complete data (rows with their labels) have the identity as information, the observed information I is 1 less
what the labels hide (Louis 1982, JRSS B 44), so 1 less its smallest eigenvalue is the share of an error that a pass of EM leaves
(Dempster, Laird & Rubin 1977, sec. 3). Where the data are not from a mixture of Gaussians the covariance of the estimates is
:math:`I^{-1} J I^{-1}` with J the sum of squares of the rows' scores (White 1982, Econometrica 50).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp, polygamma

from bayesgmm.analysis.hidden import second_derivatives
from bayesgmm.analysis.rows import row_scores
from bayesgmm.analysis.unconstrained import Chart, inward, n_coordinates, outward
from bayesgmm.analysis.unconstrained import places as coordinate_places
from bayesgmm.analysis.weight_charts import Ratios
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import WithNoise, around, gaussians, tails
from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.student import Student
from bayesgmm.core.weights import Dirichlet
from bayesgmm.inference.arrange import Arranged
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import accumulate

ENTRIES = 2**21
"""Numbers held per chunk of second derivatives."""

BATCH = 64
"""Estimates computed together."""

SINGULAR = 1e-9
"""Smallest eigenvalue of the information of a maximum."""


class Curvature(NamedTuple):
    """Derivatives of the log-likelihood at the estimate, in its chart.

    Attributes
    ----------
    slope : Array, shape (P,)
        First derivative: 0 at a maximum.
    information : Array, shape (P, P)
        Negative second derivative.
    squares : Array, shape (P, P)
        Sum of outer products of the scores of rows.
    """

    slope: jax.Array
    information: jax.Array
    squares: jax.Array


@pytree
class Around:
    """What a mixture has beside its Gaussians, and coordinates of the logs of degrees of freedom that were learnt.

    Parameters
    ----------
    components : WithNoise, Student or Gaussian
        Those of the estimate.
    width : Array, shape (J,)
        Standard errors of the logs if rows had labels and weights: K, 1 if all components have the same, 0 if there is nothing to learn.
    """

    components: Any
    width: jax.Array

    def of(self, point: Mixture, z) -> Mixture:
        """Gaussians with known parameters as a whole mixture, at coordinates (J,)."""
        return Mixture(point.weights, around(self._moved(self.components, jnp.exp(self.width * z)), point.components))

    def _moved(self, components, times):
        if isinstance(components, WithNoise):
            return replace(components, law=self._moved(components.law, times))
        return replace(components, dof=components.dof * times) if isinstance(components, Student) and len(self.width) else components

    def coordinates(self, components) -> jax.Array:
        """Coordinates (J,) of degrees of freedom."""
        if not len(self.width):
            return jnp.zeros(0)
        found, known = tails(components), tails(self.components)
        return jnp.log(found.dof / known.dof)[: len(self.width)] / self.width  # type: ignore[union-attr]


PLAIN = Around(None, np.zeros(0))  # type: ignore[arg-type]
"""Nothing."""


def around_of(point: Mixture, counts: np.ndarray) -> Around:
    """What is around an estimate, its logs of degrees of freedom measured by their errors if rows had labels and weights.

    The information is then ``rows * dof**2 * (trigamma(dof / 2) / 4 - 1 / (2 * dof))``.

    Parameters
    ----------
    point : Mixture
    counts : array, shape (K,)
        Expected rows in each component.
    """
    law = tails(point.components)
    if law is None or not law.learn:
        return Around(point.components, jnp.zeros(0))
    dof, rows = law.dof, jnp.asarray(counts)[: len(law.mean)]
    dof, rows = (dof[:1], rows.sum(keepdims=True)) if law.shared else (dof, rows)
    information = rows * dof**2 * (polygamma(1, dof / 2) / 4 - 1 / (2 * dof))
    return Around(point.components, 1 / jnp.sqrt(information))


def chart_around(point: Mixture, counts: np.ndarray, pulls: np.ndarray | None = None) -> Chart:
    """Coordinates around a maximum-likelihood estimate, which is their origin; the complete data have unit information there.

    Parameters
    ----------
    point : Mixture
        Weights, those of noise the last, and components.
    counts : array, shape (K,) or (K + 1,)
        Expected rows in each component.
    pulls : array, shape (K,), optional
        Sums of the weights of rows in components with heavy tails.
    """
    components, structure = gaussians(point.components), point.structure
    copies, all_rows, k = structure.blocks(components.n_features).copies, jnp.asarray(counts), len(components.mean)
    own = all_rows[:k]
    dof = copies * (own.sum(keepdims=True) if components.tied else own)
    scale = components.covariance * dof.reshape(-1, *(1,) * structure.rank)
    law = NormalWishart(components.mean, own if pulls is None else jnp.asarray(pulls), dof, scale, structure, components.tied)
    count, size, _ = structure.blocks(components.n_features)
    logs = jnp.repeat(jnp.log(dof)[:, None] / 2, count * size, axis=1)
    width = jnp.repeat(1 / jnp.sqrt(2 * dof)[:, None], count * size, axis=1)
    log_weights = jnp.log(jnp.asarray(point.weights.mean()))
    covariance = jnp.diag(1 / all_rows[:-1]) + 1 / all_rows[-1]
    shares = Ratios(log_weights[:-1] - log_weights[-1], jnp.linalg.cholesky(covariance), 1 / all_rows)
    return Chart(Mixture(Dirichlet(all_rows), law), structure.factor(scale), shares, logs, width)


@jit
def curvature(chart: Chart, x, weight, beside: Around = PLAIN) -> Curvature:
    """First and second derivatives of the log-likelihood at the origin of a chart, of rows (N, D), or `Arranged`, with weights (N,).

    Coordinates of degrees of freedom come last.
    """
    own, structure = n_coordinates(chart), chart.posterior.structure
    size = own + len(beside.width)

    def densities(z, rows):
        point = beside.of(outward(chart, z[:own])[0], z[own:])
        return logsumexp(row_scores(structure, point.natural(), rows), axis=1)

    if isinstance(x, Arranged):
        scores = jax.jacfwd(densities)(jnp.zeros(size), x)
        second = second_derivatives(lambda z: weight @ densities(z, x), size)
        return Curvature(weight @ scores, -second, (scores * weight[:, None]).T @ scores)

    def one(rows, weights):
        origin = jnp.zeros(size)
        scores = jax.jacfwd(densities)(origin, rows)
        second = jax.hessian(lambda z: weights @ densities(z, rows))(origin)
        return Curvature(weights @ scores, -second, (scores * weights[:, None]).T @ scores)

    return accumulate(one, x, weight, max(ENTRIES // (size * chart.posterior.n_components), 8))  # type: ignore[arg-type,return-value]


def _factors(chart: Chart):
    """Factors (K, packed) of the covariances of the estimated means."""
    law = chart.posterior.components
    root = law.structure.factor(law.scale / law.dof.reshape(-1, *(1,) * law.structure.rank))
    kappa = law.mean_precision.reshape(-1, *(1,) * law.structure.rank)
    return jnp.broadcast_to(root, (len(law.mean), *root.shape[1:])) / jnp.sqrt(kappa)


@jit
def places(chart: Chart, points: Mixture, beside: Around = PLAIN):
    """Coordinates (S, P) of several estimates; means are measured by the covariances of the chart's own estimate."""
    law, factors = chart.posterior.components, _factors(chart)

    def one(point):
        plain = Mixture(point.weights, gaussians(point.components))
        u = jax.vmap(law.structure.solve)(factors, plain.components.mean - law.mean)
        own = inward(chart, plain)[0].at[coordinate_places(chart).u].set(u.ravel())
        return jnp.concatenate([own, beside.coordinates(point.components)])

    return jax.vmap(one)(points)


@jit
def points_at(chart: Chart, z, beside: Around = PLAIN) -> Mixture:
    """Estimates at coordinates (S, P): the inverse of `places`, in which means are linear."""
    law, factors = chart.posterior.components, _factors(chart)
    own = n_coordinates(chart)

    def one(place):
        point, u = outward(chart, place[:own])[0], place[coordinate_places(chart).u].reshape(law.mean.shape)
        mean = law.mean + jax.vmap(law.structure.apply)(factors, u)
        return beside.of(Mixture(point.weights, replace(point.components, mean=mean)), place[own:])

    return jax.lax.map(one, z, batch_size=BATCH)


def covariance_root(found: Curvature, robust: bool) -> tuple[np.ndarray, float]:
    """A square root (P, P) of the covariance of the estimates, and the share of an error that one pass of EM leaves.

    Raises
    ------
    FloatingPointError
        The information is not positive: the estimate is not a maximum, or a direction is not determined.
    """
    values, vectors = np.linalg.eigh(np.asarray(found.information))
    if not values[0] > SINGULAR:
        raise FloatingPointError(f"smallest eigenvalue {values[0]:.2g} of the information")
    contraction = float(np.clip(1 - values[0], 0, 1))
    if not robust:
        return (vectors / np.sqrt(values)) @ vectors.T, contraction
    inverse = (vectors / values) @ vectors.T
    return _symmetric_root(inverse @ np.asarray(found.squares) @ inverse), contraction


def _symmetric_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root (P, P) of a covariance; unlike others it has no signs or order to choose."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def jackknife_root(places: np.ndarray) -> np.ndarray:
    """A square root (P, P) of the jackknife's covariance, from the coordinates (N, P) of the estimates without one row each.

    Efron & Stein (1981), Annals of Statistics 9, eq. 1.1.
    """
    n, away = len(places), places - places.mean(0)
    return _symmetric_root((n - 1) / n * away.T @ away)
