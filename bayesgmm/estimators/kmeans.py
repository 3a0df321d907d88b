"""k-means clustering."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesgmm import storage
from bayesgmm.estimators.base import Estimator, in_float64
from bayesgmm.estimators.data import as_source, batches_of, check_unweighted, over_batches, read_sample
from bayesgmm.estimators.training import Training, read_rows, read_training
from bayesgmm.inference.kernel import hard
from bayesgmm.inference.kmeans import Centroids, FlatCentroids, lloyd, nearest_centre, seed
from bayesgmm.inference.loop import Limits, Result
from bayesgmm.inference.problem import Inward, column_moments, held_rows, sampled, summed
from bayesgmm.inference.restarts import split_keys
from bayesgmm.inference.steps import run_by
from bayesgmm.inference.stream import Passes
from bayesgmm.progress import Progress
from bayesgmm.report import notebook
from bayesgmm.sources import Source
from bayesgmm.validation import check_array, check_number, check_option, check_seed


class KMeans(Estimator):
    """k-means: the centres that make the sum of squared distances smallest (Lloyd's algorithm from k-means++ seeds).

    Parameters
    ----------
    n_clusters : int, default 8
        Number of clusters K.
    init : {"k-means++", "random"} or array (K, D), default "k-means++"
        Seeds: k-means++, rows at random, or given centres.
    n_init : int, default 10
        Number of starts; the smallest inertia wins.
    max_iter : int, default 300
        Limit of passes.
    tol : float, default 1e-8
        Stop when half the inertia still to be gained is below ``tol`` per row and mean variance of the columns.
    random_state : int, numpy generator or None
        Seed.
    verbose : int, default 0
        Accepted for compatibility.

    Attributes
    ----------
    cluster_centers_ : ndarray, shape (K, D)
        Centres in units of the data, the largest cluster first.
    labels_ : ndarray of int, shape (N,)
    inertia_ : float
        Weighted sum of squared distances to the nearest centre.
    n_iter_, n_features_in_ : int

    References
    ----------
    Lloyd (1982), IEEE Trans. Inf. Theory 28; Arthur & Vassilvitskii (2007), SODA.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> bg.KMeans(n_clusters=2, random_state=0).fit(x).cluster_centers_.round(2)
    array([[ 4.3 , 80.28],
           [ 2.09, 54.75]])
    """

    _kind = "clusterer"

    def __init__(self, n_clusters=8, *, init="k-means++", n_init=10, max_iter=300, tol=1e-8, random_state=None, verbose=0):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @in_float64
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None):
        """Cluster rows (N, D), in memory or from `bayesgmm.scan` or Dask, with optional weights (N,)."""
        check_number("n_init", self.n_init, 1, integer=True)
        check_number("max_iter", self.max_iter, 1, integer=True)
        check_number("tol", self.tol, 0)
        source = as_source(X)
        if source is not None:
            return self._fit_source(source, sample_weight)
        training = read_training(X, sample_weight, self.n_clusters, "n_clusters")
        mean, columns = column_moments(*training.used())
        scale = np.sqrt((columns**2).mean())
        self._store(self._search(training, mean, scale), mean, scale, training.names)
        self.labels_ = self._nearest(training.values)[0]
        return self

    def _search(self, training: Training, mean, scale) -> Result:
        """The best of several starts on rows in memory."""
        rows, weights = held_rows(*training.used(), Inward(mean, scale))
        fits = [lloyd(rows, weights, c, tol=self.tol, max_steps=self.max_iter) for c in self._centres(rows, weights, mean, scale)]
        return max(fits, key=lambda fit: float(fit.lower_bound))

    def _fit_source(self, source: Source, sample_weight: Any):
        """Passes over all rows of a source from the best of several starts on a sample of them."""
        check_unweighted(sample_weight)
        known, training = read_sample(source, self.n_clusters, self.random_state, Progress(True if self.verbose else None), "n_clusters")
        mean, scale = known.mean, np.sqrt((known.scale**2).mean())
        found = self._search(training, mean, scale).posterior
        passes = Passes(source.over, Inward(mean, scale), known.n_rows, assign=hard)
        limits, options = (
            Limits(known.total, self.tol, self.max_iter, np.inf),
            {"max_steps": self.max_iter, "depth": 0, "dtype": passes.dtype},
        )
        fit = run_by(passes, FlatCentroids(len(found.mean)), found, limits, **options)
        self._store(fit, mean, scale, source.names)
        vars(self).pop("labels_", None)
        return self

    def _centres(self, rows, weights, mean, scale) -> list:
        """Seeds of every start, in inner coordinates."""
        if not isinstance(self.init, str):
            given = check_array("init", self.init, (self.n_clusters, rows.shape[1]))
            return [jnp.asarray((given - mean) / scale)]
        spread = check_option("init", self.init, ("k-means++", "random")) == "k-means++"
        keys = split_keys(check_seed(self.random_state), self.n_init)
        return [seed(key, *sampled(key, rows, weights), self.n_clusters, spread=spread) for key in keys]

    def _store(self, fit: Result, mean, scale, names: tuple[str, ...] | None) -> None:
        order = np.argsort(-np.asarray(fit.stats.counts), kind="stable")
        order = order[np.asarray(fit.stats.counts)[order] > 0]
        self.cluster_centers_ = np.asarray(fit.posterior.mean)[order] * scale + mean
        self.inertia_ = max(float(-2 * fit.lower_bound * scale**2), 0.0) + 0.0  # rounding, where every row is a centre
        self.n_iter_ = int(fit.n_steps)
        self.n_features_in_ = fit.posterior.mean.shape[1]
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _nearest(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        centre = self.cluster_centers_.mean(0)
        centroids = Centroids(jnp.asarray(self.cluster_centers_ - centre), jnp.ones(len(self.cluster_centers_), bool))
        label, squares = nearest_centre(values, centroids, centre)
        return label.astype(np.int64), squares

    @in_float64
    def predict(self, X: Any) -> np.ndarray:
        """Nearest centre (N,) of each row (N, D)."""
        return over_batches(lambda x: self._nearest(x)[0], batches_of(self, X))

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit and return the cluster (N,) of each row."""
        self.fit(X, y, sample_weight)
        return self.predict(X) if as_source(X) else self.labels_

    def transform(self, X: Any) -> np.ndarray:
        """Distances (N, K) of rows (N, D) to all centres."""
        values = read_rows(self, X)
        distances = np.stack([np.linalg.norm(values - centre, axis=1) for centre in self.cluster_centers_], 1)
        kind = self._output_kind()
        if kind == "default":
            return distances
        names = [str(name) for name in self.get_feature_names_out()]
        index = {"index": X.index} if kind == "pandas" and hasattr(X, "iloc") else {}
        return importlib.import_module(kind).DataFrame(dict(zip(names, distances.T, strict=True)), **index)

    def _output_kind(self) -> str:
        """What `transform` returns: as `set_output` said, or scikit-learn's configuration, where that is loaded."""
        sklearn = sys.modules.get("sklearn")
        default = sklearn.get_config()["transform_output"] if sklearn else "default"
        return vars(self).get("_sklearn_output_config", {}).get("transform", default)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names (K,) of the columns that `transform` returns."""
        self._check_fitted()
        return np.array([f"kmeans{k}" for k in range(len(self.cluster_centers_))], dtype=object)

    def set_output(self, *, transform: str | None = None):
        """Choose what `transform` returns: "default" (array), "pandas" or "polars" (data frame)."""
        if transform is not None:
            kind = check_option("transform", transform, ("default", "pandas", "polars"))
            self._sklearn_output_config = {"transform": kind}  # a name that scikit-learn's clone copies
        return self

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit and return distances (N, K) to all centres."""
        return self.fit(X, y, sample_weight).transform(X)

    @in_float64
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the inertia of rows (N, D): larger is better."""
        return -sum(float(summed(weight, self._nearest(x)[1])) for x, weight in batches_of(self, X, sample_weight))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.kmeans(self)

    def save(self, path: Any) -> None:
        """Write the fitted model to one file, to be read by `bayesgmm.load`."""
        self._check_fitted()
        storage.write(path, type(self).__name__, self.get_params(), self.__dict__)
