"""Time and memory of one EM iteration beside scikit-learn's, in one run.

Run: python benchmarks/iteration.py [--rows 1000000] [--features 16] [--components 16] [--rounds 3] [--ours-only]

Prints seconds an iteration of both (medians over interleaved rounds; fits of 2 and 7 iterations from the same labels are compared, so
that start-up and compilation drop out), their ratio, and the peak memory beyond the data of a fit of ours with its default kinds of
starts, from a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

FEW, MANY = 2, 7


def make_rows(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows from k overlapping Gaussians, and labels to start from."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((k, d))
    truth = rng.integers(k, size=n)
    x = rng.standard_normal((n, d))
    x += centres[truth]
    wrong = rng.random(n) < 0.3
    return x, np.where(wrong, rng.integers(k, size=n), truth)


def seconds(fit, n_iter: int) -> float:
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(n_iter)
    return time.perf_counter() - began


def ours(x, labels, k):
    import bayesgmm as bg

    def fit(n_iter):
        return bg.GaussianMixture(k, tol=0, max_iter=n_iter, init_params=labels).fit(x)

    return fit


def theirs(x, labels, k):
    from sklearn.mixture import GaussianMixture

    means = np.stack([x[labels == j].mean(0) for j in range(k)])
    precisions = np.tile(np.linalg.inv(np.cov(x.T)), (k, 1, 1))

    def fit(n_iter):
        start = {"weights_init": np.full(k, 1 / k), "means_init": means, "precisions_init": precisions}
        return GaussianMixture(k, tol=0, max_iter=n_iter, init_params="random_from_data", random_state=0, **start).fit(x)

    return fit


def peak_beyond_data(args) -> float:
    """GiB beyond the data that a whole fit of ours needs, measured in a fresh process after the imports."""
    command = [sys.executable, __file__, "--ours-only"]
    command += ["--rows", str(args.rows), "--features", str(args.features), "--components", str(args.components)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(field: str) -> float:
    """Resident memory of this process in GiB: now (``VmRSS``) or at its peak (``VmHWM``); ``ru_maxrss`` would include the parent's."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 2**20


def measure_memory(args) -> None:
    import bayesgmm as bg

    x, _ = make_rows(args.rows, args.features, args.components)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bg.GaussianMixture(2, max_iter=1, tol=0.0, n_init=1).fit(x[:1000] + 0.0)
        before = memory("VmRSS")
        bg.GaussianMixture(args.components, tol=0, max_iter=FEW, n_init=3, random_state=0).fit(x)
    print(memory("VmHWM") - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours-only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours_only:
        return measure_memory(args)
    x, labels = make_rows(args.rows, args.features, args.components)
    fits = {"bayesgmm": ours(x, labels, args.components), "scikit-learn": theirs(x, labels, args.components)}
    fits["bayesgmm"](FEW)
    fits["bayesgmm"](MANY)
    times: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(args.rounds):
        for name, fit in fits.items():
            times[name].append((seconds(fit, MANY) - seconds(fit, FEW)) / (MANY - FEW))
    for name, values in times.items():
        print(f"{name:>13}: {statistics.median(values):.3f} s an iteration (range {min(values):.3f} to {max(values):.3f})")
    ratio = statistics.median(times["scikit-learn"]) / statistics.median(times["bayesgmm"])
    print(f"ratio {ratio:.1f}; peak memory beyond the data {peak_beyond_data(args):.2f} GiB")
    print(f"n = {args.rows}, d = {args.features}, K = {args.components}, full covariances, float64, {args.rounds} interleaved rounds")


if __name__ == "__main__":
    main()
