"""The facts of a fit, computed once; text, notebook, page and JSON only lay them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesgmm._version import __version__
from bayesgmm.analysis.comparison import kmeans_labels, matched_rows
from bayesgmm.analysis.evidence import Evidence
from bayesgmm.analysis.response import n_coefficients

SHOWN = ("bic", "aic", "icl")
"""Criteria, in this order also in a model that was pickled or loaded."""

TIES = 0.01
"""Share of rows whose label may differ between two computations."""

AFFORDABLE = 1e11
"""Multiplications spent on the correction of the bound for a summary: a few seconds."""


@dataclasses.dataclass(frozen=True)
class Doubt:
    """A row between two components."""

    row: int
    first: int
    probability: float
    second: int
    other: float


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that is said about a fit, as plain Python values.

    Attributes
    ----------
    title : str
        Name of the data.
    method : str
        Kind of model, in words.
    bound : float
        Evidence lower bound in nats (Bayesian), None otherwise.
    multiplicity : float or None
        What the equivalent labellings of the components add to the bound, in nats.
    evidence : Evidence or None
        The bound with its corrections; for Bayesian fits without weights, where the data are given and not very large.
    spreads : list of list of float, (K, D)
        Standard deviations of each component.
    rows : list of int, (K,)
        Rows whose most probable component it is.
    kmeans_agreement : int or None
        Rows that k-means with as many clusters puts together in the same way.
    kmeans_rows : list of int, or None
        Sizes of the clusters of k-means, the largest first.
    """

    title: str
    method: str
    n_samples: int
    n_rows: float
    n_features: int
    columns: list[str]
    units: list[str]
    covariance_type: str
    n_components: int
    n_asked: int
    bound: float | None
    multiplicity: float | None
    evidence: Evidence | None
    log_likelihood: float
    objective: float
    n_parameters: int
    criteria: dict[str, float]
    weights: list[float]
    means: list[list[float]]
    spreads: list[list[float]]
    covariances: list[Any]
    rows: list[int]
    doubtful: list[Doubt]
    kmeans_agreement: int | None
    kmeans_rows: list[int] | None
    converged: bool
    n_iter: int
    n_starts: int
    restart_agreement: float
    seed: Any
    notes: list[str]
    version: str = __version__


def column_names(model) -> list[str]:
    """Names of the columns that a model was fitted to; ``x0``, ``x1`` ... where they had none."""
    return [str(name) for name in getattr(model, "feature_names_in_", [f"x{j}" for j in range(model.n_features_in_)])]


def gather(model, values: np.ndarray | None, *, title: str | None, units: Sequence[str] | None) -> Facts:
    """Facts of a fitted estimator; ``values`` (N, D) in the user's units add the comparison with k-means."""
    d, k = model.n_features_in_, model.n_components_
    columns = column_names(model)
    bayesian = model._bayesian
    _check_given(model, values, units, columns)
    agreement, sizes = _beside_kmeans(model, values)
    dense = np.broadcast_to(_dense(model), (k, d, d))
    return Facts(
        title=title or "Data",
        method=_method(model, bayesian),
        n_samples=model._n_samples,
        n_rows=model._n_rows,
        n_features=d,
        columns=columns,
        units=list(units or [""] * d),
        covariance_type=model.covariance_type,
        n_components=k,
        n_asked=int(model.n_components),
        bound=float(model.lower_bound_) if bayesian else None,
        multiplicity=model._multiplicity,
        evidence=_evidence(model, values) if bayesian else None,
        log_likelihood=float(model.log_likelihood_),
        objective=float(model.lower_bound_),
        n_parameters=int(model.n_parameters_),
        criteria={name: model._criteria[name] for name in SHOWN if name in model._criteria},
        weights=model.weights_.tolist(),
        means=model.means_.tolist(),
        spreads=np.sqrt(np.diagonal(dense, axis1=1, axis2=2)).tolist(),
        covariances=np.asarray(model.covariances_).tolist(),
        rows=model._label_counts.tolist(),
        doubtful=[Doubt(*each) for each in model._doubtful],
        kmeans_agreement=agreement,
        kmeans_rows=sizes,
        converged=bool(model.converged_),
        n_iter=int(model.n_iter_),
        n_starts=int(model.n_starts_),
        restart_agreement=float(model.restart_agreement_),
        seed=model.random_state if isinstance(model.random_state, (int, np.integer)) else None,
        notes=notes(model, columns),
    )


def _check_given(model, values: np.ndarray | None, units: Sequence[str] | None, columns: list[str]) -> None:
    """Rows of the fit, and a unit for each column."""
    if values is not None:
        _check_same(model, values)
    if isinstance(units, str) or (units is not None and len(units) != len(columns)):
        listed = f"one for each column ({', '.join(columns[:8])})"
        raise ValueError(f"units must be {len(columns)} words, {listed}; got {units!r}.")


def _check_same(model, values: np.ndarray) -> None:
    """Rows of the fit: as many, and but for ties the same labels."""
    if len(values) != model._n_samples or (model.predict(values) != model.labels_).mean() > TIES:
        raise ValueError(f"X must be the {model._n_samples} rows of the fit, in their order; these {len(values)} rows are others.")


def _beside_kmeans(model, values: np.ndarray | None) -> tuple[int | None, list[int] | None]:
    """Rows on which k-means with as many clusters agrees, and the sizes of its clusters, the largest first."""
    if values is None or model.n_components_ == 1 or model.posterior_.n_noise:
        return None, None
    means = kmeans_labels(values, model.n_components_)
    return matched_rows(model.labels_, means), sorted(np.bincount(means).tolist(), reverse=True)


def _evidence(model, values: np.ndarray | None) -> Evidence | None:
    """The corrected bound where it takes no more than seconds and all rows count once."""
    if values is None or model._n_rows != model._n_samples or model.posterior_.n_known:
        return None
    if len(values) * n_coefficients(model.posterior_) ** 2 > AFFORDABLE:
        return None
    try:
        return model.log_evidence(values)
    except ValueError:  # weights that happen to sum to the number of rows, or rows a little off those of the fit
        return None


def _dense(model) -> np.ndarray:
    components = model.posterior_.components
    return np.asarray(components.structure.to_dense(np.asarray(components.covariance), components.n_features))


def _method(model, bayesian: bool) -> str:
    kind = "Gaussian" if model.student_t is None else "Student t"
    known = model.prior_.n_known
    told = f", {'the first component' if known == 1 else f'the first {known} components'} known" if known else ""
    if bayesian:
        law = "Dirichlet process" if model.weight_concentration_prior_type == "dirichlet_process" else "Dirichlet"
        return f"Variational {kind} mixture ({law} weights){told}"
    return f"{kind} mixture, maximum {'likelihood' if model.prior is None else 'a posteriori'}{told}"


def notes(model, columns: list[str]) -> list[str]:
    """What a careful reader has to be told."""
    said = []
    if not model.converged_:
        said.append(f"Not converged after {model.n_iter_} pass{'es' * (model.n_iter_ != 1)}: raise max_iter or tol.")
    if model.posterior_.n_noise:
        share = f"{model.noise_weight_:.3f} of the weight, {model._noise_rows} rows"
        said.append(f"Noise: {share}, uniform over a volume of {model.noise_volume_:.6g} in the units of the data.")
    if model.student_t is not None:
        dof = ", ".join(f"{value:.1f}" for value in model.degrees_of_freedom_)
        said.append(f"Student t components: degrees of freedom {dof}; the spreads are those of the matrices of scale.")
    if model.n_rows_seen_ > model._n_samples:
        told = f"Learnt from {model.n_rows_seen_:,} rows in parts (partial_fit), of which these are the last"
        said.append(f"{told}; the bound is one of all of them, likelihood, criteria and rows are of the last.")
    if model._dependent:
        named = ", ".join(columns[j] for j in model._dependent)
        said.append(f"Linearly dependent columns ({named}): a ridge of 1e-6 of the variances was added to the data's covariance.")
    for c in getattr(model, "collapsed_", ()):
        onto = f" onto rows {list(c[1])}" if c[1] else ""
        said.append(f"Component {c[0] + 1} collapsed{onto} (no spread in {columns[c[2]]}); do not trust it.")
    return said
