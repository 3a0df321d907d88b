"""The rows of a fit, in memory or read from a source as they are needed; what a search sees of them, and how its answer is finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bayesgmm import storage
from bayesgmm.analysis.rows import Look, Pass
from bayesgmm.estimators.checkpoint import Checkpoint
from bayesgmm.estimators.training import COVARIANCE_TYPES, Training, make_problem, read_rows, read_training, settings_of
from bayesgmm.frames import Rows
from bayesgmm.inference.compiling import make_room
from bayesgmm.inference.loop import Limits, Outcome, State, finish
from bayesgmm.inference.moves import compact
from bayesgmm.inference.problem import Problem, laid_out
from bayesgmm.inference.restarts import SETTLED, Fit, Settings, polish
from bayesgmm.inference.steps import drive, first
from bayesgmm.inference.stream import Batch, Passes, Place, Survey, draw, survey
from bayesgmm.progress import Progress
from bayesgmm.reading import scan
from bayesgmm.sources import Source
from bayesgmm.validation import check_columns, check_enough, check_seed, check_spread, check_weights


def as_source(X: Any) -> Source | None:
    """``X`` as a source of rows, if it is one or a Dask collection; None for rows in memory."""
    return X if isinstance(X, Source) else scan(X) if hasattr(X, "dask") else None


@dataclasses.dataclass
class InMemory:
    """Rows in the memory of this process: the search sees all of them."""

    training: Training
    problem: Problem
    settings: Settings
    keep_labels, before = True, None

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

    @property
    def log_jacobian(self) -> float:
        return self.problem.log_jacobian

    def seen(self, look: Look) -> Pass:
        """What a look at all rows finds."""
        return look((0, 0), (self.training.values, self.training.weight))

    def finished(self, search: Callable[[], Fit]) -> Fit:
        """What ``search`` finds, to the last digits."""
        return compact(polish(search(), self.problem, self.settings))


class FromSource:
    """Rows of a source: the search sees a sample of them, and its answer is the start of passes over all.

    Parameters
    ----------
    estimator : MixtureEstimator
    source : Source
    checkpoint : str or Path, optional
        File that keeps where the passes are.
    """

    keep_labels = False

    def __init__(self, estimator: Any, source: Source, checkpoint: Any = None):
        self.source, self.names, self.settings = source, source.names, settings_of(estimator)
        self.told = Progress(True if estimator.verbose else None)
        self.survey, self.training = read_sample(source, estimator.n_components, estimator.random_state, self.told)
        make_room()
        layout = self.survey.lay_out(COVARIANCE_TYPES[estimator.covariance_type][0])
        self.problem = laid_out(self.training.values, self.training.weight, layout, estimator.dtype)
        options = {"dtype": estimator.dtype, "chunk_size": self.settings.chunk_size}
        self._passes = Passes(source.over, layout.inward, self.survey.n_rows, **options)
        self.checkpoint = None if checkpoint is None else Checkpoint(checkpoint, identity(estimator, self.survey, source))

    @property
    def n_rows(self) -> int:
        return self.survey.n_rows

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return self.survey.total

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
            return self.source.over(look, look.together)

    def finished(self, search: Callable[[], Fit]) -> Fit:
        """Passes over all rows from what ``search`` finds on the sample, or from where an earlier process was stopped."""
        known = self.checkpoint.read() if self.checkpoint else None
        if known is None:
            found = compact(search())
            if not np.isfinite(found.bound):
                return found
            limits = Limits(*map(np.asarray, (self.total, self.settings.tol, self.settings.max_steps, np.inf)))
            known = {"prior": found.prior, "limits": limits, "bounds": found.start_bounds, "state": None}
            known["state"] = self._first(known["prior"], found.result.posterior, limits)
            self._save(known, now=True)
        with self.told:
            state = self._passed(known)
            if self.settings.strict and int(state.outcome) == Outcome.CONVERGED and np.isinf(known["limits"].settle):
                further = min(int(state.step) // 2 + 10, self.settings.max_steps - int(state.step))  # of what the history has room for
                known["limits"] = known["limits"]._replace(limit=np.asarray(int(state.step) + further), settle=np.asarray(SETTLED))
                known["state"] = state._replace(outcome=np.asarray(int(Outcome.RUNNING)))
                state = self._settled(known, state) if further > 0 else state
        history = np.asarray(state.history)[: int(state.step) + 1]
        return Fit(known["prior"], finish(state), history, known["bounds"])

    def _first(self, prior, start, limits: Limits) -> State:
        return first(
            prior, start, self._passes(start), limits, max_steps=self.settings.max_steps, depth=self._depth, dtype=self._passes.dtype
        )

    @property
    def _depth(self) -> int:
        return self.settings.depth

    def _settled(self, known: dict[str, Any], converged: State) -> State:
        """Further passes, until the statistics stand still or half as many passes as before were made."""
        state = self._passed(known)
        usual = int(state.outcome) in (Outcome.CONVERGED, Outcome.MAX_STEPS)
        return state._replace(outcome=converged.outcome) if usual else state

    def _passed(self, known: dict[str, Any]) -> State:
        """Passes until the loop stops or is interrupted, each of which the checkpoint is told of."""

        def after(state: State) -> None:
            known["state"] = state
            self.told(f"pass {int(state.step)} over {self.n_rows:,} rows, bound {float(state.bound) - self.log_jacobian:.6f}")
            self._save(known)

        try:
            return drive(known["prior"], known["state"], self._passes, known["limits"], self._depth, self._passes.dtype, after)
        except KeyboardInterrupt:
            return known["state"]._replace(outcome=np.asarray(int(Outcome.INTERRUPTED)))
        finally:
            self._save(known, now=True)

    def _save(self, known: dict[str, Any], now: bool = False) -> None:
        if self.checkpoint:
            self.checkpoint.write(known, now)


def identity(estimator: Any, known: Survey, source: Source) -> dict[str, Any]:
    """What tells a fit to rows of a source from others."""
    params = storage.storable(estimator.get_params())
    told = {name: params[name] for name in params if name not in ("verbose", "verbose_interval")}
    rows = [known.n_rows, known.total, known.mean, known.scatter, known.low, known.high]
    return {"estimator": type(estimator).__name__, "parameters": told, "columns": source.names, "rows": rows}


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
    check_spread(extremes, np.ones(len(extremes)), source.names, constant_ok=what == "n_clusters", data=source.title)
    whole = known.n_rows <= source.sample
    check_enough(rows, weight, n_components, what, source.title if whole else f"the sample of {source.title}")
    return known, Training(rows, source.names, weight)


def check_unweighted(sample_weight: Any) -> None:
    """A source knows the weights of its rows."""
    if sample_weight is not None:
        raise ValueError("Rows read from a source have their weights in a column of it: bayesgmm.scan(..., weight='name').")


def read_data(estimator: Any, X: Any, sample_weight: Any, checkpoint: Any = None) -> InMemory | FromSource:
    """The rows of a fit of a mixture, checked."""
    source = as_source(X)
    if source is None:
        if checkpoint is not None:
            raise ValueError("checkpoint is for rows that are read as they are needed: give bayesgmm.scan(X) instead of X.")
        training = read_training(X, sample_weight, estimator.n_components, "n_components")
        return InMemory(training, make_problem(estimator, training), settings_of(estimator))
    check_unweighted(sample_weight)
    if not isinstance(estimator.init_params, str):
        raise ValueError("init_params must be a word for rows read from a source, since starts are made from a sample of them.")
    return FromSource(estimator, source, checkpoint)


def batches_of(estimator: Any, X: Any, sample_weight: Any = None) -> Iterator[Batch]:
    """Rows and weights given to a fitted estimator, checked: all at once if they are in memory, a batch at a time from a source."""
    source = as_source(X)
    if source is None:
        values = read_rows(estimator, X)
        return iter([(values, check_weights(sample_weight, len(values)))])
    estimator._check_fitted()
    names = getattr(estimator, "feature_names_in_", None)
    shape = Rows(np.empty((0, source.n_features)), source.names)
    check_columns(shape, None if names is None else tuple(names), estimator.n_features_in_, type(estimator).__name__)
    return source.even(check=True)


def over_batches(function: Callable[[np.ndarray], np.ndarray], batches: Iterator[Batch]) -> np.ndarray:
    """Answers for all rows, one after the other."""
    found = [function(rows) for rows, _ in batches]
    return found[0] if len(found) == 1 else np.concatenate(found)
