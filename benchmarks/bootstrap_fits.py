"""499 bootstrap fits of Old Faithful beside 25 fits of scikit-learn, the same model and sets, same process, interleaved.

python benchmarks/bootstrap_fits.py --rounds 5
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

import bayesgmm as bg

N_COMPONENTS, N_OURS, N_THEIRS = 2, 499, 25


def theirs(x, model, rng) -> None:
    """Rows drawn anew, each fitted from the parameters of the fit."""
    from sklearn.mixture import GaussianMixture

    start = {"weights_init": model.weights_, "means_init": model.means_, "precisions_init": model.precisions_}
    for _ in range(N_THEIRS):
        GaussianMixture(N_COMPONENTS, **start).fit(x[rng.integers(len(x), size=len(x))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    x, rng = bg.load_dataset("faithful").x, np.random.default_rng(0)
    model = bg.GaussianMixture(N_COMPONENTS, random_state=0).fit(x)
    tasks = {
        f"bayesgmm, {N_OURS} fits": lambda: model.uncertainty(x, "bootstrap", n_draws=N_OURS),
        f"scikit-learn, {N_THEIRS} fits": lambda: theirs(x, model, rng),
    }
    began = time.perf_counter()
    model.uncertainty(x, "bootstrap", n_draws=N_OURS)
    print(f"first call, compiling included: {time.perf_counter() - began:.2f} s\n| | median s | range |\n|---|---|---|")
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - began)
    for name, values in seconds.items():
        print(f"| {name} | {np.median(values):.3f} | {min(values):.3f} to {max(values):.3f} |")
    ours, others = (np.median(values) for values in seconds.values())
    print(f"(ratio {ours / others:.2f})")


if __name__ == "__main__":
    main()
