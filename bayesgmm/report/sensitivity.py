"""What a fit owes to its prior, in a table and a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.report.text import aligned

DOUBLING = float(np.log(2))

MEAN = "mean_prior"


def lines(found: Any) -> list[list[str]]:
    """Titles, and a line for each hyperparameter: largest changes when it doubles, then the fits with it halved and doubled."""
    head = ["hyperparameter", "weights", "means", "memberships", "clusters"] + ["half", "double"] * bool(found.refits)
    said = [head, *(_line(found, name, [i]) for i, name in enumerate(found.hyperparameters) if not name.startswith(MEAN))]
    said.append(_line(found, MEAN, [i for i, name in enumerate(found.hyperparameters) if name.startswith(MEAN)]))
    said[-1] += [""] * (len(head) - len(said[-1]))
    return said


def key(found: Any) -> str:
    """What the columns of `lines` are."""
    return (
        "(weights ... clusters: largest change when it doubles, to first order, or for mean_prior when it moves by a standard deviation\n"
        "of a column; means in standard deviations of their component, clusters: of the expected number"
        + ("; half, double: components of\na new fit, adjusted Rand index)" if found.refits else ")")
    )


def printed(found: Any) -> str:
    """The sentence and the table."""
    return "\n".join([*([sentence(found), ""] if found.refits else []), aligned(lines(found)), key(found)])


def _line(found: Any, name: str, places: list[int]) -> list[str]:
    """The largest change among derivatives in some places."""
    step = 1 if name == MEAN else DOUBLING
    slopes = {key: step * values[places] for key, values in found.derivatives.items()}
    largest = [np.abs(slopes["weights"]).max(), np.abs(slopes["means"] / found.deviations).max(), np.abs(slopes["responsibilities"]).max()]
    clusters = slopes["n_clusters"][np.abs(slopes["n_clusters"]).argmax()]
    cells = [_small(value) for value in [*largest, clusters]]
    refits = [f"{each.model.n_components_} ({each.agreement:.2f})" for each in found.refits if each.hyperparameter == name]
    return [name, *cells, *refits]


def _small(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.0005 else "< 0.001"


def sentence(found: Any) -> str:
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
