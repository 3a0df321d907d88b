"""A data set ready to be fitted: rows in inner coordinates, their weights, and the way back to the user's units."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.coordinates import Coordinates, standardising
from bayesgmm.core.structures import Structure
from bayesgmm.inference.compiling import jit

RIDGE = 1e-6
"""Added to the correlation matrix of linearly dependent columns, relative to its unit diagonal."""

LARGE = 2**17
"""Rows from which padding is kept to a minimum, since compiling is then no matter."""

DEPENDENT = 1e-10
"""Columns count as linearly dependent when one of them keeps less than this share of its variance given the others."""

BLOCK = 2**17
"""Numbers per block of rows that are read at once on the host."""

WHOLE = 2**13
"""Large numbers of rows are rounded up to a multiple of this, so that the chunks of a pass come out even."""

ALIGNED = 64
"""Bytes to which an array must be aligned for JAX to use it where it lies."""


SAMPLE = 65_536
"""Above this many rows starts are made from a random sample of this size."""


def sampled(key, x, weight):
    """All rows and weights, or of many rows `SAMPLE` drawn in proportion to their weights, of equal weight and the same total.

    One row is drawn from each of as many equal shares of the total, in the order of the rows: no shuffling, and little noise.
    """
    return (x, weight) if len(x) <= SAMPLE else _draw(key, x, weight)


@jit(brief=True)
def _draw(key, x, weight):
    steps = jnp.cumsum(weight)
    shares = (jnp.arange(SAMPLE) + jax.random.uniform(key, (SAMPLE,), x.dtype)) / SAMPLE
    last = jnp.searchsorted(steps, steps[-1], side="left")  # of positive weight: in float32 a share may be rounded up to 1
    rows = jnp.minimum(jnp.searchsorted(steps, shares * steps[-1], side="right"), last)
    return x[rows], jnp.full(SAMPLE, steps[-1] / SAMPLE, weight.dtype)


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
    log_det : float
        That of the coordinates.
    column_scale : ndarray, shape (D,)
        Standard deviation of each column in the user's units, as the coordinates hold it.
    dependent : tuple of int
        Columns that are linear combinations of earlier ones, to which the ridge was applied.
    known : Known, optional
        What is known of the rows where that is not just all their numbers; ``x`` then holds what is expected of them, for starts.
    part : Arranged, optional
        The same, as passes are made over it.
    n_fixed : int
        Components that are known beforehand, the first ones.
    """

    x: jax.Array
    weight: jax.Array
    coordinates: Coordinates
    log_det: float
    column_scale: np.ndarray
    dependent: tuple[int, ...]
    known: Any = None
    part: Any = None
    n_fixed: int = 0

    @property
    def structure(self) -> Structure:
        return self.coordinates.structure

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    @property
    def n_rows(self) -> float:
        """Sum of the weights."""
        return float(np.asarray(self.weight).sum())

    @property
    def log_jacobian(self) -> float:
        """What a log-likelihood of passes loses on the way to the user's units."""
        return 0.0 if self.part is not None else self.n_rows * self.log_det

    @property
    def passed(self) -> tuple[Any, Any]:
        """Rows that passes are made over, and their weights."""
        return (self.x, self.weight) if self.part is None else (self.part.rows, self.part.weight)

    @property
    def n_named(self) -> int:
        """Components, the first ones, that keep their places: those that are known, or that labels of rows may name."""
        return max(self.n_fixed, 0 if self.known is None else self.known.n_named)

    def sampled(self, key) -> Problem:
        """The same problem with a random sample of the rows, where there are many; see the function of that name."""
        x, weight = sampled(key, self.x, self.weight)
        return dataclasses.replace(self, x=x, weight=weight)

    def standardised_rows(self) -> jax.Array:
        """Rows with every column at unit variance, for spherical covariances too."""
        if self.structure.rank:
            return self.distance_rows()
        x, weight = np.asarray(self.x), np.asarray(self.weight)
        scale = np.sqrt(sum(summed(weight[b], x[b] ** 2) for b in _blocks(x)) / weight.sum())
        return _held(x.shape, x.dtype, lambda rows: np.divide(x, scale, out=rows))

    def distance_rows(self) -> jax.Array:
        """Rows on which distances for starts are measured: every column at unit variance, or as they are for spherical."""
        if self.structure.rank < 2:
            return self.x
        x = np.asarray(self.x)
        back = (np.asarray(self.coordinates.factor) / self.column_scale[:, None]).T.astype(x.dtype)
        return _held(x.shape, x.dtype, lambda rows: np.matmul(x, back, out=rows))


def _blocks(x: np.ndarray):
    """Slices of a few rows at a time."""
    step = max(BLOCK // x.shape[1], 1)
    return [slice(start, start + step) for start in range(0, len(x), step)]


def summed(weight: np.ndarray, values: np.ndarray) -> Any:
    """Weighted sum of numbers (N,) or rows (N, D).

    Products of BLAS are summed in as many parts as there are threads, so that the last bits would depend on their number.
    """
    return np.einsum("n,n...->...", weight, values)


def products(weight: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Weighted sums (D, E) of products of the columns of rows (N, D) and (N, E).

    BLAS divides the sums of one column among its threads, see `summed`, but not those of several, whose columns it divides.
    """
    left = one * weight[:, None]
    return np.einsum("nd,ne->de", left, other) if 1 in (left.shape[1], other.shape[1]) else left.T @ other


def column_moments(x: np.ndarray, weight: np.ndarray):
    """Weighted means and standard deviations of columns; the mean is refined once, for data far from 0."""
    total, blocks = weight.sum(), _blocks(x)
    mean = sum(summed(weight[b], x[b]) for b in blocks) / total
    mean = mean + sum(summed(weight[b], x[b] - mean) for b in blocks) / total
    return mean, np.sqrt(sum(summed(weight[b], (x[b] - mean) ** 2) for b in blocks) / total)


def correlations(x: np.ndarray, weight: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weighted correlations (D, D) of columns with these means and standard deviations."""
    found = np.zeros((len(scale), len(scale)))
    for b in _blocks(x):
        rows = (x[b] - mean) / scale
        found += products(weight[b], rows, rows)
    return found / weight.sum()


def _spread(structure: Structure, scale: np.ndarray, correlation: np.ndarray | None):
    """Packed covariance of rows in the user's units, and the columns that depend on others."""
    if structure.rank == 1:
        return scale**2, ()
    if structure.rank == 0:
        return np.mean(scale**2), ()
    assert correlation is not None
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


def extra_rows(n: int) -> int:
    """Rows to append to ``n``: at most an eighth, to four significant bits; of many rows only what makes the chunks of a pass even."""
    return -n % (max(1 << max(n.bit_length() - 4, 0), 8) if n < LARGE else WHOLE)


def padded(rows: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Zeros appended to arrays (N, ...) so that few different N occur and compiled programs are shared.

    With a weight of 0 such rows count for nothing.
    """
    extra = extra_rows(len(rows))
    return tuple(np.concatenate([a, np.zeros((extra, *a.shape[1:]), a.dtype)]) if extra else a for a in (rows, *others))


def aligned(shape: tuple[int, ...], dtype: Any = "float64", make: Callable[..., np.ndarray] = np.empty) -> np.ndarray:
    """An array that JAX can use where it lies, to be filled."""
    size = np.dtype(dtype).itemsize * int(np.prod(shape))
    raw = make(size + ALIGNED, np.uint8)
    first = -raw.ctypes.data % ALIGNED
    return raw[first : first + size].view(dtype).reshape(shape)


def _held(shape: tuple[int, ...], dtype, fill: Callable[[np.ndarray], Any]) -> jax.Array:
    """An array of zeros that ``fill`` has written to; JAX uses it where it lies, without a copy."""
    values = aligned(shape, dtype, np.zeros)
    fill(values)
    return jax.device_put(values, may_alias=True)


@jit(static_argnames=("structure",), brief=True)
def _geometry(structure: Structure, mean, covariance):
    """Coordinates in which data with these moments are standard, their log-determinant, and the scale (D,) of the columns."""
    coordinates = standardising(structure, mean, covariance)
    return coordinates, *_facts(coordinates)


def _facts(coordinates: Coordinates):
    """Log-determinant of coordinates, and the scale (D,) of the columns."""
    structure, d = coordinates.structure, len(coordinates.shift)
    held = structure.transform(coordinates.factor, structure.identity(d))
    return coordinates.log_det, jnp.sqrt(jnp.diagonal(structure.to_dense(held, d)))


_known_facts = jit(_facts, brief=True)


@jit(brief=True)
def _inward(coordinates: Coordinates, rows):
    return coordinates.inward(rows)


def held_rows(x: np.ndarray, weight: np.ndarray, change: Callable[[np.ndarray], np.ndarray], dtype: str = "float64", n: int | None = None):
    """Rows (N', D) as ``change`` makes them of rows (N, D), a block at a time, and weights (N',), padded to ``n`` or as in `padded`."""

    def write_rows(rows: np.ndarray) -> None:
        for b in _blocks(x):
            new = change(x[b])
            rows[b][: len(new)] = new

    def write_weight(values: np.ndarray) -> None:
        values[: len(weight)] = weight

    n = len(x) + extra_rows(len(x))
    return _held((n, x.shape[1]), dtype, write_rows), _held((n,), dtype, write_weight)


class Inward(NamedTuple):
    """From rows (N, D) in the user's units to inner coordinates: ``(rows - origin) / unit``, times ``turn`` unless that is None."""

    origin: Any
    unit: Any
    turn: Any = None

    def __call__(self, rows):
        """Rows in inner coordinates."""
        found = (rows - self.origin) / self.unit
        return found if self.turn is None else found @ self.turn


class Layout(NamedTuple):
    """Inner coordinates for data with certain moments, as in `Problem`."""

    coordinates: Coordinates
    log_det: float
    column_scale: np.ndarray
    dependent: tuple[int, ...]
    inward: Inward


def lay_out(structure: Structure, mean: np.ndarray, scale: np.ndarray, correlation: np.ndarray | None) -> Layout:
    """Inner coordinates for data with these means, standard deviations and, where the structure is full, correlations."""
    covariance, dependent = _spread(structure, scale, correlation)
    coordinates, log_det, held = _geometry(structure, mean, covariance)
    turn = np.linalg.inv(np.asarray(coordinates.factor) / scale[:, None]).T if structure.rank == 2 else None
    unit = scale if structure.rank else np.sqrt(covariance)
    return Layout(coordinates, float(log_det), np.asarray(held), dependent, Inward(mean, unit, turn))


def prepare(x: np.ndarray, weight: np.ndarray, structure: Structure, dtype: str = "float64") -> Problem:
    """Centre and scale rows (N, D) with weights (N,) for a structure.

    Full covariances are whitened, so that the fit is equivariant under affine maps; diagonal ones scaled by column; spherical
    ones by one number. The rows are copied once, a block at a time.
    """
    x = np.asarray(x, float)
    mean, scale = column_moments(x, weight)
    layout = lay_out(structure, mean, scale, correlations(x, weight, mean, scale) if structure.rank == 2 else None)
    return laid_out(x, weight, layout, dtype)


def laid_out(x: np.ndarray, weight: np.ndarray, layout: Layout, dtype: str) -> Problem:
    """Rows (N, D) with weights (N,) in inner coordinates that are given."""
    rows, weights = held_rows(x, weight, layout.inward, dtype)
    return Problem(rows, weights, layout.coordinates, layout.log_det, layout.column_scale, layout.dependent)


def in_coordinates(x: np.ndarray, weight: np.ndarray, coordinates: Coordinates, dtype: str = "float64") -> Problem:
    """Rows (N, D) with weights (N,) in the coordinates of an earlier fit."""
    log_det, scale = _known_facts(coordinates)
    rows, weights = held_rows(np.asarray(x, float), weight, lambda block: np.asarray(_inward(coordinates, block)), dtype)
    return Problem(rows, weights, coordinates, float(log_det), np.asarray(scale), ())
