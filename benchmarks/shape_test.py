"""How often components are said not to be Gaussian: where they are (200 simulated sets), and where clusters are not.

    python benchmarks/shape_test.py

Models are scikit-learn's, so that nothing needs compiling: for Gaussian sets the true number and structure, started at the true means; for
others full covariances, three starts, with the true number of clusters and with the number of lowest BIC up to 7.
"""

from __future__ import annotations

import time
import warnings
from collections import defaultdict

import numpy as np
from not_gaussian import draw
from simulated import Design, designs, simulate
from sklearn.mixture import GaussianMixture

from bayesgmm.analysis.point import Point
from bayesgmm.analysis.shape import shape_test

SETS, OTHERS = 200, 12


def small() -> list[Design]:
    """Designs with up to 1,000 rows, 5 columns and 5 components, of several families."""
    every = (design for offset in range(0, 900_000, 100_000) for design in designs(offset))
    return [d for d in every if d.n_rows <= 1000 and d.n_features <= 5 and d.n_components <= 5][:SETS]


def point(model: GaussianMixture) -> Point:
    """Weights, means and dense covariances."""
    k, d = model.means_.shape
    given = model.covariances_
    if model.covariance_type in ("full", "tied"):
        return Point(model.weights_, model.means_, np.broadcast_to(given, (k, d, d)))
    return Point(model.weights_, model.means_, np.eye(d) * given.reshape(k, 1, -1))


def least(model: GaussianMixture, x: np.ndarray) -> tuple[float, float]:
    """P value of the least Gaussian component, and CPU seconds."""
    began = time.process_time()
    p_value, _ = shape_test(point(model), x, np.ones(len(x)))
    return (float(np.nanmin(p_value)) if np.isfinite(p_value).any() else 1.0), time.process_time() - began


def main() -> None:
    warnings.simplefilter("ignore")
    found = defaultdict(list)
    for design in small():
        truth = simulate(design)
        means = [truth.x[truth.labels == k].mean(0) for k in range(design.n_components)]
        options = {"covariance_type": design.shape, "means_init": means, "max_iter": 1000, "tol": 1e-7, "random_state": 0}
        result = least(GaussianMixture(design.n_components, **options).fit(truth.x), truth.x)
        for name in ("Gaussian, all", f"Gaussian, overlap {design.overlap}"):
            found[name].append(result)
    for kind in ("heavy", "background", "curved"):
        for index in range(OTHERS):
            truth = draw(kind, index)
            fits = [GaussianMixture(k, n_init=3, random_state=0).fit(truth.x) for k in range(1, 8)]
            found[f"{kind}, true number"].append(least(fits[truth.labels.max()], truth.x))
            found[f"{kind}, lowest BIC"].append(least(min(fits, key=lambda model: model.bic(truth.x)), truth.x))
    print(f"{'':28s} sets  p <= 0.01  p <= 0.05  CPU s a set")
    for name, results in found.items():
        p, seconds = np.array(results).T
        print(f"{name:28s} {len(p):4d} {np.mean(p <= 0.01):10.3f} {np.mean(p <= 0.05):10.3f} {seconds.mean():12.2f}")


if __name__ == "__main__":
    main()
