"""Components of a fitted mixture combined into clusters, on request."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bayesgmm.analysis import combine as ways
from bayesgmm.analysis import ridgeline
from bayesgmm.analysis.combine import Merge
from bayesgmm.analysis.parameters import dense_covariances
from bayesgmm.analysis.replaced import icl_curve
from bayesgmm.analysis.rows import named
from bayesgmm.core.noise import without_noise
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, sharing_of
from bayesgmm.estimators.mixture import MixtureEstimator
from bayesgmm.estimators.robust import check_gaussian
from bayesgmm.estimators.training import read_rows
from bayesgmm.inference.problem import prepare, summed
from bayesgmm.report.combination import printed
from bayesgmm.validation import check_number, check_option, check_spread, check_weights

THRESHOLDS = {"misclassification": 0.05, "ridgeline": 0.2}
"""Values from which pairs are merged."""

METHODS = ("entropy", *THRESHOLDS)
RULES = ("elbow", "icl")
"""How the entropies choose a number of clusters."""


@dataclasses.dataclass(frozen=True, eq=False)
class Combination:
    """Clusters made of the components of a mixture, the largest first. Clusters and components count from 0; noise stays by itself.

    Attributes
    ----------
    labels : ndarray of int, shape (N,)
        Most probable cluster of each row; -1 for noise.
    probabilities : ndarray, shape (N, n_clusters)
        Probability that each row belongs to each cluster: the sum over its components. With noise (N, n_clusters + 1), noise last.
    groups : tuple of tuples of int
        The components of each cluster.
    merges : tuple of Merge
        All merges down to one cluster, in order, each with the components of the two clusters (``first``, ``second``) and its ``value``.
        The first ``n_components - n_clusters`` were done.
    entropy : ndarray, shape (n_components,)
        Entropy of the assignments to 1, 2, ... clusters, in nats.
    method : str
    rule : str
        What chose the number of clusters.
    threshold : float or None
        Value from which pairs were merged, where that was the rule.
    weights : ndarray, shape (n_clusters,)
        Share of each cluster in the rows, by probability; noise has what they leave.
    """

    labels: np.ndarray = dataclasses.field(repr=False)
    probabilities: np.ndarray = dataclasses.field(repr=False)
    groups: tuple[tuple[int, ...], ...]
    merges: tuple[Merge, ...]
    entropy: np.ndarray = dataclasses.field(repr=False)
    method: str
    rule: str
    threshold: float | None
    weights: np.ndarray = dataclasses.field(repr=False)

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.groups)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.entropy)

    def plot(self, ax: Any = None):
        """Entropy, or value of the merges, against the number of clusters; see `plots.plot_combination`."""
        from bayesgmm.plots import plot_combination

        return plot_combination(self, ax)

    def __str__(self) -> str:
        return printed(self)


@in_float64
def combine(
    model: Any,
    X: Any,
    method: str = "entropy",
    n_clusters: int | str | None = None,
    threshold: float | None = None,
    sample_weight: Any = None,
) -> Combination:
    """Combine components of a fitted mixture into clusters.

    A cluster that is not Gaussian takes several components. Which of them belong together is not a question of the likelihood, which stays
    the same; each method has its own idea of a cluster, and none is right for every kind of data.

    Parameters
    ----------
    model : fitted GaussianMixture or BayesianGaussianMixture
        Such as ``bg.select(X).best``.
    X : array or data frame, shape (N, D)
        Rows, as a rule those of the fit.
    method : {"entropy", "misclassification", "ridgeline"}, default "entropy"
        Which pair is merged next: the one whose merging makes the assignments surest (Baudry et al. 2010); the one with the largest
        probability that a row of one is put into the other (Hennig 2010, "DEMP"): for heavy tails and background noise; the one whose joint
        density dips least between its modes (Ray & Lindsay 2005; Hennig 2010), chains of components staying together: for curved clusters.
    n_clusters : int, "elbow", "icl" or None, default None
        Merge until so many are left. The other two are for the entropies: "elbow" is where their curve, at 1, 2, ... clusters, is best
        described by two straight lines, which is never at one cluster and never without any merge; "icl" is where one Gaussian for each
        cluster has the lowest ICL. None is "elbow" for "entropy" and the threshold for the others.
    threshold : float, optional
        Pairs with at least this value are merged: a probability (default 0.05), or the lowest density relative to the lower mode (0.2).
    sample_weight : array, shape (N,), optional

    Returns
    -------
    Combination
        With ``labels``, ``probabilities``, ``groups``, ``merges``, ``entropy``, ``plot()``.

    Raises
    ------
    ValueError
        Wrong options or data; the message says what was expected and what came.

    References
    ----------
    Baudry, Raftery, Celeux, Lo & Gottardo (2010), JCGS 19; Hennig (2010), Advances in Data Analysis and Classification 4; Ray & Lindsay
    (2005), Annals of Statistics 33.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> model = bg.GaussianMixture(3, covariance_type="tied", random_state=0).fit(x)
    >>> bg.combine(model, x).groups
    ((0, 2), (1,))
    """
    values, weight = _check(model, X, method, n_clusters, threshold, sample_weight)
    resp = model.predict_proba(values)
    merges = _merges(model, method, resp, weight)
    n_noise, curve = model.posterior_.n_noise, ways.entropies(resp, weight, merges)
    limit = threshold if threshold is not None else THRESHOLDS.get(method) if n_clusters is None else None
    if limit is not None:
        number, rule = ways.number_at(merges, limit), "threshold"
    elif n_clusters == "icl":
        if sharing_of(model.covariance_type):
            raise ValueError(f"n_clusters='icl' has no formula for covariance_type={model.covariance_type!r}; choose another rule.")
        structure, tied = COVARIANCE_TYPES[model.covariance_type]
        number, rule = 1 + int(icl_curve(resp, merges, prepare(values, weight, structure), tied).argmin()), "icl"
    elif n_clusters in ("elbow", None):
        number, rule = ways.elbow(curve), "elbow"
    else:
        number, rule = int(n_clusters), "given"
    groups = ways.groups_after(merges, number)
    sizes = summed(weight, ways.probabilities(resp, groups)) / weight.sum()
    order = np.argsort(-sizes, kind="stable")
    groups = tuple(groups[i] for i in order)
    share = np.append(ways.probabilities(resp, list(groups)), resp[:, resp.shape[1] - n_noise :], 1)
    return Combination(named(share.argmax(1), number), share, groups, tuple(merges), curve, method, rule, limit, sizes[order])


def _merges(model: MixtureEstimator, method: str, resp: np.ndarray, weight: np.ndarray) -> list[Merge]:
    law = model.posterior_
    if method == "entropy":
        return ways.by_entropy(resp, weight, law.n_noise)
    if method == "misclassification":
        return ways.by_misclassification(resp, weight, law.n_noise)
    return ways.by_ratio(ridgeline.ratios(model.weights_, model.means_, dense_covariances(without_noise(law))))


def _check(model, X, method: str, n_clusters, threshold, sample_weight) -> tuple[np.ndarray, np.ndarray]:
    """Every argument, before anything is computed; the rows (N, D) and weights (N,)."""
    if not isinstance(model, MixtureEstimator):
        hint = " Pass its .best." if hasattr(model, "best") else ""
        raise ValueError(f"model must be a fitted GaussianMixture or BayesianGaussianMixture; got a {type(model).__name__}.{hint}")
    check_option("method", method, METHODS)
    values = read_rows(model, X)
    if method == "ridgeline" and model.student_t is not None:
        raise ValueError('method="ridgeline" follows Gaussian densities; with Student t components use "entropy" or "misclassification".')
    weight = check_weights(sample_weight, len(values))
    if n_clusters is not None and threshold is not None:
        raise ValueError("n_clusters and threshold are two ways to say when to stop; give one of them.")
    if isinstance(n_clusters, str):
        check_option("n_clusters, if not a whole number,", n_clusters, RULES)
        if method != "entropy":
            raise ValueError(f"n_clusters={n_clusters!r} reads the entropies and belongs to method='entropy'; got method={method!r}.")
        if n_clusters == "icl":
            check_gaussian(model, "n_clusters='icl'", "use 'elbow', a number or a threshold")
            check_spread(values, weight, None)
    elif n_clusters is not None:
        check_number("n_clusters", n_clusters, 1, high=model.n_components_, integer=True)
    if threshold is not None:
        if method not in THRESHOLDS:
            raise ValueError(f"threshold belongs to {' and '.join(map(repr, THRESHOLDS))}; method={method!r} takes n_clusters.")
        check_number("threshold", threshold, 0, high=1)
    return values, weight
