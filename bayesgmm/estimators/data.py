"""The rows of a fit, in memory or read from a source as they are needed; what a search sees of them, and how its answer is finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bayesgmm import storage
from bayesgmm.analysis.rows import Look, Pass
from bayesgmm.core.pytree import replace
from bayesgmm.estimators.checkpoint import Checkpoint
from bayesgmm.estimators.course import PASSES, Course
from bayesgmm.estimators.freezing import n_frozen
from bayesgmm.estimators.training import (
    COVARIANCE_TYPES,
    Training,
    check_common,
    check_distinct,
    make_problem,
    read_known,
    read_rows,
    read_training,
    settings_of,
)
from bayesgmm.frames import Rows
from bayesgmm.inference.arrange import Known
from bayesgmm.inference.incremental import Rows as Batches
from bayesgmm.inference.incremental import Seen, entropy_of, seen_together
from bayesgmm.inference.moves import compact, order
from bayesgmm.inference.problem import Problem, in_coordinates, laid_out
from bayesgmm.inference.restarts import Fit, Settings, advance, polish
from bayesgmm.inference.stream import CHANGED, Batch, Passes, Place, Survey, batch_rows, draw, survey
from bayesgmm.progress import Progress
from bayesgmm.reading import scan
from bayesgmm.sources import Source
from bayesgmm.validation import check_columns, check_option, check_seed, check_spread, check_weights


def as_source(X: Any) -> Source | None:
    """``X`` as a source of rows, if it is one or a Dask collection; None for rows in memory."""
    return X if isinstance(X, Source) else scan(X) if hasattr(X, "dask") else None


@dataclasses.dataclass
class InMemory:
    """Rows in the memory of this process: the search sees all of them. ``earlier`` rows, and their weight, were learnt from before."""

    training: Training
    problem: Problem
    settings: Settings
    earlier: int = 0
    earlier_weight: float = 0.0
    keep_labels, before = True, None
    places: np.ndarray | None = None
    """Which of the components asked for each of those kept is, where labels of rows name some."""

    @property
    def names(self) -> tuple[str, ...] | None:
        return self.training.names

    @property
    def n_rows(self) -> int:
        return len(self.training.values)

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.training.weight.sum())

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest number (D,) of each column, of rows that count."""
        return self.training.corners()

    def complete_rows(self) -> np.ndarray | None:
        """Rows that count, or None where numbers are missing."""
        return self.training.complete_rows()

    @property
    def log_jacobian(self) -> float:
        return self.problem.log_jacobian + self.earlier_weight * self.problem.log_det

    def seen(self, look: Look) -> Pass:
        """What a look at all rows finds."""
        rows = self.training.rows
        return look((0, 0), (rows.placed(self.places) if isinstance(rows, Known) else rows, self.training.weight))

    def finished(self, search: Callable[[], Fit]) -> Fit:
        """What ``search`` finds, to the last digits."""
        fit = polish(search(), self.problem, self.settings)
        named = self.problem.n_named
        if named:
            self.places = order(fit, named)
        return compact(fit, named)


class FromSource:
    """Rows of a source: the search sees a sample of them, and its answer is the start of passes over all.

    Parameters
    ----------
    estimator : MixtureEstimator
    source : Source
    checkpoint : str or Path, optional
        File that keeps where the passes are.
    passes : {"exact", "memoized", "stochastic"}
    """

    keep_labels, earlier, places = False, 0, None

    def __init__(self, estimator: Any, source: Source, checkpoint: Any = None, passes: str = "exact"):
        self.source, self.names, self.settings = source, source.names, settings_of(estimator)
        self.told = Progress(True if estimator.verbose else None)
        self.survey, self.training = read_sample(source, estimator.n_components, estimator.random_state, self.told)
        layout = self.survey.lay_out(COVARIANCE_TYPES[estimator.covariance_type][0])
        problem = laid_out(self.training.values, self.training.weight, layout, estimator.dtype)
        self.problem = dataclasses.replace(problem, n_fixed=n_frozen(estimator))
        kind = {"dtype": estimator.dtype, "chunk_size": self.settings.chunk_size}
        saved = None if checkpoint is None else Checkpoint(checkpoint, identity(estimator, self.survey, source, passes), source.shared)
        self._course = Course(
            passes=Passes(source.over, layout.inward, self.survey.n_rows, **kind),
            rows=Batches(source.even, -(-self.survey.n_rows // batch_rows(source.n_features)), self.survey.total, layout.inward, **kind),
            way=passes,
            settings=self.settings,
            moves=estimator._bayesian and bool(estimator.prune and estimator.moves),
            checkpoint=saved,
            told=self.told,
            log_jacobian=self.log_jacobian,
        )

    @property
    def n_rows(self) -> int:
        return self.survey.n_rows

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return self.survey.total

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest number (D,) of each column."""
        return self.survey.low, self.survey.high

    def complete_rows(self) -> None:
        """They are not in memory."""

    @property
    def log_jacobian(self) -> float:
        return self.total * self.problem.log_det

    @property
    def before(self) -> dict[Place, tuple[int, float]]:
        """Rows that come before each batch."""
        return self.survey.before()

    def seen(self, look: Look) -> Pass:
        """What a look at all rows finds."""
        with self.told:
            self.told(f"reading {self.n_rows:,} rows for the last time")
            found = self.source.over(look, look.together)
        if found.counts.sum() != self.n_rows:
            raise ValueError(CHANGED)
        return found

    def finished(self, search: Callable[[], Fit]) -> Fit:
        """Passes over all rows from what ``search`` finds on the sample, or from where an earlier process was stopped."""
        with self.told:
            return self._course.run(lambda: compact(search()))


def identity(estimator: Any, known: Survey, source: Source, passes: str) -> dict[str, Any]:
    """What tells a fit to rows of a source from others."""
    params = storage.storable(estimator.get_params())
    told = {name: params[name] for name in params if name not in ("verbose", "verbose_interval")}
    rows = [known.n_rows, known.total, known.mean, known.scatter, known.low, known.high]
    last = estimator.posterior_ if getattr(estimator, "warm_start", False) and hasattr(estimator, "posterior_") else None
    words = {"estimator": type(estimator).__name__, "passes": passes, "columns": source.names, "sample": source.sample}
    return words | {"parameters": told, "rows": rows, "last fit (warm_start)": last}


def read_sample(
    source: Source, n_components: int, random_state: Any, told: Progress, what: str = "n_components"
) -> tuple[Survey, Training]:
    """What one reading of a source tells of its rows, and a sample that another takes; both checked."""
    generator = np.random.default_rng(check_seed(random_state))
    with told:
        told("reading all rows once, for their spread")
        known = survey(source.checked)
        told(f"reading {known.n_rows:,} rows once more, for a sample")
        if not known.total > 0:
            raise ValueError(f"{source.title} has no row of positive weight.")
        rows, weight = draw(source.over, known, source.sample, generator)
    extremes = np.concatenate([rows, known.low[None], known.high[None]])
    check_spread(extremes, np.ones(len(extremes)), source.names, constant_ok=what == "n_clusters", data=source.title, n=known.n_rows)
    whole = known.n_rows <= source.sample
    check_distinct(rows, weight, n_components, what, source.title if whole else f"the sample of {source.title}")
    return known, Training(rows, source.names, weight)


def check_unweighted(sample_weight: Any) -> None:
    """A source knows the weights of its rows."""
    if sample_weight is not None:
        raise ValueError("Rows read from a source have their weights in a column of it: bayesgmm.scan(..., weight='name').")


def read_data(estimator: Any, X: Any, sample_weight: Any, checkpoint: Any = None, passes: str = "exact") -> InMemory | FromSource:
    """The rows of a fit of a mixture, checked."""
    source = as_source(X)
    if source is None:
        for name, value, usual in (("checkpoint", checkpoint, None), ("passes", passes, "exact")):
            if value != usual:
                raise ValueError(f"{name} is for rows that are read as they are needed: give bayesgmm.scan(X) instead of X.")
        training = read_training(X, sample_weight, estimator.n_components, "n_components", estimator.missing)
        named = training.known.n_named if training.known else 0
        if named > estimator.n_components:
            raise ValueError(f"Labels name {named} components, more than n_components = {estimator.n_components}.")
        return InMemory(training, make_problem(estimator, training), settings_of(estimator))
    check_unweighted(sample_weight)
    check_option("passes", passes, PASSES)
    if checkpoint is not None:
        storage.check_place(storage.as_path(checkpoint))
    if not isinstance(estimator.init_params, str):
        raise ValueError("init_params must be a word for rows read from a source, since starts are made from a sample of them.")
    return FromSource(estimator, source, checkpoint, passes)


def further_rows(estimator: Any, X: Any, sample_weight: Any) -> InMemory:
    """Rows that a fitted mixture is to learn from, in its coordinates."""
    check_common(estimator)
    values = read_rows(estimator, X)
    names = getattr(estimator, "feature_names_in_", None)
    training = Training(values, None if names is None else tuple(names), check_weights(sample_weight, len(values)))
    problem = in_coordinates(*training.used(), estimator._coordinates, estimator.dtype)
    problem = dataclasses.replace(problem, n_fixed=n_frozen(estimator))
    return InMemory(training, problem, settings_of(estimator), estimator.n_rows_seen_, float(estimator._stats.counts.sum()))


def followed(estimator: Any, prior: Any, data: InMemory) -> Fit:
    """The fit to further rows, given those that the estimator was fitted to."""
    last, stats = data.problem.coordinates.mixture_inward(estimator.posterior_), estimator._stats
    seen = Seen(prior, stats, entropy_of(last, stats))
    fit = advance(seen, last, data.problem, data.settings, data.settings.max_steps)
    total = seen_together(seen, fit.result.posterior, fit.result.stats)
    return dataclasses.replace(fit, prior=prior, result=replace(fit.result, stats=total))


def batches_of(estimator: Any, X: Any, sample_weight: Any = None) -> Iterator[Batch]:
    """Rows and weights given to a fitted estimator, checked: all at once if they are in memory, a batch at a time from a source."""
    source = as_source(X)
    if source is None:
        return iter([read_known(estimator, X, sample_weight)])
    check_unweighted(sample_weight)
    estimator._check_fitted()
    names = getattr(estimator, "feature_names_in_", None)
    shape = Rows(np.empty((0, source.n_features)), source.names)
    check_columns(shape, None if names is None else tuple(names), estimator.n_features_in_, type(estimator).__name__)
    return _some(source)


def _some(source: Source) -> Iterator[Batch]:
    """Batches of a source, of which there must be one."""
    batch = None
    for batch in source.even(check=True):
        yield batch
    if batch is None:
        raise ValueError(f"{source.title} has no rows.")


def over_batches(function: Callable[[np.ndarray], np.ndarray], batches: Iterator[Batch]) -> np.ndarray:
    """Answers for all rows, one after the other."""
    found = [function(rows) for rows, _ in batches]
    return found[0] if len(found) == 1 else np.concatenate(found)
