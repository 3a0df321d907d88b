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


@jit
def law_inward(coordinates: Coordinates, law):
    """A law of parameters in inner coordinates."""
    return coordinates.mixture_inward(law)


@jit
def rows_inward(coordinates: Coordinates, x):
    """Rows (N, D) in inner coordinates."""
    return coordinates.inward(x)


def _scores(inner: Mixture, coordinates: Coordinates, x):
    """Scores (N, K) of rows in the user's units under a mixture in inner coordinates."""
    y = coordinates.inward(x)
    return kernel.scores(inner.structure, inner.natural(), y)


@jit
def _responsibilities(inner, coordinates, x):
    return kernel.soft(_scores(inner, coordinates, x))[1]


@jit
def _labels(inner, coordinates, x):
    return _scores(inner, coordinates, x).argmax(1)


@jit
def _log_plug_in(inner, coordinates, x):
    return logsumexp(_scores(plug_in(inner), coordinates, x), axis=1) - coordinates.log_det


@jit
def _predictive(inner, prior, coordinates, x):
    return inner.predictive_log_prob(coordinates.inward(x), prior) - coordinates.log_det


@jit
def _table(inner, coordinates, x):
    """Places of the two most probable components of each row, and their probabilities, (N, 4)."""
    values = _scores(inner, coordinates, x).T
    best, resp = values.argmax(0), kernel.soft(values, 0)[1]
    others = jnp.where(jnp.arange(len(resp))[:, None] == best, -1, resp)
    second = jnp.where(len(resp) > 1, others.argmax(0), 0)
    return jnp.stack([best.astype(resp.dtype), second.astype(resp.dtype), resp.max(0), jnp.maximum(others.max(0), 0)], 1)


@jit
def _best_and_density(inner, coordinates, x):
    """Best component, its probability, log density under the point estimates, (N, 3); one set of scores where these are the fit."""
    values = _scores(inner, coordinates, x).T
    norm, resp = kernel.soft(values, 0)
    if not isinstance(inner.components, Gaussian):
        norm = logsumexp(_scores(plug_in(inner), coordinates, x), axis=1)
    return jnp.stack([values.argmax(0).astype(resp.dtype), resp.max(0), norm - coordinates.log_det], 1)


def _over(function, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others) -> np.ndarray:
    """Apply a row function in chunks; ``others`` are further mixtures in the user's units."""
    function, rows = _by_row(function, posterior, coordinates, x, *others)
    return kernel.map_rows(function, x, rows)


def _by_row(function, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others):
    """The function with the mixtures filled in, and rows a chunk."""
    inner = [law_inward(coordinates, m) for m in (posterior, *others)]
    return partial(function, *inner, coordinates), kernel.chunk_rows(posterior.structure, False, x.shape[1], posterior.n_components)


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
    table = _over(_table, posterior, coordinates, x)
    return RowTable(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3])


def labels_and_likelihood(posterior: Mixture, coordinates: Coordinates, x: np.ndarray, weight: np.ndarray):
    """Labels (N,), their probabilities (N,), and the log-likelihood of the point estimates, in one pass over rows with weights (N,)."""
    label, probability, total = np.empty(len(x), np.int64), np.empty(len(x)), 0.0
    function, rows = _by_row(_best_and_density, posterior, coordinates, x)
    for places, found in kernel.by_chunks(function, x, rows):
        label[places], probability[places] = found[:, 0], found[:, 1]
        total += float(weight[places] @ found[:, 2])
    return label, probability, total
