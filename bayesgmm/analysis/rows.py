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


def _best_two(resp):
    """Places of the two largest of each column, and their values, (4, N)."""
    best = resp.argmax(0)
    others = jnp.where(jnp.arange(len(resp))[:, None] == best, -1, resp)
    second = jnp.where(len(resp) > 1, others.argmax(0), 0)
    return jnp.stack([best.astype(resp.dtype), second.astype(resp.dtype), resp.max(0), jnp.maximum(others.max(0), 0)])


@jit
def _table(inner, coordinates, x):
    return _best_two(_responsibilities(inner, coordinates, x).T).T


@jit
def _table_and_density(inner, coordinates, x):
    """The table of rows and their log density under the point estimates, (N, 5): one set of scores where the fit is such estimates."""
    norm, resp = kernel.soft(_scores(inner, coordinates, x).T, 0)
    if not isinstance(inner.components, Gaussian):
        norm = logsumexp(_scores(plug_in(inner), coordinates, x), axis=1)
    return jnp.concatenate([_best_two(resp), norm[None] - coordinates.log_det]).T


def _over(function, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others) -> np.ndarray:
    """Apply a row function in chunks; ``others`` are further mixtures in the user's units."""
    inner = [law_inward(coordinates, m) for m in (posterior, *others)]
    rows = kernel.chunk_rows(posterior.structure, False, x.shape[1], posterior.n_components)
    return kernel.map_rows(partial(function, *inner, coordinates), x, rows)


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
    return _split(_over(_table, posterior, coordinates, x))


def row_table_and_density(posterior: Mixture, coordinates: Coordinates, x: np.ndarray) -> tuple[RowTable, np.ndarray]:
    """What `row_table` and `log_plug_in` answer, in one pass over the rows."""
    found = _over(_table_and_density, posterior, coordinates, x)
    return _split(found), found[:, 4]


def _split(table: np.ndarray) -> RowTable:
    return RowTable(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3])
