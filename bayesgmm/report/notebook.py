"""Answers as HTML for notebooks: short tables that take the colours of the page, light or dark."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from bayesgmm.analysis.facts import column_names
from bayesgmm.report import diagnosis as checked
from bayesgmm.report import elements, verdict
from bayesgmm.report import uncertainty as intervals_of
from bayesgmm.report.text import number

STYLE = """
.bayesgmm table{border-collapse:collapse;margin:.6rem 0;background:transparent;color:inherit}
.bayesgmm th,.bayesgmm td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid rgba(128,128,128,.4);background:transparent}
.bayesgmm thead th{border-bottom:2px solid rgba(128,128,128,.9)}
.bayesgmm th:first-child,.bayesgmm .words :is(th,td){text-align:left}
.bayesgmm p{margin:.4rem 0;max-width:70rem}
.bayesgmm .scroll{overflow-x:auto}
"""
"""No colour of letters or of their ground: those of the notebook's theme hold."""


MOST_MODELS = 10
"""Models of a selection in its table."""


def _wrapped(*parts: str) -> str:
    return f'<style>{STYLE}</style><div class="bayesgmm">{"".join(parts)}</div>'


def _paragraph(said: str, strong: str = "") -> str:
    first = f"<strong>{escape(strong)}</strong> " if strong else ""
    return f"<p>{first}{escape(said)}</p>" if said or strong else ""


def selection(found: Any) -> str:
    """Verdict and best models."""
    answer, said = verdict.answer(found.table, found.criterion), " ".join(found.verdict.split())
    more = found.table.n_rows - MOST_MODELS
    read_as = verdict.SIGNS + (f" ({more} more models in .table)" if more > 0 else "")
    lines = verdict.lines(found.table, MOST_MODELS)
    return _wrapped(_paragraph(said.removeprefix(answer).strip(), answer), elements.table(lines), _paragraph(read_as))


def intervals(found: Any) -> str:
    """Tables of means and spreads with their intervals."""
    return _wrapped(*_intervals(found))


def _intervals(found: Any) -> list[str]:
    heading = _paragraph(f"{found.heading}; mean [{100 * found.prob:g}% interval]")
    if not set(intervals_of.TABLE) <= set(found):
        return [heading, *(_paragraph(f"{name}: {intervals_of.listed(each)}") for name, each in found.items())]
    titles = {"means": "mean", "standard_deviations": intervals_of.SPREAD[found.heavy]}
    tables = [elements.table(intervals_of.lines(found, name, title)) for name, title in titles.items()]
    more = [f"{title}: {intervals_of.listed(found[name])}" for name, title in intervals_of.MORE.items() if name in found]
    return [heading, *tables, *map(_paragraph, more)]


def uncertainty(found: Any) -> str:
    """Intervals, and how far the draws can be trusted."""
    told = {"contraction": found.contraction, "k-hat": found.k_hat, "r-hat": found.r_hat, "independent draws worth": found.ess}
    known = "; ".join(f"{name} {number(value)}" for name, value in told.items() if np.isfinite(value))
    return _wrapped(*_intervals(found.intervals()), _paragraph(known))


def diagnosis(found: Any) -> str:
    """A line for each check."""
    said = found.checks
    lines = [["", "check", "what was seen"], *([check.verdict, check.name, check.text] for check in said)]
    return _wrapped(_paragraph("", checked.heading(found, said)), elements.table(lines, words=True))


def kmeans(model: Any) -> str:
    """Centres and sizes of the clusters."""
    if not model.__sklearn_is_fitted__():
        return elements.preformatted(repr(model))
    k, labels = len(model.cluster_centers_), getattr(model, "labels_", None)
    sizes = None if labels is None else np.bincount(labels, minlength=k)
    lines = [["cluster", *column_names(model)] + ["rows"] * (sizes is not None)]
    for c, centre in enumerate(model.cluster_centers_):
        lines.append([str(c + 1), *map(number, map(float, centre))] + ([] if sizes is None else [f"{sizes[c]:,}"]))
    passes = f"{model.n_iter_} pass{'es' * (model.n_iter_ != 1)}"
    said = f"k-means: {k} cluster{'s' * (k != 1)}. Sum of squared distances to the centres {number(model.inertia_)}, {passes}."
    return _wrapped(_paragraph(said), elements.table(lines))
