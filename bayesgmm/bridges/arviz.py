"""Draws as ArviZ wants them, whichever generation is installed: an xarray DataTree, which 0.x turns into its InferenceData."""

from __future__ import annotations

import datetime
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np

from bayesgmm._version import __version__

DIMS = {
    "weights": ("component",),
    "means": ("component", "feature"),
    "covariances": ("component", "feature", "feature_bis"),
    "noise_weight": (),
    "degrees_of_freedom": ("component",),
    "log_likelihood": ("row",),
    "predicted": ("row", "feature"),
}
"""Dimensions of each array after chain and draw."""


def to_arviz(
    draws: dict[str, np.ndarray],
    x: np.ndarray,
    feature_names: list[str],
    n_chains: int,
    log_likelihood: np.ndarray | None,
    predicted: np.ndarray | None,
    attrs: dict[str, Any],
) -> Any:
    """InferenceData (ArviZ 0.x) or DataTree (1.x) of draws (S, ...), which follow chain by chain.

    Parameters
    ----------
    draws : dict of ndarray
        ``weights`` (S, K), ``means`` (S, K, D), ``covariances`` (S, K, D, D), or (S, D, D) where all components share one.
    x : ndarray, shape (N, D)
    feature_names : list of str
    n_chains : int
    log_likelihood : ndarray, shape (S, N), or None
    predicted : ndarray, shape (S, N, D), or None
    attrs : dict
        Notes on where the draws come from.
    """
    import xarray

    k, n = draws["weights"].shape[1], len(x)
    known = {"component": np.arange(k), "feature": feature_names, "feature_bis": feature_names, "row": np.arange(n)}
    notes = {"inference_library": "bayesgmm", "inference_library_version": __version__, **attrs}
    notes["created_at"] = datetime.datetime.now(datetime.UTC).isoformat()

    def group(arrays: dict[str, tuple[np.ndarray, tuple[str, ...]]], sampled: bool = True):
        lead = ("chain", "draw") if sampled else ()
        shaped = {name: (lead + dims, _by_chain(a, n_chains) if sampled else a) for name, (a, dims) in arrays.items()}
        used = {dim for dims, _ in shaped.values() for dim in dims}
        coords: dict[str, Any] = {dim: values for dim, values in known.items() if dim in used}
        if sampled:
            coords |= {"chain": np.arange(n_chains), "draw": np.arange(len(draws["weights"]) // n_chains)}
        return xarray.Dataset(shaped, coords=coords, attrs=notes)

    groups = {"posterior": group({name: (a, DIMS[name][-(a.ndim - 1) :]) for name, a in draws.items()})}
    if log_likelihood is not None:
        groups["log_likelihood"] = group({"x": (log_likelihood, DIMS["log_likelihood"])})
        groups["sample_stats"] = group({"log_likelihood": (log_likelihood.sum(1), ())})
    if predicted is not None:
        groups["posterior_predictive"] = group({"x": (predicted, DIMS["predicted"])})
    groups["observed_data"] = group({"x": (x, DIMS["predicted"])}, sampled=False)
    return _generation(xarray.DataTree.from_dict(groups))


def _by_chain(a: np.ndarray, n_chains: int) -> np.ndarray:
    return a.reshape(n_chains, -1, *a.shape[1:])


def _generation(tree: Any) -> Any:
    if int(version("arviz").split(".")[0]) >= 1:
        return tree
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    return arviz.from_datatree(tree)  # pyright: ignore[reportAttributeAccessIssue]


def predict(
    weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    n: int,
    seed: int,
    dof: np.ndarray | None = None,
    box: np.ndarray | None = None,
) -> np.ndarray:
    """Rows (S, N, D) drawn from the mixture of each draw, from covariances (S, K or 1, D, D).

    With degrees of freedom ``dof`` (S, K) components are Student t; what the weights leave is noise, uniform in a ``box`` (2, D).
    """
    rng = np.random.default_rng([seed, 1])
    s, k, d = means.shape
    found, factors = np.empty((s, n, d)), np.linalg.cholesky(covariances)
    if box is not None:
        weights = np.append(weights, 1 - weights.sum(1, keepdims=True), 1)
    for i in range(s):
        labels = rng.choice(weights.shape[1], n, p=weights[i])
        for j in range(k):
            mine = labels == j
            noise = rng.standard_normal((int(mine.sum()), d))
            if dof is not None:
                noise = noise / np.sqrt(rng.chisquare(dof[i, j], (len(noise), 1)) / dof[i, j])
            found[i, mine] = means[i, j] + noise @ factors[i, min(j, len(factors[i]) - 1)].T
        if box is not None:
            found[i, labels == k] = rng.uniform(box[0], box[1], (int((labels == k).sum()), d))
    return found
