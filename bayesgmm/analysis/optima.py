"""Several fits of one model: which of them are different optima, and the evidence that these have together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayesgmm.core.mixture import Mixture

SAME_BOUND = 1e-3
"""Nats by which bounds of one optimum may differ."""

SAME_PLACE = 1e-2
"""Share of a standard deviation, or of a weight, by which its parameters may differ."""


def matched(first: Mixture, second: Mixture) -> np.ndarray:
    """Component (K,) of the second fit for each one of the first, by Hungarian assignment of means and counts."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(_differences(first, second))[1]


def _differences(first: Mixture, second: Mixture) -> np.ndarray:
    """Largest difference (K, K) of two components: means and widths in standard deviations, concentrations by their size."""
    features = [_features(q) for q in (first, second)]
    deviation = np.sqrt(_variances(first))[:, None]
    (mean, width, counts), (other_mean, other_width, other_counts) = features
    means = np.abs(mean[:, None] - other_mean) / deviation
    widths = np.abs(np.log(width)[:, None] - np.log(other_width))
    share = np.abs(counts[:, None] - other_counts) / (1 + counts[:, None])
    return np.maximum(np.maximum(means.max(2), widths.max(2)), share)


def _variances(posterior: Mixture) -> np.ndarray:
    """Variances (K, D) of the components."""
    law = posterior.components
    dense = np.asarray(law.structure.to_dense(np.asarray(law.covariance), law.n_features))
    return np.broadcast_to(np.diagonal(dense, axis1=1, axis2=2), law.mean.shape)


def _features(posterior: Mixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.asarray(posterior.components.mean), _variances(posterior), np.asarray(posterior.weights.concentration)


def same_optimum(first: Mixture, second: Mixture, bounds: tuple[float, float]) -> bool:
    """Whether two fits differ only in their labels: equal bounds, and equal parameters once components are matched."""
    if first.n_components != second.n_components or abs(bounds[0] - bounds[1]) > SAME_BOUND:
        return False
    rows = np.arange(first.n_components)
    return bool((_differences(first, second)[rows, matched(first, second)] < SAME_PLACE).all())


def distinct(posteriors: Sequence[Mixture], bounds: Sequence[float]) -> list[int]:
    """Places of fits at different optima, the highest bound first.

    Parameters
    ----------
    posteriors : sequence of Mixture
        Fits of one model to the same rows, in the same coordinates.
    bounds : sequence of float
        Their bounds, nats.
    """
    kept: list[int] = []
    for i in np.argsort(-np.asarray(bounds), kind="stable"):
        if not any(same_optimum(posteriors[j], posteriors[i], (bounds[j], bounds[i])) for j in kept):
            kept.append(int(i))
    return kept


def average(evidences: Sequence[float]) -> float:
    """Log of the sum of the evidences found at different optima, from their logs.

    Each optimum stands for its own share of the parameters, so the shares add up. Where optima overlap the sum is too large, and what
    no fit has found is missing.
    """
    return float(np.logaddexp.reduce(np.asarray(evidences, float)))
