"""Classes whose densities are known: their probabilities for rows, one Gaussian for each from labelled rows, and errors of a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.collapsed import collapsed
from bayesgmm.analysis.density import Density, log_sum, predictive
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.structures import Structure
from bayesgmm.core.weights import PointWeights
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import from_labels
from bayesgmm.inference.problem import padded, prepare, summed

FLOOR = 1e-6
"""Smallest share of the spread of the data that a Gaussian keeps in any direction."""


class Gaussians(NamedTuple):
    """One Gaussian for each class.

    Attributes
    ----------
    densities : tuple of Density
        Of the C classes.
    log_likelihood : float
        Of the rows given their classes, in nats.
    n_parameters : int
        Means and covariances.
    collapsed : bool
        Whether a class has too few rows, or too similar ones, for its covariance.
    """

    densities: tuple[Density, ...]
    log_likelihood: float
    n_parameters: int
    collapsed: bool


class Model(NamedTuple):
    """Gaussians that share something or nothing.

    Attributes
    ----------
    structure : Structure
    tied : bool
    law : callable
        Answers the law of their parameters, without a prior, in given coordinates.
    n_parameters : int
        Of means and covariances.
    needed : int
        Rows that each needs.
    """

    structure: Structure
    tied: bool
    law: Callable[[Coordinates], Any]
    n_parameters: int
    needed: int


def gaussians(x: np.ndarray, weight: np.ndarray, label: np.ndarray, model: Model, names: tuple[str, ...]) -> Gaussians:
    """The most likely Gaussians of labelled rows (N, D), labels (N,) in 0..C-1.

    Linear discriminant analysis is full and tied, quadratic full and not tied (Bensmail & Celeux 1996, JASA 91).
    """
    problem, c = prepare(x, weight, model.structure), int(label.max()) + 1
    law = model.law(problem.coordinates)
    stats = _labelled(model.structure, model.tied, problem.x, jnp.asarray(padded(label)[0]), c, problem.weight)
    inner = Mixture(PointWeights(jnp.full(c, 1.0) / c), law.posterior(stats))
    joint = predictive(problem.coordinates.mixture_outward(inner), None, names)
    densities = tuple(_only(joint, k) for k in range(c))
    parts = joint.log_parts(x)[np.arange(len(x)), label]
    thin = bool(collapsed(inner, stats.counts, FLOOR, model.needed).any())
    return Gaussians(densities, float(summed(weight, parts)), model.n_parameters, thin)


@jit(static_argnames=("structure", "tied", "n_classes"), brief=True)
def _labelled(structure, tied, x, label, n_classes, weight):
    return from_labels(structure, tied, x, label, n_classes, weight)


def _only(joint: Density, k: int) -> Density:
    """Component ``k`` alone."""
    one = slice(k, k + 1)
    parts: dict[str, Any] = {name: getattr(joint, name)[one] for name in ("means", "dispersions", "spread", "dof")}
    return dataclasses.replace(joint, weights=np.ones(1), **parts)


def log_joint(log_densities: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Log density (N, C) of rows and classes together, from log densities (N, C) and prior probabilities (C,), some of which may be 0."""
    with np.errstate(divide="ignore"):
        return log_densities + np.log(priors)


def log_probabilities(log_densities: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Log probability (N, C) of each class by Bayes' rule."""
    scores = log_joint(log_densities, priors)
    return scores - log_sum(scores)[:, None]


def brier(probabilities: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    r"""Brier score :math:`\frac{1}{2n} \sum_n w_n \sum_c (p_{nc} - [y_n = c])^2`: 0 is best, 1 certain and always wrong.

    Brier (1950), Monthly Weather Review 78, halved so that two classes give the usual square of the error.
    """
    wrong = probabilities.copy()
    wrong[np.arange(len(label)), label] -= 1
    return float(summed(weight, (wrong**2).sum(1)) / weight.sum() / 2)


def stratified(label: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Fold (N,) of each row at random, every class spread over the folds as evenly as can be."""
    rng, fold = np.random.default_rng(seed), np.empty(len(label), int)
    order = rng.permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    fold[order] = np.arange(len(label)) % n_folds
    return fold
