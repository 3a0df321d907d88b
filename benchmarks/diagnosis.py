"""How often the checks of `diagnose` call for attention: where the fit is right, and where one thing is wrong.

Run: ``python benchmarks/diagnosis.py --sets 50``. The table is in docs/how-to/diagnose.md.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np

import bayesgmm as bg

NAMES = ("starts", "contraction", "posterior", "shape", "size", "clusters", "prediction", "single rows")
MEANS = np.array([[0.0, 0.0], [6.0, 0.0], [3.0, 5.0]])


def groups(rng: np.random.Generator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Three Gaussian groups far apart, and their labels."""
    labels = rng.integers(3, size=n)
    return MEANS[labels] + rng.normal(size=(n, 2)) @ [[1.0, 0.3], [0.0, 0.9]], labels


def right(rng):
    return groups(rng)[0], 3


def close(rng):
    """Two groups whose means are two and a half standard deviations apart."""
    return rng.normal(size=(300, 2)) + np.array([2.5, 0.0]) * rng.integers(2, size=(300, 1)), 2


def heavy(rng):
    """One group of Student t rows with 3 degrees of freedom."""
    x, labels = groups(rng)
    tails = np.where(labels == 0, np.sqrt(rng.chisquare(3, len(x)) / 3), 1)
    return MEANS[labels] + (x - MEANS[labels]) / tails[:, None], 3


def skewed(rng):
    x, labels = groups(rng)
    return np.where((labels == 1)[:, None], MEANS[1] + rng.exponential(1.2, x.shape) - 1.2, x), 3


def outlier(rng):
    x, _ = groups(rng)
    return np.concatenate([x, [[0.0, -9.0]]]), 3


def split(rng):
    """A fourth component for three groups."""
    return groups(rng)[0], 4


def missed(rng):
    """Two components for three groups."""
    return groups(rng)[0], 2


DESIGNS: dict[str, Callable] = {f.__name__: f for f in (right, close, heavy, skewed, outlier, split, missed)}


def flagged(design: Callable, seed: int, bayesian: bool) -> set[str]:
    """Checks that call for attention."""
    x, k = design(np.random.default_rng(seed))
    if bayesian:
        law = {"weight_concentration_prior_type": "dirichlet_distribution", "prune": False}
        model = bg.BayesianGaussianMixture(n_components=k, random_state=seed, **law)
    else:
        model = bg.GaussianMixture(k, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {check.name for check in model.fit(x).diagnose(x, verbose=False).concerns}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sets", type=int, default=50)
    options.add_argument("--ml", action="store_true", help="fits by maximum likelihood in place of variational Bayes")
    given = options.parse_args()
    bg.enable_compilation_cache()
    print("design " + " ".join(f"{name:>11}" for name in (*NAMES, "any")))
    for name, design in DESIGNS.items():
        found = [flagged(design, seed, not given.ml) for seed in range(given.sets)]
        shares = [np.mean([check in each for each in found]) for check in NAMES] + [np.mean([bool(each) for each in found])]
        print(f"{name:<7}" + " ".join(f"{share:11.2f}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
