"""Would another prior have said otherwise? Derivatives of a fit by its hyperparameters, and fits with each halved and doubled."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.parameters import dense_covariances
from bayesgmm.analysis.partitions import adjusted_rand
from bayesgmm.analysis.sensitivity import HYPERPARAMETERS, derivatives, pair_derivatives
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.weights import StickBreaking
from bayesgmm.estimators.base import FitError, in_float64
from bayesgmm.estimators.evidence import rows_of_fit
from bayesgmm.estimators.freezing import check_learnt
from bayesgmm.estimators.robust import check_gaussian
from bayesgmm.inference.compiling import jit
from bayesgmm.progress import Progress
from bayesgmm.report.sensitivity import printed
from bayesgmm.validation import check_flag

FACTORS = (0.5, 2.0)


class Refit(NamedTuple):
    """A fit of the same rows with one hyperparameter changed.

    Attributes
    ----------
    hyperparameter : str
    factor : float
        What it was multiplied by; of degrees of freedom what exceeds the least possible.
    model : BayesianGaussianMixture
    agreement : float
        Adjusted Rand index of its labels with those of the original fit.
    """

    hyperparameter: str
    factor: float
    model: Any
    agreement: float


@dataclasses.dataclass(frozen=True, eq=False)
class Sensitivity:
    """How a fit depends on its prior. Derivatives are in the order of ``hyperparameters``, H of them.

    Attributes
    ----------
    hyperparameters : tuple of str
        Four by whose natural log derivatives are taken, ``degrees_of_freedom_prior`` counted from the least possible value; then
        ``mean_prior[column]`` for each column, moved by a standard deviation of the data.
    derivatives : dict of ndarray, leading axis H
        ``lower_bound`` (H,) in nats, ``n_clusters`` (H,) (of the expected number of components that have a row), ``weights`` (H, K),
        ``means`` and ``standard_deviations`` (H, K, D) in units of the data, ``responsibilities`` (H, N, K).
    refits : tuple of Refit
        Each of the first four halved and doubled, with all starts of the original fit.
    labels : ndarray of int, shape (N,)
    responsibilities : ndarray, shape (N, K)
    deviations : ndarray, shape (K, D)
        Standard deviations of the fit's components.
    """

    hyperparameters: tuple[str, ...]
    derivatives: dict[str, np.ndarray] = dataclasses.field(repr=False)
    refits: tuple[Refit, ...] = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    responsibilities: np.ndarray = dataclasses.field(repr=False)
    deviations: np.ndarray = dataclasses.field(repr=False)

    def co_clustering(self, rows: Any) -> np.ndarray:
        """Derivatives (H, M, N) of the probability that each of M rows (counted from 0) is in one component with each of all N."""
        chosen = np.atleast_1d(np.asarray(rows))
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or (chosen >= len(self.labels)).any() or (chosen < 0).any():
            raise ValueError(f"rows must be whole numbers from 0 to {len(self.labels) - 1}; got {rows!r}.")
        return pair_derivatives(self.responsibilities, self.derivatives["responsibilities"], chosen)

    def __str__(self) -> str:
        return printed(self)


@jit(brief=True)
def _moved(coordinates: Coordinates, means, covariances):
    """Changes of means (H, K, D) and covariances in the user's units, the latter dense (H, K or 1, D, D)."""
    structure, d = coordinates.structure, means.shape[-1]
    steps = jax.vmap(lambda m: structure.apply(coordinates.factor, m))(means)
    spread = jax.vmap(lambda c: structure.to_dense(structure.transform(coordinates.factor, c), d))(covariances)
    return steps, spread


@in_float64
def sensitivity(model: Any, X: Any, sample_weight: Any, refits: bool, verbose: bool | None) -> Sensitivity:
    """See `BayesianGaussianMixture.sensitivity`."""
    model._check_fitted()
    check_flag("refits", refits)
    check_learnt(model, "sensitivity")
    check_gaussian(model, "sensitivity", "fit again with other priors, or without noise and tails")
    prior, posterior, y, weight = rows_of_fit(model, X, sample_weight)
    try:
        now, slopes = derivatives(prior, posterior, y, jnp.asarray(weight), _shifts(model._coordinates, y, weight))
    except ArithmeticError as error:
        raise FitError(f"The derivatives by the prior were not found ({error}): components can hardly be told apart.") from error
    steps, spread = (np.asarray(part) for part in _moved(model._coordinates, slopes.means, slopes.covariances))
    deviations = np.sqrt(np.diagonal(dense_covariances(model.posterior_), axis1=1, axis2=2))
    found = {
        "lower_bound": slopes.bound,
        "n_clusters": slopes.occupied,
        "weights": slopes.weights,
        "means": steps,
        "standard_deviations": np.diagonal(spread, axis1=2, axis2=3) / (2 * deviations),
        "responsibilities": slopes.resp,
    }
    others = _refits(model, X, sample_weight, verbose) if refits else ()
    names = (*HYPERPARAMETERS, *(f"mean_prior[{name}]" for name in column_names(model)))
    return Sensitivity(names, found, others, model.labels_, now.resp, deviations)


def _shifts(coordinates: Coordinates, y, weight: np.ndarray) -> np.ndarray:
    """A standard deviation of each column, (D, D), in inner coordinates."""
    x = np.asarray(coordinates.outward(y))
    mean = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    return np.asarray(coordinates.structure.solve(coordinates.factor, jnp.diag(jnp.asarray(spread))))


def _refits(model, X: Any, sample_weight: Any, verbose: bool | None) -> tuple[Refit, ...]:
    """Fits from the same starts with each hyperparameter halved and doubled."""
    found = []
    with Progress(verbose) as told:
        for name in HYPERPARAMETERS:
            for factor in FACTORS:
                told(f"sensitivity: fit {len(found) + 1} of {len(FACTORS) * len(HYPERPARAMETERS)}, {name} times {factor:g}")
                other = type(model)(**model.get_params()).set_params(**{name: _times(model, name, factor)}, warm_start=False)
                other.fit(X, sample_weight=sample_weight)
                found.append(Refit(name, factor, other, adjusted_rand(model.labels_, other.labels_)))
    return tuple(found)


def _times(model, name: str, factor: float) -> Any:
    """The value of a parameter of the estimator at which its hyperparameter is a multiple of what it was."""
    weights, law = model.prior_.weights, model.prior_.components
    if name == "mean_precision_prior":
        return float(law.mean_precision[0] * factor)
    if name == "covariance_prior":
        return np.asarray(law.scale)[0] * factor
    if name == "degrees_of_freedom_prior":
        least = law.structure.blocks(law.n_features).size - 1
        return float(least + (law.dof[0] - least) * factor)
    if isinstance(weights, StickBreaking):
        shape, rate = float(weights.shape), float(weights.rate)
        return (shape, rate / factor) if weights.learn else shape / rate * factor
    given = model.weight_concentration_prior
    return np.asarray(given) * factor if np.ndim(given) else float(weights.concentration[0] * factor)
