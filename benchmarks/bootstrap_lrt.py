"""The bootstrap likelihood-ratio test: time and figures on the diabetes data, and how often it rejects a number of components that is true.

    python benchmarks/bootstrap_lrt.py --sets 100

Level: sets of two overlapping components (150 rows, 2 columns, means 3 standard deviations apart); the share of those where 2 against 3
is significant, by level, should be the level itself. Searches: the log-likelihoods that
single searches reach, with other seeds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import bayesgmm as bg

LEVELS = (0.05, 0.1, 0.2, 0.5)


def timed(x, n_bootstrap: int, **options):
    """The test and its seconds."""
    began = time.perf_counter()
    found = bg.bootstrap_lrt(x, n_bootstrap=n_bootstrap, verbose=False, **options)
    return found, time.perf_counter() - began


def two_groups(seed: int) -> np.ndarray:
    """150 rows of two components of equal weight."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(150, 2)) * [1.0, 0.7] + np.where(rng.random((150, 1)) < 0.5, 0.0, [[3.0, 1.0]])


def diabetes() -> None:
    x = bg.load_dataset("diabetes").x
    print(f"diabetes: first call with 1 set {timed(x, 1)[1]:.1f} s")
    found, seconds = timed(x, 999)
    print(f"{found}\n{seconds:.1f} s", flush=True)


def searches(n_seeds: int = 40) -> None:
    x = bg.load_dataset("diabetes").x
    found = [timed(x, 1, random_state=seed, max_components=3, level=0.9999)[0].table["log_likelihood_next"] for seed in range(n_seeds)]
    for k, values in enumerate(np.array(found).T, 2):
        short = values.max() - values
        reached = np.mean(short < 0.05)
        print(f"{k} components, {n_seeds} searches: best {values.max():.3f}, reached by {reached:.2f}, mean shortfall {short.mean():.2f}")


def level(n_sets: int, n_bootstrap: int) -> None:
    p_values = []
    for seed in range(n_sets):
        p_values.append(timed(two_groups(seed), n_bootstrap, max_components=2, level=0.9999)[0].table["p_value"])
        if seed % 20 == 19:
            print(f"{seed + 1} sets", flush=True)
    p = np.array(p_values)
    for at in LEVELS:
        print(f"level {at}: 1 against 2 rejected {np.mean(p[:, 0] <= at):.3f}, 2 against 3 rejected {np.mean(p[:, 1] <= at):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["diabetes", "searches", "level"], help="what to measure")
    parser.add_argument("--sets", type=int, default=100, help="sets for the level")
    parser.add_argument("--bootstrap", type=int, default=99, help="sets drawn for each test of the level")
    args = parser.parse_args()
    if "diabetes" in args.parts:
        diabetes()
    if "searches" in args.parts:
        searches()
    if "level" in args.parts:
        level(args.sets, args.bootstrap)


if __name__ == "__main__":
    main()
