"""Estimators with scikit-learn's vocabulary: thin shells over the functional layer."""

from __future__ import annotations

from typing import Any

from bayesgmm import storage
from bayesgmm.analysis.density import Density
from bayesgmm.analysis.tails import TailProbability
from bayesgmm.estimators.base import FitError, FitWarning, NotFittedError
from bayesgmm.estimators.bayesian import BayesianGaussianMixture
from bayesgmm.estimators.bootstrap import BootstrapLRT, bootstrap_lrt
from bayesgmm.estimators.combining import Combination, combine
from bayesgmm.estimators.diagnosis import Diagnosis
from bayesgmm.estimators.discriminant import Classification, DiscriminantAnalysis
from bayesgmm.estimators.evidence import OptimaEvidence, evidence_over_optima, importance_evidence
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.estimators.kmeans import KMeans
from bayesgmm.estimators.projecting import Projection
from bayesgmm.estimators.selection import Selection, select
from bayesgmm.estimators.sensitivity import Sensitivity
from bayesgmm.estimators.trace import Trace
from bayesgmm.estimators.uncertainty import Intervals, Uncertainty

ESTIMATORS = {cls.__name__: cls for cls in (BayesianGaussianMixture, DiscriminantAnalysis, GaussianMixture, KMeans)}


def load(path: Any):
    """Read an estimator written by its ``save`` method.

    Raises
    ------
    ValueError
        The file is missing, not a saved model, or of a later version of the format.
    """
    kind, params, fitted = storage.read(path)
    cls = ESTIMATORS[kind]
    if not params.keys() <= cls().get_params().keys() or any(callable(getattr(cls, name, None)) for name in fitted):
        raise ValueError(f"{str(path)!r} is a damaged model file.")
    model = cls(**params)
    model.__dict__.update(fitted)
    return model


__all__ = [
    "BayesianGaussianMixture",
    "BootstrapLRT",
    "Classification",
    "Combination",
    "Density",
    "Diagnosis",
    "DiscriminantAnalysis",
    "FitError",
    "FitWarning",
    "GaussianMixture",
    "Intervals",
    "KMeans",
    "NotFittedError",
    "OptimaEvidence",
    "Projection",
    "Selection",
    "Sensitivity",
    "TailProbability",
    "Trace",
    "Uncertainty",
    "bootstrap_lrt",
    "combine",
    "evidence_over_optima",
    "importance_evidence",
    "load",
    "select",
]
