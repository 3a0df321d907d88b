"""Old Faithful by BIC, 1 to 15 components, four structures, 10 starts each: `bayesgmm.select` beside scikit-learn's loop, same process.

    python benchmarks/bic_sweep.py --rounds 3

Wall seconds, interleaved rounds: scikit-learn as it is, and held to one thread (its threads cost more than they save here); ours once
compiled; ours in fresh processes, imports and compiling included, with an empty and with a filled compilation cache. The best BIC of
each structure shows that less time is not a poorer search.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

import bayesgmm as bg

NUMBERS, STRUCTURES, STARTS = range(1, 16), ("full", "tied", "diag", "spherical"), 10
COLD = """
import sys
import bayesgmm as bg
bg.enable_compilation_cache(sys.argv[1])
bg.select(bg.load_dataset("faithful").x, range(1, 16), criterion="bic", verbose=False)
"""


def ours(x) -> dict[str, float]:
    table = bg.select(x, NUMBERS, STRUCTURES, criterion="bic", verbose=False).table
    return {name: float(np.nanmin(table["bic"][table["covariance_type"] == name])) for name in STRUCTURES}


def theirs(x) -> dict[str, float]:
    from sklearn.mixture import GaussianMixture

    fits = {(s, k): GaussianMixture(k, covariance_type=s, n_init=STARTS, random_state=0).fit(x).bic(x) for s in STRUCTURES for k in NUMBERS}
    return {name: min(fits[name, k] for k in NUMBERS) for name in STRUCTURES}


def one_thread(x) -> None:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        theirs(x)


def cold(cache: str) -> None:
    subprocess.run([sys.executable, "-c", COLD, cache], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    x = bg.load_dataset("faithful").x
    with tempfile.TemporaryDirectory() as cache:
        tasks = {
            "scikit-learn": lambda: theirs(x),
            "scikit-learn, one thread": lambda: one_thread(x),
            "bayesgmm, compiled": lambda: ours(x),
            "bayesgmm, fresh process": lambda: cold(tempfile.mkdtemp(dir=cache)),
            "bayesgmm, fresh process, cached programs": lambda: cold(cache),
        }
        found = {"bayesgmm": ours(x), "scikit-learn": theirs(x)}
        cold(cache)
        seconds: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(rounds):
            for name, task in tasks.items():
                began = time.perf_counter()
                task()
                seconds[name].append(time.perf_counter() - began)
    bases = [np.median(values) for values in list(seconds.values())[:2]]
    print("| | median s | range | of scikit-learn's | of its one thread's |\n|---|---|---|---|---|")
    for name, values in seconds.items():
        shares = " | ".join(f"{np.median(values) / base:.2f}" for base in bases)
        print(f"| {name} | {np.median(values):.2f} | {min(values):.2f} to {max(values):.2f} | {shares} |")
    print("\n| lowest BIC | " + " | ".join(STRUCTURES) + " |\n|---|" + "---|" * len(STRUCTURES))
    for name, values in found.items():
        print(f"| {name} | " + " | ".join(f"{values[s]:.2f}" for s in STRUCTURES) + " |")


if __name__ == "__main__":
    main()
