"""What a fitted mixture says about single rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from bayesgmm.analysis.parameters import plug_in
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.statistics import centred_scores
from bayesgmm.core.weights import PointSticks
from bayesgmm.inference import kernel
from bayesgmm.inference.arrange import Arranged, Known, arrange
from bayesgmm.inference.by_row import RowFunction
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.problem import summed


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


def row_scores(structure, natural, x):
    """Scores (N, K) from differences to each mean: of rows (N, D) in inner coordinates, or of such as are `Arranged`."""
    return x.scores(structure, natural).T if isinstance(x, Arranged) else centred_scores(structure, natural, x)


@jit(brief=True)
def rows_inward(coordinates: Coordinates, x):
    """Rows (N, D) in inner coordinates."""
    return coordinates.inward(x)


def _of_scores(inner: Mixture, coordinates: Coordinates, finish: Callable):
    """A function of rows (M, D) in the user's units: ``finish`` of their scores (K, M) under a mixture in inner coordinates.

    Scores of complete rows are densities in inner coordinates, those of others in the user's units; ``finish`` is told the difference.
    """
    structure, natural = inner.structure, inner.natural()
    answer = kernel.from_scores(structure, natural, lambda scores: finish(scores, coordinates.log_det))

    def one(x):
        return finish(x.scores(structure, natural), 0.0) if isinstance(x, Arranged) else answer(coordinates.inward(x))

    return one


@RowFunction
def _responsibilities(inner, coordinates):
    return _of_scores(inner, coordinates, lambda scores, unit: kernel.soft(scores, 0)[1].T)


@RowFunction
def _labels(inner, coordinates):
    return _of_scores(inner, coordinates, lambda scores, unit: scores.argmax(0))


def _densities(inner, coordinates):
    return _of_scores(plug_in(inner), coordinates, lambda scores, unit: logsumexp(scores, axis=0) - unit)


_log_plug_in = RowFunction(_densities)


@RowFunction
def _predictive(inner, prior, coordinates):
    def one(x):
        if isinstance(x, Arranged):
            return inner.mixed(x.rows.predictive_log_prob, prior)[x.place]
        return inner.predictive_log_prob(coordinates.inward(x), prior) - coordinates.log_det

    return one


@RowFunction
def _table(inner, coordinates):
    """Places of the two most probable components of each row, their probabilities, and its log density at the point estimates, (N, 5)."""
    known = isinstance(inner.components, Gaussian) and not isinstance(inner.weights, PointSticks)  # the point estimates are the fit

    def columns(scores, unit):
        norm, resp = kernel.soft(scores, 0)
        best = scores.argmax(0)
        others = jnp.where(jnp.arange(len(resp))[:, None] == best, -1, resp)
        second = jnp.where(len(resp) > 1, others.argmax(0), 0)
        found = best, second, resp.max(0), jnp.maximum(others.max(0), 0), norm - unit
        return jnp.stack([column.astype(resp.dtype) for column in found], 1)

    table = _of_scores(inner, coordinates, columns)
    if known:
        return table
    density = _densities(inner, coordinates)
    return lambda x: table(x).at[:, 4].set(density(x))


def _width(posterior: Mixture, x: np.ndarray) -> int:
    """Numbers held for a row of ``x``."""
    return kernel.row_width(posterior.structure, False, x.shape[1], posterior.n_components)


def _over(function: RowFunction, posterior: Mixture, coordinates: Coordinates, x: Any, *others: Mixture) -> np.ndarray:
    """Answers for all rows; ``others`` are further mixtures in the user's units."""
    if isinstance(x, Known):
        return function.of_known(_given(posterior, coordinates, *others), arrange(x, coordinates))
    return function(_given(posterior, coordinates, *others), x, _width(posterior, x))


def _given(posterior: Mixture, coordinates: Coordinates, *others: Mixture) -> tuple:
    """Mixtures in inner coordinates, and these."""
    return *(law_inward(coordinates, m) for m in (posterior, *others)), coordinates


def responsibilities(posterior: Mixture, coordinates: Coordinates, x: np.ndarray | Known) -> np.ndarray:
    """Probability (N, K) that each row belongs to each component; ``posterior`` and rows (N, D) in the user's units."""
    return _over(_responsibilities, posterior, coordinates, x)


def labels(posterior: Mixture, coordinates: Coordinates, x: np.ndarray | Known) -> np.ndarray:
    """Most probable component (N,) of each row."""
    return _over(_labels, posterior, coordinates, x).astype(np.int64)


def named(labels: np.ndarray, n_components: int) -> np.ndarray:
    """Labels with -1 for noise, which is the component after the last."""
    return np.where(labels < n_components, labels, -1)


def log_plug_in(posterior: Mixture, coordinates: Coordinates, x: np.ndarray | Known) -> np.ndarray:
    """Log density (N,) of rows under the mixture of the point estimates."""
    return _over(_log_plug_in, posterior, coordinates, x)


def log_predictive(posterior: Mixture, prior: Mixture, coordinates: Coordinates, x: np.ndarray | Known) -> np.ndarray:
    """Log posterior predictive density (N,): a mixture of Student t."""
    if isinstance(x, Known) and x.error is not None:
        raise ValueError(
            "The predictive density of numbers that were measured with errors has no closed form; give them without error_covariance to "
            "have the density of exact numbers."
        )
    return _over(_predictive, posterior, coordinates, x, prior)


def row_table(posterior: Mixture, coordinates: Coordinates, x: np.ndarray | Known) -> RowTable:
    """Best and second-best component of each row."""
    return _named(_over(_table, posterior, coordinates, x))


def _named(table: np.ndarray) -> RowTable:
    return RowTable(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3])


class Pass(NamedTuple):
    """What one pass over all rows finds.

    Attributes
    ----------
    labels : list of ndarray of int
        Of all rows, one after the other, if they are kept.
    counts : ndarray of int, shape (K,)
        Rows of each label.
    log_certainty, log_likelihood : float
        Sums of the log probabilities of the labels, and of the log densities at the point estimates, rows counted with their weights.
    least : ndarray of int
        The rows of positive weight with the smallest probabilities, in that order.
    table : RowTable
        Of those rows.
    """

    labels: list[np.ndarray]
    counts: np.ndarray
    log_certainty: float
    log_likelihood: float
    least: np.ndarray
    table: RowTable


@dataclasses.dataclass(frozen=True)
class Look:
    """What one look at a batch of rows finds; row numbers are those in all rows, given the ``before`` of a survey.

    Parameters
    ----------
    given : tuple
        Of `_table`.
    n_components, n_least : int
        Components, and how many of the least certain rows are wanted.
    keep : bool
        Whether labels are.
    before : dict, optional
        Rows that come before each batch by its place.
    """

    given: tuple
    n_components: int
    n_least: int
    keep: bool
    before: dict[Any, tuple[int, float]] | None = None

    def __call__(self, place: Any, batch: tuple[Any, np.ndarray]) -> Pass:
        x, weight = batch
        if isinstance(x, Known):
            return self._piece(_table.of_known(self.given, arrange(x, self.given[-1])), weight, 0)
        first = 0 if self.before is None else self.before[place][0]
        width = kernel.row_width(self.given[0].structure, False, x.shape[1], self.n_components)
        pieces = (self._piece(found, weight[places], first + places.start) for places, found in _table.pieces(self.given, x, width))
        return reduce(self.together, pieces)

    def _piece(self, found: np.ndarray, weight: np.ndarray, first: int) -> Pass:
        label, probability, density = found[:, 0].astype(np.int64), found[:, 2], found[:, 4]
        least = _smallest(np.where(weight > 0, probability, np.inf), self.n_least)
        counts = np.bincount(label, minlength=self.n_components)
        sums = float(summed(weight, np.log(probability))), float(summed(weight, density))
        return Pass([label] if self.keep else [], counts, *sums, first + least, _named(found[least]))

    def together(self, one: Pass, other: Pass) -> Pass:
        """What a look at the rows of both finds."""
        least, table = np.append(one.least, other.least), [np.append(a, b) for a, b in zip(one.table, other.table, strict=True)]
        kept = _smallest(table[2], self.n_least)
        return Pass(
            one.labels + other.labels,
            one.counts + other.counts,
            one.log_certainty + other.log_certainty,
            one.log_likelihood + other.log_likelihood,
            least[kept],
            RowTable(*(column[kept] for column in table)),
        )


def look(posterior: Mixture, coordinates: Coordinates, n_least: int, keep: bool = False, before: dict | None = None) -> Look:
    """What looks at rows in the user's units under a posterior in the user's units."""
    given = jax.tree.map(np.asarray, _given(posterior, coordinates))
    return Look(given, posterior.n_components, n_least, keep, before)


def _smallest(values: np.ndarray, n: int) -> np.ndarray:
    """Places of the ``n`` smallest finite values in their order, earlier ones first among equals."""
    limit = np.partition(values, n)[n] if len(values) > n else np.inf
    some = np.flatnonzero((values <= limit) & (values < np.inf))
    return some[np.argsort(values[some], kind="stable")[:n]]
