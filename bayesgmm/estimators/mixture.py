"""What the two mixtures share: results of a fit as attributes, and everything asked of a fitted model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayesgmm import storage
from bayesgmm.analysis import criteria, rows
from bayesgmm.analysis.parameters import draw_rows
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.covariance_types import check_columns_of
from bayesgmm.estimators.data import as_source, batches_of, followed, further_rows, over_batches, read_data
from bayesgmm.estimators.predictions import write_predictions
from bayesgmm.estimators.results import store
from bayesgmm.estimators.robust import Robust, check_combined, region
from bayesgmm.estimators.telling import Telling
from bayesgmm.estimators.trace import Trace, trace
from bayesgmm.estimators.training import Training, check_common, make_starts, read_known
from bayesgmm.estimators.using import Usable
from bayesgmm.inference.problem import Problem, summed
from bayesgmm.inference.restarts import Fit
from bayesgmm.validation import check_number, check_option, check_seed


class MixtureEstimator(Usable, Telling):
    """Shared methods of fitted mixtures."""

    _kind = "density_estimator"
    _bayesian = False

    posterior_: Mixture
    prior_: Any
    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    precisions_: np.ndarray
    precisions_cholesky_: np.ndarray
    labels_: np.ndarray
    lower_bound_: float
    lower_bounds_: list[float]
    log_likelihood_: float
    converged_: bool
    n_iter_: int
    n_starts_: int
    restart_agreement_: float
    n_components_: int
    n_parameters_: int
    n_features_in_: int
    n_rows_seen_: int
    noise: Any
    student_t: Any
    _noise_box: np.ndarray | None = None
    _coordinates: Coordinates
    _counts: np.ndarray
    _stats: Any
    _multiplicity: float | None

    @in_float64
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, checkpoint: Any = None, passes: str = "exact"):
        """Fit to rows (N, D).

        Parameters
        ----------
        X : array, data frame, `bayesgmm.scan` or Dask collection, shape (N, D)
        y : ignored
        sample_weight : array, shape (N,), optional
            Weight of each row; a whole number counts as that many copies.
        checkpoint : str or Path, optional
            For rows from `bayesgmm.scan` or Dask: a file that keeps where the fit is. If it is there already, the fit goes on from it,
            to the same answer.
        passes : {"exact", "memoized", "stochastic"}, default "exact"
            For such rows: exact passes over all rows; memoized ones, which renew the posterior after every part of the rows, and then exact
            ones to the same optimum; or natural-gradient steps on batches, three readings in all, which end near an optimum only.

        Returns
        -------
        MixtureEstimator
            The estimator itself.

        Warns
        -----
        FitWarning
            The fit did not converge, or was interrupted (Ctrl-C) while it read rows from a source: it then holds the best found so far.
        """
        data, robust, prior = self._begun(X, sample_weight, checkpoint, passes)
        fit = data.finished(lambda: self._search(prior, data.problem, data.training))
        store(self, fit, data, robust.noise_box)
        self._report_collapse(fit, data.problem)
        return self

    def _begun(self, X: Any, sample_weight: Any, checkpoint: Any = None, passes: str = "exact") -> tuple[Any, Robust, Any]:
        """Parameters and rows read and checked, what noise and tails need of them, and the prior in inner coordinates."""
        check_common(self)
        data = read_data(self, X, sample_weight, checkpoint, passes)
        check_columns_of(self.covariance_type, data.problem.n_features)
        check_combined(self, data)
        robust = Robust(self.noise, self.student_t, region(self.noise, data))
        return data, robust, robust.whole(self._prior(data.problem), data.problem.coordinates)

    def _prior(self, problem: Problem) -> Any:
        """What the parameters say, in inner coordinates."""
        raise NotImplementedError

    def _search(self, prior: Any, problem: Problem, training: Training) -> Fit:
        """The best fit to rows in memory."""
        raise NotImplementedError

    def _starts(self, prior: Any, problem: Problem, training: Training) -> list:
        """Functions without arguments, each making one starting posterior."""
        return make_starts(self, prior, problem, training, self.n_components)  # type: ignore[attr-defined]

    def _prior_of_fit(self, problem: Problem) -> Any:
        """The prior of the fit, for further rows."""
        return rows.law_inward(problem.coordinates, self.prior_)

    def _report_collapse(self, fit: Fit, problem: Problem) -> None:
        """Say where components hold too few rows; where there is a prior, none do."""

    def trace(self, X: Any, n_passes: int = 100, *, sample_weight: Any = None, tol: float = 1e-7) -> Trace:
        """The fit from its first start, pass by pass: to see how it learns; the estimator itself stays as it is.

        Passes are plain ones, without the acceleration of `fit`; no other start is tried, and components are not removed but seen to lose
        their rows. ``plots.animate_fit`` shows it.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
        n_passes : int, default 100
            Most passes.
        sample_weight : array, shape (N,), optional
        tol : float, default 1e-7
            Stop when a pass gains less than this, in nats per row.

        Returns
        -------
        Trace

        Raises
        ------
        ValueError
            What `fit` would not take; rows that are read from a source.
        """
        return trace(self, X, sample_weight, n_passes, tol)

    def set_partial_fit_request(self, *, sample_weight: bool | str | None = None):
        """Whether scikit-learn's metadata routing hands ``sample_weight``, or what a string names, on to `partial_fit`."""
        return self._request("partial_fit", sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None):
        """Learn from further rows (M, D) that are seen once: the posterior of those before is the prior of these.

        The first call, if there was no fit, is a fit with all starts; later ones keep the number of components, and the coordinates in
        which earlier rows were standardised. ``lower_bound_`` is a bound on the evidence of all rows seen (maximum likelihood: on their
        log-likelihood), but responsibilities of earlier rows are not made again, so that it depends on the order of the rows and is
        lower than that of a fit to all. ``labels_``, ``log_likelihood_`` and criteria are those of the last rows; ``n_rows_seen_``
        counts all.

        Parameters
        ----------
        X : array or data frame, shape (M, D)
            Rows in memory; for rows in files `fit` with `bayesgmm.scan` is exact.
        y : ignored
        sample_weight : array, shape (M,), optional

        Returns
        -------
        MixtureEstimator

        References
        ----------
        Broderick, Boyd, Wibisono, Wilson & Jordan (2013), Streaming variational Bayes, NIPS; Neal & Hinton (1998) for maximum likelihood.
        """
        if as_source(X):
            raise ValueError("partial_fit takes rows in memory; for rows that are read as they are needed fit is exact.")
        if not self.__sklearn_is_fitted__():
            return self.fit(X, y, sample_weight)
        if self.student_t is not None:
            raise ValueError("partial_fit is not there for Student t components; fit all rows, or with student_t=None.")
        return self._learn(X, sample_weight)

    @in_float64
    def _learn(self, X: Any, sample_weight: Any):
        data = further_rows(self, X, sample_weight)
        store(self, followed(self, self._prior_of_fit(data.problem), data), data, self._noise_box)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit and return the component (N,) of each row."""
        self.fit(X, y, sample_weight)
        return self.predict(X) if as_source(X) else self.labels_

    @in_float64
    def predict(self, X: Any) -> np.ndarray:
        """Most probable component (N,) of each row (N, D); -1 for noise."""
        found = over_batches(lambda x: rows.labels(self.posterior_, self._coordinates, x), batches_of(self, X))
        return rows.named(found, self.n_components_)

    @in_float64
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (N, K) that each row (N, D) belongs to each component; with noise (N, K + 1), noise last."""
        return over_batches(lambda x: rows.responsibilities(self.posterior_, self._coordinates, x), batches_of(self, X))

    @in_float64
    def write_predictions(self, path: Any, X: Any, *, verbose: bool | None = None) -> int:
        """Write ``component``, its ``probability`` and ``log_density`` of every row, a batch at a time.

        Parameters
        ----------
        path : str or Path
            A file that ends in .csv or .parquet; it appears when it is complete.
        X : array, data frame, `bayesgmm.scan` or Dask collection, shape (N, D)
        verbose : bool, optional
            Tell how many rows are written; None does on a terminal or in a notebook.

        Returns
        -------
        int
            Rows written, in the order of ``X``.
        """
        return write_predictions(self, path, X, verbose)

    @in_float64
    def score_samples(self, X: Any) -> np.ndarray:
        """Log density (N,) of rows (N, D), in nats and in the units of the data."""
        return over_batches(self._log_density, batches_of(self, X))

    @in_float64
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log density of rows (N, D); weighted when weights (N,) are given."""
        total, n = self._sum_density(self._log_density, X, sample_weight)
        return total / n

    def _log_density(self, x: np.ndarray) -> np.ndarray:
        """Log density (N,) of rows in memory."""
        return self._plug_in_log_density(x)

    def _plug_in_log_density(self, x: np.ndarray) -> np.ndarray:
        return rows.log_plug_in(self.posterior_, self._coordinates, x)

    def _sum_density(self, density: Callable[[np.ndarray], np.ndarray], X: Any, sample_weight: Any) -> tuple[float, float]:
        """Weighted sum of log densities of data (N, D), and of the weights."""
        sums = sum(np.array([summed(weight, density(x)), weight.sum()]) for x, weight in batches_of(self, X, sample_weight))
        return float(sums[0]), float(sums[1])  # type: ignore

    @in_float64
    def bic(self, X: Any, sample_weight: Any = None, *, sign: str = "sklearn") -> float:
        """Bayesian information criterion at the point estimates.

        Parameters
        ----------
        X : array, data frame, `bayesgmm.scan` or Dask collection, shape (N, D)
        sample_weight : array, shape (N,), optional
        sign : {"sklearn", "mclust"}, default "sklearn"
            As scikit-learn has it, smaller is better; as mclust prints it, larger is.
        """
        factor = criteria.SIGNS[check_option("sign", sign, criteria.SIGNS)]
        log_likelihood, n_rows = self._sum_density(self._plug_in_log_density, X, sample_weight)
        return factor * float(criteria.bic(log_likelihood, self.n_parameters_, n_rows))

    @in_float64
    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Akaike's information criterion at the point estimates; smaller is better."""
        return float(criteria.aic(self._sum_density(self._plug_in_log_density, X, sample_weight)[0], self.n_parameters_))

    @in_float64
    def icl(self, X: Any, sample_weight: Any = None, *, sign: str = "sklearn") -> float:
        """Integrated completed likelihood with hard labels at the point estimates; parameters as for `bic`."""
        factor = criteria.SIGNS[check_option("sign", sign, criteria.SIGNS)]
        look, sums = rows.look(self.posterior_, self._coordinates, 0), np.zeros(3)
        for x, weight in batches_of(self, X, sample_weight):
            found = look((0, 0), (x, weight))
            sums += found.log_likelihood, found.log_certainty, weight.sum()
        return factor * criteria.icl(float(criteria.bic(sums[0], self.n_parameters_, sums[2])), sums[1])

    @in_float64
    def row_table(self, X: Any) -> rows.RowTable:
        """Best and second-best component of each row (N, D), -1 for noise, with their probabilities."""
        found = rows.row_table(self.posterior_, self._coordinates, read_known(self, X)[0])
        return found._replace(label=rows.named(found.label, self.n_components_), runner_up=rows.named(found.runner_up, self.n_components_))

    @in_float64
    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (n_samples, D) from the fitted density (the posterior predictive, if Bayesian) and their components.

        Rows come grouped by component, as in scikit-learn; those of noise, -1, come last, uniform in the bounding box of the rows of the
        fit, scaled about its centre to ``noise_volume_``.
        """
        self._check_fitted()
        check_number("n_samples", n_samples, 1, integer=True)
        return draw_rows(self.posterior_, int(n_samples), np.random.default_rng(check_seed(self.random_state)), self._noise_box)

    def save(self, path: Any) -> None:
        """Write the fitted model to one file, to be read by `bayesgmm.load`; no pickle, byte-identical for identical fits."""
        self._check_fitted()
        storage.write(path, type(self).__name__, self.get_params(), self.__dict__)
