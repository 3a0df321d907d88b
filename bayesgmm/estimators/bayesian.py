"""Variational Bayesian mixtures."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.analysis import rows
from bayesgmm.analysis.evidence import Evidence, evidence
from bayesgmm.analysis.importance import Importance
from bayesgmm.core.mixture import Mixture
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.bayesian_prior import make_prior, of_those_left
from bayesgmm.estimators.evidence import importance_evidence, rows_of_fit
from bayesgmm.estimators.freezing import check_learnt, held, with_frozen
from bayesgmm.estimators.mixture import MixtureEstimator
from bayesgmm.estimators.sensitivity import Sensitivity, sensitivity
from bayesgmm.estimators.training import (
    Training,
    announcer,
    previous,
    settings_of,
)
from bayesgmm.estimators.uncertainty import Uncertainty
from bayesgmm.estimators.uncertainty_bayes import uncertainty
from bayesgmm.inference.arrange import for_passes
from bayesgmm.inference.moves import drop_empty, simplify
from bayesgmm.inference.problem import Problem
from bayesgmm.inference.restarts import Fit, best_of

FINALISTS = 2
"""Restarts, best first, on which fewer components are tried."""


class BayesianGaussianMixture(MixtureEstimator):
    """Gaussian mixture by variational Bayes, with components that the data do not need removed.

    Parameters and attributes are those of ``sklearn.mixture.BayesianGaussianMixture``, but ``lower_bound_`` is the exact evidence lower
    bound (at K = 1, with Dirichlet weights, the log evidence), diagonal, spherical and tied models are conjugate models of their own,
    ``score_samples`` is a normalised density, and ``fit`` takes weights. docs lists all differences.

    Parameters
    ----------
    n_components : int, default 1
        Number of components to start with; the most there can be.
    covariance_type : {"full", "tied", "diag", "spherical", "tied_diag", "tied_spherical"}, default "full"
        Structure of the covariances; the tied ones share one matrix among components.
    tol : float, default 1e-8
        Stop when the expected remaining gain of the bound is below ``tol`` nats per row.
    reg_covar : float, default 1e-6
        Accepted for compatibility and without effect: the prior keeps covariances regular.
    max_iter : int, default 1000
        Limit of passes over the data in one run of the loop.
    n_init : int, default 5
        Number of starts; all make a short run, the best third (all, on small data) a long one.
    init_params : {"mixed", "kmeans", "k-means++", "random_from_data", "random"}, array (N,) of int or (N, K), default "kmeans"
        How starts are made, or labels or responsibilities to start from.
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}, default "dirichlet_process"
        Law of the weights: infinitely many sticks (nested truncation, sorted), or a Dirichlet law on K weights.
    weight_concentration_prior : float, (float, float), array (K,) or None
        Concentration. Dirichlet process: a number, or (shape, rate) of a Gamma hyperprior; None is (1, 1). Dirichlet law: a number for
        all components or one for each; None is 0.01 when ``prune`` and 1 otherwise.
    mean_precision_prior : float, optional
        Pseudo-rows behind the prior mean; None is 0.01.
    mean_prior : array, shape (D,), optional
        Prior mean; None is the mean of the data.
    degrees_of_freedom_prior : float, optional
        ``nu0`` of the Wishart law of precisions (of ``Gamma(nu0 / 2, S0 / 2)`` for diag and spherical); None is D + 2 (3).
    covariance_prior : array, optional
        ``S0``, (D, D) full and tied, (D,) diag, () spherical; None is the covariance of the data (its diagonal, its mean variance).
    random_state : int, numpy generator or None
        Seed. The same seed gives the same answer, whatever the chunks and the order of the rows.
    warm_start : bool, default False
        Start from the last fit of this object, with the components it kept.
    verbose : int, default 0
        Tell on standard error where the search is.
    verbose_interval : int, default 10
        Accepted for compatibility.
    prune : bool, default True
        Remove components that hold no data; bound, prior and posterior are then those of the model with the components kept.
    moves : bool, default True
        With ``prune``: also merge and delete components wherever the exact bound of the smaller model is higher.
    chunk_size : int, optional
        Rows a chunk; the answer depends on it only to rounding.
    dtype : {"float64", "float32"}, default "float64"
        Precision of the rows in a pass; sums are always kept in float64.
    missing : {"error", "at_random"}, default "error"
        What NaN in the rows means: a mistake, or a number that is missing at random, given those that are there. Bound and likelihood
        are then exactly those of the numbers that are there.
    frozen : (array (F, D), array), optional
        Means and covariances, shaped as those of ``covariances_``, of F components that are known, in units of the data: the fit finds
        their weights and all of the others. They come first, in the order given, and stay even if they hold no rows. Not for covariances
        that components share. Wherever sticks are sorted, known components take their places among the others by their counts.
    noise : {None, "box", "hull"} or float, default None
        Whether one more component holds rows that belong to none, uniform over a region: its volume in units of the data, or that of the
        box around the rows (along the columns or along the principal axes, whichever is smaller), or of their convex hull.
        ``init_params`` may tell it: labels of -1, or responsibilities (N, K + 1).
    student_t : {None, "learn", "shared"} or float, default None
        Student t components, which heavy tails hardly move: their degrees of freedom, or that each learns its own, or all the same.

    Attributes
    ----------
    n_components_ : int
        Components kept, K below.
    weights_ : ndarray, shape (K,)
        Posterior mean of the weights, rescaled to sum to 1, in decreasing order, known components first; all arrays by component
        follow it.
    means_, covariances_ : ndarray
        Posterior means, in units of the data; shapes as for `GaussianMixture`.
    precisions_, precisions_cholesky_ : ndarray
        Inverse of ``covariances_`` and its upper Cholesky factor.
    lower_bound_ : float
        Exact evidence lower bound of ``posterior_`` under ``prior_``, in nats, all constants kept.
    lower_bounds_ : list of float
        Bound along the way of the winning start; where a component left, the model changed and the bound may fall.
    posterior_, prior_ : Mixture
        Laws of weights and components, in units of the data.
    log_likelihood_ : float
        Log-likelihood at the posterior means, in nats.
    degrees_of_freedom_ : ndarray, shape (K,)
        With Student t components, of which ``covariances_`` are the matrices of scale.
    noise_weight_, noise_volume_ : float
        With noise: its share of the rows, so that ``weights_`` sum to 1 less it, and the volume that it is uniform over.
    converged_, n_iter_, n_starts_, restart_agreement_, labels_, n_parameters_, n_features_in_, feature_names_in_
        As for `GaussianMixture`.

    References
    ----------
    Attias (1999), UAI; Bishop (2006), sec. 10.2; Blei & Jordan (2006), Bayesian Analysis 1; Kurihara, Welling & Teh (2007), IJCAI.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(x)
    >>> model.n_components_
    2
    """

    _bayesian = True

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-8,
        reg_covar=1e-6,
        max_iter=1000,
        n_init=5,
        init_params="kmeans",
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=None,
        mean_precision_prior=None,
        mean_prior=None,
        degrees_of_freedom_prior=None,
        covariance_prior=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        prune=True,
        moves=True,
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
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.prune = prune
        self.moves = moves
        self.chunk_size = chunk_size
        self.dtype = dtype
        self.missing = missing
        self.frozen = frozen
        self.noise = noise
        self.student_t = student_t

    def _prior(self, problem: Problem) -> Mixture:
        return with_frozen(make_prior(self, problem), self, problem)

    def _search(self, prior: Mixture, problem: Problem, training: Training) -> Fit:
        """Restarts, then fewer components on the best of them."""
        settings, notify = settings_of(self), announcer(self)
        last = previous(self, problem)
        if last is not None:
            prior = of_those_left(prior, *last)
            starts = [lambda: held(prior, last[1])]
        else:
            starts = self._starts(prior, problem, training)
        fits = best_of(prior, starts, problem, settings, notify=notify)
        if not self.prune or not np.isfinite(fits[0].bound):
            return fits[0]
        if not self.moves:
            fits = [drop_empty(fit, problem, settings) for fit in fits]
        else:
            fits = [simplify(fit, problem, settings, notify) for fit in fits[:FINALISTS]]
        return max(fits, key=lambda fit: fit.bound)

    @in_float64
    def score_samples(self, X: Any) -> np.ndarray:
        """Log posterior predictive density (N,) of rows (N, D), in nats: a normalised mixture of Student t (Bishop 10.81)."""
        return super().score_samples(X)

    def _log_density(self, x: np.ndarray) -> np.ndarray:
        return rows.log_predictive(self.posterior_, self.prior_, self._coordinates, x)

    @in_float64
    def log_evidence(self, X: Any, sample_weight: Any = None) -> Evidence:
        """Estimate the log evidence from the bound, corrected for relabelled copies and for the overlap of components.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
            The rows that the model was fitted to.
        sample_weight : array, shape (N,), optional
            Their weights in that fit.

        Returns
        -------
        Evidence
            With ``elbo``, ``multiplicity``, ``response``, ``total`` and ``contraction``; nats, in the units of the data.

        Raises
        ------
        ValueError
            Other rows, or other weights, than those of the fit.

        Notes
        -----
        Noise and the weights of rows in heavy tails are hidden as labels are, and corrected for in the same way. Degrees of freedom are
        held at those of the fit: learnt ones are paid for by neither the bound nor the evidence.
        """
        self._check_fitted()
        check_learnt(self, "log_evidence", " (lower_bound_ is)")
        prior, posterior, y, weight = rows_of_fit(self, X, sample_weight, part=True)
        return evidence(prior, posterior, self.lower_bound_, self._counts, *for_passes(y, weight), self._n_named)

    def importance_evidence(self, X: Any, sample_weight: Any = None, n_draws: int = 2000, random_state: Any = 0) -> Importance:
        """Estimate the log evidence by importance sampling: what `log_evidence` can be checked with; see `importance_evidence`."""
        return importance_evidence(self, X, sample_weight, n_draws, random_state)

    def uncertainty(
        self,
        X: Any,
        method: str = "linear_response",
        n_draws: int = 1000,
        random_state: Any = 0,
        *,
        sample_weight: Any = None,
        n_chains: int = 4,
        n_burn: int = 500,
        thin: int = 10,
        verbose: bool | None = None,
    ) -> Uncertainty:
        """Draw parameters from the posterior, to say how sure the fit is of weights, means, covariances, rows and clusters.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
            The rows that the model was fitted to.
        method : {"linear_response", "mean_field", "importance", "gibbs"}, default "linear_response"
            ``"mean_field"``: the fit's own law, too narrow where components overlap. ``"linear_response"``: corrected for that, to second
            order. ``"importance"``: weighted draws around the fit, good where they reach all of the posterior and ``k_hat`` is below
            0.7; Dirichlet weights only. ``"gibbs"``: Markov chains, exact in the long run, within the number of components of the fit. With
            noise or Student t components the first two; degrees of freedom, learnt or not, are held at those of the fit.
        n_draws : int, default 1000
            Gibbs: rounded up to as many for each chain.
        random_state : int, numpy generator or None, default 0
        sample_weight : array, shape (N,), optional
            Weights of the rows in that fit.
        n_chains, n_burn, thin : int
            Gibbs: chains, sweeps before the first draw of each, and sweeps from one draw to the next.
        verbose : bool, optional
            Gibbs: tell how many draws there are; None does on a terminal or in a notebook.

        Returns
        -------
        Uncertainty
            With ``intervals()``, ``draws``, ``responsibilities``, ``similarity``, ``partition()``, ``credible_ball()``,
            ``n_clusters`` and ``to_arviz()``.

        Raises
        ------
        ValueError
            Other rows or weights than those of the fit; a method that the model does not have.

        Warns
        -----
        FitWarning
            The method does not fit the case: contraction above 0.97, k-hat above 0.7, r-hat above 1.05.

        References
        ----------
        Giordano, Broderick & Jordan (2015), NIPS; Vehtari et al. (2024), JMLR 25(72); Ishwaran & James (2001), JASA 96.
        """
        self._check_fitted()
        if method != "mean_field":
            check_learnt(self, f"uncertainty by method={method!r}", ' (method="mean_field" is)')
        chains = {"n_chains": n_chains, "n_burn": n_burn, "thin": thin}
        return uncertainty(self, X, sample_weight, method, n_draws, random_state, chains, verbose)

    def sensitivity(self, X: Any, *, sample_weight: Any = None, refits: bool = True, verbose: bool | None = None) -> Sensitivity:
        """Say how the fit depends on its prior: would another one have said otherwise?

        Parameters
        ----------
        X : array or data frame, shape (N, D)
            The rows that the model was fitted to.
        sample_weight : array, shape (N,), optional
            Their weights in that fit.
        refits : bool, default True
            Also fit anew, with all starts, with each hyperparameter halved and doubled; otherwise derivatives only.
        verbose : bool, optional
            Tell which fit is running; None does on a terminal or in a notebook.

        Returns
        -------
        Sensitivity
            ``derivatives`` by the log of each hyperparameter and by the prior mean, ``refits``, ``co_clustering(rows)``; ``print`` shows
            a table.

        Raises
        ------
        ValueError
            Other rows or weights than those of the fit.
        FitError
            Components can hardly be told apart, so that the derivatives are not determined.

        References
        ----------
        Giordano, Broderick & Jordan (2018), JMLR 19(51), th. 2; docs/explanation/uncertainty.md.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> x, names, labels = bg.load_dataset("faithful")
        >>> model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(x)
        >>> found = model.sensitivity(x, refits=False)
        >>> found.derivatives["weights"].shape
        (6, 2)
        """
        return sensitivity(self, X, sample_weight, refits, verbose)
