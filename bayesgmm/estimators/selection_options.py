"""What a user asks of `select`, read and checked: numbers of components, structures, priors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayesgmm.analysis.selection import bnb
from bayesgmm.estimators.bayesian import BayesianGaussianMixture, make_prior
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.estimators.training import COVARIANCE_TYPES, Training
from bayesgmm.inference.cells import Frame
from bayesgmm.inference.priors import flat_components
from bayesgmm.inference.problem import prepare
from bayesgmm.validation import brief, check_number, check_option

SIMPLEST_FIRST = ("tied_spherical", "spherical", "tied_diag", "diag", "tied", "full")

ROWS_EACH = 5
"""Rows for each component below which a number of components is not tried."""

PRIORS = ("hierarchical", "fixed")
HYPERPARAMETERS = ("weight_concentration_prior", "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior")


def read_numbers(n_components: int | Iterable[int], n_rows: float) -> tuple[list[int], list[str]]:
    """Numbers of components to try, and what is said of those that are not."""
    given = [n_components] if isinstance(n_components, (int, np.integer)) else n_components
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"n_components must be a whole number or several of them; got {brief(n_components)}.")
    numbers = sorted({int(check_number("n_components", k, 1, integer=True)) for k in given})
    if not numbers:
        raise ValueError("n_components must name at least one number of components; got none.")
    tried = [k for k in numbers if k == 1 or k * ROWS_EACH <= n_rows]
    if not tried:
        raise ValueError(f"n_components: {numbers[0]} components need at least {numbers[0] * ROWS_EACH} rows; X has {n_rows:g}.")
    left = [k for k in numbers if k not in tried]
    return tried, [f"More than {tried[-1]} components were not tried: fewer than {ROWS_EACH} rows for each."] if left else []


def read_structures(covariance_type: str | Sequence[str], n_features: int) -> tuple[list[str], list[str]]:
    """Structures, the simplest first; in one dimension only those that differ."""
    given = [covariance_type] if isinstance(covariance_type, str) else list(covariance_type)
    for name in given:
        check_option("covariance_type", name, COVARIANCE_TYPES)
    if not given:
        raise ValueError(f"covariance_type must name at least one of {', '.join(map(repr, COVARIANCE_TYPES))}; got none.")
    if n_features > 1:
        return sorted(set(given), key=SIMPLEST_FIRST.index), []
    kept = {COVARIANCE_TYPES[name][1]: name for name in reversed(given)}
    names = sorted(kept.values(), key=SIMPLEST_FIRST.index)
    return names, ["With one column, structures differ only in whether the variance is shared."] if len(set(given)) > len(names) else []


def read_number_prior(given) -> Callable[[int], float]:
    """Prior probability of a number of components, up to a factor."""
    if isinstance(given, Mapping):
        return lambda k: float(check_number(f"n_components_prior[{k}]", given.get(k, 0.0), 0))
    if callable(given):
        return lambda k: float(check_number(f"n_components_prior({k})", given(k), 0))
    check_option("n_components_prior", given, ("uniform", "bnb"))
    return (lambda k: 1.0) if given == "uniform" else bnb


def prior_name(prior) -> str:
    """What the prior is called in the verdict."""
    return prior if isinstance(prior, str) else "given"


def make_frames(names: list[str], training: Training, prior, bayesian: bool) -> dict[str, Frame]:
    """The rows in the coordinates of every structure, with the law of its components."""
    if isinstance(prior, Mapping):
        for name in prior:
            check_option("A hyperparameter in prior", name, HYPERPARAMETERS)
    else:
        check_option("prior", prior, PRIORS)
    values, weight = training.used()
    problems = {s: prepare(values, weight, s) for s in {COVARIANCE_TYPES[name][0] for name in names}}
    frames = {}
    for name in names:
        structure, tied = COVARIANCE_TYPES[name]
        frame = Frame(problems[structure], tied)
        if not bayesian:
            frame = likelihood_frame(name, frame)
        elif prior != "hierarchical":
            frame = _with_prior(name, frame, prior if isinstance(prior, Mapping) else {})
        frames[name] = frame
    return frames


def _with_prior(name: str, frame: Frame, hyperparameters: Mapping[str, Any]) -> Frame:
    """The frame under the prior that `BayesianGaussianMixture` would have with these hyperparameters."""
    options = {"weight_concentration_prior": 1.0, **hyperparameters}
    concentration = check_number("weight_concentration_prior", options["weight_concentration_prior"], 0, strict=True)
    model = BayesianGaussianMixture(covariance_type=name, weight_concentration_prior_type="dirichlet_distribution", prune=False, **options)
    return dataclasses.replace(frame, law=make_prior(model, frame.problem).components, concentration=float(concentration))


def likelihood_frame(name: str, frame: Frame) -> Frame:
    """The same rows for maximum likelihood."""
    structure, tied = COVARIANCE_TYPES[name]
    return dataclasses.replace(frame, law=flat_components(structure, tied, GaussianMixture().reg_covar))
