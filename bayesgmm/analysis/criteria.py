"""Information criteria; smaller is better, as in scikit-learn. mclust prints the same numbers with the opposite sign."""

from __future__ import annotations

import numpy as np

from bayesgmm.core.structures import Structure


def n_parameters(structure: Structure, tied: bool, n_components: int, n_features: int) -> int:
    """Free parameters of a mixture: weights, means and covariances (Fraley & Raftery 2002, JASA 97)."""
    matrices = 1 if tied else n_components
    return n_components - 1 + n_components * n_features + matrices * structure.n_parameters(n_features)


def bic(log_likelihood: float, n_params: int, n_rows: float) -> float:
    """Bayesian information criterion, ``-2 log L + p log n`` (Schwarz 1978)."""
    return -2 * log_likelihood + n_params * np.log(n_rows)


def aic(log_likelihood: float, n_params: int) -> float:
    """Akaike's information criterion, ``-2 log L + 2 p`` (Akaike 1974)."""
    return -2 * log_likelihood + 2 * n_params


def icl(bic_value: float, top_probability: np.ndarray, weight: np.ndarray) -> float:
    """Integrated completed likelihood, ``BIC - 2 sum_n w_n log max_k r_nk`` (Biernacki, Celeux & Govaert 2000; hard form)."""
    return bic_value - 2 * float(weight @ np.log(top_probability))
