"""From what the user gave to a problem ready to be fitted."""

from __future__ import annotations

import sys
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.weights import StickBreaking
from bayesgmm.estimators.base import FitWarning
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, check_covariance_type, kind_of, word_for
from bayesgmm.inference.compiling import make_room
from bayesgmm.inference.initialise import STARTS, by_ward, start_from
from bayesgmm.inference.problem import SAMPLE, Problem, padded, prepare
from bayesgmm.inference.restarts import Settings, split_keys
from bayesgmm.validation import (
    MOST,
    check_columns,
    check_enough,
    check_flag,
    check_number,
    check_option,
    check_rows,
    check_seed,
    check_spread,
    check_start,
    check_weights,
)

SAME = 1e-6
"""Relative difference of likelihoods up to which rows count as those of the fit."""

LONGEST = 10_000_000
"""Largest ``max_iter`` and ``n_init``: a fit keeps one number for each step, and one for each start."""


MIXED = ("kmeans", "ward", "random_from_data", "k-means++", "random_from_data")
"""Kinds of starts that ``init_params="mixed"`` takes in turn: no single kind finds the best optimum of all data sets."""


class Training(NamedTuple):
    """Validated data of a fit.

    Attributes
    ----------
    values : ndarray, shape (N, D)
    names : tuple of str, or None
    weight : ndarray, shape (N,)
    """

    values: np.ndarray
    names: tuple[str, ...] | None
    weight: np.ndarray

    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and weights that count."""
        keep = self.weight > 0
        return (self.values, self.weight) if keep.all() else (self.values[keep], self.weight[keep])


def read_training(X: Any, sample_weight: Any, n_components: int, what: str) -> Training:
    """Check the data of a fit with ``n_components`` components, or clusters, as ``what`` calls them.

    k-means can do with constant columns, and with fewer distinct rows than clusters, of which it warns.
    """
    check_number(what, n_components, 1, integer=True)
    rows = check_rows(X)
    weight = check_weights(sample_weight, len(rows.values))
    mixture = what == "n_components"
    check_spread(rows.values, weight, rows.names, constant_ok=not mixture)
    check_distinct(rows.values, weight, n_components, what)
    return Training(rows.values, rows.names, weight)


def check_distinct(values: np.ndarray, weight: np.ndarray, n_components: int, what: str, data: str = "X") -> None:
    """Enough distinct rows for as many components; for clusters as many rows will do, and a warning."""
    try:
        check_enough(values, weight, n_components, what, data)
    except ValueError as error:
        if what == "n_components" or n_components > len(values):
            raise
        warnings.warn(f"{error} Some clusters are empty.", FitWarning, stacklevel=5)


def read_rows(estimator, X: Any) -> np.ndarray:
    """Check rows given to a fitted estimator."""
    estimator._check_fitted()
    names = getattr(estimator, "feature_names_in_", None)
    known = None if names is None else tuple(names)
    rows = check_rows(X, names=known)
    check_columns(rows, known, estimator.n_features_in_, type(estimator).__name__)
    return rows.values


def read_rows_of_fit(estimator, X: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) and weights (N,) given again to a fitted mixture; a ValueError unless their likelihood is that of the fit."""
    values = read_rows(estimator, X)
    weight = check_weights(sample_weight, len(values))
    found = float(weight @ estimator._plug_in_log_density(values))
    if abs(found - estimator.log_likelihood_) > SAME * (1 + abs(found)):
        raise ValueError(
            f"X and sample_weight must be those of the fit: the log-likelihood of these rows is {found:.6f}, that of the fit "
            f"{estimator.log_likelihood_:.6f}."
        )
    return values, weight


def check_common(estimator) -> None:
    """Parameters that all mixtures share."""
    check_covariance_type(estimator.covariance_type, estimator._bayesian)
    check_number("tol", estimator.tol, 0)
    check_number("reg_covar", estimator.reg_covar, 0, high=MOST if estimator._bayesian else 1)
    check_number("max_iter", estimator.max_iter, 0, high=LONGEST, integer=True)
    check_number("n_init", estimator.n_init, 1, high=LONGEST, integer=True)
    for name in {"warm_start", "prune", "moves"} & set(estimator.get_params()):
        check_flag(name, getattr(estimator, name))
    check_option("dtype", estimator.dtype, ("float64", "float32"))
    if estimator.chunk_size is not None:
        check_number("chunk_size", estimator.chunk_size, 1, integer=True)
    if isinstance(estimator.init_params, str):
        check_option("init_params", estimator.init_params, ("mixed", *STARTS))


def settings_of(estimator) -> Settings:
    """How far to iterate, as the estimator says."""
    return Settings(float(estimator.tol), int(estimator.max_iter), estimator.chunk_size)


def make_problem(estimator, training: Training) -> Problem:
    """The data in inner coordinates for the estimator's structure."""
    make_room()
    structure, _ = COVARIANCE_TYPES[estimator.covariance_type]
    values, weight = training.used()
    return prepare(values, weight, structure, estimator.dtype)


def make_starts(estimator, prior, problem: Problem, training: Training, n_components: int) -> list:
    """Functions without arguments, each making one starting posterior."""
    n_components = int(n_components)
    if not isinstance(estimator.init_params, str):
        given = check_start(estimator.init_params, len(training.values), n_components)[training.weight > 0]
        (given,) = padded(given)
        return [lambda: start_from(prior, problem.x, jnp.asarray(given), problem.weight, n_components)]
    methods = MIXED if estimator.init_params == "mixed" else (estimator.init_params,)
    keys = split_keys(check_seed(estimator.random_state), estimator.n_init)
    few = len(problem.x) <= SAMPLE
    spaces = _spaces(problem) if few else ()

    def start(i: int):
        name, some = methods[i % len(methods)], problem if few else problem.sampled(keys[i])
        rows = (spaces or _spaces(some))[i // len(MIXED) % 2 if len(methods) > 1 else 0]
        assigned = by_ward(rows, some.weight, n_components) if name == "ward" else None
        if assigned is None:
            assigned = STARTS.get(name, STARTS["kmeans"])(keys[i], rows, some.weight, n_components)
        return start_from(prior, some.x, assigned, some.weight, n_components)

    return [lambda i=i: start(i) for i in range(len(keys))]


def _spaces(problem: Problem) -> tuple:
    """Rows on which distances are measured, in two ways."""
    near = problem.distance_rows()
    return near, near if problem.structure.rank else problem.standardised_rows()


def announcer(estimator):
    """Where progress is told: standard error when ``verbose`` asks for it, nowhere otherwise."""

    def notify(text: str) -> None:
        if estimator.verbose:
            print(f"{type(estimator).__name__}: {text}", file=sys.stderr, flush=True)

    return notify


def previous(estimator, problem: Problem) -> tuple[Mixture, Mixture] | None:
    """Prior and posterior of the last fit in inner coordinates, for a warm start."""
    if not estimator.warm_start or not hasattr(estimator, "posterior_"):
        return None
    last = estimator.posterior_
    told = "warm_start goes on from the last fit, which had"
    if last.components.n_features != problem.n_features:
        raise ValueError(f"{told} {last.components.n_features} columns, not {problem.n_features}; set warm_start=False.")
    kind = last.structure, last.tied, getattr(estimator.prior_.components, "sharing", None)
    if kind != kind_of(estimator.covariance_type):
        raise ValueError(f"{told} covariance_type={word_for(kind)!r}, not {estimator.covariance_type!r}; set warm_start=False.")
    if estimator._bayesian and last.n_components > estimator.n_components:
        raise ValueError(f"{told} {last.n_components} components, more than n_components = {estimator.n_components}; set warm_start=False.")
    law = isinstance(last.weights, StickBreaking), getattr(last.weights, "learn", False)
    if estimator._bayesian and law != _law_of_weights(estimator):
        raise ValueError(f"{told} another law of the weights (weight_concentration_prior, its type); set warm_start=False.")
    return estimator.prior_, problem.coordinates.mixture_inward(last)


def _law_of_weights(estimator) -> tuple[bool, bool]:
    """Whether the parameters ask for a Dirichlet process, and for a hyperprior on its concentration."""
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    value = estimator.weight_concentration_prior
    return process, process and (value is None or isinstance(value, (tuple, list)))
