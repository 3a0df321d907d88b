"""A problem of rows that are known in part: its coordinates come from one Gaussian, fitted to what is known."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import FlatGaussian, Gaussian
from bayesgmm.core.structures import STRUCTURES, Structure
from bayesgmm.core.weights import FlatWeights, PointWeights
from bayesgmm.inference.accelerate import DEPTH
from bayesgmm.inference.arrange import Arranged, Known, arrange
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.loop import run
from bayesgmm.inference.problem import RIDGE, Layout, Problem, laid_out, lay_out, prepare

PASSES, TOL = 1000, 1e-10
"""Most passes of the fit of one Gaussian, and nats a row still to come at which it ends."""


def is_complete(known: Known) -> bool:
    """Whether all numbers are known exactly."""
    return known.error is None and not np.isnan(known.values).any()


def prepare_known(known: Known, structure: Structure, dtype: str = "float64") -> Problem:
    """Rows that are known in part, in coordinates where the Gaussian that fits them best is standard; without errors, where all are there.

    Rows (N', D) to make starts from are what that Gaussian expects.
    """
    weight = np.ones(len(known.values)) if known.weight is None else known.weight
    if is_complete(known):
        problem = prepare(known.values, weight, structure, dtype)
        return with_part(problem, known, dtype)
    mean, covariance, filled = one_gaussian(known, STRUCTURES["full"] if structure.rank == 2 else STRUCTURES["diag"])
    return with_part(laid_out(filled, weight, _layout(structure, mean, covariance), dtype), known, dtype)


def with_part(problem: Problem, known: Known, dtype: str) -> Problem:
    """The problem, with what is known of its rows arranged for passes."""
    arranged = arrange(known, problem.coordinates, dtype)
    return dataclasses.replace(problem, known=known, part=jax.device_put(arranged))


def _layout(structure: Structure, mean: np.ndarray, covariance: np.ndarray) -> Layout:
    scale = np.sqrt(np.diagonal(covariance))
    return lay_out(structure, mean, scale, covariance / np.outer(scale, scale) if structure.rank == 2 else None)


def one_gaussian(known: Known, structure: Structure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (D,) and dense covariance (D, D) of the Gaussian of highest likelihood, and the rows (N, D) that it expects."""
    weight = np.ones(len(known.values)) if known.weight is None else known.weight
    mean, scale = known_moments(known.values, weight)
    first = Coordinates(jnp.asarray(mean), jnp.asarray(scale), STRUCTURES["diag"])
    arranged = arrange(known._replace(allowed=None, group=None), first)
    found = _fitted(structure, arranged)
    inner, covariance = np.asarray(found.components.mean[0]), np.asarray(found.components.covariance[0])
    dense = covariance if structure.rank == 2 else np.diag(covariance)
    filled = mean + scale * np.asarray(_expected(found, arranged)).reshape(-1, len(mean))[arranged.place]
    complete = ~np.isnan(known.values) & (known.error is None)
    return mean + scale * inner, dense * np.outer(scale, scale), np.where(complete, known.values, filled)


def never_together(known: Known) -> list[tuple[int, int]]:
    """Pairs of columns that no row has both of."""
    seen = (~np.isnan(known.values)).astype(float)
    if known.weight is not None:
        seen = seen[known.weight > 0]
    first, second = np.nonzero(np.triu(seen.T @ seen == 0, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def known_moments(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means and standard deviations of the numbers that are there, by column."""
    share = np.where(np.isnan(values), 0, weight[:, None])
    filled, total = np.nan_to_num(values), share.sum(0)
    mean = (share * filled).sum(0) / total
    mean = mean + (share * (filled - mean)).sum(0) / total
    return mean, np.sqrt((share * (filled - mean) ** 2).sum(0) / total)


def _fitted(structure: Structure, arranged: Arranged) -> Mixture:
    d = arranged.rows.shape[1]
    prior = Mixture(FlatWeights(1), FlatGaussian(jnp.asarray(RIDGE), structure, False))
    start = Mixture(PointWeights(jnp.ones(1)), Gaussian(jnp.zeros((1, d)), structure.identity(d)[None].astype(float), structure))
    return run(prior, start, arranged.rows, arranged.weight, TOL, PASSES, max_steps=PASSES, depth=DEPTH).posterior


@jit(brief=True)
def _expected(found: Mixture, arranged: Arranged):
    """Rows (M, B, D) that a single component expects."""
    return arranged.rows.completions(found.structure, found.natural())[1][:, 0]
