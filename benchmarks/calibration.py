"""How often intervals hold the true parameters, and how near their widths are to those of long Gibbs runs.

    python benchmarks/calibration.py --sets 200 --jobs 2

Three designs of two groups of 3 : 2 rows in two columns, each with more overlap than the one before; `--widths` compares standard
deviations of log weights, means and log standard deviations with Gibbs runs on some of the same sets.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import time
import warnings
from typing import NamedTuple

import numpy as np


class Design(NamedTuple):
    """Two groups of unit covariance; ``apart`` is the distance of their means."""

    n_rows: int
    apart: float
    share: float


DESIGNS = {
    "300 rows, 3.5 apart": Design(300, 3.5, 0.6),
    "300 rows, 3 apart": Design(300, 3.0, 0.6),
    "1,000 rows, 2.5 apart": Design(1000, 2.5, 0.6),
}
METHODS = ("mean_field", "linear_response", "importance")
SETTINGS = {"n_components": 2, "prune": False, "weight_concentration_prior_type": "dirichlet_distribution", "random_state": 0, "n_init": 3}


def draw(design: Design, index: int) -> np.ndarray:
    """Rows of one set, all of the first group first."""
    rng = np.random.default_rng([index, design.n_rows, int(10 * design.apart)])
    labels = rng.random(design.n_rows) > design.share
    return rng.standard_normal((design.n_rows, 2)) + labels[:, None] * [design.apart, 0.0]


def truth(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Weights (2,) and means (2, 2)."""
    return np.array([design.share, 1 - design.share]), np.array([[0.0, 0.0], [design.apart, 0.0]])


def deviations(found) -> np.ndarray:
    """Standard deviations of the log ratio of the weights, of means, and of log standard deviations."""
    values = found.intervals(
        function=lambda w, m, c: np.concatenate([[np.log(w[0] / w[1])], m.ravel(), np.log(np.diagonal(c, axis1=1, axis2=2)).ravel()])
    )
    return values["value"].sd


def judge(name: str, widths: bool, index: int) -> dict:
    """Coverage of every interval of one set by every method; the standard deviations beside those of Gibbs."""
    import bayesgmm as bg

    warnings.simplefilter("ignore")
    design = DESIGNS[name]
    x, (weights, means) = draw(design, index), truth(design)
    model = bg.BayesianGaussianMixture(**SETTINGS).fit(x)
    order = np.argsort(model.means_[:, 0])
    found = {method: model.uncertainty(x, method, n_draws=2000) for method in METHODS}
    row: dict = {"k_hat": found["importance"].k_hat, "contraction": found["linear_response"].contraction}
    for method, each in found.items():
        summary = each.intervals(0.95)
        held = [
            (summary[key].lower[order] <= true) & (true <= summary[key].upper[order])
            for key, true in (("weights", weights), ("means", means))
        ]
        row[method] = np.concatenate([part.ravel() for part in held])
    if widths:
        exact = model.uncertainty(x, "gibbs", n_draws=8000, thin=20, n_burn=2000)
        row["r_hat"] = exact.r_hat
        row["ratio"] = {method: deviations(each) / deviations(exact) for method, each in found.items()}
        row["pairs"] = {method: np.abs(each.similarity - exact.similarity).mean() for method, each in found.items()}
    return row


def one_core(cores) -> None:
    """A core of its own for each process."""
    os.sched_setaffinity(0, {cores.get()})


def table(name: str, rows: list[dict], widths: bool) -> list[str]:
    """Lines of one design."""
    usable = np.array([row["k_hat"] < 0.7 for row in rows])
    lines = []
    for method in METHODS:
        held = np.stack([row[method] for row in rows])
        kept = held[usable] if method == "importance" else held
        cells = [
            name,
            method.replace("_", " "),
            str(len(kept)),
            f"{kept[:, :1].mean():.3f}",
            f"{kept[:, 2:].mean():.3f}",
            f"{kept.mean():.3f}",
        ]
        if widths:
            known = [row for row, fine in zip(rows, usable | (method != "importance"), strict=True) if fine and row["r_hat"] < 1.02]
            error = np.abs(np.concatenate([row["ratio"][method] for row in known]) - 1)
            pairs = np.mean([row["pairs"][method] for row in known])
            cells += [str(len(known)), f"{np.median(error):.3f}", f"{np.quantile(error, 0.9):.3f}", f"{pairs:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200, help="data sets of each design")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--widths", action="store_true", help="compare with Gibbs runs too")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    head = ["design", "method", "sets", "weight", "means", "both"] + ["sets", "sd: median error", "90 %", "pairs"] * options.widths
    print("| " + " | ".join(head[: 6 + 4 * options.widths]) + " |\n" + "|---" * (6 + 4 * options.widths) + "|")
    for name in DESIGNS:
        cores, began = context.Queue(), time.perf_counter()
        for core in range(options.jobs):
            cores.put(core)
        with context.Pool(options.jobs, one_core, (cores,)) as pool:
            rows = pool.map(functools.partial(judge, name, options.widths), range(options.sets), chunksize=5)
        print("\n".join(table(name, rows, options.widths)), flush=True)
        rate = np.array([row["contraction"] for row in rows])
        seconds = f"{time.perf_counter() - began:.0f} s"
        usable = np.mean([row["k_hat"] < 0.7 for row in rows])
        print(f"(contraction {np.median(rate):.2f}, at most {rate.max():.2f}; k-hat below 0.7 in {usable:.2f}; {seconds})")


if __name__ == "__main__":
    main()
