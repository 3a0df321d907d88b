"""A fit as HTML: a fragment for notebooks and a self-contained page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from bayesgmm.analysis.facts import Facts
from bayesgmm.report import text

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:60rem;margin:2rem auto;padding:0 1rem}
.bayesgmm table{border-collapse:collapse;margin:.8rem 0}
.bayesgmm th,.bayesgmm td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #ccc}
.bayesgmm thead th{border-bottom:2px solid #444}
.bayesgmm .scroll{overflow-x:auto}
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""


def escaped_block(value: str) -> str:
    """Plain text as HTML."""
    return f"<pre>{escape(value)}</pre>"


def _table(facts: Facts) -> str:
    names = [f"{c} ({u})" if u else c for c, u in zip(facts.columns, facts.units, strict=True)]
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in ("component", "weight", *names, "rows"))
    body = []
    for k in range(facts.n_components):
        cells = [f"{text.number(m)} ± {text.number(s)}" for m, s in zip(facts.means[k], facts.spreads[k], strict=True)]
        columns = "".join(f"<td>{c}</td>" for c in (f"{facts.weights[k]:.3f}", *cells, facts.rows[k]))
        body.append(f'<tr><th scope="row">{k + 1}</th>{columns}</tr>')
    caption = "<caption>mean ± standard deviation within the component</caption>"
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def fragment(facts: Facts, style: bool = True) -> str:
    """Heading, table and sentences."""
    said = "".join(f"<li>{escape(s)}</li>" for s in text.sentences(facts))
    css = f"<style>{STYLE[STYLE.index('.bayesgmm') :]}</style>" if style else ""
    opening = f"<p>{escape(text.heading(facts))} <strong>{escape(text.kept(facts))}</strong></p>"
    return f'{css}<div class="bayesgmm">{opening}{_table(facts)}<ul>{said}</ul></div>'


def page(facts: Facts) -> str:
    """A page that needs nothing else."""
    title = f"{facts.title}: {facts.n_components} components"
    return PAGE.format(title=escape(title), style=STYLE, body=fragment(facts, style=False))


def write_page(facts: Facts, path: Any) -> None:
    """Write `page` to a file."""
    Path(path).write_text(page(facts), encoding="utf-8")
