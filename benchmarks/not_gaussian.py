"""Clusters that are not Gaussian components: `bayesgmm.select`, its components combined in every way, and scikit-learn's lowest BIC.

    python benchmarks/not_gaussian.py --sets 4 --cache programs

Six kinds of data, two to fifty columns, 600 to 800 rows. Printed are the share of sets with the right number of clusters and the adjusted
Rand index of the rows that belong to a cluster. A background of noise may be left as a cluster of its own: then one more is right too.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from simulated import Design, simulate


class Truth(NamedTuple):
    """Rows (N, D) and their clusters (N,); -1 is background."""

    x: np.ndarray
    labels: np.ndarray


def heavy(rng) -> Truth:
    """Three clusters of Student t with 3 degrees of freedom, in 2 or 5 columns."""
    d = int(rng.choice([2, 5]))
    labels = np.repeat(np.arange(3), 200)
    x = rng.standard_normal((600, d)) / np.sqrt(rng.chisquare(3, 600) / 3)[:, None]
    return Truth(_placed(rng, x, labels, 12.0), labels)


def background(rng) -> Truth:
    """Three Gaussian clusters in 2 columns with one row in ten anywhere in a box around them."""
    labels = np.concatenate([np.repeat(np.arange(3), 240), np.full(80, -1)])
    x = rng.standard_normal((800, 2))
    x[:720] = _placed(rng, x[:720], labels[:720], 12.0)
    low, high = x[:720].min(0) - 4, x[:720].max(0) + 4
    x[720:] = rng.uniform(low, high, (80, 2))
    return Truth(x, labels)


def curved(rng) -> Truth:
    """Two half moons, or three bananas, in 2 columns."""
    if rng.random() < 0.5:
        labels, angle = np.repeat(np.arange(2), 300), rng.uniform(0, np.pi, 600)
        x = np.stack([np.cos(angle), np.sin(angle)], 1)
        x[300:] = [1, 0.5] - x[300:]
        return Truth(x + 0.08 * rng.standard_normal((600, 2)), labels)
    labels = np.repeat(np.arange(3), 200)
    along = rng.uniform(-2.5, 2.5, 600)
    x = np.stack([along, 0.6 * along**2 - 1], 1) + 0.25 * rng.standard_normal((600, 2))
    return Truth(_placed(rng, x, labels, 7.0), labels)


def tiny(rng) -> Truth:
    """Two Gaussian clusters of 300 rows and two of 12, in 2 columns."""
    labels = np.repeat(np.arange(4), [300, 300, 12, 12])
    return Truth(_placed(rng, rng.standard_normal((624, 2)), labels, 9.0), labels)


def wide(rng) -> Truth:
    """Three Gaussian clusters in 50 columns with variances of their own, which lie about 5 standard deviations apart."""
    labels = np.repeat(np.arange(3), 200)
    spread = np.exp(rng.uniform(-0.7, 0.7, (3, 50)) / 2)
    means = rng.standard_normal((3, 50)) * 0.5
    return Truth(means[labels] + spread[labels] * rng.standard_normal((600, 50)), labels)


def gaussian(rng) -> Truth:
    """Three overlapping Gaussian clusters, where nothing should be combined."""
    truth = simulate(Design("overlapping", 2, 3, 600, "medium", "full", "balanced", int(rng.integers(1 << 30))))
    return Truth(truth.x, truth.labels)


def _placed(rng, x: np.ndarray, labels: np.ndarray, apart: float) -> np.ndarray:
    """Each cluster sheared and turned a little, with centres at least ``apart`` from one another."""
    d, k = x.shape[1], labels.max() + 1
    centres = np.zeros((k, d))
    while (np.linalg.norm(centres[:, None] - centres, axis=-1) + 1e9 * np.eye(k)).min() < apart:
        centres = rng.uniform(-1, 1, (k, d)) * apart * k**0.5
    shapes = np.eye(d) + 0.35 * rng.standard_normal((k, d, d))
    return centres[labels] + np.einsum("nij,nj->ni", shapes[labels], x)


KINDS = {f.__name__: f for f in (heavy, background, curved, tiny, wide, gaussian)}
WAYS = {
    "entropy, elbow": {"method": "entropy"},
    "entropy, ICL": {"method": "entropy", "n_clusters": "icl"},
    "misclassification": {"method": "misclassification"},
    "ridgeline": {"method": "ridgeline"},
}


def draw(kind: str, index: int) -> Truth:
    """Data set number ``index`` of a kind."""
    truth = KINDS[kind](np.random.default_rng([index, list(KINDS).index(kind)]))
    shuffled = np.random.default_rng(index).permutation(len(truth.x))
    return Truth(truth.x[shuffled], truth.labels[shuffled])


def sklearn_labels(x: np.ndarray) -> np.ndarray:
    """Labels of the mixture with the lowest BIC: 1 to 15 components, four structures, three starts."""
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = ((k, kind) for k in range(1, 16) for kind in ("full", "tied", "diag", "spherical"))
        models = (GaussianMixture(k, covariance_type=kind, n_init=3, random_state=0).fit(x) for k, kind in every)
        return min(models, key=lambda model: model.bic(x)).predict(x)


def judge(truth: Truth) -> tuple[dict[str, tuple[bool, float]], dict[str, bool]]:
    """Right number and adjusted Rand index by method; which sentences about components the verdict has."""
    import bayesgmm as bg

    selection = bg.select(truth.x, verbose=False)
    found = {"scikit-learn, BIC": sklearn_labels(truth.x), "select": selection.best.labels_}
    found.update({name: bg.combine(selection.best, truth.x, **options).labels for name, options in WAYS.items()})
    clustered, number = truth.labels >= 0, truth.labels.max() + 1
    right = {number, number + (not clustered.all())}
    scores = {name: (len(set(a)) in right, bg.adjusted_rand_index(a[clustered], truth.labels[clustered])) for name, a in found.items()}
    shape = selection.shape
    said = {"not Gaussian": bool(len(shape.not_gaussian)), "overlap": bool(shape.overlaps), "few rows": bool(shape.tiny)}
    return scores, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=4, help="data sets of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--cache", help="folder of compiled programs to use and fill")
    options = parser.parse_args()
    if options.cache:
        import bayesgmm as bg

        bg.enable_compilation_cache(options.cache)
    columns: dict[str, dict] = {}
    for kind in options.kinds:
        began, scores, said = time.process_time(), defaultdict(list), defaultdict(list)
        for index in range(options.sets):
            found, told = judge(draw(kind, index))
            for name, value in found.items():
                scores[name].append(value)
            for name, value in told.items():
                said[name].append(value)
        columns[kind] = {
            name: f"{np.mean([v[0] for v in some]):.2f} / {np.mean([v[1] for v in some]):.2f}" for name, some in scores.items()
        }
        columns[kind].update({f"verdict: {name}": f"{np.mean(some):.2f}" for name, some in said.items()})
        print(f"{kind}: {options.sets} sets, {time.process_time() - began:.0f} CPU seconds", flush=True)
    print(f"\nright number / adjusted Rand index\n{'':24s}" + "".join(f"{kind:>16s}" for kind in columns))
    for name in next(iter(columns.values())):
        print(f"{name:24s}" + "".join(f"{columns[kind][name]:>16s}" for kind in columns))


if __name__ == "__main__":
    main()
