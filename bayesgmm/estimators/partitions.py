"""Draws of a partition summed up: similarity of rows, the most central partition, and a ball of partitions around it.

Plain functions: draws may come from any sampler, labels need not be matched between draws, and no draw is relabelled.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from typing import Any

import numpy as np

from bayesgmm.analysis import partitions
from bayesgmm.analysis.partition_search import search
from bayesgmm.progress import Progress
from bayesgmm.validation import brief, check_number, check_option, check_seed

MOST_ENTRIES = 10**9
"""Entries of a similarity matrix beyond which it is refused: 8 GB."""

MOST_COUNTS = 10**9
"""Sizes of intersections beyond which a search is refused: 4 GB."""

SPARE = 2
"""Clusters that the point estimate may have beyond the most of any draw."""


@dataclasses.dataclass(frozen=True, eq=False)
class PointPartition:
    """The partition nearest to all draws. Clusters count from 0, the largest first.

    Attributes
    ----------
    labels : ndarray of int, shape (N,)
    n_clusters : int
    expected_loss : float
        Mean distance to the draws: nats for ``"vi"``, share of pairs for ``"binder"``.
    loss : {"vi", "binder"}
    """

    labels: np.ndarray = dataclasses.field(repr=False)
    n_clusters: int
    expected_loss: float
    loss: str

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.labels, dtype=dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class CredibleBall:
    """Partitions around a centre that hold a given share of the draws, and the extreme ones among them.

    Attributes
    ----------
    radius : float
        Smallest distance from the centre within which at least ``prob`` of the draws lie; nats, or share of pairs for ``"binder"``.
    prob : float
    share : float
        Share of the draws that do lie in the ball; with ties more than ``prob``.
    upper, lower, horizontal : ndarray of int, shape (M, N)
        Distinct draws in the ball: with the fewest clusters, with the most, and any; of these, those farthest from the centre.
    loss : {"vi", "binder"}
    """

    radius: float
    prob: float
    share: float
    upper: np.ndarray = dataclasses.field(repr=False)
    lower: np.ndarray = dataclasses.field(repr=False)
    horizontal: np.ndarray = dataclasses.field(repr=False)
    loss: str

    def __str__(self) -> str:
        unit = "nats of variation of information" if self.loss == "vi" else "of all pairs (Binder)"
        fewest, most, far = (int(some.max()) + 1 for some in (self.upper, self.lower, self.horizontal))
        sizes = f"{fewest} to {most} clusters; the farthest has {far}" if most > fewest else f"{most} cluster{'s' * (most > 1)}"
        return (
            f"{self.share:.1%} of the partitions drawn lie within {self.radius:.3g} {unit} of the centre.\nThose in the ball have {sizes}."
        )


def variation_of_information(a: Any, b: Any) -> float:
    """Variation of information between two partitions, in nats: 0 for equal ones, at most ``ln N``.

    Parameters
    ----------
    a, b : array, shape (N,)
        A label for each row; what the labels are called does not matter.

    References
    ----------
    Meila (2007), Journal of Multivariate Analysis 98.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> bg.variation_of_information([0, 0, 1, 1], ["b", "b", "a", "a"])
    0.0
    """
    first, second = _pair(a, b)
    return partitions.distance(first, second, "vi")


def adjusted_rand_index(a: Any, b: Any) -> float:
    """Agreement of two partitions beyond chance: 1 for equal ones, about 0 for unrelated ones.

    Parameters
    ----------
    a, b : array, shape (N,)
        A label for each row.

    References
    ----------
    Hubert & Arabie (1985), Journal of Classification 2, eq. 5.
    """
    return partitions.adjusted_rand(*_pair(a, b))


def similarity_matrix(draws: Any, rows: Any = None) -> np.ndarray:
    """Posterior similarity: the share of draws in which two rows are in one cluster.

    Parameters
    ----------
    draws : array, shape (S, N)
        S partitions of N rows; labels need not be matched between draws.
    rows : array of int, shape (M,), optional
        Rows wanted; all by default.

    Returns
    -------
    ndarray, shape (N, N), or (M, N) with ``rows``

    Raises
    ------
    ValueError
        Draws that are not a table of labels; more than a billion pairs.
    """
    labels = _read(draws)
    chosen = None if rows is None else _read_rows(rows, labels.shape[1])
    wanted = labels.shape[1] if chosen is None else len(chosen)
    if wanted * labels.shape[1] > MOST_ENTRIES:
        raise ValueError(f"similarity_matrix: {wanted} x {labels.shape[1]} pairs need more than 8 GB; ask for some rows with rows=[...].")
    return partitions.similarity(labels, chosen)


def n_clusters_probability(draws: Any) -> dict[int, float]:
    """Share of draws (S, N) with each number of clusters that occurs."""
    counts = np.bincount(_read(draws).max(1) + 1)
    return {int(k): float(counts[k] / counts.sum()) for k in np.flatnonzero(counts)}


def point_partition(
    draws: Any,
    loss: str = "vi",
    n_runs: int = 16,
    max_clusters: int | None = None,
    random_state: Any = 0,
    verbose: bool | None = None,
) -> PointPartition:
    """The partition with the smallest expected distance to the draws.

    Parameters
    ----------
    draws : array, shape (S, N)
        S partitions of N rows, from any sampler.
    loss : {"vi", "binder"}, default "vi"
        Variation of information, or the share of pairs that disagree; Binder's tends to add small clusters (Wade & Ghahramani 2018).
    n_runs : int, default 16
        Searches from different starts.
    max_clusters : int, optional
        Most clusters of the estimate; by default two more than any draw has.
    random_state : int, numpy generator or None, default 0
    verbose : bool, optional
        Tell where the search is; None does on a terminal or in a notebook.

    Returns
    -------
    PointPartition

    References
    ----------
    Dahl, Johnson & Mueller (2022), JCGS 31, for the search; Wade & Ghahramani (2018), Bayesian Analysis 13, for the loss.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> found = bg.point_partition([[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 2, 2]])
    >>> found.labels.tolist(), found.n_clusters
    ([0, 0, 1, 1], 2)
    """
    labels = _read(draws)
    check_option("loss", loss, partitions.LOSSES)
    check_number("n_runs", n_runs, 1, integer=True)
    seed = check_seed(random_state)
    most = int(labels.max()) + 1 + SPARE if max_clusters is None else int(check_number("max_clusters", max_clusters, 1, integer=True))
    most = min(most, labels.shape[1])
    if labels.shape[0] * (int(labels.max()) + 1) * most > MOST_COUNTS:
        raise ValueError(
            f"point_partition: {labels.shape[0]} draws of up to {labels.max() + 1} clusters need more than 4 GB; give fewer draws, or a "
            "smaller max_clusters."
        )
    with Progress(verbose) as told:
        notify = functools.partial(_told, told, n_runs)
        found = search(labels, loss, int(n_runs), most, seed, notify)
    order = np.argsort(-np.bincount(found), kind="stable")
    ordered = np.argsort(order)[found]
    return PointPartition(ordered, len(order), float(partitions.distances(ordered, labels, loss).mean()), loss)


def credible_ball(draws: Any, centre: Any = None, prob: float = 0.95, loss: str = "vi") -> CredibleBall:
    """The smallest ball of partitions around a centre that holds a given share of the draws, and its extremes.

    Parameters
    ----------
    draws : array, shape (S, N)
    centre : PointPartition or array (N,), optional
        By default ``point_partition(draws, loss)``.
    prob : float, default 0.95
    loss : {"vi", "binder"}, default "vi"

    Returns
    -------
    CredibleBall

    References
    ----------
    Wade & Ghahramani (2018), Bayesian Analysis 13, sec. 4: horizontal, vertical upper and vertical lower bounds.
    """
    labels = _read(draws)
    check_option("loss", loss, partitions.LOSSES)
    check_number("prob", prob, 0, high=1, strict=True)
    middle = point_partition(labels, loss).labels if centre is None else _one(centre, "centre")
    if len(middle) != labels.shape[1]:
        raise ValueError(f"centre has {len(middle)} labels, draws have {labels.shape[1]} rows.")
    away = partitions.distances(middle, labels, loss)
    radius = float(np.sort(away)[int(np.ceil(prob * len(away) - 1e-9)) - 1])
    inside = away <= radius + 1e-12
    ball, away, sizes = labels[inside], away[inside], labels[inside].max(1)
    upper, lower = sizes == sizes.min(), sizes == sizes.max()
    extremes = (_farthest(ball[some], away[some]) for some in (upper, lower, np.ones(len(ball), bool)))
    return CredibleBall(radius, float(prob), float(inside.mean()), *extremes, loss=loss)


def _farthest(labels: np.ndarray, away: np.ndarray) -> np.ndarray:
    return np.unique(labels[away >= away.max() - 1e-12], axis=0)


def _told(told: Progress, n_runs: int, i: int) -> None:
    told(f"point_partition: search {i + 1} of {n_runs}")


def _array(labels: Any, name: str) -> np.ndarray:
    """Labels as an array; words and whole numbers among Python objects become codes."""
    if np.ma.is_masked(labels):
        raise ValueError(f"{name} is a masked array with masked labels; give the rows or draws that have labels.")
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise ValueError(f"{name} must have as many labels in each draw.") from error
    if values.dtype != object or not values.size or not all(isinstance(v, (str, numbers.Integral)) for v in values.flat):
        return values
    codes = {label: code for code, label in enumerate(dict.fromkeys(values.flat))}
    return np.array([codes[label] for label in values.flat]).reshape(values.shape)


def _one(labels: Any, name: str) -> np.ndarray:
    """Labels (N,) as 0, 1, ... in the order of first appearance."""
    values = _array(labels, name)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must hold one label for each row, shape (N,); got shape {values.shape}.")
    _check_kind(values, name)
    return partitions.compact(values)


def _check_kind(values: np.ndarray, name: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
        where = ", ".join(map(str, place))
        raise ValueError(f"{name} has a label that is {values[tuple(place)]}, at [{where}] (counting from 0).")
    if values.dtype.kind not in "biufUS" or (values.dtype.kind == "f" and (values != np.floor(values)).any()):
        raise ValueError(f"{name} must hold labels, whole numbers or words, not {values.dtype}; got {brief(values.ravel()[:3])}.")


def _pair(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    first, second = _one(a, "a"), _one(b, "b")
    if len(first) != len(second):
        raise ValueError(f"a has {len(first)} labels, b has {len(second)}: both must label the same rows.")
    return first, second


def _read(draws: Any) -> np.ndarray:
    """Labels (S, N), each draw's numbered 0, 1, ... in the order of first appearance."""
    values = _array(draws, "draws")
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"draws must be labels of shape (draws, rows); got shape {values.shape}.")
    _check_kind(values, "draws")
    return np.stack([partitions.compact(one) for one in values])


def _read_rows(rows: Any, n_rows: int) -> np.ndarray:
    values = np.asarray(rows)
    if values.ndim != 1 or values.dtype.kind not in "iu" or (len(values) and (values.min() < -n_rows or values.max() >= n_rows)):
        raise ValueError(f"rows must be whole numbers from 0 to {n_rows - 1}; got {brief(rows)}.")
    return values
