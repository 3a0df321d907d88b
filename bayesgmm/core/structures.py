r"""Covariance structures: the algebra of one family of symmetric positive matrices, in packed form.

A structure is stateless. A symmetric matrix of the family is stored *packed*: ``(D, D)`` for `Full`, ``(D,)`` for
`Diagonal`, ``()`` for `Spherical`. Seen by the Wishart law, a structure is ``count`` independent blocks of ``size``
rows, each used for ``copies`` coordinates (:meth:`blocks`): (1, D, 1), (D, 1, 1) and (1, 1, D). With that, one
Normal-Wishart law serves all of them, the Gamma laws being its one-dimensional cases.

To add a structure write a class with the methods of `Structure` and put one line into `STRUCTURES`.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.linalg import anywhere, cholesky, eigh, solve_lower


class Blocks(NamedTuple):
    """How the Wishart law sees a structure."""

    count: int
    size: int
    copies: int


class Structure(Protocol):
    """What a covariance structure answers; ``...`` are leading axes, ``packed`` the structure's own shape."""

    @property
    def rank(self) -> int:
        """Number of axes of a packed matrix."""
        ...

    def blocks(self, n_features: int) -> Blocks:
        """Independent blocks, their size, and the coordinates that share each."""
        ...

    def n_parameters(self, n_features: int) -> int:
        """Free parameters of one matrix."""
        ...

    def identity(self, n_features: int) -> jax.Array:
        """Packed identity matrix."""
        ...

    def outer(self, a: jax.Array) -> jax.Array:
        """Packed ``a a^T`` of vectors (..., D)."""
        ...

    def features(self, columns: jax.Array) -> jax.Array:
        """Features (1 + D + P, N) of rows given as columns (D, N): 1, x and the distinct entries of ``x x^T``."""
        ...

    def from_moments(self, moments: jax.Array, n_features: int) -> jax.Array:
        """Packed matrices (..., packed) from sums (..., P) of the second-order `features`."""
        ...

    def coefficients(self, matrix: jax.Array) -> jax.Array:
        """Weights (..., P) of the second-order `features` in ``x^T A x``."""
        ...

    def factor(self, matrix: jax.Array) -> jax.Array:
        """Lower square root F with ``F F^T = A``."""
        ...

    def log_det(self, factor: jax.Array) -> jax.Array:
        """Sum over blocks of ``log |A_b|`` from the factor of A."""
        ...

    def inverse(self, factor: jax.Array) -> jax.Array:
        """Packed inverse of A from its factor."""
        ...

    def inner(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """Trace of ``A B`` summed over blocks."""
        ...

    def multiply(self, matrix: jax.Array, a: jax.Array) -> jax.Array:
        """``A a`` for vectors (..., D)."""
        ...

    def quadratic(self, factor: jax.Array, a: jax.Array) -> jax.Array:
        """``a^T A^-1 a`` by block, (..., count), from the factor of one matrix A and vectors (..., D)."""
        ...

    def apply(self, factor: jax.Array, a: jax.Array) -> jax.Array:
        """``F a`` for one factor F and vectors (..., D)."""
        ...

    def solve(self, factor: jax.Array, a: jax.Array) -> jax.Array:
        """``F^-1 a`` for one factor F and vectors (..., D)."""
        ...

    def transform(self, factor: jax.Array, matrix: jax.Array) -> jax.Array:
        """``F A F^T`` for one factor F and matrices (..., packed)."""
        ...

    def untransform(self, factor: jax.Array, matrix: jax.Array) -> jax.Array:
        """``F^-1 A F^-T`` for one factor F and matrices (..., packed)."""
        ...

    def floored(self, matrix: jax.Array, floor: jax.Array | float) -> jax.Array:
        """Nearest matrix in the family with no eigenvalue below ``floor``."""
        ...

    def smallest(self, matrix: jax.Array) -> jax.Array:
        """Smallest eigenvalue, (...)."""
        ...

    def to_dense(self, matrix: jax.Array, n_features: int) -> jax.Array:
        """Dense matrices (..., D, D)."""
        ...

    def from_dense(self, matrix: jax.Array) -> jax.Array:
        """What the family keeps (..., packed) of sums (..., D, D) of outer products, as `outer` does of each."""
        ...


def with_constant(columns):
    """First-order features (1 + D, N): 1 and x."""
    return jnp.concatenate([jnp.ones((1, columns.shape[1]), columns.dtype), columns])


def _products(columns, first, second):
    """Products of entries of (1, x): all features in one operation, which XLA turns into a single loop."""
    whole = with_constant(columns)
    return whole[first] * whole[second]


@dataclasses.dataclass(frozen=True)
class Full:
    """Any symmetric positive matrix; packed shape (D, D)."""

    rank = 2

    def blocks(self, n_features):
        return Blocks(1, n_features, 1)

    def n_parameters(self, n_features):
        return n_features * (n_features + 1) // 2

    def identity(self, n_features):
        return jnp.eye(n_features)

    def outer(self, a):
        return a[..., :, None] * a[..., None, :]

    def features(self, columns):
        return _products(columns, *np.triu_indices(len(columns) + 1))

    def from_moments(self, moments, n_features):
        place = np.zeros((n_features, n_features), int)
        rows, columns = np.triu_indices(n_features)
        place[rows, columns] = place[columns, rows] = np.arange(len(rows))
        return moments[..., place]

    def coefficients(self, matrix):
        rows, columns = jnp.triu_indices(matrix.shape[-1])
        return matrix[..., rows, columns] * jnp.where(rows == columns, 1, 2).astype(matrix.dtype)

    def factor(self, matrix):
        return cholesky(matrix)

    def log_det(self, factor):
        return 2 * jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)

    def inverse(self, factor):
        root = solve_lower(factor, jnp.eye(factor.shape[-1], dtype=factor.dtype))
        return jnp.swapaxes(root, -1, -2) @ root

    def inner(self, a, b):
        return (a * b).sum((-2, -1))

    def multiply(self, matrix, a):
        return (matrix @ a[..., None])[..., 0]

    def quadratic(self, factor, a):
        return (self.solve(factor, a) ** 2).sum(-1, keepdims=True)

    def apply(self, factor, a):
        return a @ factor.T

    def solve(self, factor, a):
        flat = a.reshape(-1, a.shape[-1])
        return solve_lower(factor, flat.T).T.reshape(a.shape)

    def transform(self, factor, matrix):
        return factor @ matrix @ factor.T

    def untransform(self, factor, matrix):
        left = solve_lower(factor, matrix)
        return solve_lower(factor, jnp.swapaxes(left, -1, -2))

    def floored(self, matrix, floor):
        """Clip eigenvalues, which maximises the Gaussian likelihood under that constraint.

        The eigendecomposition is skipped when ``1 / trace(A^-1)``, a lower bound of the smallest eigenvalue, suffices.
        """
        thick = 1 / jnp.trace(self.inverse(self.factor(matrix)), axis1=-2, axis2=-1) >= floor

        def clipped(a):
            values, vectors = eigh(a)
            found = (vectors * jnp.maximum(values, floor)[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)
            return jnp.where(thick[..., None, None], a, found)

        return jax.lax.cond(anywhere(jax.lax.stop_gradient(~thick)), clipped, lambda a: a, matrix)

    def smallest(self, matrix):
        return eigh(matrix)[0][..., 0]

    def to_dense(self, matrix, n_features):
        return matrix

    def from_dense(self, matrix):
        return matrix


@dataclasses.dataclass(frozen=True)
class Diagonal:
    """Diagonal matrices: independent features within a component; packed shape (D,)."""

    rank = 1

    def blocks(self, n_features):
        return Blocks(n_features, 1, 1)

    def n_parameters(self, n_features):
        return n_features

    def identity(self, n_features):
        return jnp.ones(n_features)

    def outer(self, a):
        return a**2

    def features(self, columns):
        places = np.arange(len(columns) + 1)
        return _products(columns, np.append(places * 0, places[1:]), np.append(places, places[1:]))

    def from_moments(self, moments, n_features):
        return moments

    def coefficients(self, matrix):
        return matrix

    def factor(self, matrix):
        return jnp.sqrt(matrix)

    def log_det(self, factor):
        return 2 * jnp.log(factor).sum(-1)

    def inverse(self, factor):
        return 1 / factor**2

    def inner(self, a, b):
        return (a * b).sum(-1)

    def multiply(self, matrix, a):
        return matrix * a

    def quadratic(self, factor, a):
        return (a / factor) ** 2

    def apply(self, factor, a):
        return factor * a

    def solve(self, factor, a):
        return a / factor

    def transform(self, factor, matrix):
        return factor**2 * matrix

    def untransform(self, factor, matrix):
        return matrix / factor**2

    def floored(self, matrix, floor):
        return jnp.maximum(matrix, floor)

    def smallest(self, matrix):
        return matrix.min(-1)

    def to_dense(self, matrix, n_features):
        return matrix[..., None] * jnp.eye(n_features, dtype=matrix.dtype)

    def from_dense(self, matrix):
        return jnp.diagonal(matrix, axis1=-2, axis2=-1)


@dataclasses.dataclass(frozen=True)
class Spherical:
    """Multiples of the identity: one variance for all features; packed shape ()."""

    rank = 0

    def blocks(self, n_features):
        return Blocks(1, 1, n_features)

    def n_parameters(self, n_features):
        return 1

    def identity(self, n_features):
        return jnp.ones(())

    def outer(self, a):
        return (a**2).sum(-1)

    def features(self, columns):
        return jnp.concatenate([with_constant(columns), (columns**2).sum(0, keepdims=True)])

    def from_moments(self, moments, n_features):
        return moments[..., 0]

    def coefficients(self, matrix):
        return matrix[..., None]

    def factor(self, matrix):
        return jnp.sqrt(matrix)

    def log_det(self, factor):
        return 2 * jnp.log(factor)

    def inverse(self, factor):
        return 1 / factor**2

    def inner(self, a, b):
        return a * b

    def multiply(self, matrix, a):
        return matrix[..., None] * a

    def quadratic(self, factor, a):
        return ((a / factor) ** 2).sum(-1, keepdims=True)

    def apply(self, factor, a):
        return factor * a

    def solve(self, factor, a):
        return a / factor

    def transform(self, factor, matrix):
        return factor**2 * matrix

    def untransform(self, factor, matrix):
        return matrix / factor**2

    def floored(self, matrix, floor):
        return jnp.maximum(matrix, floor)

    def smallest(self, matrix):
        return matrix

    def to_dense(self, matrix, n_features):
        return matrix[..., None, None] * jnp.eye(n_features, dtype=matrix.dtype)

    def from_dense(self, matrix):
        return jnp.trace(matrix, axis1=-2, axis2=-1)


STRUCTURES: dict[str, Structure] = {"full": Full(), "diag": Diagonal(), "spherical": Spherical()}
"""Registry by name. A tied model is one of these with a single matrix shared by all components."""
