r"""Do data drawn from the fit look like the data? Posterior predictive checks.

For each draw of the parameters a data set is drawn from them, and both it and the data are compared with the density of these parameters:

- each column, by the largest distance between its distribution and the marginal one (Kolmogorov);
- the mean log density of the rows: too low where rows lie beside the components, too high where they are too orderly;
- the log density of the least likely row: outliers.

P values are the share of the draws in which the drawn data deviate at least as much (Gelman, Meng & Stern 1996, Statistica Sinica 6, sec.
2). The fit has seen the data, so they are too large rather than too small: a small one can be relied on, a large one proves nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesgmm.analysis.point import Point, draw, whitened

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
        Of the least log density.
    outliers : ndarray of int
        Rows less likely than the least likely row of all but one in a hundred drawn data sets, the least likely first.
    """

    column_p: np.ndarray
    column_distance: np.ndarray
    density_p: float
    density: float
    outlier_p: float
    outliers: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        """Columns whose p value is at most `LEVEL`."""
        return np.flatnonzero(self.column_p <= LEVEL)


class _Seen(NamedTuple):
    """What one data set shows: distances of columns (D,), log densities of rows (N,) and their weighted mean."""

    distance: np.ndarray
    density: np.ndarray
    mean: float


def check(points: list[Point], x: np.ndarray, weight: np.ndarray, seed: int = 0) -> Checks:
    """Compare data with data drawn from each of several draws of the parameters.

    Parameters
    ----------
    points : list of Point
        Draws of the parameters, in the units of the data.
    x : array, shape (N, D)
    weight : array, shape (N,)
        Drawn rows get these weights in another order.
    seed : int
    """
    rng, k = np.random.default_rng(seed), len(points[0].weights)
    rows = _some(len(x), max(int(MOST_NUMBERS / (len(points) * k * (x.shape[1] + 4))), FEWEST * k), rng)
    x, weight = x[rows], weight[rows]
    ours = [_seen(point, x, weight) for point in points]
    theirs = [_seen(point, draw(point, 1, len(x), rng)[0], rng.permutation(weight)) for point in points]
    distance, mean = np.array([seen.distance for seen in ours]), np.array([seen.mean for seen in ours])
    farthest, drawn = np.array([seen.distance.max() for seen in theirs]), np.array([seen.mean for seen in theirs])
    least = np.array([seen.density.min() for seen in theirs])
    return Checks(
        column_p=_p_value(farthest[:, None] >= distance),
        column_distance=distance.mean(0),
        density_p=float(min(2 * min(_p_value(drawn <= mean), _p_value(drawn >= mean)), 1)),
        density=float((mean - drawn).mean()),
        outlier_p=float(_p_value(least <= [seen.density.min() for seen in ours])),
        outliers=_outliers(np.mean([seen.density for seen in ours], axis=0), least, rows),
    )


def _some(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Rows used, of N: all, or as many of them as can be afforded."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _p_value(as_extreme: np.ndarray) -> np.ndarray:
    """Share of draws (S, ...), the data counting as one more."""
    return (1 + as_extreme.sum(0)) / (len(as_extreme) + 1)


def _seen(point: Point, x: np.ndarray, weight: np.ndarray) -> _Seen:
    scores = whitened(point, x)[1]
    top = scores.max(1)
    density = top + np.log(np.exp(scores - top[:, None]).sum(1)) - x.shape[1] / 2 * np.log(2 * np.pi)
    return _Seen(distances(point, x, weight), density, float(np.average(density, weights=weight)))


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


def _outliers(density: np.ndarray, drawn_least: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows below nearly all of the least densities (S,) of drawn data sets."""
    below = np.flatnonzero(density < np.quantile(drawn_least, LEVEL))
    return rows[below[np.argsort(density[below])]]
