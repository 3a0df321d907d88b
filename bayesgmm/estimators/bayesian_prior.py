"""The prior of a variational mixture from the parameters of its estimator."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import among, first
from bayesgmm.core.weights import Dirichlet, StickBreaking
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES
from bayesgmm.inference.priors import PRUNING_CONCENTRATION, default_components
from bayesgmm.inference.problem import Problem
from bayesgmm.validation import check_array, check_number, check_option, check_positive_definite

HYPERPARAMETERS = ("weight_concentration_prior", "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior")
"""Parameters that say what is assumed before the rows are seen."""


def make_prior(estimator: Any, problem: Problem) -> Mixture:
    """The estimator's prior in inner coordinates."""
    check_option(
        "weight_concentration_prior_type",
        estimator.weight_concentration_prior_type,
        ("dirichlet_process", "dirichlet_distribution"),
    )
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    weights = _sticks(estimator) if process else _dirichlet(estimator)
    return Mixture(weights, _components(estimator, problem))


def _sticks(estimator) -> StickBreaking:
    value = estimator.weight_concentration_prior
    name = "weight_concentration_prior"
    if value is None:
        value = (1.0, 1.0)
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be a number or a pair (shape, rate); got {value!r}.")
        pair = tuple(float(check_number(name, v, 0, strict=True)) for v in value)
        return StickBreaking.prior(estimator.n_components, pair)  # type: ignore[arg-type]
    return StickBreaking.prior(estimator.n_components, float(check_number(name, value, 0, strict=True)))


def _dirichlet(estimator) -> Dirichlet:
    value, k = estimator.weight_concentration_prior, estimator.n_components
    if value is None:
        value = PRUNING_CONCENTRATION if estimator.prune else 1.0
    if np.ndim(value) == 0:
        return Dirichlet.symmetric(k, float(check_number("weight_concentration_prior", value, 0, strict=True)))
    values = check_array("weight_concentration_prior", value, (k,))
    return Dirichlet(jnp.asarray(check_positive_definite("weight_concentration_prior", values)))


def _components(estimator, problem: Problem) -> NormalWishart:
    """Default Normal-Wishart law with what the user set, given in the units of the data, put in its place."""
    structure, tied = COVARIANCE_TYPES[estimator.covariance_type]
    d, coordinates = problem.n_features, problem.coordinates
    law = default_components(structure, tied, d)
    changes: dict[str, Any] = {}
    if estimator.mean_precision_prior is not None:
        changes["mean_precision"] = jnp.array([float(check_number("mean_precision_prior", estimator.mean_precision_prior, 0, strict=True))])
    if estimator.mean_prior is not None:
        changes["mean"] = coordinates.inward(jnp.asarray(check_array("mean_prior", estimator.mean_prior, (d,)))[None])
    if estimator.degrees_of_freedom_prior is not None:
        low = structure.blocks(d).size - 1
        changes["dof"] = jnp.array([float(check_number("degrees_of_freedom_prior", estimator.degrees_of_freedom_prior, low, strict=True))])
    if estimator.covariance_prior is not None:
        scale = check_array("covariance_prior", estimator.covariance_prior, (d,) * structure.rank)
        check_positive_definite("covariance_prior", scale)
        changes["scale"] = structure.untransform(coordinates.factor, jnp.asarray(scale)[None])
    return dataclasses.replace(law, **changes)


def of_those_left(prior: Mixture, before: Mixture, last: Mixture) -> Mixture:
    """The prior of as many components as the last fit has, with the concentrations of those that it kept; ``before`` was the prior then."""
    if last.n_components >= prior.n_components:
        return prior
    own, kept = among(prior), among(before)
    if not isinstance(own, Dirichlet):
        return first(prior, last.n_components)
    left, index = np.asarray(own.concentration).tolist(), []
    for value in np.asarray(kept.concentration).tolist():
        if value not in left:  # other concentrations are asked for
            return first(prior, last.n_components)
        index.append(left.index(value))
        left[index[-1]] = None
    return prior.take(np.array([*index, -1] if prior.n_noise else index))
