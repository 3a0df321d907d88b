"""Default priors, stated in coordinates where the data have mean 0 and identity covariance, hence free of units."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.structures import Structure
from bayesgmm.inference.compiling import jit

MEAN_PRECISION = 0.01
"""Pseudo-rows behind the prior mean: a component's mean has a prior spread of ten data standard deviations."""

PRUNING_CONCENTRATION = 0.01
"""Dirichlet concentration of a fit that prunes; with 1 the weights are uniform a priori, for comparing numbers of components."""


@jit(static_argnames=("structure", "tied", "n_features"), brief=True)
def default_components(structure: Structure, tied: bool, n_features: int) -> NormalWishart:
    """Weak Normal-Wishart prior: mean of the data, ``dof`` two above the block size, so that E[covariance] is that of the data.

    In the manner of Fraley & Raftery (2007), Journal of Classification 24, but for the scale, which they divide by K^(2/D).
    """
    size = structure.blocks(n_features).size
    mean = jnp.zeros((1, n_features))
    scale = structure.identity(n_features)[None].astype(mean.dtype)
    return NormalWishart(mean, jnp.array([MEAN_PRECISION]), jnp.array([size + 2.0]), scale, structure, tied)


def flat_components(structure: Structure, tied: bool, floor: float) -> FlatGaussian:
    """No prior; covariances keep at least ``floor`` times the spread of the data in every direction."""
    return FlatGaussian(jnp.asarray(np.float64(floor)), structure, tied)
