"""What a fitted mixture says about single rows."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from bayesgmm.analysis.parameters import plug_in
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
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
    return kernel.scores(inner.structure, inner.natural(), y, inner.structure.moments(y))


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
def _two_best(inner, coordinates, x):
    resp = _responsibilities(inner, coordinates, x)
    if resp.shape[1] == 1:
        return jnp.concatenate([jnp.zeros((len(x), 2)), resp, jnp.zeros((len(x), 1))], 1)
    values, index = jax.lax.top_k(resp, 2)
    return jnp.concatenate([index.astype(resp.dtype), values], 1)


def _over(function, posterior: Mixture, coordinates: Coordinates, x: np.ndarray, *others) -> np.ndarray:
    """Apply a row function in chunks; ``others`` are further mixtures in the user's units."""
    inner = [law_inward(coordinates, m) for m in (posterior, *others)]
    rows = kernel.chunk_rows(x.shape[1], posterior.n_components)
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
    table = _over(_two_best, posterior, coordinates, x)
    return RowTable(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3])
