"""Priors that users give to maximum a posteriori: whether they have a mode and fit the model."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.weights import Dirichlet, FlatWeights, StickBreaking
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES
from bayesgmm.validation import brief, check_positive_definite

MOST = 1e15
"""Greatest concentration: beyond it a row is less than the last digit."""


def check_map_prior(prior: Any, covariance_type: str, k: int, d: int) -> Mixture:
    """The prior with numbers of 64 bits, which JAX makes of 32 outside of a fit.

    Raises
    ------
    ValueError
        Where it is no prior, has no mode, or is for other components, columns or covariances.
    """
    if not isinstance(prior, Mixture):
        raise ValueError(f'prior must be None, "default" or a bayesgmm.Mixture; got {brief(prior)}.')
    if not isinstance(prior.weights, (Dirichlet, StickBreaking, FlatWeights)):
        raise ValueError(f"prior.weights must be a Dirichlet, StickBreaking or FlatWeights law; got {type(prior.weights).__name__}.")
    if not isinstance(prior.components, NormalWishart):
        raise ValueError(f"prior.components must be a NormalWishart law; got {type(prior.components).__name__}.")
    prior = _widened(prior)
    _check_weights(prior.weights, k)
    _check_components(prior.components, covariance_type, k, d)
    return prior


def _widened(prior: Mixture) -> Mixture:
    def wide(value):
        found = np.asarray(value)
        if found.dtype.kind not in "biuf":
            raise ValueError(f"prior must hold arrays of numbers; got {brief(value)}.")
        return found.astype(float if found.dtype.kind == "f" else int)

    return jax.tree.map(wide, prior, is_leaf=lambda value: isinstance(value, (list, tuple)) or value is None)


def _check_weights(weights: Any, k: int) -> None:
    if getattr(weights, "learn", False):
        raise ValueError("Maximum a posteriori needs a fixed concentration; the Gamma hyperprior is for BayesianGaussianMixture.")
    name = {Dirichlet: "concentration", StickBreaking: "beta"}.get(type(weights))
    if name is None:
        if weights.n_components != k:
            raise ValueError(f"prior is for {weights.n_components} components, but n_components is {k}.")
        return
    values = getattr(weights, name)
    if values.ndim != 1:
        raise ValueError(f"prior.weights.{name} must be an array of shape ({k},); got shape {values.shape}.")
    if len(values) != k:
        raise ValueError(f"prior is for {len(values)} components, but n_components is {k}.")
    if not np.isfinite(values).all() or values.max() > MOST:
        raise ValueError(f"prior.weights.{name} must hold numbers up to {MOST:g}; got {brief(values.tolist())}.")
    if (values < 1).any():
        raise ValueError("Maximum a posteriori needs concentrations of at least 1: below that the density of the weights has no mode.")


def _check_components(law: NormalWishart, covariance_type: str, k: int, d: int) -> None:
    structure, tied = COVARIANCE_TYPES[covariance_type]
    if law.structure != structure or law.tied != tied:
        raise ValueError(
            f"prior.components has structure {type(law.structure).__name__}, tied={law.tied}, which is not "
            f"covariance_type={covariance_type!r}."
        )
    if law.mean.ndim == 2 and law.mean.shape[1] != d:
        raise ValueError(f"prior.components is for {law.mean.shape[1]} features, but X has {d}.")
    each = {1} if tied else {1, k}
    shapes = {"mean": ({1, k}, (d,)), "mean_precision": ({1, k}, ()), "dof": (each, ()), "scale": (each, (d,) * structure.rank)}
    for name, (counts, rest) in shapes.items():
        values = getattr(law, name)
        if values.ndim == 0 or len(values) not in counts or values.shape[1:] != rest:
            told = " or ".join(str((n, *rest)) for n in sorted(counts))
            raise ValueError(f"prior.components.{name} must have shape {told}; got {values.shape}.")
        if not np.isfinite(values).all():
            raise ValueError(f"prior.components.{name} must hold finite numbers; got {brief(values.tolist())}.")
    least = structure.blocks(d).size - 1
    for name, low in (("mean_precision", 0), ("dof", least)):
        if (getattr(law, name) <= low).any():
            raise ValueError(f"prior.components.{name} must be above {low}; got {brief(getattr(law, name).tolist())}.")
    check_positive_definite("prior.components.scale", np.asarray(law.scale), structure.rank)
