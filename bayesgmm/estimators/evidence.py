"""The evidence of fitted Bayesian mixtures beyond one fit and one expansion: sampled, and summed over optima."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesgmm.analysis import importance, optima
from bayesgmm.analysis.evidence import Evidence, bound_of
from bayesgmm.analysis.importance import TRUSTED, Importance
from bayesgmm.analysis.pareto import FEWEST
from bayesgmm.analysis.rows import law_inward, rows_inward
from bayesgmm.core.mixture import Mixture
from bayesgmm.estimators.base import FitWarning, in_float64
from bayesgmm.estimators.freezing import check_learnt
from bayesgmm.estimators.robust import check_gaussian
from bayesgmm.estimators.training import read_given
from bayesgmm.inference.arrange import Known, arrange, for_passes
from bayesgmm.validation import brief, check_number, check_seed

SAME = 1e-6
"""Relative difference of bounds up to which rows count as those of the fit, and of numbers up to which priors are one."""

MOST_DRAWS = 10_000_000
"""Largest ``n_draws``: a few numbers are kept for each draw and coordinate."""


class OptimaEvidence(NamedTuple):
    """Log evidence summed over distinct optima.

    Attributes
    ----------
    log_evidence : float
        Nats.
    models : list of BayesianGaussianMixture
        One fit for each distinct optimum, the highest bound first.
    evidences : list of Evidence
        What ``log_evidence`` says of each.
    probability : ndarray, shape (M,)
        Share of each optimum in the sum.
    """

    log_evidence: float
    models: list
    evidences: list[Evidence]
    probability: np.ndarray


def rows_of_fit(model, X: Any, sample_weight: Any, part: bool = False) -> tuple[Mixture, Mixture, Any, np.ndarray]:
    """Prior, posterior and rows in inner coordinates, and weights; a ValueError unless rows and weights are those of the fit.

    With ``part`` also rows that are known in part, which then are `Arranged`.
    """
    values, weight = read_given(model, X, sample_weight, part)
    prior, posterior = (law_inward(model._coordinates, law) for law in (model.prior_, model.posterior_))
    known = isinstance(values, Known)
    y = arrange(values, model._coordinates) if known else rows_inward(model._coordinates, values)
    unit = 0.0 if known else float(model._coordinates.log_det)
    bound = float(bound_of(prior, posterior, *for_passes(y, weight))) - weight.sum() * unit
    if abs(bound - model.lower_bound_) > SAME * (1 + abs(bound)):
        found = f"the bound of these rows is {bound:.6f}, that of the fit {model.lower_bound_:.6f}"
        raise ValueError(f"X and sample_weight must be those of the fit: {found}.")
    return prior, posterior, y, weight


@in_float64
def importance_evidence(models: Any, X: Any, sample_weight: Any = None, n_draws: int = 2000, random_state: Any = 0) -> Importance:
    """Estimate the log evidence of a Bayesian mixture by importance sampling around one fit, or several.

    Parameters
    ----------
    models : BayesianGaussianMixture or sequence of them
        Fits of one model to the same rows, with a symmetric Dirichlet law of the weights. Several fits, from other starts, cover several
        optima; those that are the same count once.
    X : array or data frame, shape (N, D)
        The rows that the models were fitted to.
    sample_weight : array, shape (N,), optional
        Their weights in those fits.
    n_draws : int, default 2000
        Draws, at least 100.
    random_state : int, numpy generator or None, default 0

    Returns
    -------
    Importance
        With ``log_evidence`` and its ``standard_error`` in nats, in the units of the data, ``k_hat``, ``ess`` and ``n_draws``. The
        evidence is that of the whole model, all relabelled copies included: compare it with ``log_evidence(X).total``.

    Raises
    ------
    ValueError
        Other rows than those of the fits, fits of different models, weights by sticks or with unequal concentrations, more than
        12 components.

    Warns
    -----
    FitWarning
        k-hat is above 0.7: the estimate is not to be trusted.

    References
    ----------
    Geweke (1989), Econometrica 57; Vehtari et al. (2024), JMLR 25(72). docs/explanation/the-bound.md.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> settings = {"weight_concentration_prior_type": "dirichlet_distribution", "prune": False, "random_state": 0}
    >>> model = bg.BayesianGaussianMixture(n_components=2, **settings).fit(x)
    >>> found = bg.importance_evidence(model, x)
    >>> found.k_hat < 0.7, abs(found.log_evidence - model.log_evidence(x).total) < 0.3
    (True, True)
    """
    fits = _fits(models)
    check_number("n_draws", n_draws, FEWEST, high=MOST_DRAWS, integer=True)
    seed = check_seed(random_state)
    for model in fits:
        check_learnt(model, "importance_evidence")
        importance.check_exchangeable(model.prior_)
    prior, posterior, y, weight = rows_of_fit(fits[0], X, sample_weight)
    others = [rows_of_fit(model, X, sample_weight)[1] for model in fits[1:]]
    kept = optima.distinct([posterior, *others], [model.lower_bound_ for model in fits])
    found = importance.importance_evidence(prior, [[posterior, *others][i] for i in kept], y, weight, int(n_draws), seed)
    _warn(found)
    return found._replace(log_evidence=found.log_evidence - float(weight.sum() * fits[0]._coordinates.log_det))


def _warn(found: Importance) -> None:
    if found.k_hat > TRUSTED:
        warnings.warn(
            f"The importance weights have too heavy a tail (k-hat {found.k_hat:.2f}, above {TRUSTED}): neither the log evidence nor its "
            "standard error is to be trusted. Components overlap too much, or hold too few rows, for draws around the fit; fits from "
            "other starts (bayesgmm.importance_evidence([...], X)), more draws or fewer components may help.",
            FitWarning,
            stacklevel=4,
        )


@in_float64
def evidence_over_optima(models: Any, X: Any, sample_weight: Any = None) -> OptimaEvidence:
    """Sum the corrected evidences of the distinct optima that several fits of one model have found.

    Each optimum stands for another share of the parameters, so their evidences add up. The sum misses optima that no fit has found.

    Parameters
    ----------
    models : sequence of BayesianGaussianMixture
        Fits of one model to the same rows from several starts: ``n_init=1``, ``prune=False``, other ``random_state``.
    X : array or data frame, shape (N, D)
        The rows that the models were fitted to.
    sample_weight : array, shape (N,), optional
        Their weights in those fits.

    Returns
    -------
    OptimaEvidence
        With ``log_evidence``, and ``models``, ``evidences`` and ``probability`` of the distinct optima.

    Raises
    ------
    ValueError
        Other rows than those of the fits, or fits of different models.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("galaxies")
    >>> settings = {"weight_concentration_prior_type": "dirichlet_distribution", "prune": False, "n_init": 1, "init_params": "random"}
    >>> fits = [bg.BayesianGaussianMixture(n_components=3, random_state=s, **settings).fit(x) for s in range(5)]
    >>> found = bg.evidence_over_optima(fits, x)
    >>> found.log_evidence >= max(e.total for e in found.evidences)
    True
    """
    fits = _fits(models)
    inner = [rows_of_fit(model, X, sample_weight)[1] for model in fits]
    kept = [fits[i] for i in optima.distinct(inner, [model.lower_bound_ for model in fits])]
    evidences = [model.log_evidence(X, sample_weight) for model in kept]
    total = optima.average([e.total for e in evidences])
    return OptimaEvidence(total, kept, evidences, np.exp([e.total - total for e in evidences]))


def _fits(models: Any) -> list:
    """One fitted Bayesian mixture or several of the same model, as a list."""
    fits = list(models) if isinstance(models, Sequence) else [models]
    if not fits or not all(getattr(model, "_bayesian", False) for model in fits):
        raise ValueError(f"models must be a fitted BayesianGaussianMixture or several of them; got {brief(models)}.")
    for model in fits:
        model._check_fitted()
        check_gaussian(model, "Evidence by importance sampling or over several optima", "use log_evidence of each fit")
    if not all(_same_model(fits[0], model) for model in fits[1:]):
        raise ValueError(
            "models must be fits of one model: the same data, number of components, covariance_type and prior; set prune=False "
            "so that all keep their components."
        )
    return fits


def _same_model(first, second) -> bool:
    """Whether two fits have the same prior, in the units of the data."""
    leaves, kind = jax.tree.flatten(first.prior_)
    others, other_kind = jax.tree.flatten(second.prior_)
    pairs = list(zip(leaves, others, strict=False))
    return kind == other_kind and all(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=SAME) for a, b in pairs)
