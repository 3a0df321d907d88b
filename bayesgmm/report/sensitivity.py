"""What a fit owes to its prior, in a table and a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.report.text import aligned

DOUBLING = float(np.log(2))


def printed(found: Any) -> str:
    """A line for each hyperparameter: largest changes when it doubles, to first order, then the fits with it halved and doubled."""
    head = ["hyperparameter", "weights", "means", "memberships", "clusters"] + ["half", "double"] * bool(found.refits)
    lines = [head, *(_line(found, i) for i in range(len(found.hyperparameters)))]
    notes = [
        "(weights ... clusters: largest change when it doubles, to first order; means in standard deviations of their component,",
        f"clusters: of the expected number{'; half, double: components of a new fit, adjusted Rand index' if found.refits else ''})",
    ]
    return "\n".join([*([_sentence(found), ""] if found.refits else []), aligned(lines), *notes])


def _line(found: Any, i: int) -> list[str]:
    slopes = {name: DOUBLING * values[i] for name, values in found.derivatives.items()}
    largest = [np.abs(slopes["weights"]).max(), np.abs(slopes["means"] / found.deviations).max(), np.abs(slopes["responsibilities"]).max()]
    cells = [_small(value) for value in [*largest, slopes["n_clusters"]]]
    name = found.hyperparameters[i]
    refits = [f"{each.model.n_components_} ({each.agreement:.2f})" for each in found.refits if each.hyperparameter == name]
    return [name, *cells, *refits]


def _small(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.0005 else "< 0.001"


def _sentence(found: Any) -> str:
    """Whether half or twice of anything changes the answer."""
    now = found.responsibilities.shape[1]
    other = [each for each in found.refits if each.model.n_components_ != now]
    least = min(each.agreement for each in found.refits)
    kept = f"{now} component{'s' * (now != 1)}"
    if not found.refits[0].model.prune:
        return f"With each hyperparameter halved and doubled the adjusted Rand index is at least {least:.2f} ({kept} by prune=False)."
    if not other:
        return f"With each hyperparameter halved and doubled the answer is still {kept}; adjusted Rand index at least {least:.2f}."
    named = ", ".join(f"{each.model.n_components_} with {each.hyperparameter} times {each.factor:g}" for each in other)
    return f"Another prior would have said otherwise: {kept} here, {named}."
