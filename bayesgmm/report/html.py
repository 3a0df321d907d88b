"""A fit as HTML: the fragment that notebooks show."""

from __future__ import annotations

from bayesgmm.analysis.facts import Facts
from bayesgmm.report import elements, text

STYLE = elements.STYLE[elements.STYLE.index(".bayesgmm") : elements.STYLE.index("@media")]


def lines(facts: Facts) -> list[list[str]]:
    """Titles, and weight, means and standard deviations of each component."""
    names = [f"{c} ({u})" if u else c for c, u in zip(facts.columns, facts.units, strict=True)]
    found = [["component", "weight", *names, "rows"]]
    for k in range(facts.n_components):
        cells = [f"{text.number(m)} ± {text.number(s)}" for m, s in zip(facts.means[k], facts.spreads[k], strict=True)]
        found.append([str(k + 1), f"{facts.weights[k]:.3f}", *cells, str(facts.rows[k])])
    return found


def components(facts: Facts) -> str:
    """The table of components."""
    return elements.table(lines(facts), "mean ± standard deviation within the component")


def fragment(facts: Facts) -> str:
    """Heading, table and sentences."""
    opening = elements.paragraph(text.heading(facts)) + elements.paragraph(text.kept(facts), strong=True)
    said = elements.bullets(text.sentences(facts))
    return f'<style>{STYLE}</style><div class="bayesgmm">{opening}{components(facts)}{said}</div>'
