r"""What rows that are known in part hide: second derivatives of their likelihood by the coefficients of the scores.

Of complete rows only the labels are hidden, and what they hide is a covariance of features (`bayesgmm.analysis.response`). Where numbers
are missing or have errors, whole rows are hidden too. With a score :math:`\eta_k \cdot \phi(y)` for whole rows y, both hide the matrix of
second derivatives of :math:`\sum_n w_n \ln \sum_k \int e^{\eta_k \cdot \phi(y)} p(x_n | y)\, dy`, which is a covariance of features,
too, and is taken here by differentiating.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesgmm.core.latent import Latent
from bayesgmm.core.linalg import LOG_2PI
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import gaussians
from bayesgmm.core.statistics import log_tail
from bayesgmm.inference.compiling import jit

TOGETHER = 8
"""Columns of second derivatives taken together."""


class Shift(NamedTuple):
    """What is added to the coefficients of scores, of rows on which the scale of their component is 1 and its mean 0.

    Where components share a scale, the mean is that of the first.

    Attributes
    ----------
    own : Array, shape (K,)
        Of the label.
    first : Array, shape (K, 1 + D)
        Of the label and of rows; times the weight of the row where components have heavy tails.
    second : Array, shape (K or 1, P)
        Of products, in the same way.
    noise : Array, shape (1 or 0,)
        Of the label of noise.
    """

    own: Any
    first: Any
    second: Any
    noise: Any


def _shifted(posterior: Mixture, shift: Shift) -> Latent:
    """Scores with other coefficients, as functions of whole rows."""
    law, structure, natural = gaussians(posterior.components), posterior.structure, posterior.natural()
    (k, d), copies = law.mean.shape, structure.blocks(law.n_features).copies
    factor = structure.factor(law.scale)
    own = len(factor) > 1
    centre = law.mean if own else jnp.broadcast_to(law.mean[:1], law.mean.shape)
    factors = jnp.broadcast_to(factor, (k, *factor.shape[1:]))
    place = jax.vmap(structure.solve)(factors, law.mean - centre)
    dof = jnp.broadcast_to(law.dof, (k,))
    products = structure.from_moments(shift.second / structure.coefficients(jnp.ones_like(structure.identity(d))), d)
    precision = law.dof.reshape(-1, *(1,) * structure.rank) * structure.identity(d) - 2 * products
    root = structure.factor(precision)
    inverse = structure.inverse(root)
    linear = dof[:, None] * place + shift.first[:, 1:]
    mean = structure.multiply(inverse, linear)
    height = natural.level[:k] - dof * (place**2).sum(1) / 2 + shift.first[:, 0] + (linear * mean).sum(1) / 2
    log_mass = shift.own + (d * LOG_2PI - copies * (structure.log_det(root) - structure.log_det(factor))) / 2
    covariance = structure.to_dense(jax.vmap(structure.transform)(factor, inverse), d)
    known = Latent(log_mass + height, centre + jax.vmap(structure.apply)(factors, mean), covariance)
    if natural.tails is not None:
        level, tails = natural.tails.level[:k], natural.tails.dof[:k]
        known = known._replace(log_mass=level - log_tail(tails, d) + log_mass, offset=-2 * height, dof=tails)
    if natural.region is None:
        return known
    last = (natural.level if natural.tails is None else natural.tails.level)[-1:] + natural.region.log_volume + shift.noise
    return known._replace(log_mass=jnp.append(known.log_mass, last), log_sides=natural.region.log_sides)


@jit(static_argnames=("apart",))
def hidden(posterior: Mixture, rows, weight, apart: bool = False):
    """Second derivatives (C, C), coefficients of 1 and rows of each component first, then of products, in the order of components.

    Parameters
    ----------
    posterior : Mixture
    rows : Partial
    weight : Array, shape (N',)
    apart : bool
        Whether coefficients of the label alone come before those of each component, and that of noise, if there is any, after all others.
    """
    law = gaussians(posterior.components)
    (k, d), more = law.mean.shape, int(apart)
    width, n_products = more + 1 + d, posterior.structure.n_parameters(d)
    ends = k * width, k * width + len(law.scale) * n_products

    def log_norm(shift):
        each, noise = shift[: ends[0]].reshape(k, width), shift[ends[1] :]
        moved = Shift(each[:, 0] if apart else jnp.zeros(k), each[:, more:], shift[ends[0] : ends[1]].reshape(-1, n_products), noise)
        return rows.log_norm(_shifted(posterior, moved), weight)

    return second_derivatives(log_norm, ends[1] + posterior.n_noise)


def second_derivatives(function, size: int):
    """Second derivatives (P, P) of a function of P numbers, where they are 0; a few columns at a time."""
    along = lambda direction: jax.jvp(jax.grad(function), (jnp.zeros(size),), (direction,))[1]  # noqa: E731
    return jax.lax.map(along, jnp.eye(size), batch_size=TOGETHER)
