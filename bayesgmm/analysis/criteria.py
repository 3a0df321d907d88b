"""Information criteria; smaller is better, as in scikit-learn. mclust prints the same numbers with the opposite sign."""

from __future__ import annotations

import numpy as np

from bayesgmm.core.low_rank import LowRank
from bayesgmm.core.sharing import Sharing
from bayesgmm.core.structures import Structure
from bayesgmm.inference.problem import summed

SIGNS = {"sklearn": 1, "mclust": -1}
"""What a criterion is multiplied by to be as these programs have it."""

PLATEAU = 0.15
"""Share of the models that must agree before the slope heuristic believes a slope."""


def n_parameters(structure: Structure, tied: bool, n_components: int, n_features: int, sharing: Sharing | LowRank | None = None) -> int:
    """Free parameters of a mixture: weights, means and covariances (Fraley & Raftery 2002, JASA 97)."""
    rest = n_components - 1 + n_components * n_features
    if sharing is not None:
        return rest + sharing.n_parameters(structure, n_components, n_features)
    return rest + (1 if tied else n_components) * structure.n_parameters(n_features)


def bic(log_likelihood: float, n_params: int, n_rows: float) -> float:
    """Bayesian information criterion, ``-2 log L + p log n`` (Schwarz 1978)."""
    return -2 * log_likelihood + n_params * np.log(n_rows)


def aic(log_likelihood: float, n_params: int) -> float:
    """Akaike's information criterion, ``-2 log L + 2 p`` (Akaike 1974)."""
    return -2 * log_likelihood + 2 * n_params


def aicc(log_likelihood: float, n_params: int, n_rows: float) -> float:
    """Akaike's criterion corrected for few rows (Hurvich & Tsai 1989); infinite where there are no more rows than parameters."""
    rest = n_rows - n_params - 1
    return aic(log_likelihood, n_params) + 2 * n_params * (n_params + 1) / rest if rest > 0 else np.inf


def icl(bic_value: float, log_certainty: float) -> float:
    """Integrated completed likelihood, ``BIC - 2 sum_n w_n log max_k r_nk``, given the sum (Biernacki, Celeux & Govaert 2000)."""
    return bic_value - 2 * log_certainty


def entropy(resp: np.ndarray, weight: np.ndarray) -> float:
    """Entropy of the assignments, ``-sum_n w_n sum_k r_nk log r_nk``, from responsibilities (N, K); in nats, 0 for certain ones."""
    positive = np.where(resp > 0, resp, 1)
    return -float(summed(weight, (positive * np.log(positive)).sum(1)))


def icl_soft(bic_value: float, assignment_entropy: float) -> float:
    """Integrated completed likelihood with soft labels, ``BIC + 2 entropy`` (McLachlan & Peel 2000, sec. 6.10.3)."""
    return bic_value + 2 * assignment_entropy


def nec(log_likelihood: float, log_likelihood_of_one: float, assignment_entropy: float, n_components: int) -> float:
    """Normalised entropy criterion, ``entropy / (log L_K - log L_1)``; 1 for one component (Biernacki, Celeux & Govaert 1999).

    Infinite where K components are no more likely than one.
    """
    if n_components == 1:
        return 1.0
    gained = log_likelihood - log_likelihood_of_one
    return assignment_entropy / gained if gained > 0 else np.inf


def slope_heuristic(log_likelihood: np.ndarray, n_params: np.ndarray) -> np.ndarray:
    r"""Slope heuristics (M,) for M models: :math:`-2\log L + 4 \hat\kappa p`, the penalty's size learnt from the large models.

    For the largest models log L grows like :math:`\hat\kappa p`; the slope is that of robust regressions on ever fewer of them, and the one
    taken is the last that a whole plateau of regressions agrees on (Baudry, Maugis & Michel 2012, Statistics and Computing 22). NaN where
    there are fewer than six models or no positive slope.

    Parameters
    ----------
    log_likelihood, n_params : array, shape (M,)
        Only the most likely model of each size takes part in the regressions.
    """
    likelihood, size = np.asarray(log_likelihood, float), np.asarray(n_params, float)
    nothing = np.full(len(size), np.nan)
    finite = np.isfinite(likelihood)
    sizes = np.unique(size[finite])
    if len(sizes) < 6:
        return nothing
    best = np.array([likelihood[finite & (size == p)].max() for p in sizes])
    slopes = np.array([_robust_slope(sizes[i:], best[i:]) for i in range(len(sizes) - 2)])
    choice = np.array([sizes[np.argmax(best - 2 * s * sizes)] if s > 0 else -1 for s in slopes])
    runs = np.split(np.arange(len(choice)), np.flatnonzero(np.diff(choice)) + 1)
    believed = [run for run in runs if len(run) >= max(PLATEAU * len(choice), 2) and choice[run[0]] >= 0]
    if not believed:
        return nothing
    kappa = slopes[believed[-1]].mean()
    return np.where(finite, -2 * likelihood + 4 * kappa * size, np.nan)


def _robust_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Median of the slopes between all pairs of points (Theil 1950; Sen 1968)."""
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))
