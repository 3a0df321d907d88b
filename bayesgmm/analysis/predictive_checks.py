r"""Do data drawn from the fit look like the data? Posterior predictive checks.

For each draw of the parameters a data set is drawn from them, and both it and the data are compared with the density of these parameters:

- each column, by the largest distance between its distribution and the marginal one (Kolmogorov);
- the mean log density of the rows: too low where rows lie beside the components, too high where they are too orderly;
- each row, by the probability that the least likely one of as many drawn rows is as unlikely: outliers. A row with log density l has a
  less likely one drawn with probability at most :math:`\sum_k \pi_k P(\pi_k f_k(X_k) \le e^l)`, chi-squared probabilities, since the
  density of a mixture is at least that of each part. So all rows are judged, without drawing any.

P values are the share of the draws in which the drawn data deviate at least as much (Gelman, Meng & Stern 1996, Statistica Sinica 6, sec.
2). The fit has seen the data, so they are too large rather than too small: a small one can be relied on, a large one proves nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesgmm.analysis.point import Point, draw, rows_to_judge, whitened

MOST_NUMBERS = 3e7
"""Draws times rows times components times columns, a few seconds; with more rows than that is good for, a random part of them is used."""

FEWEST = 50
"""Rows used for each component at least."""

LEVEL = 0.01
"""P value up to which the data are said to differ."""


class Checks(NamedTuple):
    """P values of data like these under the fit.

    Attributes
    ----------
    column_p : ndarray, shape (D,)
        Of the distribution of each column, allowing for all columns together.
    column_distance : ndarray, shape (D,)
        Largest distance between the distribution of a column and the fitted one, mean over the draws.
    density_p : float
        Of the mean log density, on both sides.
    density : float
        Mean log density of the rows less that of drawn ones, nats a row.
    outlier_p : float
        Of the least likely row, at most.
    outliers : ndarray of int
        Rows whose p value is at most `LEVEL`, the least likely first.
    n_rows : int
        Rows that columns and mean log density were judged by: all, or a random part.
    """

    column_p: np.ndarray
    column_distance: np.ndarray
    density_p: float
    density: float
    outlier_p: float
    outliers: np.ndarray
    n_rows: int

    @property
    def columns(self) -> np.ndarray:
        """Columns whose p value is at most `LEVEL`."""
        return np.flatnonzero(self.column_p <= LEVEL)


class _Seen(NamedTuple):
    """What one data set shows: distances of columns (D,), and the weighted mean of the log densities of its rows."""

    distance: np.ndarray
    mean: float


def check(points: list[Point], x: np.ndarray, weight: np.ndarray, seed: int = 0) -> Checks:
    """Compare data with data drawn from each of several draws of the parameters.

    Parameters
    ----------
    points : list of Point
        Draws of the parameters, in the units of the data.
    x : array, shape (N, D)
    weight : array, shape (N,)
        Whole numbers count copies; otherwise drawn rows get these weights in another order.
    seed : int
    """
    rng, numbers = np.random.default_rng(seed), len(points[0].weights) * (x.shape[1] + 4)
    far = outlying(points[:: max(int(len(points) * len(x) * numbers / MOST_NUMBERS), 1)], x, max(weight.sum(), len(x)))
    rows, weight = rows_to_judge(x, weight, max(int(MOST_NUMBERS / (len(points) * numbers)), FEWEST * len(points[0].weights)), rng)
    ours = [_seen(point, rows, weight) for point in points]
    theirs = [_seen(point, draw(point, 1, len(rows), rng)[0], rng.permutation(weight)) for point in points]
    distance, mean = np.array([seen.distance for seen in ours]), np.array([seen.mean for seen in ours])
    farthest, drawn = np.array([seen.distance.max() for seen in theirs]), np.array([seen.mean for seen in theirs])
    unlikely = np.argsort(far, kind="stable")
    return Checks(
        column_p=_p_value(farthest[:, None] >= distance),
        column_distance=distance.mean(0),
        density_p=float(min(2 * min(_p_value(drawn <= mean), _p_value(drawn >= mean)), 1)),
        density=float((mean - drawn).mean()),
        outlier_p=float(far.min()),
        outliers=unlikely[far[unlikely] <= LEVEL],
        n_rows=len(rows),
    )


def outlying(points: list[Point], x: np.ndarray, total: float) -> np.ndarray:
    """Probability (N,), at most, that one of ``total`` drawn rows is less likely than each row; mean over the draws."""
    from scipy.stats import chi2

    found = np.zeros(len(x))
    for point in points:
        density, share = log_density(point, x), point.weights / point.weights.sum()
        peaks = np.log(share) - np.linalg.slogdet(2 * np.pi * point.covariances)[1] / 2
        beyond = chi2.sf(np.maximum(2 * (peaks - density[:, None]), 0), x.shape[1]) @ share
        found -= np.expm1(total * np.log1p(-np.minimum(beyond, 1 - 1e-12)))
    return found / len(points)


def log_density(point: Point, x: np.ndarray) -> np.ndarray:
    """Log density (N,) of rows."""
    scores = whitened(point, x)[1]
    top = scores.max(1)
    return top + np.log(np.exp(scores - top[:, None]).sum(1)) - x.shape[1] / 2 * np.log(2 * np.pi)


def _p_value(as_extreme: np.ndarray) -> np.ndarray:
    """Share of draws (S, ...), the data counting as one more."""
    return (1 + as_extreme.sum(0)) / (len(as_extreme) + 1)


def _seen(point: Point, x: np.ndarray, weight: np.ndarray) -> _Seen:
    return _Seen(distances(point, x, weight), float(np.average(log_density(point, x), weights=weight)))


def distances(point: Point, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Largest distance (D,) between the distribution of each column and that of the mixture."""
    from scipy.special import ndtr

    deviations = np.sqrt(np.diagonal(point.covariances, axis1=1, axis2=2))
    share, found = point.weights / point.weights.sum(), []
    for j, column in enumerate(x.T):
        order = np.argsort(column)
        values, part = column[order], weight[order] / weight.sum()
        fitted = ndtr((values[:, None] - point.means[:, j]) / deviations[:, j]) @ share
        reached = np.cumsum(part)
        found.append(max((reached - fitted).max(), (fitted - reached + part).max()))
    return np.array(found)
