"""Maximum likelihood and maximum a posteriori mixtures."""

from __future__ import annotations

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.collapsed import collapse_message, collapsed, describe
from bayesgmm.analysis.facts import column_names
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.noise import among, around, gaussians, without_noise
from bayesgmm.core.points import Gaussian
from bayesgmm.core.pytree import replace
from bayesgmm.core.shared import SharedGaussian
from bayesgmm.core.weights import FlatWeights, PointSticks, PointWeights
from bayesgmm.estimators.base import FitWarning
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, fewest_rows, restricted
from bayesgmm.estimators.freezing import held, n_frozen, with_frozen
from bayesgmm.estimators.map_prior import check_map_prior
from bayesgmm.estimators.mixture import MixtureEstimator
from bayesgmm.estimators.training import (
    Training,
    announcer,
    make_starts,
    previous,
    settings_of,
)
from bayesgmm.estimators.uncertainty import Uncertainty
from bayesgmm.estimators.uncertainty_ml import uncertainty
from bayesgmm.inference.incomplete import never_together
from bayesgmm.inference.priors import default_components, flat_components
from bayesgmm.inference.problem import Problem
from bayesgmm.inference.restarts import Fit, best_of
from bayesgmm.validation import check_array, check_positive_definite, check_simplex


class GaussianMixture(MixtureEstimator):
    """Gaussian mixture by expectation-maximisation, or by maximum a posteriori when a prior is given.

    Parameters and attributes are those of ``sklearn.mixture.GaussianMixture``; the differences are: ``tol`` is the gain still to come per
    row in nats, ``reg_covar`` is a lower limit relative to the spread of the data, ``n_init`` defaults to 10, bounds and
    likelihoods are totals in nats.

    Parameters
    ----------
    n_components : int, default 1
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical", "tied_diag", "tied_spherical", "EII", ..., "VVV", "E", "V"}, default "full"
        Structure of the covariances; the tied ones share one matrix among components. mclust's names say whether volume, shape and
        orientation are equal or vary: docs/how-to/structures.md. Where only some of them are, orientations are in the units of the data.
    tol : float, default 1e-8
        Stop when the expected remaining gain of the objective is below ``tol`` nats per row.
    reg_covar : float, default 1e-6
        Smallest variance of a component in any direction, as a share of the variance of all data in that direction. Likelihoods
        with a component at this limit are not trusted: such fits rank behind all others, and a warning names rows and column.
    max_iter : int, default 1000
        Limit of passes over the data.
    n_init : int, default 10
        Number of starts; all make a short run, the best third (all, on small data) a long one.
    init_params : {"mixed", "kmeans", "k-means++", "random_from_data", "random"}, array (N,) of int or (N, K), default "mixed"
        How starts are made ("mixed": in turn k-means, Ward's clustering, random rows, k-means++), or labels or
        responsibilities to start from.
    weights_init, means_init, precisions_init : array, optional
        Parameters to start from, (K,), (K, D) and shaped as `covariances_`; what is not given comes from ``init_params``.
    random_state : int, numpy generator or None
        Seed. The same seed gives the same answer, whatever the chunks and the order of the rows.
    warm_start : bool, default False
        Start from the last fit of this object.
    verbose : int, default 0
        Tell on standard error where the search is.
    verbose_interval : int, default 10
        Accepted for compatibility.
    prior : None, "default" or Mixture, default None
        None: maximum likelihood. "default": the Normal-inverse-Wishart prior of docs (flat weights). A `Mixture` of a weight law
        and a `NormalWishart` in the units of the data: maximum a posteriori under it. Where covariances share parts, its density is
        restricted to those that do, and not normalised again.
    chunk_size : int, optional
        Rows a chunk; the answer depends on it only to rounding.
    dtype : {"float64", "float32"}, default "float64"
        Precision of the rows in a pass; sums are always kept in float64.
    missing : {"error", "at_random"}, default "error"
        What NaN in the rows means: a mistake, or a number that is missing at random, given those that are there. Bound and likelihood
        are then exactly those of the numbers that are there.
    frozen : (array (F, D), array), optional
        Means and covariances, shaped as those of `covariances_`, of F components that are known, in units of the data: the fit finds
        their weights and all of the others. They come first, in the order given. Not for covariances that components share.
    noise : {None, "box", "hull"} or float, default None
        Whether one more component holds rows that belong to none, uniform over a region: its volume in units of the data, or that of the
        box around the rows (along the columns or along the principal axes, whichever is smaller), or of their convex hull.
        ``init_params`` may tell it: labels of -1, or responsibilities (N, K + 1).
    student_t : {None, "learn", "shared"} or float, default None
        Student t components, which heavy tails hardly move: their degrees of freedom, or that each learns its own, or all the same.

    Attributes
    ----------
    weights_ : ndarray, shape (K,)
        Mixing weights, in decreasing order, known components first; all arrays by component follow it.
    means_ : ndarray, shape (K, D)
        In units of the data.
    covariances_, precisions_, precisions_cholesky_ : ndarray
        (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical, (D,) tied_diag, () tied_spherical; where parts of them are shared
        (K, D) "VEI" and "EVI", (K, D, D) others.
    converged_ : bool
    n_iter_ : int
    lower_bound_, log_likelihood_ : float
        Objective (log-likelihood, plus log prior density under MAP) and log-likelihood of all rows, in nats.
    lower_bounds_ : list of float
        Objective at the start and after each pass.
    labels_ : ndarray of int, shape (N,)
    n_components_, n_parameters_, n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only when the data were a frame with names.
    degrees_of_freedom_ : ndarray, shape (K,)
        With Student t components, of which ``covariances_`` are the matrices of scale.
    noise_weight_, noise_volume_ : float
        With noise: its share of the rows, so that ``weights_`` sum to 1 less it, and the volume that it is uniform over.
    collapsed_ : tuple of (component, rows, column)
        Components that shrank onto a few rows; empty when all is well.

    Raises
    ------
    ValueError
        Wrong options or data; the message says what was expected, what came and where.

    References
    ----------
    Dempster, Laird & Rubin (1977), JRSS B 39; McLachlan & Peel (2000), Finite Mixture Models; Fraley & Raftery (2007), Journal of
    Classification 24, for the prior; Celeux & Govaert (1995), Pattern Recognition 28, for the structures.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> model = bg.GaussianMixture(n_components=2, random_state=0).fit(x)
    >>> round(model.log_likelihood_, 3)
    -1130.264
    """

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-8,
        reg_covar=1e-6,
        max_iter=1000,
        n_init=10,
        init_params="mixed",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        prior=None,
        chunk_size=None,
        dtype="float64",
        missing="error",
        frozen=None,
        noise=None,
        student_t=None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.prior = prior
        self.chunk_size = chunk_size
        self.dtype = dtype
        self.missing = missing
        self.frozen = frozen
        self.noise = noise
        self.student_t = student_t

    def _search(self, prior, problem: Problem, training: Training) -> Fit:
        """The best of several starts."""
        starts = self._starts(prior, problem, training)
        return best_of(prior, starts, problem, settings_of(self), self._usable, announcer(self))[0]

    def uncertainty(
        self,
        X: Any,
        method: str = "observed_information",
        n_draws: int = 1000,
        random_state: Any = 0,
        *,
        sample_weight: Any = None,
        verbose: bool | None = None,
    ) -> Uncertainty:
        """Draw parameters around the estimates, to say how sure the fit is of weights, means, covariances, rows and clusters.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
            The rows that the model was fitted to.
        method : str, default "observed_information"
            ``"observed_information"``: a Gaussian from the curvature of the likelihood. ``"sandwich"``: the same, valid also where the
            rows are not from a mixture of Gaussians. ``"bootstrap"``: fits of rows drawn anew with replacement.
            ``"weighted_bootstrap"``: of all rows with random weights, for small components. ``"parametric_bootstrap"``: of rows drawn
            from the fit. ``"jackknife"``: a Gaussian with the covariance that fits of all rows but one tell. Degrees of freedom that were
            learnt are among the parameters; the volume of noise is not.
        n_draws : int, default 1000
            Draws, or fits; the jackknife makes N fits.
        random_state : int, numpy generator or None, default 0
        sample_weight : array, shape (N,), optional
            Weights of the rows in that fit; not for the parametric bootstrap and the jackknife.
        verbose : bool, optional
            Tell where the fits are; None does on a terminal or in a notebook.

        Returns
        -------
        Uncertainty
            Draws in the logs of weights and standard deviations, so that intervals stay within bounds.

        Raises
        ------
        ValueError
            Other rows or weights than those of the fit, or a fit with a prior.
        FitError
            A collapsed component, or an estimate that is no maximum.

        Warns
        -----
        FitWarning
            Fits that collapsed were left out.

        References
        ----------
        Louis (1982), JRSS B 44; White (1982), Econometrica 50; O'Hagan, Murphy, Scrucca & Gormley (2019), Computational Statistics 34.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> x, names, labels = bg.load_dataset("faithful")
        >>> model = bg.GaussianMixture(n_components=2, random_state=0).fit(x)
        >>> model.uncertainty(x).intervals()["weights"].sd.round(2).tolist()
        [0.03, 0.03]
        """
        return uncertainty(self, X, sample_weight, method, n_draws, random_state, verbose)

    def _report_collapse(self, fit: Fit, problem: Problem) -> None:
        """Name components that hold too few or too similar rows."""
        self.collapsed_ = ()
        if self.prior is not None:
            return
        _tell_of_pairs(self, problem)
        mask = self._collapsed(fit.result)
        scale = problem.column_scale
        self.collapsed_ = describe(without_noise(self.posterior_), mask, scale, getattr(self, "labels_", None))
        if self.collapsed_:
            warnings.warn(collapse_message(self.collapsed_, getattr(self, "feature_names_in_", None)), FitWarning, stacklevel=4)

    def _prior(self, problem: Problem):
        return with_frozen(self._prior_of_all(problem), self, problem)

    def _prior_of_all(self, problem: Problem):
        """What the parameters say of components that are not known."""
        structure, tied = COVARIANCE_TYPES[self.covariance_type]
        k, d, coordinates = self.n_components, problem.n_features, problem.coordinates
        if self.prior is None:
            return Mixture(FlatWeights(k), restricted(self.covariance_type, flat_components(structure, tied, self.reg_covar), coordinates))
        if isinstance(self.prior, str) and self.prior == "default":
            return MAP(Mixture(FlatWeights(k), restricted(self.covariance_type, default_components(structure, tied, d), coordinates)))
        prior = check_map_prior(self.prior, self.covariance_type, k, d)
        inner = coordinates.mixture_inward(prior)
        return MAP(Mixture(inner.weights, restricted(self.covariance_type, inner.components, coordinates)))

    def _usable(self, result) -> bool:
        return self.prior is not None or not self._collapsed(result).any()

    def _collapsed(self, result) -> np.ndarray:
        needed = fewest_rows(self.covariance_type, result.posterior.components.n_features)
        proper = without_noise(result.posterior)
        proper = replace(proper, components=gaussians(proper.components))
        found = collapsed(proper, result.stats.counts[: proper.n_components], self.reg_covar, needed)
        return found & (np.arange(len(found)) >= n_frozen(self))

    def _starts(self, prior, problem: Problem, training: Training) -> list:
        last = previous(self, problem)
        if last is not None and last[1].n_components == prior.n_components:
            return [lambda: held(prior, last[1])]
        starts = make_starts(self, prior, problem, training, self.n_components)
        given = (self.weights_init, self.means_init, self.precisions_init)
        if all(value is None for value in given):
            return starts
        n_starts = 1 if all(value is not None for value in given) else len(starts)
        return [lambda start=start: self._with_given(start(), prior, problem) for start in starts[:n_starts]]

    def _with_given(self, start: Mixture, prior, problem: Problem) -> Mixture:
        """Replace parts of a start by the parameters the user gave."""
        structure, k, d = start.structure, self.n_components, problem.n_features
        outer = without_noise(problem.coordinates.mixture_outward(start))
        weights, means, covariance = outer.weights, outer.components.mean, outer.components.covariance
        if self.weights_init is not None:
            weights = PointWeights(jnp.asarray(check_simplex("weights_init", self.weights_init, k)))
            if isinstance(outer.weights, PointSticks):  # whose mode leaves something to components not seen
                weights = among(prior).posterior(problem.weight.sum() * weights.weights).mode()
        if self.means_init is not None:
            means = jnp.asarray(check_array("means_init", self.means_init, (k, d)))
        if self.precisions_init is not None:
            tied = gaussians(outer.components).tied
            lead = () if tied else (k,)
            precision = check_array("precisions_init", self.precisions_init, lead + (d,) * structure.rank)
            check_positive_definite("precisions_init", precision, structure.rank)
            covariance = structure.inverse(structure.factor(jnp.asarray(precision)))
            covariance = covariance[None] if tied else covariance
        given = problem.coordinates.mixture_inward(Mixture(weights, Gaussian(means, covariance, structure)))
        given = held(prior, given)
        law = gaussians(prior.components)
        if isinstance(law, SharedGaussian):  # the loop starts from a model of the family
            given = replace(given, components=law.restricted(given.components, given.weights.mean()))
        weights = replace(start.weights, weights=given.weights) if start.n_noise else given.weights
        return Mixture(weights, around(start.components, given.components))


def _tell_of_pairs(model: GaussianMixture, problem: Problem) -> None:
    """Warn where covariances are asked for that no row tells anything of."""
    pairs = [] if problem.known is None or problem.structure.rank < 2 else never_together(problem.known)
    if pairs:
        names = column_names(model)
        told = "; ".join(f"{names[i]} and {names[j]}" for i, j in pairs[:3]) + (
            f" and {len(pairs) - 3} more pairs" if len(pairs) > 3 else ""
        )
        warnings.warn(
            f"No row has both of these columns: {told}. The likelihood does not determine their covariance within a component, and where "
            "the fit ends depends on its start; take covariance_type='diag', or a prior.",
            FitWarning,
            stacklevel=5,
        )
