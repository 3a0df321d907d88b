"""Mixtures by several libraries from the same start for a given number of iterations, for `speed.py`.

Every maker takes a `Start` and answers a function of the number of iterations that fits and returns the number it made, or None where the
library is not installed or has no such model.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass
class Start:
    """Rows (N, D), labels (N,) to start from, and the parameters that one update makes of them."""

    x: np.ndarray
    labels: np.ndarray
    n_components: int
    covariance_type: str

    @functools.cached_property
    def parameters(self):
        """Weights (K,), means (K, D) and covariances in scikit-learn's shape."""
        x, labels, k, kind = self.x, self.labels, self.n_components, self.covariance_type
        counts = np.bincount(labels, minlength=k).astype(float)
        means = np.stack([x[labels == j].mean(0) for j in range(k)])
        full = np.stack([np.cov(x[labels == j].T, bias=True) for j in range(k)])
        variances = np.diagonal(full, axis1=1, axis2=2)
        shapes = {
            "full": full,
            "tied": (full * counts[:, None, None]).sum(0) / counts.sum(),
            "diag": variances,
            "spherical": variances.mean(1),
        }
        return counts / counts.sum(), means, shapes[kind]


def make_start(n: int, d: int, k: int, covariance_type: str, seed: int = 0, apart: float = 2.0) -> Start:
    """Groups of unit spread, alike far ``apart`` in any number of columns, and labels three in ten of which are wrong."""
    rng = np.random.default_rng(seed)
    centres = apart / max(d / 10, 1) ** 0.5 * rng.standard_normal((k, d))
    truth = rng.integers(k, size=n)
    x = rng.standard_normal((n, d))
    x += centres[truth]
    return Start(x, np.where(rng.random(n) < 0.3, rng.integers(k, size=n), truth), k, covariance_type)


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def bayesgmm_em(start: Start) -> Callable:
    import bayesgmm as bg

    def fit(n_iter, tol=0.0):
        options = {"covariance_type": start.covariance_type, "tol": tol, "max_iter": n_iter, "init_params": start.labels}
        return bg.GaussianMixture(start.n_components, **options).fit(start.x).n_iter_

    return fit


def bayesgmm_vb(start: Start) -> Callable:
    import bayesgmm as bg

    kind = {"n_components": start.n_components, "covariance_type": start.covariance_type, "prune": False, "moves": False}

    def fit(n_iter):
        return bg.BayesianGaussianMixture(tol=0, max_iter=n_iter, init_params=start.labels, **kind).fit(start.x).n_iter_

    return fit


def sklearn_em(start: Start) -> Callable | None:
    if not installed("sklearn"):
        return None
    from sklearn.mixture import GaussianMixture

    weights, means, covariances = start.parameters
    inverse = {"full": np.linalg.inv, "tied": np.linalg.inv}.get(start.covariance_type, np.reciprocal)
    given = {"weights_init": weights, "means_init": means, "precisions_init": inverse(covariances)}
    options = {"covariance_type": start.covariance_type, "init_params": "random_from_data", "random_state": 0, **given}

    def fit(n_iter):
        return GaussianMixture(start.n_components, tol=0, max_iter=n_iter, **options).fit(start.x).n_iter_

    return fit


def sklearn_vb(start: Start) -> Callable | None:
    """Random rows as a start: scikit-learn's class takes no other; the time of an iteration does not depend on it."""
    if not installed("sklearn"):
        return None
    from sklearn.mixture import BayesianGaussianMixture

    options = {"covariance_type": start.covariance_type, "init_params": "random_from_data", "random_state": 0}

    def fit(n_iter):
        return BayesianGaussianMixture(n_components=start.n_components, tol=0, max_iter=n_iter, **options).fit(start.x).n_iter_

    return fit


def daal4py_em(start: Start) -> Callable | None:
    """Intel's oneDAL; full and diagonal only."""
    if not installed("daal4py") or start.covariance_type not in ("full", "diag"):
        return None
    import daal4py

    weights, means, covariances = start.parameters
    storage = {"full": "full", "diag": "diagonal"}[start.covariance_type]
    matrices = [np.atleast_2d(c) for c in covariances]

    def fit(n_iter):
        algorithm = daal4py.em_gmm(start.n_components, maxIterations=n_iter, accuracyThreshold=0, covarianceStorage=storage)
        return int(algorithm.compute(start.x, weights[None], means, matrices).nIterations[0, 0])

    return fit


PEERS = {
    "em": {"bayesgmm": bayesgmm_em, "scikit-learn": sklearn_em, "daal4py": daal4py_em},
    "vb": {"bayesgmm": bayesgmm_vb, "scikit-learn": sklearn_vb},
}
"""Makers by algorithm and library; ours first."""
