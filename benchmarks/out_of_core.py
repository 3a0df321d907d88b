"""Rows that do not fit into memory: rate and memory of fits to Parquet files, fits that are killed, and learning in another order.

    python benchmarks/out_of_core.py parquet --rows 50e6     a pass over files beside a pass over rows in memory, and the memory it takes
    python benchmarks/out_of_core.py kills                   SIGKILL at 20 random moments, gone on with each time
    python benchmarks/out_of_core.py shuffles                partial_fit in 20 orders beside the exact fit

Needs pyarrow. Files are written to a temporary folder, 64 bytes a row for 8 columns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

K, D = 10, 8
FILE, GROUP = 5_000_000, 500_000
"""Rows of a file, and of a row group."""


def groups(rng: np.random.Generator, n: int) -> np.ndarray:
    """Rows (n, D) from K Gaussians."""
    shape = np.random.default_rng(0)
    centres, turns = shape.standard_normal((K, D)) * 4, [np.linalg.qr(shape.standard_normal((D, D)))[0] for _ in range(K)]
    label, x = rng.choice(K, n, p=shape.dirichlet(np.full(K, 5.0))), rng.standard_normal((n, D))
    for k in range(K):
        x[label == k] = (x[label == k] * np.linspace(0.5, 1.5, D)) @ turns[k] + centres[k]
    return x


def write_files(folder: Path, n: int, plain: bool = False) -> None:
    """Parquet files as pyarrow writes them unless told otherwise, or ``plain``: without dictionaries and compression."""
    import pyarrow
    import pyarrow.parquet

    rng = np.random.default_rng(1)
    kind: dict = {"use_dictionary": False, "compression": "none"} if plain else {}
    for number in range(-(-n // FILE)):
        writer = None
        for first in range(number * FILE, min((number + 1) * FILE, n), GROUP):
            x = groups(rng, min(GROUP, n - first))
            table = pyarrow.table({f"x{j}": x[:, j] for j in range(D)})
            writer = writer or pyarrow.parquet.ParquetWriter(folder / f"part-{number:04d}.parquet", table.schema, **kind)
            writer.write_table(table, row_group_size=GROUP)
        assert writer is not None
        writer.close()


def timed_fit(data, steps: int) -> dict:
    """Seconds of each pass of a fit of ``steps`` steps, of all, and the most memory of the process."""
    import bayesgmm as bg
    from bayesgmm.inference import stream

    seconds, usual = [], stream.Passes.__call__

    def passes(self, trial):
        began = time.perf_counter()
        found = usual(self, trial)
        seconds.append(time.perf_counter() - began)
        return found

    stream.Passes.__call__ = passes
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        model = bg.GaussianMixture(n_components=K, n_init=1, random_state=0, tol=0, max_iter=steps).fit(data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"passes": seconds, "all": time.perf_counter() - began, "MiB": peak, "log_likelihood": model.log_likelihood_}


def in_memory(n: int) -> dict:
    """Seconds of a step of a fit to rows in memory: the difference of two fits, by the number of steps between them."""
    import bayesgmm as bg

    x, seconds = groups(np.random.default_rng(1), n), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        for steps in (2, 12, 2, 12, 2, 12):
            began = time.perf_counter()
            bg.GaussianMixture(n_components=K, n_init=1, random_state=0, tol=0, max_iter=steps, init_params="random_from_data").fit(x)
            seconds.append((time.perf_counter() - began) / 10)
    return {"step": float(np.median([b - a for a, b in zip(seconds[::2], seconds[1::2], strict=True)]))}


def in_process(*words: str) -> dict:
    """What this script prints as JSON in a process of its own."""
    return json.loads(
        subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )


def parquet(n: int, plain: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), n, plain)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f"{n:,} rows x {D}, {size / 2**30:.2f} GiB of Parquet; {K} components, full covariances")
        few = min(n, FILE)
        memory = in_process("memory", "--rows", str(few))["step"]
        found = in_process("fit", "--folder", folder)
    passes = float(np.median(found["passes"][1:]))
    print(f"in memory    {few / memory / 1e6:6.1f} million rows a second ({few:,} rows, {memory:.3f} s a step)")
    times = passes / n / (memory / few)
    print(f"from files   {n / passes / 1e6:6.1f} million rows a second ({passes:.2f} s a pass), {times:.2f} times as long a row")
    print(f"whole fit    {found['all']:.0f} s with {len(found['passes'])} passes; at most {found['MiB']:.0f} MiB")


FIT = """
import sys
import numpy as np
import bayesgmm as bg
rows = bg.scan(sys.argv[1], sample=5000)
bg.BayesianGaussianMixture(n_components=12, n_init=1, random_state=0).fit(rows, checkpoint=sys.argv[2]).save(sys.argv[3])
"""


def kills(n: int, times: int = 20) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place, rng = Path(folder), np.random.default_rng(0)
        np.save(place / "rows.npy", groups(np.random.default_rng(1), n))
        command = [sys.executable, "-c", FIT, str(place / "rows.npy"), str(place / "fit"), str(place / "model.npz")]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        whole = time.perf_counter() - began
        wanted = (place / "model.npz").read_bytes()
        same = resumed = 0
        for _ in range(times):
            for name in ("fit", "model.npz"):
                (place / name).unlink(missing_ok=True)
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, whole))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            resumed += (place / "fit").exists()
            subprocess.run(command, check=True)
            same += (place / "model.npz").read_bytes() == wanted
        left = sorted(path.name for path in place.iterdir())
        print(f"{times} processes killed within the {whole:.1f} s of a fit, {resumed} of them after a checkpoint")
        print(f"{same} of {times} ended, gone on with, at the file of a fit that was not killed")
        print(f"files in the folder at the end: {', '.join(left)}")


def shuffles(n: int, times: int = 20, parts: int = 20) -> None:
    import bayesgmm as bg

    x = groups(np.random.default_rng(1), n)
    exact = bg.BayesianGaussianMixture(n_components=15, random_state=0).fit(x)
    print(f"{n:,} rows in {parts} parts, {times} orders; exact fit: {exact.n_components_} components, bound {exact.lower_bound_:.1f}")
    bounds, numbers, apart = [], [], []
    for seed in range(times):
        model = bg.BayesianGaussianMixture(n_components=15, random_state=0)
        for part in np.array_split(np.random.default_rng(seed).permutation(n), parts):
            model.partial_fit(x[part])
        bounds.append(exact.lower_bound_ - model.lower_bound_)
        numbers.append(model.n_components_)
        apart.append(np.abs(model.means_[:, None] - exact.means_).max(2).min(1).max())
    print(f"components: {', '.join(f'{k} in {numbers.count(k)}' for k in sorted(set(numbers)))} orders")
    print(f"bound below the exact fit's: median {np.median(bounds):.2f}, {min(bounds):.2f} to {max(bounds):.2f} nats")
    print(f"largest distance of a mean from the nearest of the exact fit's: median {np.median(apart):.4f}, at most {max(apart):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("parquet", "kills", "shuffles", "fit", "memory"))
    parser.add_argument("--rows", type=float, default=None)
    parser.add_argument("--plain", action="store_true", help="Parquet without dictionaries and compression")
    parser.add_argument("--folder")
    args = parser.parse_args()
    if args.what == "fit":
        import bayesgmm as bg

        print(json.dumps(timed_fit(bg.scan(args.folder), 6)))
    elif args.what == "memory":
        print(json.dumps(in_memory(int(args.rows))))
    else:
        usual = {"parquet": 50e6, "kills": 200_000, "shuffles": 20_000}[args.what]
        if args.what == "parquet":
            parquet(int(args.rows or usual), args.plain)
        else:
            {"kills": kills, "shuffles": shuffles}[args.what](int(args.rows or usual))


if __name__ == "__main__":
    main()
