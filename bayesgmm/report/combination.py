"""What a combination of components says, in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.report.text import aligned

VALUES = {
    "entropy": "entropy removed, nats",
    "misclassification": "probability of misclassification",
    "ridgeline": "lowest density between the modes, relative to the lower one",
}
"""What the value of a merge is, by method."""

RULES = {
    "elbow": "at the elbow of the entropies",
    "icl": "where one Gaussian for each cluster has the lowest ICL",
    "given": "as asked",
}


def printed(combination: Any) -> str:
    """The clusters, then the merges; components and clusters count from 1."""
    rows = np.bincount(combination.labels + 1, minlength=combination.n_clusters + 1)
    rows, noise = rows[1:], int(rows[0])
    head, parts = ["cluster", "components", "weight", "rows"], zip(combination.groups, combination.weights, rows, strict=True)
    lines = [[str(i + 1), named(group), f"{weight:.3f}", str(count)] for i, (group, weight, count) in enumerate(parts)]
    apart = combination.probabilities.shape[1] > combination.n_clusters
    more = [f"Noise: {1 - combination.weights.sum():.3f} of the weight, {noise} rows."] if apart else []
    return "\n".join([heading(combination), aligned([head, *lines]), *more, *_merges(combination)])


def named(group: tuple[int, ...]) -> str:
    """Components of a cluster, counted from 1: ``1 + 3``."""
    return " + ".join(str(k + 1) for k in group)


def heading(combination: Any) -> str:
    """How many clusters of how many components, by which method, and why so many."""
    clusters, components = combination.n_clusters, combination.n_components
    if combination.rule == "threshold":
        why = f"threshold {combination.threshold:g}"
    else:
        why = RULES[combination.rule]
    counted = f"{clusters} cluster{'s' * (clusters != 1)} of {components} component{'s' * (components != 1)}"
    return f"{counted}, combined by {combination.method} ({why})."


def _merges(combination: Any) -> list[str]:
    """A line for each merge, and which were done."""
    if not combination.merges:
        return []
    digits = 2 if combination.method == "entropy" else 3
    head, lines = ["merge", "leaves", "value", ""], []
    done = combination.n_components - combination.n_clusters
    for i, merge in enumerate(combination.merges):
        left = combination.n_components - 1 - i
        value = np.format_float_positional(merge.value, digits, unique=False)
        lines.append([f"{named(merge.first)}  with  {named(merge.second)}", str(left), value, "done" if i < done else "not done"])
    return ["", aligned([head, *lines]), f"(value: {VALUES[combination.method]})"]
