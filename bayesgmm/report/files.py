"""A fit as files: JSON, page, table of rows, model and posterior."""

from __future__ import annotations

import csv
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm._version import __version__
from bayesgmm.analysis.facts import Facts
from bayesgmm.report import html


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


def _replace(path: Path, write) -> None:
    """Write beside the target and rename, so that no half-written file ever has the final name."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(Path(name))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_folder(folder: Path, model, values: np.ndarray, facts: Facts, record: dict[str, Any]) -> None:
    """report.html, assignments.csv, model.npz and posterior.json."""
    _replace(folder / "report.html", lambda p: html.write_page(facts, p))
    _replace(folder / "assignments.csv", lambda p: _assignments(model.row_table(values), p))
    _replace(folder / "model.npz", model.save)
    posterior = {"fit": record, **posterior_record(model)}
    _replace(folder / "posterior.json", lambda p: p.write_text(json.dumps(posterior, indent=1, allow_nan=False), encoding="utf-8"))


def _assignments(table, path: Path) -> None:
    """Row, component (from 1, as in the summary), its probability, and the runner-up."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "component", "probability", "runner_up", "runner_up_probability"])
        for i, (first, second, p, q) in enumerate(zip(*table, strict=True)):
            writer.writerow([i, first + 1, f"{p:.6f}", second + 1 if not math.isclose(q, 0, abs_tol=1e-12) else "", f"{q:.6f}"])
