"""How many components, and of which structure: every combination fitted, compared and explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayesgmm.analysis import rows as row_facts
from bayesgmm.analysis.criteria import n_parameters
from bayesgmm.analysis.parameters import dense_covariances
from bayesgmm.analysis.selection import (
    CRITERIA,
    Table,
    bayesian_columns,
    bnb,
    chosen_row,
    likelihood_columns,
    likelihood_fits,
    make_table,
    share_by,
)
from bayesgmm.analysis.shape import Point, Shape, assess
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.weights import FlatWeights
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.bayesian import BayesianGaussianMixture, make_prior
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.estimators.mixture import MixtureEstimator, store
from bayesgmm.estimators.training import COVARIANCE_TYPES, LONGEST, Training, read_training, settings_of
from bayesgmm.inference.cache import make_room
from bayesgmm.inference.cells import Frame, Runs
from bayesgmm.inference.moves import compact
from bayesgmm.inference.priors import flat_components
from bayesgmm.inference.problem import prepare
from bayesgmm.inference.restarts import advance, polish
from bayesgmm.inference.sweep import Key, Sweep
from bayesgmm.progress import Progress
from bayesgmm.report import shape as shape_words
from bayesgmm.report import verdict as words
from bayesgmm.validation import brief, check_number, check_option, check_seed

SIMPLEST_FIRST = ("tied_spherical", "spherical", "tied_diag", "diag", "tied", "full")

ROWS_EACH = 5
"""Rows for each component below which a number of components is not tried."""

PRIORS = ("hierarchical", "fixed")
HYPERPARAMETERS = ("weight_concentration_prior", "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior")


@dataclasses.dataclass
class Selection:
    """What `select` found.

    Attributes
    ----------
    best : BayesianGaussianMixture or GaussianMixture
        The chosen model, fitted.
    table : Table
        A column for each quantity, a row for each model; a dictionary of numpy arrays with ``to_pandas()``.
    criterion : str
        The column that decided.
    row : int
        Row of ``table`` that was chosen.
    prior : str
        Prior of the variational fits.
    restart_agreement : float
        Share of the starts of the chosen model that reach its fit, to 0.1 nats.
    notes : list of str
        What was left out, and why.
    shape : Shape
        Components of ``best`` that do not look Gaussian, overlap, or have fewer rows than parameters.
    """

    best: MixtureEstimator
    table: Table
    criterion: str
    row: int
    prior: str
    restart_agreement: float
    notes: list[str]
    shape: Shape

    @property
    def n_components(self) -> int:
        """The chosen number of components."""
        return int(self.table["n_components"][self.row])

    @property
    def covariance_type(self) -> str:
        """The chosen structure."""
        return str(self.table["covariance_type"][self.row])

    @property
    def n_components_probability(self) -> dict[int, float]:
        """Posterior probability of each number of components, averaged over structures; NaN without variational fits."""
        return share_by(self.table["n_components"], self.table["probability"])

    @property
    def covariance_type_probability(self) -> dict[str, float]:
        """Posterior probability of each structure, averaged over numbers of components."""
        return share_by(self.table["covariance_type"], self.table["probability"])

    @property
    def verdict(self) -> str:
        """What each criterion says, how sure the answer is, and where they disagree."""
        return words.verdict(
            self.table, self.criterion, self.prior, self.restart_agreement, [*shape_words.sentences(self.shape), *self.notes]
        )

    def plot(self, criterion: str | None = None, ax: Any = None):
        """The criterion against the number of components; see `plots.plot_selection`."""
        from bayesgmm.plots import plot_selection

        return plot_selection(self, criterion, ax)

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{words.printed(self.table)}"

    __repr__ = __str__


@in_float64
def select(
    X: Any,
    n_components: int | Iterable[int] = range(1, 16),
    covariance_type: str | Sequence[str] = ("full", "tied", "diag", "spherical"),
    criterion: str = "evidence",
    prior: str | Mapping[str, Any] = "hierarchical",
    *,
    n_components_prior: str | Mapping[int, float] | Callable[[int], float] = "uniform",
    n_init: int = 3,
    sample_weight: Any = None,
    random_state: Any = 0,
    verbose: bool | None = None,
) -> Selection:
    """Choose the number of components and the covariance structure.

    Every combination is fitted; cells of the table help one another (a component split or merged, the responsibilities of another
    structure), so that few stop at a poor optimum. By default variational fits under a prior that the data choose, at a price, are compared
    by their corrected evidence, averaged over structures.

    Parameters
    ----------
    X : array or data frame, shape (N, D)
    n_components : int or iterable of int, default 1 to 15
        Numbers of components; those with fewer than five rows for each component are not tried. By the evidence, a structure is given up
        after three numbers without a new best.
    covariance_type : str or sequence of str
        Of "full", "tied", "diag", "spherical", "tied_diag", "tied_spherical".
    criterion : {"evidence", "elbo", "bic", "aic", "aicc", "icl", "icl_soft", "nec", "slope"}, default "evidence"
        What decides. The first two compare variational fits; the table then has the criteria of EM started from them as well. The others
        compare maximum-likelihood fits alone, for every combination.
    prior : {"hierarchical", "fixed"} or dict, default "hierarchical"
        Prior of the variational fits: chosen by the data at a price; the default of `BayesianGaussianMixture`; or its hyperparameters, such
        as ``{"mean_precision_prior": 0.1}``, the others at their defaults.
    n_components_prior : {"uniform", "bnb"}, mapping or callable
        Prior probability of each number of components, up to a factor: equal, beta-negative-binomial (1, 4, 3) of the number less one, or
        your own. With it the evidences give the posterior of a mixture of finite mixtures.
    n_init : int, default 3
        Starts by k-means for each combination, besides those from Ward's clustering and from neighbouring models.
    sample_weight : array, shape (N,), optional
    random_state : int, numpy generator or None, default 0
    verbose : bool, optional
        Whether to tell on standard error where the search is; None does so on terminals and in notebooks.

    Returns
    -------
    Selection
        With ``best``, ``table``, ``verdict``, ``plot()``.

    Raises
    ------
    ValueError
        Wrong options or data; the message says what was expected, what came and where.

    References
    ----------
    The recipe and its figures: docs/explanation/choosing-the-number-of-components.md. Bishop (2006), sec. 10.2.4, for relabelled copies;
    Giordano, Broderick & Jordan (2015) for the response; Fruehwirth-Schnatter, Malsiner-Walli & Gruen (2021) for priors on the number.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> bg.select(x, range(1, 5), covariance_type="full").n_components
    3
    """
    check_option("criterion", criterion, CRITERIA)
    check_number("n_init", n_init, 1, high=LONGEST, integer=True)
    training = read_training(X, sample_weight, 1, "n_components")
    numbers, notes = _numbers(n_components, float(training.weight.sum()))
    names, same = _structures(covariance_type, training.values.shape[1])
    probability = _number_prior(n_components_prior)
    make_room()
    frames = _frames(names, training, prior, CRITERIA[criterion].bayesian)
    job = _Job(training, frames, criterion, _prior_name(prior), notes + same, random_state, probability)
    with Progress(verbose) as tell:
        return job.run(numbers, int(n_init), tell)


@dataclasses.dataclass
class _Job:
    """One call of `select`, its options checked."""

    training: Training
    frames: dict[str, Frame]
    criterion: str
    prior: str
    notes: list[str]
    random_state: Any
    probability: Callable[[int], float]

    def run(self, numbers: list[int], n_init: int, tell: Progress) -> Selection:
        bayesian = CRITERIA[self.criterion].bayesian
        charge = None if bayesian else self._bic_charge
        seed = check_seed(self.random_state)

        def notify(k: int, name: str) -> None:
            tell(f"select: {k} of at most {numbers[-1]} components, {name.replace('_', ' ')} covariances ...")

        sweep = Sweep(self.frames, numbers, seed, charge, bayesian, n_init, notify)
        sweep.run()
        tell("select: comparing ...")
        table, likelihood = self._table(sweep, bayesian)
        row = chosen_row(table, self.criterion)
        if row is None:
            raise ValueError(
                f"No model could be judged by {self.criterion!r}: every fit collapsed. Try fewer components, or criterion='evidence'."
            )
        key = (str(table["covariance_type"][row]), int(table["n_components"][row]))
        tell("select: finishing the best model ...")
        best = self._estimator(sweep, key, likelihood if not bayesian else None)
        return Selection(best, table, self.criterion, row, self.prior, sweep.agreement(key), self.notes, self._shape(best))

    def _shape(self, best: MixtureEstimator) -> Shape:
        """Whether the components of the chosen model look like clusters."""
        values, weight = self.training.used()
        structure, tied = COVARIANCE_TYPES[best.covariance_type]
        point = Point(best.weights_, best.means_, dense_covariances(best.posterior_))
        resp = row_facts.responsibilities(best.posterior_, best._coordinates, values)
        own = values.shape[1] + (0 if tied else structure.n_parameters(values.shape[1]))
        return assess(point, values, weight, resp, own)

    def _parameters(self, name: str, k: int) -> int:
        structure, tied = COVARIANCE_TYPES[name]
        return n_parameters(structure, tied, k, self.training.values.shape[1])

    def _bic_charge(self, name: str, k: int) -> float:
        """Nats by which BIC lowers a log-likelihood: what the search by maximum likelihood aims at."""
        return self._parameters(name, k) / 2 * np.log(self.training.weight.sum())

    def _table(self, sweep: Sweep, bayesian: bool) -> tuple[Table, dict[Key, Runs]]:
        flat = {name: _likelihood(name, frame) for name, frame in sweep.frames.items()}
        fits = likelihood_fits(sweep, flat) if bayesian else {key: cell.run for key, cell in sweep.cells.items()}
        parameters = {key: self._parameters(*key) for key in sweep.cells}
        columns = {key: likelihood_columns(runs, flat[key[0]], key, parameters[key]) for key, runs in fits.items()}
        variational = bayesian_columns(sweep) if bayesian else {}
        return make_table(sweep, parameters, variational, columns, self.probability), fits

    def _estimator(self, sweep: Sweep, key: Key, likelihood: dict[Key, Runs] | None) -> MixtureEstimator:
        """The chosen model as an estimator, converged to many digits."""
        name, k = key
        problem, cell = sweep.frames[name].problem, sweep.cells[key]
        run = cell.run if likelihood is None else likelihood[key]
        posterior = run.posterior.take(np.arange(k))
        if likelihood is None:
            prior = run.prior.take(np.arange(k))
            model: Any = _bayesian(name, k, prior, problem, self.random_state)
        else:
            model = GaussianMixture(k, covariance_type=name, random_state=self.random_state)
            prior = Mixture(FlatWeights(k), _likelihood(name, sweep.frames[name]).law)
        settings = settings_of(model)
        fit = polish(advance(prior, posterior, problem, settings, settings.max_steps), problem, settings)
        fit.start_bounds = (fit.bound,) * sweep.n_starts
        store(model, compact(fit), problem, self.training)
        if likelihood is not None:
            model._report_collapse(compact(fit), problem)
        return model


def _likelihood(name: str, frame: Frame) -> Frame:
    """The same rows for maximum likelihood."""
    structure, tied = COVARIANCE_TYPES[name]
    return dataclasses.replace(frame, law=flat_components(structure, tied, GaussianMixture().reg_covar))


def _bayesian(name: str, k: int, prior: Mixture, problem, random_state) -> BayesianGaussianMixture:
    """An estimator whose parameters state the prior in the user's units, so that fitting it again means the same model."""
    law = problem.coordinates.mixture_outward(prior).components
    return BayesianGaussianMixture(
        n_components=k,
        covariance_type=name,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=float(prior.weights.concentration[0]),
        mean_prior=np.asarray(law.mean[0]),
        mean_precision_prior=float(law.mean_precision[0]),
        degrees_of_freedom_prior=float(law.dof[0]),
        covariance_prior=np.asarray(law.scale[0]),
        random_state=random_state,
        prune=False,
    )


def _numbers(n_components: int | Iterable[int], n_rows: float) -> tuple[list[int], list[str]]:
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


def _structures(covariance_type: str | Sequence[str], n_features: int) -> tuple[list[str], list[str]]:
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


def _number_prior(given) -> Callable[[int], float]:
    """Prior probability of a number of components, up to a factor."""
    if isinstance(given, Mapping):
        return lambda k: float(check_number(f"n_components_prior[{k}]", given.get(k, 0.0), 0))
    if callable(given):
        return lambda k: float(check_number(f"n_components_prior({k})", given(k), 0))
    check_option("n_components_prior", given, ("uniform", "bnb"))
    return (lambda k: 1.0) if given == "uniform" else bnb


def _prior_name(prior) -> str:
    return prior if isinstance(prior, str) else "given"


def _frames(names: list[str], training: Training, prior, bayesian: bool) -> dict[str, Frame]:
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
            frame = _likelihood(name, frame)
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
