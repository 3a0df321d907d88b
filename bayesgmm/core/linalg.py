"""Special functions and triangular helpers shared by the laws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import digamma, gammaln

LOG_2PI = 1.8378770664093453
LOG_2 = 0.6931471805599453
LOG_PI = 1.1447298858494002

NEVER = -1e30
"""Stand-in for log 0: exp of it is exactly 0 in every float type, and differences of it stay finite."""


def multigammaln(a: jax.Array, size: int) -> jax.Array:
    r"""Logarithm of the multivariate gamma function, :math:`\ln\Gamma_p(a)`, elementwise in ``a``."""
    shifts = jnp.arange(size) / 2
    return size * (size - 1) / 4 * LOG_PI + gammaln(a[..., None] - shifts).sum(-1)


def multidigamma(a: jax.Array, size: int) -> jax.Array:
    r"""Derivative of `multigammaln`: :math:`\sum_{i<p} \psi(a - i/2)`, elementwise in ``a``."""
    return digamma(a[..., None] - jnp.arange(size) / 2).sum(-1)


def betaln(a: jax.Array, b: jax.Array) -> jax.Array:
    """Logarithm of the beta function, from log gammas: JAX's own is off by up to 1e-6 for large ``a`` and ``b`` near 8."""
    return gammaln(a) + gammaln(b) - gammaln(a + b)


def solve_lower(factor: jax.Array, b: jax.Array) -> jax.Array:
    """Solve ``factor @ y = b`` for lower-triangular factors (..., D, D), broadcasting leading axes."""
    lead = jnp.broadcast_shapes(factor.shape[:-2], b.shape[:-2])
    factor = jnp.broadcast_to(factor, lead + factor.shape[-2:])
    return solve_triangular(factor, jnp.broadcast_to(b, lead + b.shape[-2:]), lower=True)


def safe_log(a: jax.Array) -> jax.Array:
    """Logarithm that answers `NEVER` where ``a`` is not positive, with a finite gradient."""
    positive = a > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, a, 1)), NEVER)
