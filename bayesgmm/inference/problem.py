"""A data set ready to be fitted: rows in inner coordinates, their weights, and the way back to the user's units."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.coordinates import Coordinates, standardising
from bayesgmm.core.structures import Structure

RIDGE = 1e-6
"""Added to the correlation matrix of linearly dependent columns, relative to its unit diagonal."""

LARGE = 2**17
"""Rows from which no padding is added."""

DEPENDENT = 1e-10
"""Columns count as linearly dependent when one of them keeps less than this share of its variance given the others."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """Rows in inner coordinates with what is needed to fit them and to report in the user's units.

    Attributes
    ----------
    x : jax.Array, shape (N', D)
        Centred rows with identity covariance (full), unit variances (diagonal) or unit mean variance (spherical).
    weight : jax.Array, shape (N',)
        Weights; 0 for the rows that `padded` appended.
    coordinates : Coordinates
    dependent : tuple of int
        Columns that are linear combinations of earlier ones, to which the ridge was applied.
    """

    x: jax.Array
    weight: jax.Array
    coordinates: Coordinates
    dependent: tuple[int, ...]

    @property
    def structure(self) -> Structure:
        return self.coordinates.structure

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    @property
    def n_rows(self) -> float:
        """Sum of the weights."""
        return float(self.weight.sum())

    @property
    def log_jacobian(self) -> float:
        """What a log-likelihood in inner coordinates loses on the way to the user's units."""
        return self.n_rows * float(self.coordinates.log_det)

    def standardised_rows(self) -> jax.Array:
        """Rows with every column at unit variance, for spherical covariances too."""
        if self.structure.rank:
            return self.distance_rows()
        return self.x / jnp.sqrt(self.weight @ self.x**2 / self.weight.sum())

    def distance_rows(self) -> jax.Array:
        """Rows on which distances for starts are measured: every column at unit variance, or as they are for spherical."""
        if self.structure.rank < 2:
            return self.x
        factor = self.coordinates.factor
        return self.x @ (factor / jnp.linalg.norm(factor, axis=1, keepdims=True)).T.astype(self.x.dtype)

    def column_scale(self) -> np.ndarray:
        """Standard deviation (D,) of each column in the user's units, as the coordinates hold it."""
        identity = self.structure.identity(self.n_features)
        covariance = self.structure.transform(self.coordinates.factor, identity)
        return np.sqrt(np.diag(np.asarray(self.structure.to_dense(covariance, self.n_features))))


def _column_moments(x: np.ndarray, weight: np.ndarray):
    """Weighted means and standard deviations of columns; the mean is refined once, for data far from 0."""
    total = weight.sum()
    mean = weight @ x / total
    mean = mean + weight @ (x - mean) / total
    return mean, np.sqrt(weight @ (x - mean) ** 2 / total)


def _spread(structure: Structure, rows: np.ndarray, weight: np.ndarray, scale: np.ndarray):
    """Packed covariance, in the user's units, of standardised ``rows``, and the columns that depend on others."""
    if structure.rank == 1:
        return scale**2, ()
    if structure.rank == 0:
        return np.mean(scale**2), ()
    weighted = rows if np.all(weight == 1) else rows * weight[:, None]
    correlation = weighted.T @ rows / weight.sum()
    dependent = _dependent_columns(correlation)
    if dependent:
        correlation = correlation + RIDGE * np.eye(len(scale))
    return correlation * np.outer(scale, scale), dependent


def _dependent_columns(correlation: np.ndarray) -> tuple[int, ...]:
    """Columns left without variance by the earlier ones, by an outer-product Cholesky decomposition that skips them."""
    rest = correlation.copy()
    dependent = []
    for j in range(len(rest)):
        if rest[j, j] < DEPENDENT:
            dependent.append(j)
            continue
        column = rest[:, j] / rest[j, j]
        rest = rest - np.outer(column, rest[j])
    return tuple(dependent)


def padded(rows: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Zeros appended to arrays (N, ...) so that few different N occur and compiled programs are shared.

    With a weight of 0 such rows count for nothing. N grows by at most an eighth, to four significant bits; large N stays as it is,
    since compiling is then no matter.
    """
    n = len(rows)
    step = max(1 << max(n.bit_length() - 4, 0), 8)
    extra = -n % step if n < LARGE else 0
    return tuple(np.concatenate([a, np.zeros((extra, *a.shape[1:]), a.dtype)]) if extra else a for a in (rows, *others))


def prepare(x: np.ndarray, weight: np.ndarray, structure: Structure, dtype: str = "float64") -> Problem:
    """Centre and scale rows (N, D) with weights (N,) for a structure.

    Full covariances are whitened, so that the fit is equivariant under affine maps; diagonal ones scaled by column; spherical
    ones by one number.
    """
    x = np.asarray(x, float)
    mean, scale = _column_moments(x, weight)
    rows = x - mean
    rows /= scale
    covariance, dependent = _spread(structure, rows, weight, scale)
    coordinates = standardising(structure, jnp.asarray(mean), jnp.asarray(covariance))
    if structure.rank == 2:
        rows = rows @ np.linalg.inv(np.asarray(coordinates.factor) / scale[:, None]).T
    elif structure.rank == 0:
        rows *= scale / np.sqrt(covariance)
    rows, weight = padded(np.ascontiguousarray(rows), weight)
    return Problem(jnp.asarray(rows.astype(dtype)), jnp.asarray(weight.astype(dtype)), coordinates, dependent)
