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


SERIES = 16
"""Argument from which Stirling's series has all digits of float64 in six terms."""


def _beyond_stirling(a: jax.Array) -> jax.Array:
    """What Stirling's formula leaves out of the log gamma function of a large number (Abramowitz & Stegun 1964, 6.1.41)."""
    b = 1 / a**2
    return (1 / 12 - b * (1 / 360 - b * (1 / 1260 - b * (1 / 1680 - b * (1 / 1188 - b * 691 / 360360))))) / a


def gammaln_gain(a: jax.Array, step: jax.Array | float) -> jax.Array:
    r"""Difference :math:`\ln\Gamma(a + h) - \ln\Gamma(a)` for steps h > 0, elementwise.

    Log gammas of large numbers are far larger than it, so that their difference would have an error of 1e-16 a ln a: what both have in
    common is left out instead.
    """
    large = a >= SERIES
    b = jnp.where(large, a, SERIES)
    found = (b - 0.5) * jnp.log1p(step / b) + step * (jnp.log(b + step) - 1) + _beyond_stirling(b + step) - _beyond_stirling(b)
    return jnp.where(large, found, gammaln(a + step) - gammaln(a))


def betaln(a: jax.Array, b: jax.Array) -> jax.Array:
    """Logarithm of the beta function; JAX's own is off by up to 1e-6 for large ``a`` and ``b`` near 8."""
    most, least = jnp.where(a >= b, a, b), jnp.where(a >= b, b, a)
    return gammaln(least) - gammaln_gain(most, least)


LAPACK_WAITS = jax.__version_info__ < (0, 11, 2)
"""Whether JAX runs a batch of LAPACK calls on the threads that wait for it: on few cores, two batches at once wait for ever."""

UNROLLED = 3
"""Size up to which a loop over rows is written out."""

BLOCK, MANY = 64, 128
"""Rows of a block, and size of a matrix above which loops are over blocks: each step reads the whole matrix, so there must be few."""


def cholesky(matrix: jax.Array) -> jax.Array:
    """Lower Cholesky factors (..., D, D); not a number where a matrix is not positive definite."""
    if not LAPACK_WAITS:
        return jnp.linalg.cholesky(matrix)
    return jax.lax.platform_dependent(matrix, cpu=_cholesky_by_columns, default=jnp.linalg.cholesky)


def solve_lower(factor: jax.Array, b: jax.Array) -> jax.Array:
    """Solve ``factor @ y = b`` for lower-triangular factors (..., D, D), broadcasting leading axes."""
    lead = jnp.broadcast_shapes(factor.shape[:-2], b.shape[:-2])
    factor = jnp.broadcast_to(factor, lead + factor.shape[-2:])
    b = jnp.broadcast_to(b, lead + b.shape[-2:])
    if not LAPACK_WAITS:
        return _solve_by_lapack(factor, b)
    return jax.lax.platform_dependent(factor, b, cpu=_solve_by_rows, default=_solve_by_lapack)


def _solve_by_lapack(factor, b):
    return solve_triangular(factor, b, lower=True)


def _cholesky_by_columns(matrix):
    if matrix.shape[-1] > MANY:
        return _cholesky_by_blocks(matrix)
    rows = jnp.arange(matrix.shape[-1])

    def column(j, factor):
        own = jax.lax.dynamic_index_in_dim(factor, j, -2)
        rest = jax.lax.dynamic_index_in_dim(matrix, j, -1, keepdims=False) - (factor * own).sum(-1)
        root = jnp.sqrt(jax.lax.dynamic_index_in_dim(rest, j, -1))
        return jax.lax.dynamic_update_index_in_dim(factor, jnp.where(rows >= j, rest / root, 0), j, -1)

    return _through(column, jnp.zeros_like(matrix))


def _cholesky_by_blocks(matrix):
    """Blocks of columns in turn, each by one matrix product and the factor of a block."""
    size = matrix.shape[-1]
    matrix = _padded(matrix, 1)
    rows = jnp.arange(matrix.shape[-1])[:, None]

    def block(j, factor):
        own = jax.lax.dynamic_slice_in_dim(factor, j * BLOCK, BLOCK, -2)
        rest = jax.lax.dynamic_slice_in_dim(matrix, j * BLOCK, BLOCK, -1) - factor @ jnp.swapaxes(own, -1, -2)
        root = _cholesky_by_columns(jax.lax.dynamic_slice_in_dim(rest, j * BLOCK, BLOCK, -2))
        below = jnp.swapaxes(_solve_by_rows(root, jnp.swapaxes(rest, -1, -2)), -1, -2)
        below = jax.lax.dynamic_update_slice_in_dim(jnp.where(rows >= j * BLOCK, below, 0), root, j * BLOCK, -2)
        return jax.lax.dynamic_update_slice_in_dim(factor, below, j * BLOCK, -1)

    return _through(block, jnp.zeros_like(matrix), matrix.shape[-1] // BLOCK)[..., :size, :size]


def _solve_by_rows(factor, b):
    if factor.shape[-1] > MANY:
        return _solve_by_blocks(factor, b)

    def row(i, y):
        own = jax.lax.dynamic_index_in_dim(factor, i, -2, keepdims=False)
        rest = jax.lax.dynamic_index_in_dim(b, i, -2, keepdims=False) - (own[..., None] * y).sum(-2)
        return jax.lax.dynamic_update_index_in_dim(y, rest / jax.lax.dynamic_index_in_dim(own, i, -1), i, -2)

    return _through(row, jnp.zeros_like(b))


def _solve_by_blocks(factor, b):
    """Blocks of rows in turn, each by one matrix product and the solution for a block."""
    size = b.shape[-2]
    factor, b = _padded(factor, 1), _padded(b, 0)

    def block(i, y):
        own = jax.lax.dynamic_slice_in_dim(factor, i * BLOCK, BLOCK, -2)
        rest = jax.lax.dynamic_slice_in_dim(b, i * BLOCK, BLOCK, -2) - own @ y
        found = _solve_by_rows(jax.lax.dynamic_slice_in_dim(own, i * BLOCK, BLOCK, -1), rest)
        return jax.lax.dynamic_update_slice_in_dim(y, found, i * BLOCK, -2)

    return _through(block, jnp.zeros_like(b), b.shape[-2] // BLOCK)[..., :size, :]


def _padded(matrix, diagonal):
    """Rows up to a whole number of blocks; with ``diagonal`` as many columns too, and that many times the identity there."""
    more = -matrix.shape[-2] % BLOCK
    beside = jnp.pad(matrix, [(0, 0)] * (matrix.ndim - 2) + [(0, more), (0, more if diagonal else 0)])
    rows = jnp.arange(beside.shape[-2])
    return beside + diagonal * jnp.diag(rows >= matrix.shape[-2]).astype(matrix.dtype) if diagonal else beside


def _through(step, start, size=None):
    """All rows of the last-but-one axis in turn, or as many steps as are asked for."""
    size = size or start.shape[-2]
    if size > UNROLLED:
        return jax.lax.fori_loop(0, size, step, start)
    for i in range(size):
        start = step(i, start)
    return start


def eigh(matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues (..., D), ascending, and eigenvectors (..., D, D) of symmetric matrices; one after the other where `LAPACK_WAITS`."""
    if LAPACK_WAITS:
        return _eigh(matrix)
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors


@jax.custom_jvp
def _eigh(matrix):
    return _one_by_one(matrix)


@_eigh.defjvp
def _eigh_derivative(primals, tangents):
    """Magnus (1985), On differentiating eigenvalues and eigenvectors, Econometric Theory 1."""
    values, vectors = _eigh(*primals)
    turned = jnp.swapaxes(vectors, -1, -2) @ tangents[0] @ vectors
    apart = values[..., None, :] - values[..., :, None]
    moved = jnp.where(apart == 0, 0, turned / jnp.where(apart == 0, 1, apart))
    return (values, vectors), (jnp.diagonal(turned, axis1=-2, axis2=-1), vectors @ moved)


@jax.custom_batching.custom_vmap
def _one_by_one(matrix):
    return jax.lax.platform_dependent(matrix, cpu=_in_turn, default=lambda a: tuple(jnp.linalg.eigh(a)))


@_one_by_one.def_vmap
def _more_of_them(size, batched, matrix):
    return _one_by_one(matrix), (True, True)


def _in_turn(matrix):
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    values, vectors = jax.lax.map(lambda one: tuple(jnp.linalg.eigh(one)), flat)
    return values.reshape(matrix.shape[:-1]), vectors.reshape(matrix.shape)


@jax.custom_batching.custom_vmap
def anywhere(condition: jax.Array) -> jax.Array:
    """Whether a condition holds for any of what is computed together, in all batches of ``vmap``: what is rare is then left out for all."""
    return condition.any()


@anywhere.def_vmap
def _anywhere_in_batches(size, batched, condition):
    return anywhere(condition), False


def safe_log(a: jax.Array) -> jax.Array:
    """Logarithm that answers `NEVER` where ``a`` is not positive, with a finite gradient."""
    positive = a > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, a, 1)), NEVER)
