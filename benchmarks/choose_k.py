"""How often `bayesgmm.select` finds the true number of components of simulated mixtures.

    python benchmarks/choose_k.py --offsets 0 100000 200000 --jobs 2 --out table.csv

Offset 0 is the reference family of 68 sets (see simulated.py); others are the same designs with other seeds. Every set is run in a process
pinned to one core, twice with ``--warm``, so that the second run compiles nothing; seconds are CPU seconds of the last run.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import multiprocessing
import os
import queue
import time
from collections import defaultdict

import numpy as np
from simulated import Design, designs, simulate

FIELDS = "set offset d k n overlap shape found structure probability p_true bic icl ari oracle_ari agreement seconds".split()


def judge(design: Design, offset: int, warm: bool) -> dict:
    """Select for one set and compare with the truth."""
    import bayesgmm as bg

    truth = simulate(design)
    for _ in range(1 + warm):
        began = time.process_time()
        selection = bg.select(truth.x, verbose=False)
        seconds = time.process_time() - began
    table, share = selection.table, selection.n_components_probability
    values = (design.name, offset, design.n_features, design.n_components, design.n_rows, design.overlap, design.shape)
    others = [int(table["n_components"][table.best(name)]) for name in ("bic", "icl")]
    ari = bg.adjusted_rand_index(selection.best.labels_, truth.labels)
    found = (selection.n_components, selection.covariance_type, max(share.values()), share.get(design.n_components, 0.0), *others)
    last = (ari, bg.adjusted_rand_index(truth.oracle, truth.labels), selection.restart_agreement, seconds)
    return dict(zip(FIELDS, values + found + last, strict=True))


def work(group: list[tuple[Design, int]], cores: queue.Queue, warm: bool, cache: str | None) -> list[dict]:
    """All sets of one shape, in a process of their own on a core that no other job has."""
    core = cores.get()
    os.sched_setaffinity(0, {core})
    if cache:
        import bayesgmm as bg

        bg.enable_compilation_cache(cache)
    try:
        return [judge(design, offset, warm) for design, offset in group]
    finally:
        cores.put(core)


def run(offsets: list[int], jobs: int, warm: bool, cache: str | None) -> list[dict]:
    """All families; sets of one shape share compiled programs."""
    groups = defaultdict(list)
    for offset in offsets:
        for design in designs(offset):
            groups[design.n_rows, design.n_features].append((design, offset))
    context = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1)
    with context.Manager() as manager, executor as pool:
        cores = manager.Queue()
        for core in range(jobs):
            cores.put(core)
        ordered = sorted(groups.values(), key=lambda g: -g[0][0].n_rows * g[0][0].n_features)
        futures = [pool.submit(work, group, cores, warm, cache) for group in ordered]
        rows = []
        for future in concurrent.futures.as_completed(futures):
            rows += future.result()
            print(f"{len(rows)} sets done", flush=True)
    return sorted(rows, key=lambda r: (r["offset"], r["set"]))


def line(title: str, rows: list[dict]) -> str:
    """Accuracy of some sets."""
    gap = np.array([r["found"] - r["k"] for r in rows])
    ari, oracle, seconds = (np.mean([r[name] for r in rows]) for name in ("ari", "oracle_ari", "seconds"))
    return f"{title:24s} {len(rows):4d} {np.mean(gap == 0):6.3f} {np.abs(gap).mean():6.2f} {ari:6.3f} {oracle:6.3f} {seconds:7.2f}"


def report(rows: list[dict]) -> None:
    """Tables by family, overlap, dimension, number, rows and shape; calibration; the sets missed."""
    print(f"{'':24s} sets  exact |error|   ARI oracle  CPU s")
    for name in ("offset", "overlap", "d", "k", "n", "shape"):
        for value in sorted({r[name] for r in rows}, key=str):
            print(line(f"{name} {value}", [r for r in rows if r[name] == value]))
    print(line("all", rows))
    for name in ("bic", "icl"):
        print(f"{name} of EM from the same fits: exact {np.mean([r[name] == r['k'] for r in rows]):.3f}")
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 1.01)):
        some = [r for r in rows if low <= r["probability"] < high]
        if some:
            right, stated = np.mean([r["found"] == r["k"] for r in some]), np.mean([r["probability"] for r in some])
            print(f"stated {low:.2f} to {min(high, 1):.2f}: {len(some)} sets, mean {stated:.2f}, right {right:.2f}")
    for r in rows:
        if r["found"] != r["k"]:
            print("missed", *(r[name] for name in FIELDS[:11]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offsets", type=int, nargs="+", default=[0], help="numbers added to the seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each on a core of its own")
    parser.add_argument("--warm", action="store_true", help="time the second of two runs")
    parser.add_argument("--cache", help="folder of compiled programs to use and fill")
    parser.add_argument("--out", help="CSV file for all rows")
    options = parser.parse_args()
    rows = run(options.offsets, options.jobs, options.warm, options.cache)
    report(rows)
    if options.out:
        with open(options.out, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
