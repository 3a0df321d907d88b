"""Gaussian mixtures: k-means, EM, MAP and variational Bayes in one loop (``inference/loop.py``).

``scores = E[log weight] + E[log N(x)]``; responsibilities are their softmax; statistics are additive sums over rows; the
posterior is prior plus statistics; the bound is the sum of normalisers minus what the prior charges. Which algorithm runs is
decided by the prior alone.
"""

from __future__ import annotations

from bayesgmm._version import __version__
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import FlatGaussian, Gaussian
from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import Diagonal, Full, Spherical
from bayesgmm.core.weights import Dirichlet, FlatWeights, PointWeights, StickBreaking
from bayesgmm.datasets import Dataset, load_dataset
from bayesgmm.estimators import (
    BayesianGaussianMixture,
    BootstrapLRT,
    Classification,
    Combination,
    Density,
    Diagnosis,
    DiscriminantAnalysis,
    FitError,
    FitWarning,
    GaussianMixture,
    KMeans,
    Projection,
    Selection,
    Sensitivity,
    TailProbability,
    Uncertainty,
    bootstrap_lrt,
    combine,
    evidence_over_optima,
    importance_evidence,
    load,
    select,
)
from bayesgmm.estimators.partitions import (
    CredibleBall,
    PointPartition,
    adjusted_rand_index,
    credible_ball,
    n_clusters_probability,
    point_partition,
    similarity_matrix,
    variation_of_information,
)
from bayesgmm.inference.cache import disable_compilation_cache, enable_compilation_cache
from bayesgmm.inference.initialise import initialise
from bayesgmm.inference.loop import Outcome, Result, fit
from bayesgmm.observations import Observations
from bayesgmm.reading import scan

__all__ = [
    "MAP",
    "BayesianGaussianMixture",
    "BootstrapLRT",
    "Classification",
    "Combination",
    "CredibleBall",
    "Dataset",
    "Density",
    "Diagnosis",
    "Diagonal",
    "Dirichlet",
    "DiscriminantAnalysis",
    "FitError",
    "FitWarning",
    "FlatGaussian",
    "FlatWeights",
    "Full",
    "Gaussian",
    "GaussianMixture",
    "KMeans",
    "Mixture",
    "NormalWishart",
    "Observations",
    "Outcome",
    "PointPartition",
    "PointWeights",
    "Projection",
    "Result",
    "Selection",
    "Sensitivity",
    "Spherical",
    "Stats",
    "StickBreaking",
    "TailProbability",
    "Uncertainty",
    "__version__",
    "adjusted_rand_index",
    "bootstrap_lrt",
    "combine",
    "credible_ball",
    "disable_compilation_cache",
    "enable_compilation_cache",
    "evidence_over_optima",
    "fit",
    "importance_evidence",
    "initialise",
    "load",
    "load_dataset",
    "n_clusters_probability",
    "point_partition",
    "scan",
    "select",
    "similarity_matrix",
    "variation_of_information",
]
