"""Results of a fit, in the user's units and as numpy arrays, written onto its estimator."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from bayesgmm.analysis import criteria, rows
from bayesgmm.analysis.evidence import multiplicity
from bayesgmm.analysis.parameters import Published, published, rounding
from bayesgmm.core.noise import tails, without_noise
from bayesgmm.estimators.base import FitError, FitWarning, to_numpy
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, count_parameters
from bayesgmm.estimators.data import FromSource, InMemory
from bayesgmm.estimators.freezing import as_given
from bayesgmm.estimators.robust import Robust
from bayesgmm.frames import column_label
from bayesgmm.inference.loop import MESSAGES, Outcome
from bayesgmm.inference.restarts import Fit

CERTAIN = 0.99
"""Rows above this probability are not in doubt."""

N_DOUBTFUL = 10
"""Rows kept as the least certain ones."""

EXTREME = 1e12
"""Average weight of a row from which, or from whose inverse, weights are suspected where a fit fails."""

VAGUE = 0.01
"""Relative error of covariances by rounding from which a fit says so."""


def store(estimator: Any, fit: Fit, data: InMemory | FromSource, noise_box: np.ndarray | None = None) -> None:
    """Write the results of a fit, in the user's units and as numpy arrays, onto the estimator; ``noise_box`` (2, D) is where noise is."""
    _judge(estimator, fit, data)
    coordinates = data.problem.coordinates
    found = to_numpy(published(coordinates, fit.prior, fit.result.posterior))
    look = rows.look(found.posterior, to_numpy(coordinates), N_DOUBTFUL, data.keep_labels, data.before)
    seen = data.seen(look)  # what may fail comes first: an estimator is changed wholly or not at all
    _check_outward(seen.log_likelihood, data)
    estimator._coordinates = to_numpy(coordinates)
    estimator.posterior_, estimator.prior_ = found.posterior, found.prior
    _store_parameters(estimator, found)
    estimator._noise_box = noise_box
    penalty, log_norm = float(found.penalty), float(fit.result.stats.log_norm)
    if np.isnan(penalty) and estimator._bayesian:  # singular to rounding in the user's units; a divergence is the same in any
        penalty = log_norm - fit.bound
    estimator.lower_bound_ = log_norm - data.log_jacobian - penalty
    estimator.lower_bounds_ = (fit.history + (estimator.lower_bound_ - fit.bound)).tolist()
    estimator.n_iter_ = fit.n_steps
    estimator.converged_ = fit.outcome == Outcome.CONVERGED
    estimator.n_starts_, estimator.restart_agreement_ = len(fit.start_bounds), fit.agreement
    estimator._stats, estimator.n_rows_seen_ = to_numpy(fit.result.stats), data.earlier + data.n_rows
    estimator._counts = estimator._stats.counts
    estimator._n_named = data.problem.n_named
    proper = slice(estimator.n_components_)
    law, counts = without_noise(fit.prior).weights, estimator._counts[proper]
    estimator._multiplicity = multiplicity(law, counts, estimator._n_named) if estimator._bayesian else None
    _store_data_facts(estimator, data, seen)
    _tell_of_rounding(estimator, fit)
    _tell_of_noise(estimator)


def _judge(estimator, fit: Fit, data: InMemory | FromSource) -> None:
    """Turn an outcome into an error or a warning."""
    if fit.outcome == Outcome.NONFINITE:
        raise FitError(f"The fit failed: {MESSAGES[fit.outcome]}; {_likely_cause(estimator, data)}.")
    if fit.outcome != Outcome.CONVERGED and estimator.max_iter > 0:
        warnings.warn(f"The fit did not converge: {MESSAGES[fit.outcome]}.", FitWarning, stacklevel=5)


def _check_outward(log_likelihood: float, data: InMemory | FromSource) -> None:
    """Covariances that inner coordinates hold may not be positive definite in the user's units, to rounding."""
    if not np.isnan(log_likelihood):
        return
    left = ", ".join(column_label(j, data.names) for j in data.problem.dependent[:5]) or "columns that are combinations of others"
    told = f"leave out {left}, which the other columns determine"
    raise FitError(f"The covariances are singular to rounding in the units of the data: {told}.")


def _likely_cause(estimator, data: InMemory | FromSource) -> str:
    """What is most likely to have made a bound infinite, and what to do."""
    heaviest = data.total / data.n_rows
    if not 1 / EXTREME < heaviest < EXTREME:
        return f"sample_weight is {heaviest:g} on average: rescale it, so that it counts rows"
    if estimator.reg_covar == 0:
        return "of components far narrower than their distances reg_covar=0 may leave nothing but rounding; give it a number, such as 1e-6"
    return "look for values of extreme size"


def _store_parameters(estimator, found: Published) -> None:
    """Point estimates in scikit-learn's shapes."""
    index = 0 if COVARIANCE_TYPES[estimator.covariance_type][1] else slice(None)
    weights = found.point.weights.weights
    estimator.weights_, noise = np.split(weights, [len(weights) - found.posterior.n_noise])
    estimator.means_ = found.point.components.mean
    estimator.covariances_ = found.point.components.covariance[index]
    estimator.precisions_ = found.precision[index]
    estimator.precisions_cholesky_ = found.precision_factor[index]
    estimator.n_components_ = len(estimator.weights_)
    law = tails(found.posterior.components)
    as_given(estimator)
    _put(estimator, "degrees_of_freedom_", None if law is None else law.dof)
    _put(estimator, "noise_weight_", float(noise[0]) if len(noise) else None)
    _put(estimator, "noise_volume_", float(np.exp(found.posterior.components.region.log_volume)) if len(noise) else None)


def _store_data_facts(estimator, data: InMemory | FromSource, found: rows.Pass) -> None:
    """Everything that needs the rows, so that they need not be kept."""
    d = data.problem.n_features
    estimator.n_features_in_ = d
    _put(estimator, "feature_names_in_", None if data.names is None else np.array(data.names, dtype=object))
    _put(estimator, "_places", data.places)
    _tell_of_left(data)
    k = estimator.n_components_
    more = Robust(estimator.noise, estimator.student_t).n_parameters(k)
    estimator.n_parameters_ = count_parameters(estimator.covariance_type, k, d, data.problem.n_fixed) + more
    _put(estimator, "labels_", rows.named(np.concatenate(found.labels), k) if data.keep_labels else None)
    estimator._label_counts, estimator._noise_rows = found.counts[:k], int(found.counts[k:].sum())
    estimator.log_likelihood_ = found.log_likelihood
    estimator._n_rows, estimator._n_samples = data.total, data.n_rows
    estimator._doubtful = [
        (int(i), int(first), float(p), int(second), float(q))
        for i, first, second, p, q in zip(found.least, *found.table, strict=True)
        if p < CERTAIN
    ]
    bic = criteria.bic(estimator.log_likelihood_, estimator.n_parameters_, estimator._n_rows)
    estimator._criteria = {
        "bic": float(bic),
        "aic": float(criteria.aic(estimator.log_likelihood_, estimator.n_parameters_)),
        "icl": float(criteria.icl(bic, found.log_certainty)),
    }
    estimator._dependent = data.problem.dependent


def _put(estimator, name: str, value: Any) -> None:
    """An attribute that some fits have: set, or that of an earlier fit removed where ``value`` is None."""
    if value is not None:
        setattr(estimator, name, value)
    else:
        vars(estimator).pop(name, None)


def _tell_of_noise(estimator) -> None:
    """Warn where noise left less than a row to all components."""
    if estimator.posterior_.n_noise and estimator._counts[: estimator.n_components_].sum() < 1:
        warnings.warn(
            f"Noise has all rows: over a volume of {estimator.noise_volume_:.6g} its density is higher than that of any component. Give a "
            "larger volume, or noise='box'.",
            FitWarning,
            stacklevel=5,
        )


def _tell_of_rounding(estimator, fit: Fit) -> None:
    """Warn of components so narrow, beside their distance from the middle of all rows, that sums of squares lost their digits."""
    known = fit.result.posterior.n_known
    errors = np.asarray(rounding(fit.result.posterior, float(np.finfo(estimator.dtype).eps)))[known:]
    if (errors <= VAGUE).all():
        return
    worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    size = f"about {100 * errors[worst]:.0f} %" if errors[worst] <= 1 else "100 % or more"
    advice = "dtype='float64' has more." if estimator.dtype == "float32" else "Fit its rows by themselves to see its shape."
    warnings.warn(
        f"Rounding leaves an error of {size} in the covariance of component {worst + known} (counting from 0): it is "
        f"so narrow beside the spread of all rows that sums of squares lose its digits. {advice}",
        FitWarning,
        stacklevel=5,
    )


def _tell_of_left(data: InMemory | FromSource) -> None:
    """Warn where a component that labels could name left, so that the numbers of later ones fell."""
    named = data.problem.n_named
    places = [] if data.places is None else np.asarray(data.places).tolist()
    left = sorted(set(range(named)) - set(places)) if places else []
    if left:
        told = ", ".join(f"{place} is now {i}" for i, place in enumerate(places) if i < place < named)
        said = f"No row has the label {', '.join(map(str, left))}, and these components left: {told or 'the others keep their numbers'}."
        warnings.warn(f"{said} prune=False keeps them.", FitWarning, stacklevel=5)
