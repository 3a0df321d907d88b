"""Log-likelihoods of `bayesgmm.GaussianMixture` beside those of mclust and the best known ones, for a folder of reference figures.

The folder holds ``data/<set>.csv`` (a header, then numbers and perhaps a last column ``label``), ``mclust/<set>.json`` (fits of mclust
continued to a relative change of 1e-13 under ``fits[structure][G - 1]["tight"]``) and ``best_known_loglik.csv`` (set, structure, G, floor).

    python benchmarks/reference_loglik.py FOLDER --most 4 --starts 20 --out table.csv

Prints one line for each set, structure and number of components; ``-`` marks where mclust has no fit, ``d`` a degenerate one (an
eigenvalue of a standardised covariance of at most 1e-6, or fewer than d + 1 expected rows in a component with a matrix of its own).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import bayesgmm as bg

STRUCTURES = {"spherical_or_full_varying": "full", "tied_equal": "tied"}
"""Names in the folder of univariate sets; the others are the words of ``covariance_type``."""

REACHED = 1e-5
"""Relative shortfall that still counts as the same optimum."""

FIELDS = "set n d structure G mclust kind best_known ours short collapsed regular converged seconds".split()


class Target(NamedTuple):
    """What is to be reached: mclust's fit, whether it is regular, and the best regular fit known."""

    mclust: float | None
    regular: bool
    best_known: float | None

    @property
    def kind(self) -> str:
        return "-" if self.mclust is None else "" if self.regular else "d"

    def goal(self) -> float | None:
        """The highest of the regular figures."""
        values = [v for v in (self.mclust if self.regular else None, self.best_known) if v is not None]
        return max(values) if values else None


def read_rows(path: Path) -> np.ndarray:
    """Numbers (N, D) of a csv file, without its column of labels."""
    header, *rows = csv.reader(path.read_text().splitlines())
    width = len(header) - (header[-1] == "label")
    return np.array([row[:width] for row in rows], float)


def is_regular(weights, covariances, x: np.ndarray, tied: bool) -> bool:
    """Whether no component is degenerate, by the rule in the title of this file."""
    n, d = x.shape
    scale = x.std(0, ddof=1)
    standard = np.reshape(covariances, (-1, d, d)) / np.outer(scale, scale)
    if np.linalg.eigvalsh(standard).min() <= 1e-6:
        return False
    return tied or bool(n * np.min(weights) >= d + 1)


def mclust_figure(fit: dict | None, x: np.ndarray, tied: bool) -> tuple[float | None, bool]:
    """Log-likelihood of one fit and whether it is regular; the tight run where there is one."""
    if fit is None or "loglik" not in fit:
        return None, False
    tight = fit.get("tight") or fit
    if "parameters" not in tight:
        return fit["loglik"], False
    found = tight["parameters"]
    covariance = found["covariance" if "covariance" in found else "variance"]
    return tight["loglik"], is_regular(np.atleast_1d(found.get("pro", 1.0)), covariance, x, tied)


def read_targets(folder: Path, name: str, x: np.ndarray) -> dict[tuple[str, int], Target]:
    """Figures to reach by structure and number of components."""
    known = {}
    with (folder / "best_known_loglik.csv").open() as file:
        for row in csv.DictReader(file):
            if row["dataset"] == name:
                known[STRUCTURES.get(row["structure"], row["structure"]), int(row["G"])] = float(row["best_known_regular_loglik"])
    targets = {}
    for key, fits in json.loads((folder / "mclust" / f"{name}.json").read_text())["fits"].items():
        structure = STRUCTURES.get(key, key)
        for g, fit in enumerate(fits, 1):
            targets[structure, g] = Target(*mclust_figure(fit, x, structure == "tied"), known.get((structure, g)))
    return targets


def dense(model: bg.GaussianMixture) -> np.ndarray:
    """Covariances (K or 1, D, D) of a fitted model."""
    d, values = model.n_features_in_, model.covariances_
    if model.covariance_type == "diag":
        return np.stack([np.diag(v) for v in values])
    return values[:, None, None] * np.eye(d) if model.covariance_type == "spherical" else np.reshape(values, (-1, d, d))


def measure(x: np.ndarray, structure: str, g: int, target: Target, options: dict) -> dict:
    """Fit once and compare."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        model = bg.GaussianMixture(g, covariance_type=structure, **options).fit(x)
    goal = target.goal()
    return {
        "mclust": target.mclust,
        "kind": target.kind,
        "best_known": target.best_known,
        "ours": model.log_likelihood_,
        "short": None if goal is None else goal - model.log_likelihood_,
        "collapsed": len(model.collapsed_),
        "regular": is_regular(model.weights_, dense(model), x, structure == "tied"),
        "converged": model.converged_,
        "seconds": round(time.perf_counter() - start, 2),
    }


def line(row: dict) -> str:
    """One line of the table; an exclamation mark where the goal was missed."""
    number = lambda v: f"{v:14.6f}" if v is not None else f"{'-':>14}"  # noqa: E731
    missed = row["short"] is not None and row["short"] > REACHED * abs(row["ours"])
    flags = ("!" if missed else "") + ("c" if row["collapsed"] else "") + ("" if row["regular"] else "i")
    flags += "" if row["converged"] else "n"
    figures = " ".join(number(row[key]) for key in ("mclust", "best_known", "ours", "short"))
    return f"{row['set']:17}{row['structure']:10}{row['G']:2d} {row['kind']:1} {figures} {row['seconds']:6.1f} {flags}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default="", help="comma-separated names; all by default")
    parser.add_argument("--structures", default="spherical,diag,full,tied")
    parser.add_argument("--least", type=int, default=1)
    parser.add_argument("--most", type=int, default=4, help="most components")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--init", default="kmeans")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the table as csv")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    names = args.sets.split(",") if args.sets else sorted(path.stem for path in (args.folder / "mclust").glob("*.json"))
    options = {"n_init": args.starts, "init_params": args.init, "random_state": args.seed, "max_iter": 20000}
    table = []
    print(f"{'set':17}{'structure':10} G   {'mclust':>14} {'best known':>14} {'ours':>14} {'short':>14} {'s':>6}")
    for name in names:
        x = read_rows(args.folder / "data" / f"{name}.csv")
        jax.clear_caches()  # each compiled program holds memory maps, of which a process may have 65530
        for (structure, g), target in read_targets(args.folder, name, x).items():
            if args.least <= g <= args.most and structure in args.structures.split(","):
                row = {"set": name, "n": len(x), "d": x.shape[1], "structure": structure, "G": g}
                table.append(row | measure(x, structure, g, target, options))
                print(line(table[-1]), flush=True)
    if args.out:
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
