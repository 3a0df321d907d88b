"""All kinds of answers that depend on a seed, and digests of every bit of them: run as a script, prints digests by name, or numbers."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import bayesgmm as bg
from bayesgmm.estimators.base import Estimator

X = bg.load_dataset("faithful").x[:120]
SHORT: dict[str, Any] = {"n_init": 2, "random_state": 3}
FAST: dict[str, Any] = {"n_init": 1, "random_state": 3}


def parts(value: Any, where: str = "") -> Iterator[tuple[str, bytes]]:
    """Every bit of an answer, with its place in it."""
    if isinstance(value, Estimator):
        value = vars(value) | {"file": saved(value)}
    elif dataclasses.is_dataclass(value) or (hasattr(value, "__dict__") and not callable(value)):
        value = vars(value)
    if isinstance(value, dict):
        for name, item in value.items():
            yield from parts(item, f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from parts(item, f"{where}[{i}]")
    elif hasattr(value, "dtype") and value.dtype != object:
        array = np.asarray(value)
        yield where, f"{array.dtype}{array.shape}".encode() + array.tobytes()
    else:
        yield where, value if isinstance(value, bytes) else repr(value if not hasattr(value, "tolist") else value.tolist()).encode()


def saved(model: Any) -> bytes:
    """Bytes of the file that the model writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.npz")
        return (Path(folder) / "model.npz").read_bytes()


def digest(value: Any) -> str:
    """One word for every bit of an answer."""
    found = hashlib.sha256()
    for where, content in parts(value):
        found.update(f"{where}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


@functools.cache
def groups(n: int, d: int) -> np.ndarray:
    """Rows of three overlapping groups."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((n, d)) + 3 * rng.integers(3, size=n)[:, None] * np.cos(np.arange(d))


def bayes(**options):
    return bg.BayesianGaussianMixture(**({"n_components": 4} | SHORT | options)).fit(X)


def mixture(**options):
    return bg.GaussianMixture(**({"n_components": 2} | SHORT | options)).fit(X)


def answered(model) -> list:
    """A model with what it says of rows."""
    return [model, model.predict_proba(X), model.score_samples(X), model.sample(20), model.icl(X), model.summary(X)]


def clusters() -> list:
    model = bg.KMeans(3, **SHORT).fit(X)
    return [model, model.predict(X), model.transform(X), model.score(X)]


def bayes_of(x: np.ndarray):
    """A search in which components are split and merged."""
    model = bg.BayesianGaussianMixture(n_components=4, **FAST).fit(x)
    return [model, model.score(x), model.row_table(x)]


def many() -> list:
    """k-means of so many rows that BLAS divides its sums among threads."""
    model = bg.KMeans(3, **FAST).fit(groups(2**17, 2))
    return [model, model.score(groups(2**17, 2))]


def one_column() -> list:
    """So many rows of one column that BLAS divides a sum of products among threads: starts, coordinates, splits, batches, shapes."""
    x = groups(30_000, 1) ** 3
    options = {"n_init": 1, "random_state": 3, "max_iter": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        found = [bg.BayesianGaussianMixture(6, init_params="random_from_data", **options), bg.GaussianMixture(2, **options)]
        models = [model.fit(x) for model in found]
        batched = bg.GaussianMixture(2, **options).fit(bg.scan([x[:15_000], x[15_000:]], sample=2000))
        return [models, batched, models[1].diagnose(x, n_draws=100, random_state=0)]


def in_threads() -> list:
    """So many rows that passes are divided among threads."""
    x = groups(2**18, 4)
    model = bg.GaussianMixture(3, max_iter=3, init_params="random_from_data", **FAST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return [model.fit(x), model.predict_proba(x), bg.KMeans(3, max_iter=3, **FAST).fit(x)]


def from_batches() -> list:
    x = groups(6000, 3)
    return [bg.GaussianMixture(3, **FAST).fit(bg.scan([x[:100], x[100:5000], x[5000:]], sample=2000))]


def bayesian_uncertainty() -> list:
    model = bayes(n_components=3, covariance_type="diag", weight_concentration_prior_type="dirichlet_distribution")
    sure = [model.uncertainty(X, method=m, n_draws=100) for m in ("mean_field", "linear_response", "importance")]
    gibbs = model.uncertainty(X, method="gibbs", n_draws=100, random_state=1)
    return [sure, gibbs, gibbs.intervals(), gibbs.partition(), gibbs.credible_ball(), gibbs.similarity, gibbs.memberships()]


def evidence() -> list:
    model = bayes(n_components=2, covariance_type="diag", weight_concentration_prior_type="dirichlet_distribution")
    return [model.log_evidence(X), model.importance_evidence(X, n_draws=100), model.sensitivity(X)]


def refits() -> list:
    model = mixture(covariance_type="diag", **FAST)
    methods = ("observed_information", "sandwich", "bootstrap")
    sure = [model.uncertainty(X, method=m, n_draws=20) for m in methods]
    return [sure, bg.bootstrap_lrt(X, "spherical", 2, 20, n_init=2, random_state=0)]


def reported() -> list:
    """The model's report, in brief."""
    with tempfile.TemporaryDirectory() as folder:
        mixture(covariance_type="diag").report(Path(folder) / "report.html", X, full=False)
        return [(Path(folder) / "report.html").read_bytes()]


def classes() -> list:
    """Classes of so many rows that BLAS divides its sums among threads, by a mixture each, and by one Gaussian."""
    x, rng = groups(30_000, 3), np.random.default_rng(1)
    y = (x[:, 0] + rng.standard_normal(len(x)) > 1).astype(int)
    options = {"n_components": 2, "covariance_type": "full", "random_state": 3}
    models = [bg.DiscriminantAnalysis(method, **options).fit(x, y) for method in ("mixtures", "gaussians")]
    return [models, *(model.predict_proba(x[:500]) for model in models), models[1].score(x, y)]


def combined() -> list:
    """Components of as many rows put together in each way."""
    x = groups(30_000, 3)
    model = bg.GaussianMixture(4, max_iter=500, **FAST).fit(x)
    return [bg.combine(model, x, method) for method in ("entropy", "misclassification")]


CASES: dict[str, Callable[[], Any]] = {
    "k-means": clusters,
    "many": many,
    "mixture": lambda: answered(mixture()),
    "MAP": lambda: answered(mixture(prior="default", covariance_type="spherical")),
    "bayes": lambda: answered(bayes()),
    "student": lambda: mixture(student_t="learn", noise="box", covariance_type="diag"),
    "float32": lambda: mixture(dtype="float32", covariance_type="diag"),
    "wide": lambda: bg.BayesianGaussianMixture(n_components=3, moves=False, **FAST).fit(groups(400, 40)),
    "one column": one_column,
    "threads": in_threads,
    "moves": lambda: bayes_of(groups(20_000, 12)),
    "batches": from_batches,
    "select": lambda: bg.select(X, range(1, 4), ("full", "spherical"), n_init=1, random_state=0),
    "uncertainty": bayesian_uncertainty,
    "evidence": evidence,
    "refits": refits,
    "diagnose": lambda: mixture(covariance_type="diag").diagnose(X, n_draws=100, random_state=0),
    "report": reported,
    "classes": classes,
    "combine": combined,
}
SMALL = ("k-means", "MAP", "many")
"""Cases that compile fast."""


def digests(names) -> dict[str, str]:
    """By name; where a case is named twice and its answers differ, both are told."""
    found: dict[str, str] = {}
    for name in names:
        word = digest(CASES[name]())
        found[name] = word if found.get(name, word) == word else f"{found[name]}, then {word}"
    return found


def numbers() -> list[float]:
    """Of a comparison, a search and an evidence: bounds, evidences, weights and means."""
    table = CASES["select"]().table
    found, (model, *_) = bayes(covariance_type="diag"), CASES["moves"]()
    bounds = [found.lower_bound_, found.log_evidence(X).total, model.lower_bound_]
    return [*table["elbo"], *table["evidence"], *bounds, *found.means_.ravel(), *model.weights_, *model.means_.ravel()]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    random.seed()  # nothing may depend on these
    np.random.seed(None)  # noqa: NPY002
    print(json.dumps(numbers() if sys.argv[1:] == ["numbers"] else digests(sys.argv[1:] or CASES)))
