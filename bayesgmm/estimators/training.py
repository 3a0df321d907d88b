"""From what the user gave to a problem ready to be fitted."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import gaussians, without_noise
from bayesgmm.core.structures import Structure
from bayesgmm.core.student import Student
from bayesgmm.core.weights import StickBreaking
from bayesgmm.estimators.base import FitWarning
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, check_covariance_type, kind_of, word_for
from bayesgmm.estimators.freezing import n_frozen
from bayesgmm.estimators.robust import check_noise, check_tails
from bayesgmm.frames import Rows
from bayesgmm.inference.arrange import Known
from bayesgmm.inference.incomplete import prepare_known
from bayesgmm.inference.initialise import STARTS, by_ward, start_from
from bayesgmm.inference.limits import known_first, within
from bayesgmm.inference.problem import SAMPLE, Problem, padded, prepare, summed
from bayesgmm.inference.restarts import Settings, split_keys
from bayesgmm.inference.sparse import beside, dense_weight, sparse_rows
from bayesgmm.observations import Observations
from bayesgmm.validation import (
    INSTEAD,
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
    without_gaps,
)

MISSING = ("error", "at_random")
"""What may be done about numbers that are not there."""

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
    known : Known, optional
        Where numbers are missing, or more is known of the rows than their numbers; ``values`` then hold NaN.
    """

    values: np.ndarray
    names: tuple[str, ...] | None
    weight: np.ndarray
    known: Known | None = None

    @property
    def used_known(self) -> Known | None:
        """What is known of the rows that count, where that is not just all their numbers."""
        return None if self.known is None else self.known.take(self.weight > 0)

    @property
    def rows(self) -> Any:
        """What is known of all rows."""
        return self.values if self.known is None else self.known

    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and weights that count."""
        keep = self.weight > 0
        return (self.values, self.weight) if keep.all() else (self.values[keep], self.weight[keep])

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest number (D,) of each column, of rows that count."""
        values = self.used()[0]
        return np.nanmin(values, axis=0), np.nanmax(values, axis=0)

    def complete_rows(self) -> np.ndarray | None:
        """Rows that count, or None where numbers are missing."""
        values = self.used()[0]
        return None if np.isnan(values).any() else values


def as_fitted(estimator, known: Known) -> Known:
    """What is known of rows, components numbered as the fit has them."""
    places = getattr(estimator, "_places", None)
    asked = estimator.n_components_ if places is None else estimator.n_components
    if known.n_named > asked:
        raise ValueError(f"Labels name {known.n_named} components, and the model has {asked}.")
    known = known.without_labels(without_numbers(known.values)).placed(places)
    nowhere = np.flatnonzero(~known.allowed.any(1)) if known.allowed is not None else np.empty(0, int)
    if len(nowhere):
        raise ValueError(
            f"The components that row {nowhere[0]} (counting from 0) may belong to are not in the model: no row of the fit did."
        )
    return known


def read_training(X: Any, sample_weight: Any, n_components: int, what: str, missing: str = "never") -> Training:
    """Check the data of a fit with ``n_components`` components, or clusters, as ``what`` calls them.

    k-means can do with constant columns, and with fewer distinct rows than clusters, of which it warns; it needs complete rows.
    """
    check_number(what, n_components, 1, integer=True)
    mixture = what == "n_components"
    rows, known = check_known(X, missing) if mixture else (check_rows(X), None)
    weight = check_weights(sample_weight, len(rows.values))
    if known is not None:
        weight = without_empty(rows.values, weight)
        known = known.without_labels(without_numbers(rows.values))._replace(weight=weight)
    filled = without_gaps(rows, weight)
    check_spread(filled, weight, rows.names, constant_ok=not mixture)
    check_distinct(filled, weight, n_components, what)
    return Training(rows.values, rows.names, weight, known)


def check_known(X: Any, missing: str, names: tuple[str, ...] | None = None) -> tuple[Rows, Known | None]:
    """Rows that a mixture takes, and what is known of them where that is not just all their numbers.

    ``missing`` is "at_random", "error", whose message tells of the other, or "never".
    """
    given = X if isinstance(X, Observations) else None
    told = {"gaps": missing == "at_random", "instead": INSTEAD if missing == "error" else ""}
    rows = check_rows(X if given is None else Rows(given.values, given.names), names=names, **told)
    if given is not None:
        return rows, given.known
    return rows, Known(rows.values) if np.isnan(rows.values).any() else None


def without_numbers(values: np.ndarray) -> np.ndarray:
    """Rows (N,) of which no number is known."""
    return np.asarray(np.isnan(values).all(1))


def without_empty(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights, 0 for rows without a number, which say nothing."""
    return np.where(without_numbers(values), 0.0, weight)


def check_distinct(values: np.ndarray, weight: np.ndarray, n_components: int, what: str, data: str = "X") -> None:
    """Enough distinct rows for as many components; for clusters as many rows will do, and a warning."""
    try:
        check_enough(values, weight, n_components, what, data)
    except ValueError as error:
        if what == "n_components" or n_components > len(values):
            raise
        warnings.warn(f"{error} Some clusters are empty.", FitWarning, stacklevel=5)


def read_rows(estimator, X: Any) -> np.ndarray:
    """Check complete rows given to a fitted estimator."""
    gaps = isinstance(X, Observations) or getattr(estimator, "missing", "error") != "error"
    values, known = _checked(estimator, X, "at_random" if gaps else "never")
    if known is not None:
        raise ValueError(
            "This needs complete rows of which nothing else is known: missing numbers and Observations are for fit, predict, "
            "densities, criteria, impute, log_evidence and uncertainty."
        )
    return values


def read_known(estimator, X: Any, sample_weight: Any = None) -> tuple[Any, np.ndarray]:
    """Check rows given to a fitted mixture, an array or what is known of rows, and weights (N,)."""
    missing = getattr(estimator, "missing", None)  # clusters of k-means need complete rows
    values, known = (read_rows(estimator, X), None) if missing is None else known_rows(estimator, X, missing)
    weight = check_weights(sample_weight, len(values))
    if known is None:
        return values, weight
    weight = without_empty(values, weight)
    return known._replace(weight=weight), weight


def read_given(estimator, X: Any, sample_weight: Any, part: bool) -> tuple[Any, np.ndarray]:
    """`read_known`, or without ``part`` complete rows only, and weights (N,)."""
    if part:
        return read_known(estimator, X, sample_weight)
    values = read_rows(estimator, X)
    return values, check_weights(sample_weight, len(values))


def known_rows(estimator, X: Any, missing: str = "at_random") -> tuple[np.ndarray, Known | None]:
    """Check rows given to a fitted mixture, and what is known of them, components numbered as the fit has them."""
    values, known = _checked(estimator, X, missing)
    return values, None if known is None else as_fitted(estimator, known)


def _checked(estimator, X: Any, missing: str) -> tuple[np.ndarray, Known | None]:
    estimator._check_fitted()
    names = getattr(estimator, "feature_names_in_", None)
    fitted = None if names is None else tuple(names)
    rows, known = check_known(X, missing, fitted)
    check_columns(rows, fitted, estimator.n_features_in_, type(estimator).__name__)
    return rows.values, known


def read_rows_of_fit(estimator, X: Any, sample_weight: Any, part: bool = False) -> tuple[Any, np.ndarray]:
    """Rows (N, D) and weights (N,) given again to a fitted mixture; a ValueError unless their likelihood is that of the fit.

    With ``part`` also what is known of rows that are known in part.
    """
    values, weight = read_given(estimator, X, sample_weight, part)
    found = float(summed(weight, estimator._plug_in_log_density(values)))
    if abs(found - estimator.log_likelihood_) > SAME * (1 + abs(found)):
        raise ValueError(
            f"X and sample_weight must be those of the fit: the log-likelihood of these rows is {found:.6f}, that of the fit "
            f"{estimator.log_likelihood_:.6f}."
        )
    return values, weight


def check_common(estimator) -> None:
    """Parameters that all mixtures share."""
    check_covariance_type(estimator.covariance_type, estimator._bayesian)
    check_option("missing", estimator.missing, MISSING)
    check_noise(estimator.noise)
    check_tails(estimator.student_t)
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
    structure, _ = COVARIANCE_TYPES[estimator.covariance_type]
    return dataclasses.replace(prepared(training, structure, estimator.dtype), n_fixed=n_frozen(estimator))


def prepared(training: Training, structure: Structure, dtype: str = "float64") -> Problem:
    """The rows that count in the coordinates of a structure."""
    known = training.used_known
    return prepare(*training.used(), structure, dtype) if known is None else prepare_known(known, structure, dtype)


def make_starts(estimator, prior, problem: Problem, training: Training, n_components: int) -> list:
    """Functions without arguments, each making one starting posterior."""
    n_components = int(n_components)

    def posterior(some: Problem, assigned, sparse: np.ndarray | None) -> Mixture:
        whole = assigned if sparse is None else beside(np.asarray(assigned), sparse, n_components)
        return start_from(prior, some.x, jnp.asarray(whole), some.weight, n_components + prior.n_noise)

    def sparse_of(some: Problem) -> np.ndarray | None:
        return sparse_rows(some.distance_rows(), some.weight) if prior.n_noise else None

    if not isinstance(estimator.init_params, str):
        given, told = given_start(estimator.init_params, len(training.values), n_components, prior.n_noise)
        (given,) = padded(given[training.weight > 0])
        return [lambda: posterior(problem, given, None if told else sparse_of(problem))]
    methods = MIXED if estimator.init_params == "mixed" else (estimator.init_params,)
    keys = split_keys(check_seed(estimator.random_state), estimator.n_init)
    known = training.used_known
    limits = known if known is not None and known.limits else None
    few = limits is not None or len(problem.x) <= SAMPLE
    fixed = getattr(prior.components, "known", None)
    spaces = _spaces(problem) if few else ()
    sparse_of_all = sparse_of(problem) if few else None

    def start(i: int):
        name, some = methods[i % len(methods)], problem if few else problem.sampled(keys[i])
        rows = (spaces or _spaces(some))[i // len(MIXED) % 2 if len(methods) > 1 else 0]
        sparse = sparse_of_all if few else sparse_of(some)
        weight = some.weight if sparse is None else dense_weight(sparse, some.weight, n_components)
        assigned = by_ward(rows, weight, n_components) if name == "ward" else None
        if assigned is None:
            assigned = STARTS.get(name, STARTS["kmeans"])(keys[i], rows, weight, n_components)
        if fixed is not None:
            densities = np.asarray(fixed.predictive_log_prob(some.x))
            assigned = known_first(densities, np.asarray(assigned), np.asarray(some.weight), n_components)
        if limits is not None:
            assigned = within(limits, np.asarray(assigned), np.asarray(some.weight), n_components)
        return posterior(some, assigned, sparse)

    return [lambda i=i: start(i) for i in range(len(keys))]


def given_start(value: Any, n: int, n_components: int, n_noise: int) -> tuple[np.ndarray, bool]:
    """Labels or responsibilities to start from, and whether they say which rows are noise: by labels of -1, or a further column."""
    given = np.asarray(value) if n_noise else None
    if given is not None and given.shape == (n, n_components + 1):
        return check_start(given, n, n_components + 1), True
    if given is not None and given.shape == (n,) and given.dtype.kind in "iu" and given.min() == -1:
        labels = np.where(given == -1, n_components, given)
        return np.eye(n_components + 1)[check_start(labels, n, n_components + 1)], True
    return check_start(value, n, n_components), False


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
    if last.n_noise != (estimator.noise is not None):
        raise ValueError(f"{told} {'a' if last.n_noise else 'no'} noise component; set warm_start=False.")
    if isinstance(without_noise(last).components, Student) != (estimator.student_t is not None):
        raise ValueError(f"{told} {'other' if estimator.student_t is None else 'no'} tails (student_t); set warm_start=False.")
    if estimator.prior_.n_known != n_frozen(estimator):
        raise ValueError(f"{told} {estimator.prior_.n_known or 'no'} frozen components, not {n_frozen(estimator)}; set warm_start=False.")
    inner, law = without_noise(last), gaussians(last.components)
    kind = law.structure, law.tied, getattr(gaussians(estimator.prior_.components), "sharing", None)
    if kind != kind_of(estimator.covariance_type):
        raise ValueError(f"{told} covariance_type={word_for(kind)!r}, not {estimator.covariance_type!r}; set warm_start=False.")
    if estimator._bayesian and inner.n_components > estimator.n_components:
        raise ValueError(
            f"{told} {inner.n_components} components, more than n_components = {estimator.n_components}; set warm_start=False."
        )
    law = isinstance(inner.weights, StickBreaking), getattr(inner.weights, "learn", False)
    if estimator._bayesian and law != _law_of_weights(estimator):
        raise ValueError(f"{told} another law of the weights (weight_concentration_prior, its type); set warm_start=False.")
    return estimator.prior_, problem.coordinates.mixture_inward(last)


def _law_of_weights(estimator) -> tuple[bool, bool]:
    """Whether the parameters ask for a Dirichlet process, and for a hyperprior on its concentration."""
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    value = estimator.weight_concentration_prior
    return process, process and (value is None or isinstance(value, (tuple, list)))
