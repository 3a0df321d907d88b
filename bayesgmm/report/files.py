"""A fit as files: JSON, page, table of rows, model and posterior."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm._version import __version__
from bayesgmm.analysis.facts import Facts
from bayesgmm.storage import replacing


def as_json(facts: Facts, structures: dict[str, tuple[int, float]], seconds: float) -> dict[str, Any]:
    """One object with every number of a variational fit; ``structures`` maps each one tried to (components, bound)."""
    bound = facts.objective
    return {
        "data": facts.title,
        "n_samples": facts.n_samples,
        "n_features": facts.n_features,
        "columns": facts.columns,
        "covariance_type": facts.covariance_type,
        "n_components": facts.n_components,
        "max_components": facts.n_asked,
        "elbo": bound,
        "multiplicity": facts.multiplicity,
        "response": facts.evidence.response if facts.evidence else None,
        "log_evidence": facts.evidence.total if facts.evidence else bound + (facts.multiplicity or 0.0),
        "log_likelihood": facts.log_likelihood,
        "n_parameters": facts.n_parameters,
        "criteria": facts.criteria,
        "weights": facts.weights,
        "means": facts.means,
        "standard_deviations": facts.spreads,
        "covariances": facts.covariances,
        "rows": facts.rows,
        "least_certain": [vars(d) for d in facts.doubtful],
        "kmeans_agreement": facts.kmeans_agreement,
        "kmeans_rows": facts.kmeans_rows,
        "structures": {name: {"n_components": k, "elbo": value} for name, (k, value) in structures.items()},
        "converged": facts.converged,
        "n_iter": facts.n_iter,
        "restart_agreement": facts.restart_agreement if facts.n_starts > 1 else None,
        "notes": facts.notes,
        "seed": facts.seed,
        "version": facts.version,
        "seconds": round(seconds, 3),
    }


def selection_as_json(selection, title: str, columns: list[str], n_samples: int, seconds: float) -> dict[str, Any]:
    """One object with the answer, the probabilities and the whole table of a selection; numbers not computed are null."""

    def plain(values: np.ndarray) -> list:
        return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values.tolist()]

    def finite(shares: dict) -> dict[str, float | None]:
        return {str(name): share if math.isfinite(share) else None for name, share in shares.items()}

    return {
        "data": title,
        "n_samples": n_samples,
        "columns": columns,
        "criterion": selection.criterion,
        "prior": selection.prior,
        "n_components": selection.n_components,
        "covariance_type": selection.covariance_type,
        "n_components_probability": finite(selection.n_components_probability),
        "covariance_type_probability": finite(selection.covariance_type_probability),
        "restart_agreement": selection.restart_agreement,
        "verdict": selection.verdict,
        "table": {name: plain(values) for name, values in selection.table.items()},
        "weights": selection.best.weights_.tolist(),
        "means": selection.best.means_.tolist(),
        "covariances": np.asarray(selection.best.covariances_).tolist(),
        "version": __version__,
        "seconds": round(seconds, 3),
    }


def posterior_record(model) -> dict[str, Any]:
    """Prior and posterior laws of a fitted model, by their fields, in the units of the data."""

    def law(value):
        fields = {k: np.asarray(v).tolist() for k, v in vars(value).items() if isinstance(v, np.ndarray)}
        return {"law": type(value).__name__, **fields}

    pairs = {"prior": model.prior_, "posterior": model.posterior_}
    return {name: {"weights": law(m.weights), "components": law(m.components)} for name, m in pairs.items()}


def write_folder(folder: Path, model, batches: Iterable[np.ndarray], record: dict[str, Any]) -> None:
    """assignments.csv of all batches of rows, model.npz and posterior.json."""
    with replacing(folder / "assignments.csv") as path:
        _assignments((model.row_table(rows) for rows in batches), path)
    model.save(folder / "model.npz")
    posterior = {"fit": record, **posterior_record(model)}
    with replacing(folder / "posterior.json") as path:
        path.write_text(json.dumps(posterior, indent=1, allow_nan=False), encoding="utf-8")


def _assignments(tables: Iterable[Any], path: Path) -> None:
    """Row, component (from 1, as in the summary), its probability, and the runner-up."""
    number = itertools.count()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "component", "probability", "runner_up", "runner_up_probability"])
        for first, second, p, q in (row for table in tables for row in zip(*table, strict=True)):
            other = second + 1 if not math.isclose(q, 0, abs_tol=1e-12) else ""
            writer.writerow([next(number), first + 1, f"{p:.6f}", other, f"{q:.6f}"])
