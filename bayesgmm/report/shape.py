"""What the shapes of the components say, in words; nothing where there is nothing to say. Components count from 1."""

from __future__ import annotations

from bayesgmm.analysis.shape import Shape

MOST_NAMED = 4


def sentences(shape: Shape) -> list[str]:
    """One paragraph, or none."""
    said = [not_gaussian(shape), overlaps(shape), few_rows(shape)]
    if len(shape.p_value) > 1 and (said[0] or said[1]):
        said.append("Components need not be clusters: bg.combine(selection.best, X) joins those that belong together.")
    return [" ".join(s for s in said if s)] if any(said) else []


def not_gaussian(shape: Shape) -> str:
    """Components whose rows do not have the moments of a Gaussian."""
    found = [f"{k + 1} ({shape.deviation[k]}, p = {shape.p_value[k]:.3f})" for k in shape.not_gaussian]
    return f"{_components(found)} not look Gaussian." if found else ""


def _components(found: list[str]) -> str:
    many = len(found) > 1
    return f"Component{'s' * many} {listed(found)} do{'' if many else 'es'}"


def overlaps(shape: Shape) -> str:
    """Pairs that a row cannot be told apart by."""
    found = [f"{pair.probability:.0%} of the rows of {pair.of + 1} would be put into {pair.into + 1}" for pair in shape.overlaps]
    return f"Components overlap: {listed(found)}." if found else ""


def few_rows(shape: Shape) -> str:
    """Components that are hardly known."""
    found = [f"{t.component + 1} has {t.n_rows:g}" for t in shape.tiny]
    return f"Fewer rows than the {shape.tiny[0].n_parameters} parameters of a component: {listed(found)}." if found else ""


def listed(found: list[str]) -> str:
    """``a, b and c``; the first few of many."""
    if not found:
        return ""
    shown, more = found[:MOST_NAMED], len(found) - MOST_NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1])] * (len(shown) > 1) + shown[-1:])
