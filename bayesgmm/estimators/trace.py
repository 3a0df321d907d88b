"""A fit pass by pass, to be looked at."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bayesgmm.analysis import rows
from bayesgmm.analysis.parameters import dense_covariances, published
from bayesgmm.core.noise import tails
from bayesgmm.estimators.base import in_float64, to_numpy
from bayesgmm.estimators.data import as_source
from bayesgmm.inference.restarts import Fit, Settings, advance
from bayesgmm.validation import check_number

ROW = 0.5
"""Expected rows below which a component counts as gone."""

MOST_PASSES = 10_000

ONE = Settings(tol=0.0, max_steps=1, depth=0)
"""A plain pass, without acceleration."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """What a fit holds at its start and after each of T - 1 passes; components keep their numbers.

    Attributes
    ----------
    lower_bounds : ndarray, shape (T,)
        Nats, in the units of the data.
    weights : ndarray, shape (T, K)
    means : ndarray, shape (T, K, D)
        In units of the data.
    covariances : ndarray, shape (T, K, D, D)
        For Student t components matrices of scale.
    counts : ndarray, shape (T, K)
        Expected rows of each component.
    labels : ndarray of int, shape (T, N)
        Most probable component of each row; -1 is noise.
    probability : ndarray, shape (T, N)
        Of that component.
    degrees_of_freedom : ndarray, shape (T, K)
        Of the tails; infinite for Gaussian components.
    feature_names : list of str
    objective : str
        What ``lower_bounds`` are: "evidence lower bound", "log-likelihood" or "penalised log-likelihood".
    """

    lower_bounds: np.ndarray
    weights: np.ndarray = dataclasses.field(repr=False)
    means: np.ndarray = dataclasses.field(repr=False)
    covariances: np.ndarray = dataclasses.field(repr=False)
    counts: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    probability: np.ndarray = dataclasses.field(repr=False)
    degrees_of_freedom: np.ndarray = dataclasses.field(repr=False)
    feature_names: list[str]
    objective: str

    @property
    def n_passes(self) -> int:
        """Passes after the start."""
        return len(self.lower_bounds) - 1

    @property
    def n_components(self) -> np.ndarray:
        """Components (T,) that hold at least half a row."""
        return (self.counts >= ROW).sum(1)


@in_float64
def trace(estimator: Any, X: Any, sample_weight: Any, n_passes: int, tol: float) -> Trace:
    """See `MixtureEstimator.trace`."""
    check_number("n_passes", n_passes, 1, high=MOST_PASSES, integer=True)
    check_number("tol", tol, 0)
    if as_source(X) is not None:
        raise ValueError("trace takes rows in memory; give a sample of those that are read as they are needed.")
    data, _, prior = estimator._begun(X, sample_weight)
    start = estimator._starts(prior, data.problem, data.training)[0]()
    fit, seen = advance(prior, start, data.problem, ONE, 0), []
    while True:
        seen.append(_seen(fit, data))
        gain = seen[-1]["lower_bounds"] - seen[-2]["lower_bounds"] if len(seen) > 1 else np.inf
        if len(seen) > n_passes or not np.isfinite(fit.bound) or gain <= tol * data.total:
            break
        fit = advance(prior, fit.result.posterior, data.problem, ONE, 1)
    found = {name: np.stack([one[name] for one in seen]) for name in seen[0]}
    names = [str(name) for name in data.names or (f"x{j}" for j in range(data.problem.n_features))]
    kind = "evidence lower bound" if estimator._bayesian else "log-likelihood" if estimator.prior is None else "penalised log-likelihood"
    return Trace(**found, feature_names=names, objective=kind)


def _seen(fit: Fit, data: Any) -> dict[str, Any]:
    """What there is to see of one state, in the units of the data."""
    coordinates, result = to_numpy(data.problem.coordinates), to_numpy(fit.result)
    found = to_numpy(published(coordinates, fit.prior, result.posterior))
    k = found.posterior.n_components - found.posterior.n_noise
    law = tails(found.posterior.components)
    resp = rows.responsibilities(found.posterior, coordinates, data.training.rows)
    return {
        "lower_bounds": float(result.stats.log_norm) - data.log_jacobian - float(found.penalty),
        "weights": found.point.weights.weights[:k],
        "means": np.asarray(found.point.components.mean),
        "covariances": dense_covariances(found.posterior),
        "counts": result.stats.counts[:k],
        "labels": rows.named(resp.argmax(1), k),
        "probability": resp.max(1),
        "degrees_of_freedom": np.full(k, np.inf) if law is None else np.broadcast_to(np.asarray(law.dof), k),
    }
