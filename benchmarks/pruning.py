"""How often a fit that starts with 20 components ends with the true number: well separated simulated mixtures, both laws of the weights.

    python benchmarks/pruning.py --sets 4 --separation 4 --out table.csv

Every two components of a set lie at least ``separation`` standard deviations apart, measured by the mean of their covariances
(Mahalanobis); the nearest two lie exactly that far. Means are spread evenly (the widest of 60 random placements), or, with ``--scattered``,
at random, so that most are much farther apart than the nearest two. Covariances are full, each its own; seconds are CPU seconds of a
compiled run.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time

import numpy as np
from simulated import draw, random_covariances, random_weights, spread_means

ROWS = {2: 400, 5: 800, 10: 1500}
NUMBERS = (1, 2, 3, 5, 8)
WEIGHTS = ("balanced", "imbalanced")
PRIORS = ("dirichlet_process", "dirichlet_distribution")
FIELDS = "d k n weights seed prior moves found ari seconds".split()


def separation(means: np.ndarray, covariances: np.ndarray) -> float:
    """Smallest Mahalanobis distance between two means, by the mean of the two covariances."""
    pairs = itertools.combinations(range(len(means)), 2)

    def distance(a: int, b: int) -> float:
        between = means[a] - means[b]
        return float(np.sqrt(between @ np.linalg.solve((covariances[a] + covariances[b]) / 2, between)))

    return min((distance(a, b) for a, b in pairs), default=np.inf)


def make(d: int, k: int, weights: str, seed: int, least: float, scattered: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their components."""
    rng = np.random.default_rng([seed, d, k, WEIGHTS.index(weights)])
    covariances = random_covariances(rng, k, d, "full")
    means = rng.standard_normal((k, d)) if scattered else spread_means(rng, k, d)
    if k > 1:
        means = means * (least / separation(means, covariances))
    return draw(rng, ROWS[d], random_weights(rng, k, weights), means, covariances)


def judge(x: np.ndarray, labels: np.ndarray, prior: str, moves: bool) -> dict:
    """Fit twice, the second time with compiled programs, and compare with the truth."""
    import bayesgmm as bg

    for _ in range(2):
        began = time.process_time()
        model = bg.BayesianGaussianMixture(n_components=20, weight_concentration_prior_type=prior, moves=moves, random_state=0).fit(x)
        seconds = time.process_time() - began
    return {
        "prior": prior,
        "moves": moves,
        "found": model.n_components_,
        "ari": bg.adjusted_rand_index(model.labels_, labels),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=4, help="data sets of each design")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--separation", type=float, default=4.0)
    parser.add_argument("--scattered", action="store_true", help="means at random instead of evenly spread")
    parser.add_argument("--plain", action="store_true", help="also without moves")
    parser.add_argument("--out")
    options = parser.parse_args()
    rows = []
    for d, k, weights, seed in itertools.product(ROWS, NUMBERS, WEIGHTS, range(options.first, options.first + options.sets)):
        x, labels = make(d, k, weights, seed, options.separation, options.scattered)
        for prior, moves in itertools.product(PRIORS, (True, False) if options.plain else (True,)):
            found = judge(x, labels, prior, moves)
            rows.append({"d": d, "k": k, "n": len(x), "weights": weights, "seed": seed, **found})
            if found["found"] != k:
                print("missed:", {name: rows[-1][name] for name in FIELDS}, flush=True)
    if options.out:
        with open(options.out, "w", newline="") as file:
            csv.DictWriter(file, FIELDS).writeheader()
            csv.DictWriter(file, FIELDS).writerows(rows)
    print("| weights' prior | moves | d | sets | true K | mean ARI | CPU seconds |\n|---|---|---|---|---|---|---|")
    for prior, moves, d in itertools.product(PRIORS, (True, False), (*ROWS, "all")):
        some = [r for r in rows if r["prior"] == prior and r["moves"] == moves and d in (r["d"], "all")]
        if some:
            right, ari, seconds = (np.mean(v) for v in zip(*((r["found"] == r["k"], r["ari"], r["seconds"]) for r in some), strict=True))
            print(f"| {prior} | {'yes' if moves else 'no'} | {d} | {len(some)} | {right:.3f} | {ari:.3f} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
