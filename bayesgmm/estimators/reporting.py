"""What a report needs of a fit: intervals, the number of components, checks and sensitivity, each as far as the model has it."""

from __future__ import annotations

import hashlib
import platform
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from bayesgmm.analysis.facts import Facts
from bayesgmm.core.mixture import Mixture
from bayesgmm.estimators.base import FitError, FitWarning
from bayesgmm.estimators.bayesian_prior import HYPERPARAMETERS
from bayesgmm.estimators.data import as_source
from bayesgmm.estimators.uncertainty import Intervals
from bayesgmm.frames import to_rows
from bayesgmm.observations import Observations
from bayesgmm.progress import Progress
from bayesgmm.report.account import Account
from bayesgmm.report.text import number
from bayesgmm.validation import check_flag

LARGEST = 50_000
"""Rows up to which the checks, which fit again, are made for a report."""

FEWER, MORE = 3, 3
"""Numbers of components compared on both sides of the fit's."""

PROB = 0.94

PACKAGES = ("bayesgmm", "jax", "jaxlib", "numpy", "scipy")


def account(model: Any, X: Any, *, full: bool, selection: Any, sample_weight: Any, **said: Any) -> Account:
    """See `MixtureEstimator.report`; ``said`` holds title, units, question, command, random_state and verbose."""
    model._check_fitted()
    check_flag("full", full)
    if selection is not None and not hasattr(selection, "verdict"):
        raise ValueError(f"selection must be what bg.select returned; got {type(selection).__name__}.")
    source = X is not None and as_source(X) is not None
    rows = None if source else X
    facts = model.facts(rows, title=said["title"], units=said["units"])
    parts = _Parts(full and rows is not None, facts, said["verbose"])
    weight, seed = {"sample_weight": sample_weight}, said["random_state"]
    values = None if rows is None else rows.values if isinstance(rows, Observations) else to_rows(rows).values
    if values is not None:
        _check_weight(model, values, sample_weight)
    sure = parts.make("intervals", lambda: _uncertainty(model, rows, weight, seed))
    small = "" if facts.n_samples <= LARGEST else f"the data have more than {LARGEST:,} rows"
    compared = selection is None
    if compared:
        selection = parts.make("number of components", lambda: _numbers(model, rows, facts, weight), small)
    return Account(
        model=model,
        X=rows,
        question=said["question"] or _question(facts),
        command=said["command"] or _command(model, sample_weight),
        facts=facts,
        columns=[] if values is None else _columns(values, facts),
        fingerprint="" if values is None else _fingerprint(values),
        intervals=None if sure is None else _about_fit(sure.intervals(PROB), facts),
        uncertainty=sure,
        selection=selection,
        compared=compared and selection is not None and model._bayesian,
        diagnosis=parts.make("checks", lambda: model.diagnose(rows, random_state=seed, **weight), small),
        sensitivity=parts.make("sensitivity", lambda: model.sensitivity(rows, **weight), small) if model._bayesian else None,
        prior=_prior(model.prior_) if model._bayesian else [],
        omitted=[*parts.omitted, *_without_rows(rows, source)],
        warned=list(dict.fromkeys(parts.warned)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    )


class _Parts:
    """Makes parts of a report, one after the other; keeps why one could not be made, and what was warned of."""

    def __init__(self, wanted: bool, facts: Facts, verbose: bool | None):
        self.wanted, self.facts, self.verbose = wanted, facts, verbose
        self.omitted: list[str] = []
        self.warned: list[str] = []

    def make(self, name: str, compute: Callable[[], Any], hindrance: str = "") -> Any:
        """What ``compute`` returns; None where it is not wanted or not possible."""
        if not self.wanted:
            return None
        if hindrance:
            self.omitted.append(f"Not computed, because {hindrance}: {name}.")
            return None
        try:
            with Progress(self.verbose) as tell, warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", FitWarning)
                tell(f"report: {name} ...")
                found = compute()
        except (ValueError, FitError) as error:
            self.omitted.append(f"Not computed: {name}. {error}")
            return None
        self.warned += [f"{name}: {each.message}" for each in caught if issubclass(each.category, FitWarning)]
        return found


def _uncertainty(model: Any, X: Any, weight: dict, seed: Any):
    """Draws by the model's own method; where it has none, from its own law."""
    try:
        return model.uncertainty(X, random_state=seed, **weight)
    except (ValueError, FitError):
        if not model._bayesian:
            raise
        return model.uncertainty(X, method="mean_field", random_state=seed, **weight)


def _about_fit(intervals: Intervals, facts: Facts) -> Intervals:
    """The same intervals around the estimates of the fit, from which the mean of the draws differs a little."""
    for name, own in (("weights", facts.weights), ("means", facts.means), ("standard_deviations", facts.spreads)):
        drawn = intervals[name]
        intervals[name] = drawn._replace(mean=np.array(own)[: len(drawn.mean)])
    return intervals


def _numbers(model: Any, X: Any, facts: Facts, weight: dict):
    """The Selection among fits with fewer and more components, of the same structure and prior."""
    k, given = facts.n_components, {name: getattr(model, name, None) for name in HYPERPARAMETERS}
    return model._select(
        X,
        range(max(1, k - FEWER), k + MORE + 1),
        model.covariance_type,
        "evidence" if model._bayesian else "bic",
        {name: value for name, value in given.items() if value is not None} if model._bayesian else "fixed",
        missing=model.missing,
        noise=model.noise,
        student_t=model.student_t,
        random_state=facts.seed or 0,
        verbose=False,
        **weight,
    )


def _check_weight(model: Any, values: np.ndarray, sample_weight: Any) -> None:
    """The total weight of the fit, which is that of the rows that hold a number; that of a fit in parts is not kept."""
    if model.n_rows_seen_ > model._n_samples:
        return
    given = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, float)
    total = given[np.isfinite(values).any(axis=1)].sum() if given.shape == values.shape[:1] else np.nan
    if not np.isclose(total, model._n_rows, rtol=1e-6):
        told = f"sample_weight must be that of the fit, whose total is {model._n_rows:.6g}"
        raise ValueError(f"{told}; got {'none' if sample_weight is None else f'a total of {total:.6g}'} for {len(values)} rows.")


def _command(model: Any, sample_weight: Any) -> str:
    """What makes the fit again."""
    if model.n_rows_seen_ > model._n_samples:
        return f"import bayesgmm as bg\n\nmodel = bg.{model!r}\n# learnt in parts: model.partial_fit(rows) for each of them, in their order"
    weight = "" if sample_weight is None else ", sample_weight=sample_weight"
    return f"import bayesgmm as bg\n\nmodel = bg.{model!r}.fit(X{weight})"


def _question(facts: Facts) -> str:
    columns = ", ".join(facts.columns[:8]) + (", ..." if facts.n_features > 8 else "")
    return f"Which groups do the {facts.n_samples} rows form by {columns}, how sure is that, and which rows are in doubt?"


def _without_rows(rows: Any, source: bool) -> list[str]:
    """What is missing of a report that was not given the rows."""
    if isinstance(rows, Observations):
        return ["Not drawn: pictures of the rows, which hold Observations."]
    if rows is not None:
        return []
    why = "the rows are not in memory" if source else "the report was not given the rows (report(path, X))"
    return [f"Without pictures, intervals and checks: {why}."]


def _columns(values: np.ndarray, facts: Facts) -> list[list[str]]:
    """Titles, and for each column how many numbers are there, their mean, spread and range."""
    lines = [["column", "numbers", "mean", "standard deviation", "least", "median", "largest"]]
    for name, unit, column in zip(facts.columns, facts.units, values.T, strict=True):
        there = column[np.isfinite(column)]
        found = [there.mean(), there.std(ddof=min(1, len(there) - 1)), there.min(), np.median(there), there.max()]
        lines.append([f"{name} ({unit})" if unit else name, str(len(there)), *map(number, map(float, found))])
    return lines


def _fingerprint(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()


def _prior(law: Mixture) -> list[list[str]]:
    """Titles, and each number of the prior: one where all components have the same."""
    lines = [["law", "parameter", "value"]]
    for part in (law.weights, law.components):
        lines += _numbers_of(part)
    return lines


def _numbers_of(part: Any) -> list[list[str]]:
    """Law, name and value of each number of a law, and of the laws that it is made of."""
    found = []
    for name, value in vars(part).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            found.append([type(part).__name__, name.replace("_", " "), _short(value)])
        elif type(value).__module__.startswith("bayesgmm.core") and hasattr(value, "__dict__"):
            found += _numbers_of(value)
    return found


def _short(value: np.ndarray) -> str:
    """Numbers of an array, of one component where all are alike."""
    if value.ndim and len(value) > 1 and (value == value[:1]).all():
        value = value[:1]
    flat = np.ravel(value)
    shown = ", ".join(number(float(each)) for each in flat[:12])
    return f"{shown}, ... ({' x '.join(map(str, np.squeeze(value).shape))} numbers)" if flat.size > 12 else shown
