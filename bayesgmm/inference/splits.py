"""Ways to divide the rows of one component in two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bayesgmm.inference.problem import products, summed

DIRECTIONS, DESCENTS = 8, 10
"""Directions from which the flattest projection is searched, and steps of each search."""

LITTLE = 1e-300
"""What a total that may be 0 is raised to before it divides."""


def parts(share: np.ndarray, rows: np.ndarray, ways: Sequence[Callable[..., np.ndarray]]) -> Iterator[np.ndarray]:
    """One of the two parts (N,) of a component in each of several ways, those that come out the same once; none below two rows."""
    seen: list[np.ndarray] = []
    for way in ways if share.sum() >= 2 else ():
        part = way(share, rows)
        if not any(np.array_equal(part, other) or np.array_equal(part, ~other) for other in seen):
            seen.append(part)
            yield part


def along(share: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows (N,) beyond the mean of a component, with ``share`` (N,) of each row, along its longest axis."""
    centred, _, axes = _axes(share, rows)
    return centred @ axes[:, -1] > 0


def outer(share: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows (N,) of the outer half of a component, by Mahalanobis distance: parts of two that differ in size rather than in place."""
    distance = (_whitened(share, rows) ** 2).sum(1)
    order = np.argsort(distance, kind="stable")
    return distance > distance[order[np.searchsorted(np.cumsum(share[order]), share.sum() / 2)]]


def flattest(share: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows (N,) beyond the mean of a component along its axis of lowest kurtosis.

    Two groups of similar weight are farthest apart there, in units of their own spread, even where other axes are longer: see
    `flattest_axis`.
    """
    white = _whitened(share, rows)
    return white @ flattest_axis(white, share) > 0


def flattest_axis(white: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Axis (D,) along which whitened rows (N, D), with ``share`` (N,) of each, have their lowest kurtosis.

    A projection of two groups of similar weight has a kurtosis below 3, and the lower the farther they are apart (Pena & Prieto 2001,
    JASA 96). Searched by descent, from the axes of least fourth moments (Tyler, Critchley, Duembgen & Oja 2009, JRSS B 71) and from
    those of largest variance before whitening, which come last in ``white``.
    """
    present = share > 1e-3 * share.max()
    white, weight = white[present], share[present] / share[present].sum()
    fourth = products(weight * (white * white).sum(1), white, white)
    few = DIRECTIONS // 2
    axes = np.concatenate([np.linalg.eigh(fourth)[1][:, :few], np.eye(white.shape[1])[:, -few:]], 1)
    for _ in range(DESCENTS):
        place = white @ axes
        cubes = place * place * place
        axes = axes - (products(weight, cubes, white).T - summed(weight, cubes * place) * axes) / 3
        axes /= np.maximum(np.linalg.norm(axes, axis=0), LITTLE)
    return axes[:, summed(weight, (white @ axes) ** 4).argmin()]


def _axes(share: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows about the mean of a component, and the variances and axes of its covariance, the longest last."""
    total = max(share.sum(), LITTLE)
    centred = rows - summed(share, rows) / total
    values, axes = np.linalg.eigh(products(share, centred, centred) / total)
    return centred, values, axes


def _whitened(share: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows (N, D) along the axes of a component, in units of its spread along each."""
    centred, values, axes = _axes(share, rows)
    return centred @ axes / np.sqrt(np.maximum(values, max(1e-9 * values[-1], LITTLE)))


WAYS = (flattest, along, outer)
"""The ways in the order in which they are tried."""
