"""The number of groups among outliers: Gaussians, Gaussians and noise, and Student t components on the same simulated data.

    python benchmarks/outliers.py --sets 5 --out table.csv
    python benchmarks/outliers.py --sets 1 --by bic
    python benchmarks/outliers.py --sets 2 --by select

Groups of unit shape lie on a circle (two columns) or along axes, each 7 standard deviations from the next. ``clean`` has nothing else,
``noise`` a tenth of all rows anywhere in a box twice as wide as the groups, ``heavy`` groups of Student t with 3 degrees of freedom;
``noisy3`` is the set of ``tests/reference/noisy3.csv``, on which mclust has 3 components and noise, or 4 without. Fits start with 12
components (variational, default prior), or try 1 to 6 by BIC, or by the evidence (`bg.select`). ARI is over rows that are no noise.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np

import bayesgmm as bg

DESIGNS = {"clean": (2, 4), "noise": (2, 4), "noise 4-d": (4, 4), "heavy": (2, 4), "heavy 4-d": (4, 4), "noisy3": (2, 3)}
"""Columns and groups."""

MODELS = {
    "Gaussian": {},
    "noise": {"noise": "box"},
    "Student t, one dof": {"student_t": "shared"},
    "Student t, own dof": {"student_t": "learn"},
    "noise and Student t": {"noise": "box", "student_t": "shared"},
}
ROWS = 600


def make(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their groups; -1 is noise."""
    if name == "noisy3":
        path = Path(__file__).parents[1] / "tests" / "reference" / "noisy3.csv"
        table = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=str)
        return table[:, :2].astype(float), np.array([-1 if word == "noise" else int(word) - 1 for word in table[:, 2]])
    d, k = DESIGNS[name]
    rng = np.random.default_rng([seed, list(DESIGNS).index(name)])
    turn = 2 * np.pi * np.arange(k) / k
    centres = np.stack([np.cos(turn), np.sin(turn)], 1) * 3.5 / np.sin(np.pi / k) if d == 2 else 7 / np.sqrt(2) * np.eye(k, d)
    labels = rng.integers(0, k, ROWS)
    rows = rng.standard_normal((ROWS, d))
    if name.startswith("heavy"):
        rows /= np.sqrt(rng.chisquare(3, (ROWS, 1)) / 3)
    x = centres[labels] + rows
    if name.startswith("noise"):
        far = rng.random(ROWS) < 0.1
        middle, half = (x.max(0) + x.min(0)) / 2, x.max(0) - x.min(0)
        x[far], labels[far] = rng.uniform(middle - half, middle + half, (far.sum(), d)), -1
    return x, labels


def by_pruning(x: np.ndarray, options: dict):
    return bg.BayesianGaussianMixture(n_components=12, random_state=0, **options).fit(x)


def by_bic(x: np.ndarray, options: dict):
    models = [bg.GaussianMixture(k, n_init=5, random_state=0, **options).fit(x) for k in range(1, 7)]
    return min(models, key=lambda model: (bool(model.collapsed_), model.bic(x)))


def by_evidence(x: np.ndarray, options: dict):
    return bg.select(x, range(1, 7), "full", **options).best


SEARCHES = {"pruning": by_pruning, "bic": by_bic, "select": by_evidence}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=5, help="data sets of each design")
    parser.add_argument("--by", choices=SEARCHES, default="pruning", help="how the number of components is found")
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--out")
    options = parser.parse_args()
    search, rows = SEARCHES[options.by], []
    for name, (model, more) in itertools.product(options.designs, MODELS.items()):
        for seed in range(1 if name == "noisy3" else options.sets):
            x, truth = make(name, seed)
            found = search(x, more)
            proper = truth >= 0
            ari = bg.adjusted_rand_index(found.labels_[proper], truth[proper])
            rows.append({"design": name, "model": model, "seed": seed, "true": DESIGNS[name][1], "found": found.n_components_, "ari": ari})
        own = [row for row in rows if row["design"] == name and row["model"] == model]
        right = sum(row["found"] == row["true"] for row in own)
        numbers = ", ".join(str(row["found"]) for row in own)
        print(
            f"{name:10} {model:20} right {right} of {len(own)}  found {numbers:14} ARI {np.mean([row['ari'] for row in own]):.3f}",
            flush=True,
        )
    if options.out:
        with open(options.out, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
