"""Iris with a fifth of the numbers deleted at random: is it clustered as before, and how good is what is filled in?

    python benchmarks/missing.py [--sets 10] [--share 0.2]

clusters: adjusted Rand index with the species of the complete rows, under the fit to rows with gaps; first that of the fit to all numbers.
labels: the same of the rows with gaps, and of the fit to all numbers asked for them. filled in: root mean squared error of the deleted
numbers, in standard deviations of their columns, beside scikit-learn's IterativeImputer and column means.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

import bayesgmm as bg

MODELS = {
    "tied, 3": lambda: bg.GaussianMixture(3, covariance_type="tied", random_state=0, missing="at_random"),
    "full, 3": lambda: bg.GaussianMixture(3, random_state=0, missing="at_random"),
    "variational, up to 6": lambda: bg.BayesianGaussianMixture(n_components=6, random_state=0, missing="at_random"),
}


def with_gaps(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    gaps = np.random.default_rng(seed).random(x.shape) < share
    gaps[gaps.all(1), 0] = False
    return np.where(gaps, np.nan, x)


def peers(x: np.ndarray) -> dict[str, np.ndarray]:
    """What others fill in."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        iterated = IterativeImputer(random_state=0, max_iter=100).fit_transform(x)
    return {"IterativeImputer": iterated, "column means": np.where(np.isnan(x), np.nanmean(x, 0), x)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.2)
    args = parser.parse_args()
    x, _, species = bg.load_dataset("iris")
    rows = [with_gaps(x, args.share, seed) for seed in range(args.sets)]

    def error(filled: np.ndarray, part: np.ndarray) -> float:
        return float(np.sqrt(np.mean(((filled - x) / x.std(0))[np.isnan(part)] ** 2)))

    for name, make in MODELS.items():
        complete = make().fit(x)
        fits = [make().fit(part) for part in rows]
        clusters, labels, asked = (
            [bg.adjusted_rand_index(found, species) for found in several]
            for several in ([m.predict(x) for m in fits], [m.labels_ for m in fits], [complete.predict(part) for part in rows])
        )
        errors = [error(m.impute(part), part) for m, part in zip(fits, rows, strict=True)]
        print(f"{name}: all numbers {bg.adjusted_rand_index(complete.labels_, species):.3f}; ", end="")
        print(f"clusters {np.mean(clusters):.3f} (median {np.median(clusters):.3f}, least {min(clusters):.3f}); ", end="")
        print(f"labels {np.mean(labels):.3f}, of the complete fit {np.mean(asked):.3f}; filled in {np.mean(errors):.3f}", flush=True)
    several = [peers(part) for part in rows]
    for name in several[0]:
        print(f"{name}: filled in {np.mean([error(found[name], part) for found, part in zip(several, rows, strict=True)]):.3f}")


if __name__ == "__main__":
    main()
