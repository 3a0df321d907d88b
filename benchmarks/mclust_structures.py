"""All structures of mclust beside its own figures: `bayesgmm.select(covariance_type="mclust", criterion="bic")`, for a folder of them.

The folder holds ``data/<set>.csv`` (a header, then numbers and perhaps a last column ``label``) and ``mclust/<set>.json`` with the tables
of mclustBIC and mclustICL (``bic_table`` and ``icl_table``: ``G``, ``models``, ``values[G][model]``, at mclust's default tolerance, which
stops at a relative change of the log-likelihood of 1e-5).

    python benchmarks/mclust_structures.py FOLDER --sets faithful iris --most 9 --starts 60 --out table.csv

A model is the same where log-likelihood and BIC are mclust's to 1e-4 of themselves, passed where they are higher by more than that, and
missed where they are lower: then it is fitted again by `GaussianMixture` with many starts, which need not be those of its neighbours.
Prints a line for each set and structure, and then every model that was passed, missed or fitted again.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import warnings
from pathlib import Path

import numpy as np

import bayesgmm as bg

SETS = ("faithful", "iris", "diabetes", "geyser", "penguins", "ex4_4_2", "ruspini", "acidity", "galaxies")
SAME = 1e-4
"""Relative difference within which figures count as the same."""

FIELDS = "set n d model G df mclust_df mclust_bic bic loglik_difference bic_difference mclust_icl icl icl_difference kind way".split()


def read_rows(path: Path) -> np.ndarray:
    """Numbers (N, D) of a csv file, without its column of labels."""
    header, *rows = csv.reader(path.read_text().splitlines())
    width = len(header) - (header[-1] == "label")
    return np.array([row[:width] for row in rows], float)


def mclust_parameters(model: str, g: int, d: int) -> int:
    """Free parameters as documented for mclust's nMclustParams: weights, means, volumes, shapes, orientations."""
    volume, shape, axes = (*model, "I", "I")[:3] if d > 1 else (model, "I", "I")
    sizes = {"I": 0, "E": 1, "V": g}
    return g - 1 + g * d + sizes[volume] + sizes[shape] * (d - 1) + sizes[axes] * d * (d - 1) // 2


def theirs_of(figures: dict) -> dict[tuple[str, str, int], float]:
    """mclust's criteria by name, model and number of components; NaN where it has no fit."""
    found = {}
    for criterion in ("bic", "icl"):
        table = figures[f"{criterion}_table"]
        for g, row in zip(table["G"], table["values"], strict=True):
            found |= {(criterion, m, g): np.nan if v is None else v for m, v in zip(table["models"], row, strict=True)}
    return found


def record(name: str, x: np.ndarray, theirs: dict, model: str, g: int, ours: dict) -> dict:
    """Figures of one model side by side; ``ours`` has n_parameters, log_likelihood, bic and icl."""
    (n, d), known = x.shape, mclust_parameters(model, g, x.shape[1])
    bic, icl = theirs["bic", model, g], theirs["icl", model, g]
    log_likelihood = (bic + known * np.log(n)) / 2
    gains = [(a - b) / abs(b) for a, b in ((ours["log_likelihood"], log_likelihood), (-ours["bic"], bic), (-ours["icl"], icl))]
    values = (name, n, d, model, g, ours["n_parameters"], known, bic, -ours["bic"], *gains[:2], icl, -ours["icl"], gains[2])
    return dict(zip(FIELDS, (*values, kind(gains[0], gains[1], ours["bic"]), "select"), strict=True))


def again(x: np.ndarray, model: str, g: int, starts: int) -> dict:
    """The best of many starts."""
    fit = bg.GaussianMixture(g, covariance_type=model, n_init=starts, max_iter=3000, random_state=0).fit(x)
    usable = np.nan if fit.collapsed_ else 1.0
    return {
        "n_parameters": fit.n_parameters_,
        "log_likelihood": usable * fit.log_likelihood_,
        "bic": usable * fit.bic(x),
        "icl": usable * fit.icl(x),
    }


def compared(name: str, folder: Path, most: int, starts: int) -> tuple[list[dict], float]:
    """A record for each model of one set, and the seconds of the search."""
    x = read_rows(folder / "data" / f"{name}.csv")
    theirs = theirs_of(json.loads((folder / "mclust" / f"{name}.json").read_text()))
    began = time.perf_counter()
    table = bg.select(x, range(1, most + 1), covariance_type="mclust", criterion="bic", verbose=False).table
    seconds, found = time.perf_counter() - began, []
    for i in range(table.n_rows):
        model, g = str(table["covariance_type"][i]), int(table["n_components"][i])
        ours = {key: table[key][i] for key in ("n_parameters", "log_likelihood", "bic", "icl")}
        one = record(name, x, theirs, model, g, ours)
        if one["kind"] in ("missed", "collapsed"):
            other = record(name, x, theirs, model, g, again(x, model, g, starts)) | {"way": "restarts"}
            one = other if not other["bic"] < one["bic"] else one | {"way": "restarts"}
        found.append(one)
    return found, seconds


def kind(gain: float, bic: float, ours: float) -> str:
    """What became of a model."""
    if np.isnan(bic):
        return "no mclust fit"
    if np.isnan(ours):
        return "collapsed"
    return "missed" if min(gain, bic) < -SAME else "passed" if max(gain, bic) > SAME else "same"


def line_of(records: list[dict]) -> str:
    """One set and structure in a line."""
    kinds = [r["kind"] for r in records]
    same = [r for r in records if r["kind"] == "same"]
    worst = {c: max((abs(r[f"{c}_difference"]) for r in same), default=np.nan) for c in ("loglik", "bic", "icl")}
    counts = "".join(f"{kinds.count(word):>9}" for word in ("same", "passed", "missed", "collapsed", "no mclust fit"))
    agree = "yes" if all(r["df"] == r["mclust_df"] for r in records) else "NO"
    first = records[0]
    return f"{first['set']:<12}{first['model']:<6}{agree:>4}{counts}{worst['loglik']:>10.1e}{worst['bic']:>10.1e}{worst['icl']:>10.1e}"


def print_models(title: str, records: list[dict]) -> None:
    """One line for each model."""
    print(f"\n{len(records)} {title}")
    for r in records:
        ours = f"{r['bic']:>14.3f}{r['loglik_difference']:>+12.1e}"
        print(f"{r['set']:<12}{r['model']:<6}{r['G']:>3}{r['mclust_bic']:>14.3f}{ours}  {r['kind']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--most", type=int, default=9, help="largest number of components")
    parser.add_argument("--starts", type=int, default=60, help="starts of the models that the search misses")
    parser.add_argument("--out", type=Path, help="csv file with every model")
    args = parser.parse_args()
    everything: list[dict] = []
    print(
        f"{'set':<12}{'model':<6}{'df':>4}{'same':>9}{'passed':>9}{'missed':>9}{'collapse':>9}{'-':>9}{'loglik':>10}{'bic':>10}{'icl':>10}"
    )
    for name in args.sets:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records, seconds = compared(name, args.folder, args.most, args.starts)
        for model in dict.fromkeys(r["model"] for r in records):
            print(line_of([r for r in records if r["model"] == model]), flush=True)
        print(f"{name}: {len(records)} models in {seconds:.0f} s", flush=True)
        everything += records
    print_models("fitted again with many starts", [r for r in everything if r["way"] == "restarts"])
    for word in ("missed", "collapsed", "passed"):
        print_models(word, [r for r in everything if r["kind"] == word])
    if args.out:
        with open(args.out, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(everything)


if __name__ == "__main__":
    main()
