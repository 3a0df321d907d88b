"""How sure a fitted mixture is: draws of its parameters, and what they say about parameters, rows and clusterings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesgmm.analysis import memberships
from bayesgmm.analysis.memberships import Interval, interval
from bayesgmm.analysis.point import Point
from bayesgmm.bridges import arviz
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import tails
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.partitions import (
    MOST_ENTRIES,
    CredibleBall,
    PointPartition,
    credible_ball,
    n_clusters_probability,
    point_partition,
)
from bayesgmm.report import notebook
from bayesgmm.report.uncertainty import printed
from bayesgmm.validation import check_number


class Intervals(dict):
    """Intervals by name of the quantity, each with ``mean``, ``sd``, ``lower`` and ``upper``; prints as a table.

    Attributes
    ----------
    prob : float
        Share of the draws in each interval.
    feature_names : list of str
    heading : str
        Where the draws come from.
    heavy : bool
        Whether what is called standard deviations are those of the matrices of scale of Student t.
    """

    def __init__(self, found: dict[str, Interval], prob: float, feature_names: list[str], heading: str, heavy: bool = False):
        super().__init__(found)
        self.prob, self.feature_names, self.heading, self.heavy = prob, feature_names, heading, heavy

    def __str__(self) -> str:
        return printed(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.intervals(self)

    def to_pandas(self):
        """A data frame with a row for each number: quantity, index, mean, sd, lower, upper."""
        import pandas

        rows = [
            {"quantity": name, "index": tuple(int(i) for i in index), **{part: getattr(each, part)[index] for part in Interval._fields}}
            for name, each in self.items()
            for index in np.ndindex(each.mean.shape)
        ]
        return pandas.DataFrame(rows)


@dataclasses.dataclass(frozen=True, eq=False)
class Uncertainty:
    """Draws of the parameters of a fitted mixture, components in the order of the fit's.

    What it says of rows it says of every row given, also of those with a weight of 0, each once. Noise is one more kind of rows,
    the last: it has the last column of memberships and the label K, and rows of noise count as together in `similarity` and `partition`.

    Attributes
    ----------
    method : str
        Where the draws come from.
    draws : dict of ndarray
        ``weights`` (S, K), ``means`` (S, K, D) and ``covariances``, in units of the data; those of S draws of ``covariances_``, which for
        Student t are matrices of scale. With noise ``noise_weight`` (S,). Of maximum likelihood with learnt tails ``degrees_of_freedom``
        (S, K); a Bayesian fit holds them fixed.
    feature_names : list of str
    k_hat : float
        Shape of the tail of the importance weights: above 0.7 the draws are not to be trusted. NaN for other methods.
    ess : float
        Number of independent draws that these are worth; for Gibbs the least of all weights, means and the log-likelihood.
    r_hat : float
        Largest r-hat of these (Gibbs): above 1.05 the chains do not agree. NaN for other methods.
    log_evidence : float
        By importance sampling, in nats, all relabelled copies included. NaN for other methods.
    contraction : float
        Share of an error that one plain pass leaves (linear response, observed information): near 1 the components can hardly be told
        apart, and a Gaussian is a poor description. NaN for other methods.
    n_chains : int
        Chains that the draws come from, one after another.
    """

    method: str
    draws: dict[str, np.ndarray] = dataclasses.field(repr=False)
    feature_names: list[str]
    k_hat: float
    ess: float
    r_hat: float
    log_evidence: float
    contraction: float
    n_chains: int
    _points: Mixture = dataclasses.field(repr=False)
    _rows: Any = dataclasses.field(repr=False)
    _values: np.ndarray = dataclasses.field(repr=False)
    _log_det: float = dataclasses.field(repr=False)
    _labels: np.ndarray | None = dataclasses.field(repr=False)
    _seed: int = dataclasses.field(repr=False)
    _box: np.ndarray | None = dataclasses.field(default=None, repr=False)
    _partitions: dict[tuple, PointPartition] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def n_draws(self) -> int:
        """Number of draws S."""
        return len(self.draws["weights"])

    def intervals(self, prob: float = 0.94, function: Callable | None = None) -> Intervals:
        """Central intervals of weights, means, standard deviations, correlations and covariances, or of a function of them.

        Also of the weight of noise and of degrees of freedom, where there are draws of them. For Student t standard deviations are square
        roots of the diagonals of the matrices of scale.

        Parameters
        ----------
        prob : float, default 0.94
            Share of the draws in each interval.
        function : callable, optional
            ``function(weights, means, covariances)`` of one draw's arrays, shaped as the attributes of the fit: a number, an array, or a
            dictionary of them.

        Returns
        -------
        Intervals
            A dictionary of name to ``mean``, ``sd``, ``lower``, ``upper``, in units of the data; ``print`` shows a table.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> x, names, labels = bg.load_dataset("faithful")
        >>> model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(x)
        >>> sure = model.uncertainty(x)
        >>> gap = sure.intervals(0.9, lambda weights, means, covariances: means[0, 1] - means[1, 1])["value"]
        >>> bool(24 < gap.lower < 25.5 < gap.upper < 27)
        True
        """
        check_number("prob", prob, 0, high=1, strict=True)
        found = self._quantities() if function is None else self._applied(function)
        heading = f"{self.n_draws:,} draws, {self.method.replace('_', ' ')}"
        summed = {name: interval(values, prob) for name, values in found.items()}
        return Intervals(summed, float(prob), self.feature_names, heading, self._dof is not None)

    def _quantities(self) -> dict[str, np.ndarray]:
        dense = self.dense_covariances
        deviations = np.sqrt(np.diagonal(dense, axis1=2, axis2=3))
        found = {"weights": self.draws["weights"], "means": self.draws["means"], "standard_deviations": deviations}
        if self._points.structure.rank == 2 and dense.shape[2] > 1:
            found["correlations"] = dense / (deviations[:, :, :, None] * deviations[:, :, None])
        return found | {name: draws for name, draws in self.draws.items() if name not in found}

    @property
    def _tied(self) -> bool:
        """Whether all components share one covariance."""
        return self.draws["covariances"].ndim < self._points.components.covariance.ndim

    def points(self) -> list[Point]:
        """The draws one by one: weights (K,), means (K, D), covariance matrices (K, D, D)."""
        means = self.draws["means"]
        dense = np.broadcast_to(self.dense_covariances, (*means.shape, means.shape[2]))
        return [Point(*draw) for draw in zip(self.draws["weights"], means, dense, strict=True)]

    @functools.cached_property
    def dense_covariances(self) -> np.ndarray:
        """Covariance matrices (S, K or 1, D, D)."""
        d, covariance = len(self.feature_names), self.draws["covariances"]
        packed = covariance[:, None] if self._tied else covariance
        if self._points.structure.rank == 2:
            return packed
        spread = packed if self._points.structure.rank == 1 else packed[:, :, None]
        return np.eye(d) * np.broadcast_to(spread, (*packed.shape[:2], d))[:, :, None]

    @property
    def _dof(self) -> np.ndarray | None:
        """Degrees of freedom (S, K) of components with heavy tails."""
        law = tails(self._points.components)
        return None if law is None else np.asarray(law.dof)

    def _applied(self, function: Callable) -> dict[str, np.ndarray]:
        parts = (self.draws[name] for name in ("weights", "means", "covariances"))
        values = [function(*draw) for draw in zip(*parts, strict=True)]
        if not isinstance(values[0], dict):
            values = [{"value": value} for value in values]
        try:
            found = {name: np.array([value[name] for value in values], float) for name in values[0]}
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"function must return numbers, arrays of one shape or a dictionary of them for every draw: {error}."
            ) from error
        return found

    @in_float64
    def memberships(self, prob: float = 0.94) -> Interval:
        """Probability (N, K) that each row belongs to each component: mean, spread and central interval over the draws.

        With noise (N, K + 1), noise last.
        """
        check_number("prob", prob, 0, high=1, strict=True)
        return memberships.responsibilities(self._points, self._rows, prob)

    @functools.cached_property
    def responsibilities(self) -> Interval:
        """`memberships` with 94 % intervals."""
        return self.memberships()

    @functools.cached_property
    @in_float64
    def labels(self) -> np.ndarray:
        """A component (S, N) for each row in each draw; K is noise."""
        return memberships.labels(self._points, self._rows, self._seed) if self._labels is None else self._labels

    @property
    @in_float64
    def log_likelihood(self) -> np.ndarray:
        """Log density (S, N) of each row under each draw, labels summed out, in nats and units of the data."""
        self._check_size(self.n_draws * len(self._rows), "log_likelihood: draws x rows are")
        return memberships.log_densities(self._points, self._rows) - self._log_det

    @functools.cached_property
    @in_float64
    def similarity(self) -> np.ndarray:
        """Probability (N, N) that two rows are in one component, or both noise."""
        self._check_size(len(self._rows) ** 2, "similarity: rows x rows are")
        return memberships.similarity(self._points, self._rows)

    def _check_size(self, entries: int, what: str) -> None:
        if entries > MOST_ENTRIES:
            raise ValueError(f"{what} {entries:.2g} numbers, more than {MOST_ENTRIES:.0e}; ask for some rows, or fewer draws.")

    def partition(self, loss: str = "vi", n_runs: int = 16) -> PointPartition:
        """The clustering nearest to all draws' clusterings, by ``n_runs`` searches; see `bayesgmm.point_partition`."""
        key = (str(loss), n_runs)
        if key not in self._partitions:
            self._partitions[key] = point_partition(self.labels, loss, n_runs, random_state=self._seed)
        return self._partitions[key]

    def credible_ball(self, prob: float = 0.95, loss: str = "vi") -> CredibleBall:
        """The clusterings around `partition` that hold a share of the draws; see `bayesgmm.credible_ball`."""
        return credible_ball(self.labels, self.partition(loss), prob, loss)

    @property
    def n_clusters(self) -> dict[int, float]:
        """Share of the draws in which so many components, noise apart, have a row."""
        if not self._points.n_noise:
            return n_clusters_probability(self.labels)
        k = self.draws["weights"].shape[1]
        counts = np.bincount([len(np.unique(row[row < k])) for row in self.labels])
        return {int(n): float(counts[n] / counts.sum()) for n in np.flatnonzero(counts)}

    @in_float64
    def to_arviz(self, log_likelihood: bool = True, posterior_predictive: bool = True) -> Any:
        """The draws for ArviZ: an InferenceData with ArviZ 0.x, an xarray DataTree with 1.x.

        Groups ``posterior``, ``log_likelihood`` (of rows, labels summed out), ``posterior_predictive`` (one drawn row for each row and
        draw), ``observed_data`` and ``sample_stats``; dimensions ``chain draw component feature feature_bis row``.

        Parameters
        ----------
        log_likelihood, posterior_predictive : bool, default True
            Whether to compute these groups, of S x N and S x N x D numbers.
        """
        if posterior_predictive:
            self._check_size(self.n_draws * self._values.size, "posterior_predictive: draws x rows x columns are")
        predicted = None
        if posterior_predictive:
            parts = self.draws["weights"], self.draws["means"], self.dense_covariances
            predicted = arviz.predict(*parts, len(self._rows), self._seed, self._dof, self._box)
        return arviz.to_arviz(
            {**self.draws, "covariances": self.dense_covariances[:, 0] if self._tied else self.dense_covariances},
            self._values,
            self.feature_names,
            self.n_chains,
            self.log_likelihood if log_likelihood else None,
            predicted,
            {"method": self.method, "k_hat": self.k_hat, "contraction": self.contraction},
        )

    def __str__(self) -> str:
        return str(self.intervals())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.uncertainty(self)
