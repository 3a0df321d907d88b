"""What a fitted mixture says about single rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from bayesgmm.analysis.parameters import plug_in
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.inference import kernel
from bayesgmm.inference.by_row import RowFunction
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


def _of_scores(inner: Mixture, coordinates: Coordinates, finish: Callable):
    """A function of rows (M, D) in the user's units: ``finish`` of their scores (K, M) under a mixture in inner coordinates."""
    answer = kernel.from_scores(inner.structure, inner.natural(), finish)
    return lambda x: answer(coordinates.inward(x))


@RowFunction
def _responsibilities(inner, coordinates):
    return _of_scores(inner, coordinates, lambda scores: kernel.soft(scores, 0)[1].T)


@RowFunction
def _labels(inner, coordinates):
    return _of_scores(inner, coordinates, lambda scores: scores.argmax(0))


def _densities(inner, coordinates):
    return _of_scores(plug_in(inner), coordinates, lambda scores: logsumexp(scores, axis=0) - coordinates.log_det)


_log_plug_in = RowFunction(_densities)


@RowFunction
def _predictive(inner, prior, coordinates):
    return lambda x: inner.predictive_log_prob(coordinates.inward(x), prior) - coordinates.log_det


@RowFunction
def _table(inner, coordinates):
    """Places of the two most probable components of each row, their probabilities, and its log density at the point estimates, (N, 5)."""
    known = isinstance(inner.components, Gaussian)  # the point estimates are the fit

    def columns(scores):
        norm, resp = kernel.soft(scores, 0)
        best = scores.argmax(0)
        others = jnp.where(jnp.arange(len(resp))[:, None] == best, -1, resp)
        second = jnp.where(len(resp) > 1, others.argmax(0), 0)
        found = best, second, resp.max(0), jnp.maximum(others.max(0), 0), norm - coordinates.log_det
        return jnp.stack([column.astype(resp.dtype) for column in found], 1)

    table = _of_scores(inner, coordinates, columns)
    if known:
        return table
    density = _densities(inner, coordinates)
    return lambda x: table(x).at[:, 4].set(density(x))


def _width(posterior: Mixture, x: np.ndarray) -> int:
    """Numbers held for a row of ``x``."""
    return kernel.row_width(posterior.structure, False, x.shape[1], posterior.n_components)


def _over(function: RowFunction, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others: Mixture) -> np.ndarray:
    """Answers for all rows; ``others`` are further mixtures in the user's units."""
    return function(_given(posterior, coordinates, *others), x, _width(posterior, x))


def _given(posterior: Mixture, coordinates: Coordinates, *others: Mixture) -> tuple:
    """Mixtures in inner coordinates, and these."""
    return *(law_inward(coordinates, m) for m in (posterior, *others)), coordinates


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
    label : ndarray of int, shape (N,), or None
    counts : ndarray of int, shape (K,)
        Rows of each label.
    log_certainty, log_likelihood : float
        Sums of the log probabilities of the labels, and of the log densities at the point estimates, rows counted with their weights.
    least : ndarray of int
        The rows of positive weight with the smallest probabilities, in that order.
    table : RowTable
        Of those rows.
    """

    label: np.ndarray | None
    counts: np.ndarray
    log_certainty: float
    log_likelihood: float
    least: np.ndarray
    table: RowTable


def pass_over(
    posterior: Mixture, coordinates: Coordinates, batches: Iterable[tuple[np.ndarray, np.ndarray]], n_least: int, keep: bool = True
) -> Pass:
    """Labels, unless not to ``keep``, sums, and the ``n_least`` least certain rows, of batches of rows (M, D) with weights (M,)."""
    given, labels, sums, least, table, first = _given(posterior, coordinates), [], np.zeros(2), np.empty(0, int), np.empty((0, 5)), 0
    counts = np.zeros(posterior.n_components, np.int64)
    for x, weight in batches:
        for places, found in _table.pieces(given, x, _width(posterior, x)):
            label, probability, density = found[:, 0].astype(np.int64), found[:, 2], found[:, 4]
            counts += np.bincount(label, minlength=len(counts))
            if keep:
                labels.append(label)
            sums += weight[places] @ np.log(probability), weight[places] @ density
            new = _smallest(np.where(weight[places] > 0, probability, np.inf), n_least)
            least, table = np.append(least, first + places.start + new), np.concatenate([table, found[new]])
            kept = _smallest(table[:, 2], n_least)
            least, table = least[kept], table[kept]
        first += len(x)
    return Pass(np.concatenate(labels) if keep else None, counts, float(sums[0]), float(sums[1]), least, _named(table))


def _smallest(values: np.ndarray, n: int) -> np.ndarray:
    """Places of the ``n`` smallest finite values in their order, earlier ones first among equals."""
    limit = np.partition(values, n)[n] if len(values) > n else np.inf
    some = np.flatnonzero((values <= limit) & (values < np.inf))
    return some[np.argsort(values[some], kind="stable")[:n]]
