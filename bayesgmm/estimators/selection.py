"""How many components, and of which structure: every combination fitted, compared and explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayesgmm.analysis import rows as row_facts
from bayesgmm.analysis.held_out import held_out_columns
from bayesgmm.analysis.selection import CRITERIA, Table, chosen_row, combined, share_by
from bayesgmm.analysis.shape import Shape
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.data import as_source, check_unweighted, read_sample
from bayesgmm.estimators.diagnosis import shape_of
from bayesgmm.estimators.mixture import MixtureEstimator
from bayesgmm.estimators.robust import Robust, check_exact, check_noise, check_tails, region
from bayesgmm.estimators.selection_options import (
    known_problems,
    make_folds,
    make_frames,
    read_number_prior,
    read_numbers,
    read_priors,
    read_structures,
)
from bayesgmm.estimators.selection_search import Search, dependent, given_up, share_likelihoods
from bayesgmm.estimators.training import LONGEST, MISSING, Training, as_fitted, read_training
from bayesgmm.inference.arrange import Known
from bayesgmm.inference.sparse import apart
from bayesgmm.progress import Progress
from bayesgmm.report import notebook
from bayesgmm.report import shape as shape_words
from bayesgmm.report import verdict as words
from bayesgmm.sources import Source
from bayesgmm.validation import check_number, check_option, check_seed

COLLAPSED = "a component collapsed in every fit; try fewer components, or criterion='evidence'"
COMPLETE = ("icl_exact", "held_out")
"""Criteria that need complete rows."""

WHY = {
    "nec": "it compares with one component, which must be among n_components, and with fits in which no component collapsed",
    "slope": "it needs more models, and fits in which no component collapsed",
    "aicc": "every model has nearly as many parameters as there are rows, or a component that collapsed",
}
"""Why a criterion may have no value for any model."""


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
    def prior(self) -> str:
        """The prior of the chosen model; "given" is the user's own, "none" maximum likelihood."""
        return str(self.table["prior"][self.row])

    @property
    def n_components_probability(self) -> dict[int, float]:
        """Posterior probability of each number of components, averaged over structures and priors; NaN without variational fits."""
        return share_by(self.table["n_components"], self.table["probability"])

    @property
    def covariance_type_probability(self) -> dict[str, float]:
        """Posterior probability of each structure, averaged over numbers of components and priors."""
        return share_by(self.table["covariance_type"], self.table["probability"])

    @property
    def prior_probability(self) -> dict[str, float]:
        """Posterior probability of each prior, all equally likely a priori, averaged over models."""
        return share_by(self.table["prior"], self.table["probability"])

    @property
    def verdict(self) -> str:
        """What each criterion says, how sure the answer is, and where they disagree."""
        return words.wrapped(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """Those of the verdict."""
        notes = [*shape_words.sentences(self.shape), *self.notes]
        return words.verdict(self.table, self.criterion, self.restart_agreement, notes)

    def plot(self, criterion: str | None = None, ax: Any = None):
        """The criterion against the number of components; see `plots.plot_selection`."""
        from bayesgmm.plots import plot_selection

        return plot_selection(self, criterion, ax)

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{words.printed(self.table)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.selection(self)


@in_float64
def select(
    X: Any,
    n_components: int | Iterable[int] = range(1, 16),
    covariance_type: str | Sequence[str] = ("full", "tied", "diag", "spherical"),
    criterion: str = "evidence",
    prior: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = "hierarchical",
    *,
    n_components_prior: str | Mapping[int, float] | Callable[[int], float] = "uniform",
    n_init: int = 3,
    n_folds: int = 5,
    sample_weight: Any = None,
    random_state: Any = 0,
    missing: str = "error",
    noise: str | float | None = None,
    student_t: str | float | None = None,
    verbose: bool | None = None,
) -> Selection:
    """Choose the number of components and the covariance structure.

    Every combination is fitted; cells of the table help one another (a component split or merged, the responsibilities of another
    structure), so that few stop at a poor optimum. By default variational fits under a prior that the data choose, at a price, are compared
    by their corrected evidence, averaged over structures.

    Parameters
    ----------
    X : array, data frame, `bayesgmm.scan` or Dask collection, shape (N, D)
        Of rows that are read as they are needed a sample is compared; the best model is then fitted to all of them.
    n_components : int or iterable of int, default 1 to 15
        Numbers of components; those with fewer than five rows for each component are not tried. By the evidence, a structure is given up
        after three numbers without a new best.
    covariance_type : str or sequence of str
        Of "full", "tied", "diag", "spherical", "tied_diag", "tied_spherical", mclust's "EII" to "VVV" ("E", "V" for one column); "mclust"
        is short for all of mclust's. Those that share some of volume, shape and orientation have no variational fits, so they are compared
        by criteria of maximum likelihood only: docs/how-to/structures.md.
    criterion : {"evidence", "elbo", "icl_exact", "held_out", "bic", "aic", "aicc", "icl", "icl_soft", "nec", "slope"}, default "evidence"
        What decides. The first four compare variational fits; the table then has the criteria of EM started from them as well. The others
        compare maximum-likelihood fits alone, for every combination. "held_out" fits each model ``n_folds`` times more.
    prior : {"hierarchical", "fixed"}, dict, or sequence of these, default "hierarchical"
        Prior of the variational fits: chosen by the data at a price; the default of `BayesianGaussianMixture`; or its hyperparameters, such
        as ``{"mean_precision_prior": 0.1}``, the others at their defaults. Several are compared in one table, equally likely a priori.
    n_components_prior : {"uniform", "bnb"}, mapping or callable
        Prior probability of each number of components, up to a factor: equal, beta-negative-binomial (1, 4, 3) of the number less one, or
        your own. With it the evidences give the posterior of a mixture of finite mixtures.
    n_init : int, default 3
        Starts by k-means for each combination, besides those from Ward's clustering and from neighbouring models.
    n_folds : int, default 5
        Parts into which the rows are divided at random for ``criterion="held_out"``; each is predicted by fits to the others.
    sample_weight : array, shape (N,), optional
    random_state : int, numpy generator or None, default 0
    missing : {"error", "at_random"}, default "error"
        What NaN in the rows means, as for the mixtures.
    noise : {None, "box", "hull"} or float, default None
    student_t : {None, "learn", "shared"} or float, default None
        Noise in every model, and Student t components, as for the mixtures. To ask whether there should be noise or tails at all,
        compare the BIC of two selections of the same rows: it counts the volume of noise and learnt degrees of freedom as parameters,
        for which bound and evidence pay nothing.
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

    Notes
    -----
    Spherical models, and one of the targets of the hierarchical prior, speak of the units of the columns as they are given: rescaling
    single columns changes evidences by a little more than the change of units.

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
    source, bayesian = as_source(X), CRITERIA[criterion].bayesian
    check_noise(noise)
    check_tails(student_t)
    if source is not None and student_t is not None:
        raise ValueError("student_t needs rows in memory; compare a sample of them, or leave student_t out.")
    training = _training(X if source is None else source, sample_weight, random_state, verbose, missing)
    robust = _robust(noise, student_t, training, criterion)
    if training.known is not None and criterion in COMPLETE:
        raise ValueError(f"criterion={criterion!r} needs complete rows of which nothing else is known; use 'evidence', 'elbo' or 'bic'.")
    numbers, few = read_numbers(n_components, float(training.weight.sum()), training.known.n_named if training.known else 0)
    names, same = read_structures(covariance_type, training.values.shape[1], bayesian)
    priors, own = read_priors(prior, bayesian)
    probability, seed = read_number_prior(n_components_prior, numbers), check_seed(random_state)
    fold = make_folds(n_folds, training, seed) if criterion == "held_out" else None
    problems = known_problems(names, training)
    searches = [Search(training, label, given, make_frames(names, problems, given, robust), robust) for label, given in priors.items()]
    with Progress(verbose) as tell:
        for search in searches:
            search.run(numbers, seed, int(n_init), _teller(tell, numbers[-1], search.prior if len(searches) > 1 else ""))
        share_likelihoods(searches)
        tell("select: comparing ...")
        held_out = _held_out(searches, fold, tell) if fold is not None else {}
        table = combined([search.table() for search in searches], held_out, probability)
        tell("select: finishing the best model ...")
        notes = [*robust.notes(), *few, *same, *own, *given_up(searches, numbers[-1]), *dependent(problems, training)]
        found = _chosen(searches, table, criterion, random_state, notes)
    return found if source is None else _on_all_rows(found, source, verbose)


def _robust(noise: Any, student_t: Any, training: Training, criterion: str) -> Robust:
    """Noise and tails of all models."""
    robust = Robust(noise, student_t, region(noise, training))
    if student_t is not None:
        check_exact(training.known)
    if robust.asked and criterion == "icl_exact":
        raise ValueError("criterion='icl_exact' is for Gaussian components without noise; use 'evidence', 'elbo' or 'icl'.")
    return robust


def _training(X: Any, sample_weight: Any, random_state: Any, verbose: bool | None, missing: str) -> Training:
    """The rows that models are compared on: all in memory, or a sample of a source."""
    if not isinstance(X, Source):
        return read_training(X, sample_weight, 1, "n_components", check_option("missing", missing, MISSING))
    check_unweighted(sample_weight)
    return read_sample(X, 1, random_state, Progress(verbose))[1]


def _on_all_rows(found: Selection, source: Source, verbose: bool | None) -> Selection:
    """The selection with its best model fitted to all rows of the source."""
    best, agreement = found.best, found.restart_agreement
    best.set_params(warm_start=True, verbose=int(bool(verbose))).fit(source)  # type: ignore[attr-defined]
    best.set_params(warm_start=False, verbose=0)
    best.restart_agreement_ = agreement
    if best._n_samples > source.sample:
        told = f"Models were compared on a sample of {source.sample:,} of the {best._n_samples:,} rows"
        found.notes.append(f"{told}; the best was then fitted to all of them.")
    return found


def _teller(tell: Progress, most: int, prior: str) -> Callable[[int, str], None]:
    """Told the number of components and the structure, says where the search is."""
    under = f" under the {prior} prior" if prior else ""
    return lambda k, name: tell(f"select: {k} of at most {most} components, {name.replace('_', ' ')} covariances{under} ...")


def _held_out(searches: list[Search], fold: np.ndarray, tell: Progress) -> dict[str, np.ndarray]:
    """Columns of cross-validation for the rows of all searches."""
    told = lambda i: tell(f"select: predicting fold {i} of {fold.max() + 1} ...")  # noqa: E731
    densities = np.concatenate([search.held_out(fold, told) for search in searches])
    return held_out_columns(densities, searches[0].training.used()[1])


def _chosen(searches: list[Search], table: Table, criterion: str, random_state: Any, notes: list[str]) -> Selection:
    """The selection, with the best model of the search that holds it."""
    row = chosen_row(table, criterion)
    if row is None:
        raise ValueError(f"No model could be judged by {criterion!r}: {WHY.get(criterion, COLLAPSED)}.")
    key = (str(table["covariance_type"][row]), int(table["n_components"][row]))
    found = next(search for search in searches if search.prior == table["prior"][row])
    best = found.estimator(key, random_state)
    best.restart_agreement_ = found.sweep.agreement(key)
    values, weight = found.training.used()
    known = found.training.used_known
    rows = values if known is None else as_fitted(best, known)
    resp, sparse = apart(row_facts.responsibilities(best.posterior_, best._coordinates, rows), best.posterior_.n_noise)
    exact = np.full_like(values, np.nan) if found.robust.asked else rows.exact if isinstance(rows, Known) else values
    shape = shape_of(best, exact, weight * (1 - sparse), resp)
    return Selection(best, table, criterion, row, best.restart_agreement_, notes, shape)


MixtureEstimator._select = staticmethod(select)  # type: ignore[attr-defined]
"""A report compares its model with others, and models cannot import what is made of them."""
