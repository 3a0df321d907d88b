"""Digits: what the package answers in hard cases, beside text-book formulas in 60 digits.

Run: python benchmarks/audits.py [--dtype float64 float32] [--only condition|reach|forms|origin|gamma]

Prints tables in Markdown. Errors are absolute, in nats for densities, bounds and evidences, and the largest over rows; those of covariances
are relative. Data: two groups of 20 rows in 3 columns (tests/audits.py); truth: tests/oracles_exact.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mp, mpf

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import audits

from bayesgmm.core.linalg import betaln, gammaln_gain
from bayesgmm.estimators.base import FitError

CONDITIONS = (1.0, 1e4, 1e8, 1e12)
REACHES = (10.0, 100.0, 1e3, 1e5, 1e6, 1e7, 1e9)
ORIGINS = (1e3, 1e7, 1e10, 1e12)


def shown(value: float | None) -> str:
    return "no fit" if value is None else f"{value:.0e}" if value else "0"


def table(title: str, heads: list[str], rows: dict[str, list[str]]) -> None:
    print(f"\n{title}\n\n| | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(values)} |")


def measured(function: Callable, *args, **others) -> dict[str, float] | None:
    """Errors by quantity; None where the fit fails, or where what it returns is no covariance (whose root is then not real)."""
    try:
        found = function(*args, **others)
    except (FitError, TypeError):
        return None
    return None if np.isnan(list(found.values())).any() else found


def by_case(title: str, cases, kinds, functions, dtype: str) -> None:
    """A table for each group of structures: worst over these, by quantity and case."""
    for group in kinds:
        rows: dict[str, list[str]] = {}
        for function in functions:
            found = [[measured(function, case, kind, dtype=dtype) for kind in group] for case in cases]
            names = next(errors for column in found for errors in column if errors)
            rows |= {name: [shown(None if None in column else max(e[name] for e in column)) for column in found] for name in names}
        table(f"{title}; {', '.join(group)}; {dtype}", [f"{case:g}" for case in cases], rows)


def condition(dtype: str) -> None:
    kinds, by_columns = (("full", "tied"), ("diag", "spherical"), ("rank1",)), partial(audits.errors_by_condition, turned=False)
    by_case("Condition number, turned axes", CONDITIONS, kinds, [audits.errors_by_condition], dtype)
    by_case("Condition number, by columns", CONDITIONS, (audits.KINDS,), [by_columns], dtype)


def reach(dtype: str) -> None:
    kinds = (("full", "tied"), ("diag", "spherical"))
    by_case("Distance in widths", REACHES, kinds, [audits.likely_by_reach, audits.bayes_by_reach], dtype)


def origin(dtype: str) -> None:
    by_case("Origin, in widths", ORIGINS, (audits.KINDS,), [lambda s, k, **b: audits.errors_by_condition(1.0, k, shift=s, **b)], dtype)


def forms(dtype: str) -> None:
    """Scores of a pass by one form and by the form that it takes."""
    cases = (10.0, 100.0, 500.0, 1e3, 1e5, 1e7)
    found = [[audits.errors_of_forms(case, kind, dtype) for kind in audits.KINDS] for case in cases]
    rows = {name: [shown(max(e[i] for e in column)) for column in found] for i, name in enumerate(("matrix product", "as used"))}
    table(f"Scores, distance from the origin in widths; all structures; {dtype}", [f"{case:g}" for case in cases], rows)


def gamma(dtype: str) -> None:
    """Differences of log gammas, plainly taken and by `gammaln_gain`; log beta functions."""
    cases = (1e3, 1e6, 1e9, 1e12)
    rows: dict[str, list[str]] = {"log gammas subtracted": [], "gammaln_gain": [], "betaln": []}
    for a in cases:
        with jax.enable_x64(True):
            b = jnp.asarray(a)
            plain, ours, beta = ((float(f) for f in found) for found in zip(*(_gammas(b, s) for s in audits.STEPS), strict=True))
        truth = [audits.exact_gain(a, step) for step in audits.STEPS]
        rows["log gammas subtracted"].append(shown(audits.mixed(list(plain), truth)))
        rows["gammaln_gain"].append(shown(audits.mixed(list(ours), truth)))
        exact = [mp.loggamma(mpf(step)) - gain for step, gain in zip(audits.STEPS, truth, strict=True)]
        rows["betaln"].append(shown(audits.mixed(list(beta), exact)))
    table("Log gammas of large arguments, relative to 1 + size; float64", [f"{case:g}" for case in cases], rows)


def _gammas(a, step: float):
    gammaln = jax.scipy.special.gammaln
    return gammaln(a + step) - gammaln(a), gammaln_gain(a, step), betaln(a, jnp.asarray(step))


PARTS = {"condition": condition, "reach": reach, "origin": origin, "forms": forms, "gamma": gamma}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", nargs="+", default=["float64", "float32"], choices=["float64", "float32"])
    parser.add_argument("--only", choices=PARTS)
    args = parser.parse_args()
    for name, part in PARTS.items():
        if args.only in (None, name):
            for dtype in args.dtype[:1] if name == "gamma" else args.dtype:
                part(dtype)


if __name__ == "__main__":
    main()
