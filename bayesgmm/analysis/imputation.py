"""Whole rows, given what is known of them: what a fitted mixture expects, and draws."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.draws import mean_field
from bayesgmm.analysis.parameters import plug_in
from bayesgmm.analysis.rows import law_inward
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.inference.arrange import Arranged, Known, arrange, scales
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import soft

REST = 1e-12
"""Variance, in units of the column's, below which a number is known."""


class _Whole(NamedTuple):
    """Responsibilities (N, K), expected rows (N, K, D), and covariances (M, K, D, D) of the blocks."""

    resp: jax.Array
    mean: jax.Array
    covariance: jax.Array


@jit(brief=True)
def _whole(inner: Mixture, arranged: Arranged) -> _Whole:
    structure, natural = inner.structure, inner.natural()
    _, mean, covariance = arranged.rows.completions(structure, natural)
    resp = soft(arranged.scores(structure, natural), 0)[1]
    flat = jnp.moveaxis(mean, 2, 1).reshape(-1, *mean.shape[1::2])
    return _Whole(resp.T, flat[arranged.place], covariance)


def expected_rows(posterior: Mixture, coordinates: Coordinates, known: Known) -> np.ndarray:
    """Expected whole rows (N, D), in the user's units, at the point estimates; numbers that are known stay as they are."""
    arranged = arrange(known, coordinates)
    found = _whole(law_inward(coordinates, plug_in(posterior)), arranged)
    return _outward(np.einsum("nk,nkd->nd", found.resp, found.mean), coordinates, known)


def drawn_rows(posterior: Mixture, coordinates: Coordinates, known: Known, n_draws: int, seed: int) -> np.ndarray:
    """Draws (n_draws, N, D) of whole rows, in the user's units: each of other parameters, where they have a law."""
    arranged, rng = arrange(known, coordinates), np.random.default_rng(seed)
    inner = law_inward(coordinates, posterior)
    if not isinstance(inner.components, Gaussian):
        points = mean_field(inner, n_draws, seed).points
        several = [jax.tree.map(lambda a, i=i: a[i], points) for i in range(n_draws)]
    else:
        several = [inner] * n_draws
    return np.stack([_outward(_drawn(_whole(point, arranged), arranged, rng), coordinates, known) for point in several])


def _drawn(found: _Whole, arranged: Arranged, rng: np.random.Generator) -> np.ndarray:
    """One draw (N, D) of each row: of its component, then of what is not known of it."""
    resp, mean, covariance = (np.asarray(part) for part in found)
    rows = np.arange(len(resp))
    place = np.asarray(arranged.place)
    chance = rng.random(len(arranged.weight))[place if arranged.rows.group is None else arranged.leaders()]
    label = (chance[:, None] > np.cumsum(resp, 1)[:, :-1]).sum(1)
    block = place // arranged.rows.x.shape[1]
    values, vectors = np.linalg.eigh(covariance[block, label])
    noise = np.where(values > REST, np.sqrt(np.maximum(values, 0)), 0) * rng.standard_normal(values.shape)
    return mean[rows, label] + (vectors @ noise[:, :, None])[:, :, 0]


def _outward(standard: np.ndarray, coordinates: Coordinates, known: Known) -> np.ndarray:
    """Rows in the user's units; numbers that are known exactly are not computed."""
    whole = np.asarray(coordinates.shift) + scales(coordinates)[0] * standard
    return whole if known.error is not None else np.where(np.isnan(known.values), whole, known.values)
