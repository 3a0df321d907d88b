"""Time, memory and growth of fits beside scikit-learn and, where it is installed, daal4py, in one run.

    python benchmarks/speed.py [iterations precise growth converged memory start sweep] [--rounds 3] [--quick] [--plots docs/images]

iterations: seconds of one iteration, from fits of 2 and 14 (scikit-learn: 5) iterations of all libraries from the same parameters, so
that start-up and compiling drop out; medians and ranges over interleaved rounds, and what share of the time XLA needs for the two matrix
products alone.
precise: seconds of a pass in the form used where rows lie too far out for matrix products, beside those in the usual form.
growth: fitted exponents of our iteration in rows, columns and components. converged: whole fits from the same labels to a log-likelihood
within 1e-6 of the best. memory: what a whole fit adds to a fresh process that holds the data. start: fresh processes, import and
first fit of Old Faithful. sweep: 1 to 15 components, four structures, 10 starts, on 1,000 x 5.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial

import numpy as np
from speed_peers import PEERS, bayesgmm_em, make_start, sklearn_em
from speed_plots import draw_growth, draw_iterations

import bayesgmm as bg

FEW, MANY = 2, {"scikit-learn": 5}
"""Iterations of the shorter fits, and of the longer ones: 14 where an iteration is short beside all else that a fit does."""
LONG = 14

CASES = {
    "em": [
        (1_000_000, 16, 16, "full"),
        (100_000, 10, 20, "full"),
        (100_000, 10, 20, "tied"),
        (100_000, 10, 20, "diag"),
        (100_000, 10, 20, "spherical"),
        (20_000, 100, 10, "full"),
        (5_000_000, 8, 10, "diag"),
        (200_000, 8, 200, "full"),
    ],
    "vb": [(100_000, 10, 20, kind) for kind in ("full", "tied", "diag", "spherical")],
}
"""Rows, columns, components, structure."""

GROWTH = {
    "rows": [(n, 8, 10, "full") for n in (10_000, 100_000, 1_000_000, 10_000_000)],
    "columns": [(100_000, d, 10, "full") for d in (4, 8, 16, 32, 64)],
    "components": [(100_000, 8, k, "full") for k in (5, 10, 20, 50, 100, 200)],
}


APART = (2.0, 1.0)
"""How far apart groups of unit spread are in `converged`: at the second EM needs many iterations."""


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def timed(fit, n_iter: int) -> tuple[float, int]:
    """Seconds of a fit, and the iterations it made, which may be fewer than it was allowed."""
    began = time.perf_counter()
    made = fit(n_iter)
    return time.perf_counter() - began, made


def iteration_seconds(fits: dict, rounds: int) -> dict[str, list[float]]:
    """Seconds of an iteration of each library, a list over interleaved rounds."""
    for name, fit in fits.items():
        fit(FEW)
        if name == "bayesgmm":
            fit(LONG)
    found: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(rounds):
        for name, fit in fits.items():
            (long, many), (short, few) = timed(fit, MANY.get(name, LONG)), timed(fit, FEW)
            found[name].append((long - short) / (many - few))
    return found


def product_seconds(n: int, d: int, k: int) -> float:
    """Seconds XLA needs for the two matrix products of a pass on full features, chunk by chunk, each product on its own."""
    import jax
    import jax.numpy as jnp

    from bayesgmm.core.structures import STRUCTURES
    from bayesgmm.inference.kernel import chunk_rows

    size, repeats = chunk_rows(STRUCTURES["full"], False, d, k), 100

    def repeated(product, features, changing):
        """The sum of many products, one operand of which differs a little each time, or XLA would compute one of them only."""
        one = lambda i, total: total + product(features, changing + 1e-9 * i)  # noqa: E731
        return jax.lax.fori_loop(0, repeats, one, jnp.zeros(jax.eval_shape(product, features, changing).shape))

    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        features = STRUCTURES["full"].features(jnp.asarray(rng.standard_normal((d, size))))
        natural, resp = jnp.asarray(rng.standard_normal((k, len(features)))), jnp.asarray(rng.random((k, size)))
        total = 0.0
        for product, other in ((lambda a, b: b @ a, natural), (lambda a, b: a @ b.T, resp)):
            program = jax.jit(lambda a, b, product=product: repeated(product, a, b))
            program(features, other).block_until_ready()
            times = [seconds(lambda p=program, b=other: p(features, b).block_until_ready()) for _ in range(5)]
            total += statistics.median(times) / repeats * n / size
    return total


def iterations(args) -> None:
    print("| rows x columns, K, structure | library | s an iteration (range) | of ours | products' share |\n|---|---|---|---|---|")
    shown: dict[str, dict] = {}
    for algorithm, cases in CASES.items():
        for case in cases[1:2] if args.quick else cases:
            start = make_start(*case)
            fits = {name: fit for name, maker in PEERS[algorithm].items() if (fit := maker(start)) is not None}
            times = {name: (statistics.median(v), min(v), max(v)) for name, v in iteration_seconds(fits, args.rounds).items()}
            ours = times["bayesgmm"][0]
            label = f"{case[0]:,} x {case[1]}, {case[2]}, {case[3]}{' (VB)' if algorithm == 'vb' else ''}"
            shown[label] = times
            for name, (middle, low, high) in times.items():
                share = f"{product_seconds(*case[:3]) / ours:.0%}" if name == "bayesgmm" and case[3] == "full" else ""
                ratio = f"{middle / ours:.1f}" if name != "bayesgmm" else ""
                print(f"| {label} | {name} | {middle:.4f} ({low:.4f} to {high:.4f}) | {ratio} | {share} |", flush=True)

    if args.plots:
        draw_iterations(shown, f"{args.plots}/speed_iterations.png")


def precise(args) -> None:
    import jax
    import jax.numpy as jnp

    from bayesgmm.core.structures import STRUCTURES
    from bayesgmm.inference import kernel
    from bayesgmm.inference.initialise import start_from
    from bayesgmm.inference.priors import flat_components

    print("| 100,000 x 10, 20 components | product form, s a pass | precise form | ratio |\n|---|---|---|---|")
    for kind in ("full", "diag", "spherical"):
        start = make_start(100_000, 10, 20, kind)
        with jax.enable_x64(True):
            x, weight = jnp.asarray(start.x), jnp.ones(len(start.x))
            prior = bg.Mixture(bg.FlatWeights(20), flat_components(STRUCTURES[kind], False, 1e-6))
            model = start_from(prior, x, jnp.asarray(start.labels), weight, 20)
            times = []
            for form in (kernel.product_form, kernel.centred_form):
                program = jax.jit(partial(kernel.collect, form=form)).lower(model, x, weight).compile()
                call = lambda *of: jax.block_until_ready(of[0](*of[1:]))  # noqa: E731
                times.append(statistics.median(seconds(partial(call, program, model, x, weight)) for _ in range(5 * args.rounds)))
        print(f"| {kind} | {times[0]:.4f} | {times[1]:.4f} | {times[1] / times[0]:.1f} |", flush=True)


def growth(args) -> None:
    found_all = {}
    for name, cases in GROWTH.items():
        sizes = [case["rows columns components".split().index(name)] for case in cases]
        times = []
        for case in cases:
            found = iteration_seconds({"bayesgmm": bayesgmm_em(make_start(*case))}, args.rounds)["bayesgmm"]
            times.append(max(statistics.median(found), 1e-6))
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        found_all[name] = (sizes, times, slope)
        print(f"{name}: exponent {slope:.2f}; " + ", ".join(f"{s:,}: {t:.4f} s" for s, t in zip(sizes, times, strict=True)), flush=True)
    if args.plots:
        draw_growth(found_all, f"{args.plots}/speed_growth.png")


def converged(args) -> None:
    """From the same labels, groups apart and overlapping."""
    case = (100_000, 10, 20, "full") if args.quick else CASES["em"][0]
    for apart in APART:
        _converged(case, apart, args.rounds)


def _converged(case: tuple, apart: float, rounds: int) -> None:
    """scikit-learn makes as many plain iterations as reach the goal, a number found by ours without acceleration."""
    import jax
    import jax.numpy as jnp

    start = make_start(*case, apart=apart)
    ours = bayesgmm_em(start)
    kind = {"covariance_type": case[3], "tol": 1e-8, "init_params": start.labels}
    best = bg.GaussianMixture(case[2], **kind).fit(start.x).log_likelihood_ / case[0]
    with jax.enable_x64(True):
        prior = bg.Mixture(bg.FlatWeights(case[2]), bg.FlatGaussian(1e-6, bg.Full(), False))
        x = jnp.asarray(start.x)
        first = bg.initialise(jax.random.key(0), prior, x, labels=start.labels)
        path = np.asarray(bg.fit(prior, first, x, tol=0.0, max_steps=1000).history) / len(x)
    n_iter = int(np.argmax(path >= best - 1e-6 * abs(best)))
    theirs = sklearn_em(start)
    fits = {"goal": lambda: ours(1000, 1e-6 * abs(best)), "last digits": lambda: ours(1000, 1e-8), "other": lambda: theirs(n_iter)}
    times = {name: [] for name in fits}
    for _ in range(rounds):
        for name, fit in fits.items():
            times[name].append(seconds(fit))
    goal, digits, other = (statistics.median(found) for found in times.values())
    print(f"{case}, {apart} apart: {best:.9f} nats a row; scikit-learn, {n_iter} iterations, {other:.1f} s; ", end="")
    print(f"ours {goal:.1f} s, ratio {other / goal:.1f}; to the last digits {digits:.1f} s, {other / digits:.1f}", flush=True)


MEMORY = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
import numpy as np, bayesgmm as bg
from speed_peers import make_start

def held(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024

n, d, k, kind = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
x = make_start(1000, d, k, kind).x
bg.GaussianMixture(2, covariance_type=kind, max_iter=1, tol=0.0, n_init=1).fit(x)
x = np.empty((n, d))
rng = np.random.default_rng(0)
for i in range(0, n, 100_000):
    part = x[i : i + 100_000]
    part[:] = rng.standard_normal(part.shape) + 2 * rng.integers(k, size=len(part))[:, None]
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = held("VmRSS")
bg.GaussianMixture(k, covariance_type=kind, tol=0, max_iter=2, n_init=1, random_state=0).fit(x)
print(held("VmHWM") - before)
"""


def memory(args) -> None:
    print("| rows x columns, K, structure | data, MiB | a fit with its default kind of start adds, MiB |\n|---|---|---|")
    for case in CASES["em"][1:2] if args.quick else CASES["em"]:
        command = [sys.executable, "-c", MEMORY, __file__.rpartition("/")[0] or ".", *map(str, case)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {case[0]:,} x {case[1]}, {case[2]}, {case[3]} | {case[0] * case[1] / 2**17:.0f} | {peak:.0f} |", flush=True)


OURS_FIRST = """
import sys, time
import bayesgmm as bg
bg.enable_compilation_cache(sys.argv[1])
x = bg.load_dataset("faithful").x
bg.GaussianMixture(6, n_init=1, random_state=0).fit(x)
for tol in (1e-3, 1e-8):
    began = time.perf_counter()
    for seed in range(10):
        bg.GaussianMixture(6, n_init=1, tol=tol, random_state=0).fit(x)
    print((time.perf_counter() - began) / 10)
"""
THEIRS_FIRST = """
import sys, time
import numpy as np
from sklearn.mixture import GaussianMixture
x = np.load(sys.argv[1])
GaussianMixture(6, random_state=0).fit(x)
for tol in (1e-3, 1e-8):
    began = time.perf_counter()
    for seed in range(10):
        GaussianMixture(6, random_state=0, tol=tol, max_iter=10_000).fit(x)
    print((time.perf_counter() - began) / 10)
"""


def fresh(script: str, argument: str) -> tuple[float, float, float]:
    """Seconds of a fresh process but for its later fits, and seconds of one of those to a tolerance of 1e-3 and of 1e-8."""
    began = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", script, argument], check=True, capture_output=True, text=True).stdout
    loose, tight = map(float, told.split())
    return time.perf_counter() - began - 10 * (loose + tight), loose, tight


def start(args) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = f"{folder}/x.npy"
        np.save(rows, bg.load_dataset("faithful").x)
        tasks = {
            "scikit-learn": (THEIRS_FIRST, rows),
            "bayesgmm, empty cache": (OURS_FIRST, ""),
            "bayesgmm, filled cache": (OURS_FIRST, f"{folder}/filled"),
        }
        for script, argument in tasks.values():
            fresh(script, argument or f"{folder}/first")
        found: dict[str, list] = {name: [] for name in tasks}
        for i in range(args.rounds):
            for name, (script, argument) in tasks.items():
                found[name].append(fresh(script, argument or f"{folder}/empty{i}"))
    base = np.median(found["scikit-learn"], axis=0)
    for name, values in found.items():
        middle = np.median(values, axis=0)
        words = ("import and first fit", "later fits to 1e-3", "to 1e-8")
        print(
            f"{name}: " + ", ".join(f"{word} {m:.4f} s ({m / b:.2f})" for word, m, b in zip(words, middle, base, strict=True)), flush=True
        )


SWEEP = """
import sys, time
sys.path.insert(0, sys.argv[1])
import bayesgmm as bg
from speed_peers import make_start
bg.enable_compilation_cache(sys.argv[2])
x = make_start(1000, 5, 5, "full").x
bg.select(x, range(1, 16), criterion="bic", verbose=False)
"""


def sweep(args) -> None:
    """The sweep of `bic_sweep.py` on 1,000 x 5."""
    from bic_sweep import one_thread, ours, theirs

    x = make_start(1000, 5, 5, "full").x
    here = __file__.rpartition("/")[0] or "."
    fresh_process = lambda cache: subprocess.run([sys.executable, "-c", SWEEP, here, cache], check=True)  # noqa: E731
    found: dict[str, list[float]] = {}
    ours(x)
    with tempfile.TemporaryDirectory() as folder:
        fresh_process(f"{folder}/filled")
        for i in range(args.rounds):
            tasks = {
                "scikit-learn": lambda: theirs(x),
                "scikit-learn, one thread": lambda: one_thread(x),
                "bayesgmm, compiled": lambda: ours(x),
                "bayesgmm, fresh process, filled cache": lambda: fresh_process(f"{folder}/filled"),
                "bayesgmm, fresh process, empty cache": lambda i=i: fresh_process(f"{folder}/empty{i}"),
            }
            for name, task in tasks.items():
                found.setdefault(name, []).append(seconds(task))
    base = statistics.median(found["scikit-learn"])
    for name, values in found.items():
        middle = statistics.median(values)
        print(f"{name}: {middle:.2f} s ({min(values):.2f} to {max(values):.2f}), {base / middle:.1f} times as fast")
    print("lowest BIC: bayesgmm", ours(x), "scikit-learn", theirs(x))


PARTS = {part.__name__: part for part in (iterations, precise, growth, converged, memory, start, sweep)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small cases only")
    parser.add_argument("--plots", metavar="FOLDER", help="draw iterations and growth into this folder")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in args.parts or PARTS:
        print(f"\n{name}", flush=True)
        PARTS[name](args)


if __name__ == "__main__":
    main()
