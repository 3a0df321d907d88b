"""What a fitted mixture says about single rows."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from bayesgmm.analysis.parameters import plug_in
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.inference import kernel
from bayesgmm.inference.compiling import jit


class RowTable(NamedTuple):
    """Best and second-best component of every row, (N,) each.

    Attributes
    ----------
    label, runner_up : ndarray of int
    probability, second : ndarray
        Responsibilities of the two.
    """

    label: np.ndarray
    runner_up: np.ndarray
    probability: np.ndarray
    second: np.ndarray


@jit(brief=True)
def law_inward(coordinates: Coordinates, law):
    """A law of parameters in inner coordinates."""
    return coordinates.mixture_inward(law)


@jit(brief=True)
def rows_inward(coordinates: Coordinates, x):
    """Rows (N, D) in inner coordinates."""
    return coordinates.inward(x)


def _scores(inner: Mixture, coordinates: Coordinates, x):
    """Scores (N, K) of rows in the user's units under a mixture in inner coordinates."""
    y = coordinates.inward(x)
    return kernel.scores(inner.structure, inner.natural(), y)


@jit(brief=True)
def _responsibilities(inner, coordinates, x):
    return kernel.soft(_scores(inner, coordinates, x))[1]


@jit(brief=True)
def _labels(inner, coordinates, x):
    return _scores(inner, coordinates, x).argmax(1)


@jit(brief=True)
def _log_plug_in(inner, coordinates, x):
    return logsumexp(_scores(plug_in(inner), coordinates, x), axis=1) - coordinates.log_det


@jit(brief=True)
def _predictive(inner, prior, coordinates, x):
    return inner.predictive_log_prob(coordinates.inward(x), prior) - coordinates.log_det


@jit(brief=True)
def _table(inner, coordinates, x):
    """Places of the two most probable components of each row, their probabilities, and its log density at the point estimates, (N, 5)."""
    values = _scores(inner, coordinates, x).T
    norm, resp = kernel.soft(values, 0)
    best = values.argmax(0)
    others = jnp.where(jnp.arange(len(resp))[:, None] == best, -1, resp)
    second = jnp.where(len(resp) > 1, others.argmax(0), 0)
    if not isinstance(inner.components, Gaussian):  # otherwise the point estimates are the fit
        norm = logsumexp(_scores(plug_in(inner), coordinates, x), axis=1)
    columns = best, second, resp.max(0), jnp.maximum(others.max(0), 0), norm - coordinates.log_det
    return jnp.stack([column.astype(resp.dtype) for column in columns], 1)


def _over(function, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others) -> np.ndarray:
    """Apply a row function in chunks; ``others`` are further mixtures in the user's units."""
    function, rows = _by_row(function, posterior, coordinates, x, *others)
    return kernel.map_rows(function, x, rows)


def _by_row(function, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others):
    """The function with the mixtures filled in, and rows a chunk."""
    inner = [law_inward(coordinates, m) for m in (posterior, *others)]
    return partial(function, *inner, coordinates), kernel.table_rows(posterior.structure, x.shape[1], posterior.n_components)


def responsibilities(posterior: Mixture, coordinates: Coordinates, x: np.ndarray) -> np.ndarray:
    """Probability (N, K) that each row belongs to each component; ``posterior`` and rows (N, D) in the user's units."""
    return _over(_responsibilities, posterior, coordinates, x)


def labels(posterior: Mixture, coordinates: Coordinates, x: np.ndarray) -> np.ndarray:
    """Most probable component (N,) of each row."""
    return _over(_labels, posterior, coordinates, x).astype(np.int64)


def log_plug_in(posterior: Mixture, coordinates: Coordinates, x: np.ndarray) -> np.ndarray:
    """Log density (N,) of rows under the mixture of the point estimates."""
    return _over(_log_plug_in, posterior, coordinates, x)


def log_predictive(posterior: Mixture, prior: Mixture, coordinates: Coordinates, x: np.ndarray) -> np.ndarray:
    """Log posterior predictive density (N,): a mixture of Student t."""
    return _over(_predictive, posterior, coordinates, x, prior)


def row_table(posterior: Mixture, coordinates: Coordinates, x: np.ndarray) -> RowTable:
    """Best and second-best component of each row."""
    return _named(_over(_table, posterior, coordinates, x))


def _named(table: np.ndarray) -> RowTable:
    return RowTable(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3])


class Pass(NamedTuple):
    """What one pass over all rows finds.

    Attributes
    ----------
    label : ndarray of int, shape (N,)
    log_certainty, log_likelihood : float
        Sums of the log probabilities of the labels, and of the log densities at the point estimates, rows counted with their weights.
    least : ndarray of int
        The rows of positive weight with the smallest probabilities, in that order.
    table : RowTable
        Of those rows.
    """

    label: np.ndarray
    log_certainty: float
    log_likelihood: float
    least: np.ndarray
    table: RowTable


def pass_over(posterior: Mixture, coordinates: Coordinates, x: np.ndarray, weight: np.ndarray, n_least: int) -> Pass:
    """Labels, sums, and the ``n_least`` least certain rows, of rows (N, D) with weights (N,)."""
    label, sums, least, table = np.empty(len(x), np.int64), np.zeros(2), np.empty(0, int), np.empty((0, 5))
    function, rows = _by_row(_table, posterior, coordinates, x)
    for places, found in kernel.by_chunks(function, x, rows):
        probability, density = found[:, 2], found[:, 4]
        label[places] = found[:, 0]
        sums += weight[places] @ np.log(probability), weight[places] @ density
        new = _smallest(np.where(weight[places] > 0, probability, np.inf), n_least)
        least, table = np.append(least, places.start + new), np.concatenate([table, found[new]])
        kept = _smallest(table[:, 2], n_least)
        least, table = least[kept], table[kept]
    return Pass(label, float(sums[0]), float(sums[1]), least, _named(table))


def _smallest(values: np.ndarray, n: int) -> np.ndarray:
    """Places of the ``n`` smallest finite values in their order, earlier ones first among equals."""
    limit = np.partition(values, n)[n] if len(values) > n else np.inf
    some = np.flatnonzero((values <= limit) & (values < np.inf))
    return some[np.argsort(values[some], kind="stable")[:n]]
