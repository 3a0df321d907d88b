"""Many fits in one process: what it holds in memory as it goes on.

Run: python benchmarks/long_runs.py [--fits 1000] [--only kmeans|mixture|bayesian] [--shapes same|new] [--crowded 40000]

Each of six cases has a process of its own. Data of the same shape need no program but the first fit's; data of a new shape, in rows,
columns and components, are compiled for, since programs on disk are turned off. The package forgets its programs when the process has
``--crowded`` memory maps: with fewer, a short run sees that several times in each quarter.

Prints a table in Markdown: what is held at each quarter, with programs forgotten just before where shapes are new, and the most memory
and maps that there were since the quarter before. Exits with 1 where the most memory of the last quarter is above that of the first by
more than ``GROWTH``, or where there were more maps than allowed, and those of one fit.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("BAYESGMM_COMPILATION_CACHE", "off")

import numpy as np

import bayesgmm as bg
from bayesgmm.inference import compiling

GROWTH = 0.05
"""Growth of the most resident memory from the first quarter to the last that is accepted."""

OF_ONE_FIT = 2000
"""Memory maps of the programs of one fit, at most."""

SOME = {"n_init": 1, "random_state": 0}
MODELS: dict[str, Callable] = {
    "kmeans": lambda k: bg.KMeans(k, **SOME),
    "mixture": lambda k: bg.GaussianMixture(k, covariance_type="spherical", **SOME),
    "bayesian": lambda k: bg.BayesianGaussianMixture(n_components=k, covariance_type="spherical", moves=False, **SOME),
}


class Held(NamedTuple):
    """What the process holds: MiB resident, memory maps, open files, threads, objects that the collector of garbage knows."""

    resident: float
    maps: int
    files: int
    threads: int
    objects: int


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def n_maps() -> int:
    return compiling.MAPS.read_bytes().count(b"\n")


def held() -> Held:
    gc.collect()
    return Held(resident(), n_maps(), len(os.listdir("/proc/self/fd")), threading.active_count(), len(gc.get_objects()))


def shapes(new: bool):
    """Rows, columns and components, no two alike if they are to be ``new``."""
    if not new:
        yield from itertools.repeat((60, 2, 2))
    yield from ((40 + i, 1 + i % 3, 2 + i % 3) for i in itertools.count())


def run(model: str, new: bool, n_fits: int) -> bool:
    """Fit so often, print the table, and say whether memory stayed."""
    rng, began, most, peaks = np.random.default_rng(0), time.perf_counter(), (0.0, 0), []
    print(f"\n{model}, {'a new shape each time' if new else 'the same shape'}\n")
    print("| fits | resident, MiB | most since | memory maps | most since | files | threads | objects | seconds |\n" + "|---" * 9 + "|")
    for i, (n, d, k) in enumerate(shapes(new)):
        if i % (n_fits // 4) == 0:
            if new:
                compiling.forget()
            now = held()
            peaks, most = [*peaks, most], (0.0, 0)
            mib, maps = f"{now.resident:.0f} | {peaks[-1][0]:.0f}", f"{now.maps:,} | {peaks[-1][1]:,}"
            print(
                f"| {i} | {mib} | {maps} | {now.files} | {now.threads} | {now.objects:,} | {time.perf_counter() - began:.0f} |", flush=True
            )
        if i == n_fits // 4 * 4:
            break
        x = rng.normal(size=(n, d))
        x[: n // 2] += 8
        MODELS[model](k).fit(x)
        most = max(most[0], resident()), max(most[1], n_maps())
    (first, _), (last, _), maps = peaks[1], peaks[-1], max(maps for _, maps in peaks)
    print(f"\nThe most of the last quarter is {last / first - 1:+.1%} of that of the first. Maps: {maps:,} at most.", flush=True)
    return last <= first * (1 + GROWTH) and maps <= compiling.CROWDED + OF_ONE_FIT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--crowded", type=int, default=compiling.CROWDED)
    parser.add_argument("--only", choices=MODELS, action="append")
    parser.add_argument("--shapes", choices=("same", "new"), action="append")
    asked = parser.parse_args()
    if asked.fits < 4:
        parser.error("--fits must be at least 4: memory is told at each quarter")
    models, kinds = asked.only or list(MODELS), asked.shapes or ["same", "new"]
    if len(models) == len(kinds) == 1:
        warnings.simplefilter("ignore", bg.FitWarning)
        compiling.CROWDED = asked.crowded
        return 0 if run(models[0], kinds[0] == "new", asked.fits) else 1
    command = [sys.executable, __file__, "--fits", str(asked.fits), "--crowded", str(asked.crowded)]
    return max(subprocess.run([*command, "--only", m, "--shapes", k]).returncode for k in kinds for m in models)


if __name__ == "__main__":
    sys.exit(main())
