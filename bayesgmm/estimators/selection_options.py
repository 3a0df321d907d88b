"""What a user asks of `select`, read and checked: numbers of components, structures, priors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayesgmm.analysis.held_out import folds
from bayesgmm.analysis.selection import bnb
from bayesgmm.core.low_rank import LowRank
from bayesgmm.core.noise import around
from bayesgmm.core.structures import Structure
from bayesgmm.estimators.bayesian import BayesianGaussianMixture
from bayesgmm.estimators.bayesian_prior import HYPERPARAMETERS, make_prior
from bayesgmm.estimators.covariance_types import (
    COVARIANCE_TYPES,
    MCLUST,
    ONE_COLUMN,
    check_columns_of,
    check_conjugate,
    check_word,
    kind_of,
    restricted,
    volumes_shared,
)
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.estimators.robust import GAUSSIAN, Robust
from bayesgmm.estimators.training import Training, prepared
from bayesgmm.inference.cells import Frame
from bayesgmm.inference.priors import flat_components
from bayesgmm.inference.problem import Problem, prepare
from bayesgmm.validation import brief, check_number, check_option, check_spread

ALL_OF_MCLUST = "mclust"
"""Short for all of mclust's structures."""

_SIMPLEST_FIRST = [kind_of(word) for word in MCLUST]


def _simplicity(word: str) -> tuple[float, int]:
    """Place among the structures; those of few factors come before the one of free covariances."""
    kind = kind_of(word)
    if isinstance(kind[2], LowRank):
        return _SIMPLEST_FIRST.index(kind_of("full")) - 0.5, kind[2].n_factors
    return _SIMPLEST_FIRST.index(kind), 0


ROWS_EACH = 5
"""Rows for each component below which a number of components is not tried."""

PRIORS = ("hierarchical", "fixed")


def read_numbers(n_components: int | Iterable[int], n_rows: float, n_named: int = 0) -> tuple[list[int], list[str]]:
    """Numbers of components to try, at least those that labels name, and what is said of those that are not."""
    given = [n_components] if isinstance(n_components, (int, np.integer)) else n_components
    if isinstance(given, str) or not isinstance(given, Iterable) or (isinstance(given, np.ndarray) and given.ndim != 1):
        raise ValueError(f"n_components must be a whole number or several of them; got {brief(n_components)}.")
    numbers = sorted({int(check_number("n_components", k, 1, integer=True)) for k in given})
    if not numbers:
        raise ValueError("n_components must name at least one number of components; got none.")
    if numbers[-1] < n_named:
        raise ValueError(f"Labels name {n_named} components, more than the n_components = {numbers[-1]} asked for.")
    numbers = [k for k in numbers if k >= n_named]
    tried = [k for k in numbers if k == 1 or k * ROWS_EACH <= n_rows]
    if not tried:
        raise ValueError(f"n_components: {numbers[0]} components need at least {numbers[0] * ROWS_EACH} rows; X has {n_rows:g}.")
    left = [k for k in numbers if k not in tried]
    more = "More than one component was" if tried[-1] == 1 else f"More than {tried[-1]} components were"
    return tried, [f"{more} not tried: fewer than {ROWS_EACH} rows for each."] if left else []


def read_structures(covariance_type: str | Sequence[str], n_features: int, bayesian: bool) -> tuple[list[str], list[str]]:
    """Structures, the simplest first, one word for each; in one dimension only those that differ."""
    several = isinstance(covariance_type, Iterable) and not isinstance(covariance_type, (str, bytes))
    given: list[Any] = []
    for word in covariance_type if several else [covariance_type]:
        given += (MCLUST if n_features > 1 else ONE_COLUMN) if word == ALL_OF_MCLUST else [word]
    if not given:
        raise ValueError(f"covariance_type must name at least one of {', '.join(map(repr, COVARIANCE_TYPES))}; got none.")
    for name in given:
        check_word(name, ALL_OF_MCLUST)
        check_columns_of(name, n_features)
    if bayesian:
        check_conjugate(given, "compare it by a criterion of maximum likelihood, such as criterion='bic'")
    meaning = kind_of if n_features > 1 else volumes_shared
    kept = {meaning(name): name for name in reversed(given)}
    names = sorted(kept.values(), key=_simplicity)
    if n_features > 1 or len(names) == len(set(given)):
        return names, []
    return names, ["With one column, structures differ only in whether the variance is shared."]


def read_number_prior(given, numbers: list[int]) -> dict[int, float]:
    """Prior probability of each number of components, up to a factor."""
    if isinstance(given, Mapping):
        for k in given:
            check_number("A number of components in n_components_prior", k, 1, integer=True)
        found = {k: check_number(f"n_components_prior[{k}]", given.get(k, 0.0), 0) for k in numbers}
    elif callable(given):
        found = {k: check_number(f"n_components_prior({k})", given(k), 0) for k in numbers}
    else:
        check_option("n_components_prior", given, ("uniform", "bnb"))
        found = {k: 1.0 if given == "uniform" else bnb(k) for k in numbers}
    if not any(found.values()):
        raise ValueError(
            f"n_components_prior gives probability 0 to every number of components that is tried: {', '.join(map(str, numbers))}."
        )
    return {k: float(p) for k, p in found.items()}


def read_priors(prior: Any, bayesian: bool) -> tuple[dict[str, Any], list[str]]:
    """Priors by what the table calls them, and what is said of them; for maximum likelihood a single one, ``none``."""
    single = isinstance(prior, (str, Mapping)) or not isinstance(prior, Iterable) or np.ndim(prior) == 0  # type: ignore[arg-type]
    given = [prior] if single else list(prior)
    if not given:
        raise ValueError("prior must name at least one prior; got none.")
    own = [one for one in given if isinstance(one, Mapping)]
    named: dict[str, Any] = {}
    for one in given:
        label = _prior_label(one, own)
        if label in named:
            raise ValueError(f"prior names {label!r} twice.")
        named[label] = one
    if not bayesian:
        return {"none": None}, ["Maximum-likelihood fits have no prior: those given make no difference."] if len(given) > 1 else []
    return named, [f"Prior {label!r}: {_brief_options(one)}." for label, one in named.items() if len(own) > 1 and isinstance(one, Mapping)]


def _prior_label(one: Any, own: list[Mapping]) -> str:
    """The prior's word, or ``given``, with a number where there are several of the user's own."""
    if not isinstance(one, Mapping):
        return check_option("prior", one, PRIORS)
    for name in one:
        check_option("A hyperparameter in prior", name, HYPERPARAMETERS)
    return "given" if len(own) == 1 else f"given {next(i for i, other in enumerate(own) if other is one) + 1}"


def _brief_options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {brief(value)}" for name, value in options.items()) or "all at their defaults"


def known_problems(names: list[str], training: Training) -> dict[Structure, Problem]:
    """The rows that count in the coordinates of every structure."""
    return {s: prepared(training, s) for s in {COVARIANCE_TYPES[name][0] for name in names}}


def make_problems(names: list[str], values: np.ndarray, weight: np.ndarray) -> dict[Structure, Problem]:
    """Complete rows (N, D) with weights (N,) in the coordinates of every structure."""
    return {s: prepare(values, weight, s) for s in {COVARIANCE_TYPES[name][0] for name in names}}


def make_frames(names: list[str], problems: dict[Structure, Problem], prior: Any, robust: Robust = GAUSSIAN) -> dict[str, Frame]:
    """What the fits of every structure share: the rows, and the law of the components under a prior; None is maximum likelihood."""

    def frame(structure: Structure, tied: bool) -> Frame:
        problem = problems[structure]
        return Frame(problem, tied, robust.shell(problem.coordinates))

    frames = {name: frame(*COVARIANCE_TYPES[name][:2]) for name in names}
    if prior == "hierarchical":
        return frames
    if prior is None:
        return {name: likelihood_frame(name, frame) for name, frame in frames.items()}
    hyperparameters = prior if isinstance(prior, Mapping) else {}
    return {name: _with_prior(name, frame, hyperparameters) for name, frame in frames.items()}


def make_folds(n_folds: Any, training: Training, seed: int) -> np.ndarray:
    """Fold (N,) of each row that counts; without any one fold the rows must still differ in every column."""
    values, weight = training.used()
    check_number("n_folds", n_folds, 2, integer=True)
    if n_folds > len(values):
        raise ValueError(f"n_folds = {n_folds} is more than the {len(values)} rows of X.")
    fold = folds(len(values), int(n_folds), seed)
    for i in range(n_folds):
        check_spread(values, np.where(fold == i, 0.0, weight), training.names, data=f"X without fold {i + 1} of {n_folds}")
    return fold


def _with_prior(name: str, frame: Frame, hyperparameters: Mapping[str, Any]) -> Frame:
    """The frame under the prior that `BayesianGaussianMixture` would have with these hyperparameters."""
    options = {"weight_concentration_prior": 1.0, **hyperparameters}
    concentration = check_number("weight_concentration_prior", options["weight_concentration_prior"], 0, strict=True)
    model = BayesianGaussianMixture(covariance_type=name, weight_concentration_prior_type="dirichlet_distribution", prune=False, **options)
    law = around(frame.law, make_prior(model, frame.problem).components)
    return dataclasses.replace(frame, law=law, concentration=float(concentration))


def likelihood_frame(name: str, frame: Frame) -> Frame:
    """The same rows for maximum likelihood."""
    law = flat_components(*COVARIANCE_TYPES[name], GaussianMixture().reg_covar)
    return dataclasses.replace(frame, law=around(frame.law, restricted(name, law, frame.problem.coordinates)))
