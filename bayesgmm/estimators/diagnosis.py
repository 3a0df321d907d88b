"""Can a fit be trusted? One page of checks, in plain sentences with numbers."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis import combine as ways
from bayesgmm.analysis import predictive_checks, refits, ridgeline
from bayesgmm.analysis import rows as row_facts
from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.importance import own_labelling
from bayesgmm.analysis.influence import Influence, bars, candidates, deviations, estimates, influence, taken
from bayesgmm.analysis.parameters import dense_covariances, plug_in
from bayesgmm.analysis.point import Point, whitened
from bayesgmm.analysis.predictive_checks import Checks
from bayesgmm.analysis.shape import Shape, assess
from bayesgmm.analysis.unconstrained import chart_of, n_coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.estimators.base import FitError, FitWarning, in_float64
from bayesgmm.estimators.covariance_types import count_parameters
from bayesgmm.estimators.evidence import MOST_DRAWS
from bayesgmm.estimators.robust import check_gaussian
from bayesgmm.estimators.training import read_rows_of_fit
from bayesgmm.estimators.uncertainty import Uncertainty
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.problem import summed
from bayesgmm.progress import Progress
from bayesgmm.report import notebook
from bayesgmm.report.diagnosis import Check, agreeing, checks, printed
from bayesgmm.validation import check_number, check_seed

FEWEST = 100
"""Least ``n_draws``: p values are told from 0.01 upwards."""

N_WEIGHTS = 1000
"""Importance weights for k-hat."""

MOST_COORDINATES = 400
"""Free parameters up to which k-hat is computed."""

GIVEN = ("weights_init", "means_init", "precisions_init")


class Search(NamedTuple):
    """Another search, from other starts.

    Attributes
    ----------
    n_components : int
    gain : float
        Its bound less that of the fit, nats.
    """

    n_components: int
    gain: float


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnosis:
    """What speaks for and against a fit; ``print`` shows it on one page. Rows, columns and components count from 0 in the numbers here.

    Attributes
    ----------
    model : GaussianMixture or BayesianGaussianMixture
    search : Search or None
        A second search; None where the starts of the fit agree already, or were given, or the fit has not converged.
    contraction : float
        Share of an error that one plain pass leaves; NaN where it is not known.
    k_hat : float
        Shape of the tail of importance weights around the fit: up to 0.7 the posterior looks as the intervals take it to. NaN for maximum
        likelihood, and for more than 400 free parameters.
    shape : Shape
        Tests of a Gaussian shape, overlaps, components with few rows.
    predictive : Checks
        Data sets drawn from the fit beside the data.
    groups : tuple of tuples of int
        Components of each cluster when combined by entropy up to the elbow; fewer than three are left as they are.
    one_mode : ndarray, shape (K, K)
        Probability that two components together have a single mode: that they are one cluster, in this sense.
    influence : Influence or None
        Rows left out one by one; None where there are no standard errors.
    uncertainty : Uncertainty or None
        Draws of the parameters; None where there are none, and the point estimates were taken in their place.
    reason : str
        Why there are no draws.
    """

    model: Any
    search: Search | None
    contraction: float
    k_hat: float
    shape: Shape = dataclasses.field(repr=False)
    predictive: Checks = dataclasses.field(repr=False)
    groups: tuple[tuple[int, ...], ...]
    one_mode: np.ndarray = dataclasses.field(repr=False)
    influence: Influence | None = dataclasses.field(repr=False)
    uncertainty: Uncertainty | None = dataclasses.field(repr=False)
    reason: str = dataclasses.field(repr=False)
    _points: list[Point] = dataclasses.field(repr=False)
    _values: np.ndarray = dataclasses.field(repr=False)
    _weight: np.ndarray = dataclasses.field(repr=False)
    _rows: np.ndarray = dataclasses.field(repr=False)

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns."""
        return column_names(self.model)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Each with ``name``, ``verdict`` ("fine", "attention" or "unknown") and ``text``, in which components count from 1."""
        return checks(self)

    @property
    def concerns(self) -> tuple[Check, ...]:
        """Checks that call for attention."""
        return tuple(check for check in self.checks if check.verdict == "attention")

    def plot(self, column: int | str | None = None, ax: Any = None):
        """A column of the data beside data drawn from the fit; see `plots.plot_predictive_check`."""
        from bayesgmm.plots import plot_predictive_check

        return plot_predictive_check(self, column, ax)

    def __str__(self) -> str:
        return printed(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.diagnosis(self)


class _Data(NamedTuple):
    """Rows that count, (N, D), their weights (N,), and the row numbers (N,) among all given."""

    values: np.ndarray
    weight: np.ndarray
    numbers: np.ndarray


def _read(model: Any, X: Any, sample_weight: Any) -> _Data:
    check_gaussian(model, "diagnose", "compare bounds and BIC, and see how sure the estimates are by uncertainty")
    values, weight = read_rows_of_fit(model, X, sample_weight)
    numbers = np.flatnonzero(weight > 0)
    return _Data(values[numbers], weight[numbers], numbers)


@in_float64
def diagnose(model: Any, X: Any, sample_weight: Any, n_draws: int, random_state: Any, verbose: bool | None) -> Diagnosis:
    """See `MixtureEstimator.diagnose`."""
    model._check_fitted()
    check_number("n_draws", n_draws, FEWEST, high=MOST_DRAWS, integer=True)
    seed = check_seed(random_state)
    data, k = _read(model, X, sample_weight), model.n_components_
    with Progress(verbose) as told, warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        told("diagnose: drawing parameters ...")
        sure, reason = _draws(model, X, sample_weight, n_draws, seed)
        fit = point_of(model)
        points = [fit] * n_draws if sure is None else sure.points()
        resp = row_facts.responsibilities(model.posterior_, model._coordinates, data.values)
        told("diagnose: drawing data ...")
        predictive = predictive_checks.check(points, data.values, data.weight, seed)
        merges = ways.by_entropy(resp, data.weight)
        groups = ways.groups_after(merges, ways.elbow(ways.entropies(resp, data.weight, merges)))
        told("diagnose: leaving out rows ...")
        driven = None if sure is None else _influence(model, data, fit, resp, sure)
        told("diagnose: importance weights ...")
        k_hat = _k_hat(model, data, seed) if model._bayesian and k > 1 and not model.posterior_.n_known else np.nan
        told("diagnose: searching from other starts ...")
        search = _search(model, X, sample_weight, seed)
        return Diagnosis(
            model=model,
            search=search,
            contraction=np.nan if sure is None else sure.contraction,
            k_hat=k_hat,
            shape=shape_of(model, data.values, data.weight, resp),
            predictive=predictive._replace(outliers=data.numbers[predictive.outliers]),
            groups=tuple(groups),
            one_mode=ridgeline.one_mode(fit, points if sure is not None else points[:1]),
            influence=driven,
            uncertainty=sure,
            reason=reason,
            _points=points,
            _values=data.values,
            _weight=data.weight,
            _rows=np.bincount(model.labels_[data.numbers], data.weight, k),
        )


def point_of(model: Any) -> Point:
    """The point estimates of a fitted model."""
    return Point(model.weights_, model.means_, dense_covariances(model.posterior_))


def shape_of(model: Any, values: np.ndarray, weight: np.ndarray, resp: np.ndarray) -> Shape:
    """Whether the components of a fitted model look like clusters; ``resp`` (N, K) are its responsibilities for the rows (N, D)."""
    one, two = (count_parameters(model.covariance_type, k, values.shape[1]) for k in (1, 2))
    own = two - one - 1  # without its weight
    return assess(point_of(model), values, weight, resp, own)


def _draws(model: Any, X: Any, sample_weight: Any, n: int, seed: int) -> tuple[Uncertainty | None, str]:
    """Draws by the model's own method, or why there are none."""
    try:
        return model.uncertainty(X, n_draws=n, random_state=seed, sample_weight=sample_weight), ""
    except (FitError, ValueError) as error:
        return None, str(error)


@jit(brief=True)
def _outward(coordinates, posteriors: Mixture) -> Mixture:
    return jax.vmap(lambda posterior: coordinates.mixture_outward(plug_in(posterior)))(posteriors)


def _influence(model: Any, data: _Data, fit: Point, resp: np.ndarray, sure: Uncertainty) -> Influence:
    """The rows that matter most, left out one by one; the standard errors are those of the draws."""
    rows = candidates(resp, np.stack([(y**2).sum(1) for y in whitened(fit, data.values)[0]], 1), data.weight)
    prior, start = (row_facts.law_inward(model._coordinates, law) for law in (model.prior_, model.posterior_))
    y, weight = row_facts.rows_inward(model._coordinates, data.values), jnp.asarray(data.weight)
    tried, less = np.append(rows, 0), np.append(taken(data.weight)[rows], 0)  # the last one leaves out nothing
    found = refits.left_out(prior, start, y, weight, tried, less, lambda done: None)
    outer = jax.tree.map(np.asarray, _outward(model._coordinates, jax.tree.map(jnp.asarray, found.points)))
    d = data.values.shape[1]
    dense = np.asarray(outer.structure.to_dense(outer.components.covariance, d))
    without = estimates(outer.weights.weights, outer.components.mean, deviations(dense))
    complete = estimates(fit.weights[None], fit.means[None], deviations(fit.covariances)[None])[0]
    errors = estimates(sure.draws["weights"], sure.draws["means"], deviations(sure.dense_covariances)).std(0)
    usable = found.usable[:-1] | ~found.usable[-1]
    return influence(data.numbers[rows], without[:-1], complete, errors, usable, bars(summed(data.weight, resp), d))


def _k_hat(model: Any, data: _Data, seed: int) -> float:
    """k-hat of importance weights around the fit, where they are few enough to compute."""
    prior, posterior = (row_facts.law_inward(model._coordinates, law) for law in (model.prior_, model.posterior_))
    if n_coordinates(chart_of(posterior)) > MOST_COORDINATES:
        return float("nan")
    y = row_facts.rows_inward(model._coordinates, data.values)
    return own_labelling(prior, posterior, y, jnp.asarray(data.weight), N_WEIGHTS, seed).k_hat


def _search(model: Any, X: Any, sample_weight: Any, seed: int) -> Search | None:
    """A second search where the starts of the first do not agree, or components have left since."""
    if not model.converged_ or not isinstance(model.init_params, str) or any(getattr(model, name, None) is not None for name in GIVEN):
        return None
    if agreeing(model) > 1:
        return None
    other = type(model)(**model.get_params()).set_params(random_state=seed + 1, warm_start=False, verbose=0)
    other.fit(X, sample_weight=sample_weight)
    return Search(other.n_components_, other.lower_bound_ - model.lower_bound_)
