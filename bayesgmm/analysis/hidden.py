r"""What rows that are known in part hide: second derivatives of their likelihood by the coefficients of the scores.

Of complete rows only the labels are hidden, and what they hide is a covariance of features (`bayesgmm.analysis.response`). Where numbers
are missing or have errors, whole rows are hidden too. With a score :math:`\eta_k \cdot \phi(y)` for whole rows y, both hide the matrix of
second derivatives of :math:`\sum_n w_n \ln \sum_k \int e^{\eta_k \cdot \phi(y)} p(x_n | y)\, dy`, which is a covariance of features,
too, and is taken here by differentiating.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from bayesgmm.core.latent import Latent
from bayesgmm.core.linalg import LOG_2PI
from bayesgmm.core.mixture import Mixture
from bayesgmm.inference.compiling import jit

TOGETHER = 8
"""Columns of second derivatives taken together."""


def _shifted(posterior: Mixture, first, second) -> Latent:
    """Scores to which coefficients of 1 and of rows (K, 1 + D), and of products (K or 1, P), were added.

    Rows are those on which the scale of their component is 1 and its mean 0; or the mean of the first, where they share a scale.
    """
    law, structure, natural = posterior.components, posterior.structure, posterior.natural()
    d, copies = law.n_features, structure.blocks(law.n_features).copies
    factor = structure.factor(law.scale)
    own = len(factor) > 1
    centre = law.mean if own else jnp.broadcast_to(law.mean[:1], law.mean.shape)
    factors = jnp.broadcast_to(factor, (len(centre), *factor.shape[1:]))
    place = jax.vmap(structure.solve)(factors, law.mean - centre)
    dof = jnp.broadcast_to(law.dof, len(centre))
    products = structure.from_moments(second / structure.coefficients(jnp.ones_like(structure.identity(d))), d)
    precision = law.dof.reshape(-1, *(1,) * structure.rank) * structure.identity(d) - 2 * products
    root = structure.factor(precision)
    inverse = structure.inverse(root)
    linear = dof[:, None] * place + first[:, 1:]
    mean = structure.multiply(inverse, linear)
    level = natural.level - dof * (place**2).sum(1) / 2 + first[:, 0] + (linear * mean).sum(1) / 2
    log_mass = level + (d * LOG_2PI - copies * (structure.log_det(root) - structure.log_det(factor))) / 2
    covariance = jax.vmap(structure.transform)(factor, inverse)
    return Latent(log_mass, centre + jax.vmap(structure.apply)(factors, mean), structure.to_dense(covariance, d))


@jit
def hidden(posterior: Mixture, rows, weight):
    """Second derivatives (C, C), coefficients of 1 and rows of each component first, then of products, in the order of components.

    Parameters
    ----------
    posterior : Mixture
    rows : Partial
    weight : Array, shape (N',)
    """
    law = posterior.components
    k, width = len(law.mean), 1 + law.n_features
    n_products = posterior.structure.n_parameters(law.n_features)
    size = k * width + len(law.scale) * n_products

    def log_norm(shift):
        known = _shifted(posterior, shift[: k * width].reshape(k, width), shift[k * width :].reshape(-1, n_products))
        return rows.log_norm(known, weight)

    return second_derivatives(log_norm, size)


def second_derivatives(function, size: int):
    """Second derivatives (P, P) of a function of P numbers, where they are 0; a few columns at a time."""
    along = lambda direction: jax.jvp(jax.grad(function), (jnp.zeros(size),), (direction,))[1]  # noqa: E731
    return jax.lax.map(along, jnp.eye(size), batch_size=TOGETHER)
