"""Pieces of HTML: everything that comes from outside is escaped here, and needs nothing from outside."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{overflow-wrap:anywhere}
h1{line-height:1.2}h2{margin-top:2.2rem;border-bottom:1px solid #ccc}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0}
a{color:#0b57a4}figure{margin:1rem 0}img{max-width:100%;height:auto}figcaption,caption{color:#444;font-size:.9rem;text-align:left}
pre{background:#f4f4f4;padding:.7rem;overflow-x:auto;white-space:pre-wrap}
.bayesgmm table{border-collapse:collapse;margin:.8rem 0}
.bayesgmm th,.bayesgmm td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #ccc;overflow-wrap:normal}
.bayesgmm th:first-child,.bayesgmm .words :is(th,td){text-align:left}
.bayesgmm .words td:nth-of-type(1){white-space:nowrap}
.bayesgmm thead th{border-bottom:2px solid #444}
.bayesgmm .scroll{overflow-x:auto}
.bayesgmm .scroll:not(.words) :is(th,td){white-space:nowrap}
@media print{.bayesgmm .scroll{overflow:visible}h2,figure{break-inside:avoid}}
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main class="bayesgmm"><h1>{title}</h1>
{body}
</main></body></html>
"""

DPI = 120


def paragraph(text: str, strong: bool = False) -> str:
    """One paragraph of plain text."""
    inner = escape(text)
    return f"<p><strong>{inner}</strong></p>" if strong else f"<p>{inner}</p>"


def bullets(texts: Sequence[str]) -> str:
    """A list of plain texts."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else ""


def preformatted(text: str) -> str:
    """Code, or text with lines of its own."""
    return f"<pre>{escape(text)}</pre>"


def table(lines: Sequence[Sequence[Any]], caption: str = "", words: bool = False) -> str:
    """A table whose first line and first column are titles; it scrolls in a box of its own where the page is narrow.

    Parameters
    ----------
    lines : list of list
        Titles, then the lines; every cell is shown as text.
    caption : str
        Also the name of the box; none where a heading says it already.
    words : bool
        Cells hold sentences, which are set flush left.
    """
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in lines[0])
    body = []
    for first, *cells in lines[1:]:
        rest = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{escape(str(first))}</th>{rest}</tr>')
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    inner = f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    name = f' role="region" tabindex="0" aria-label="{escape(caption)}"' if caption else ""
    return f'<div class="scroll{" words" if words else ""}"{name}>{inner}</div>'


def section(name: str, title: str, *parts: str) -> str:
    """A part of a page under its heading; nothing where there is nothing to say."""
    inner = "\n".join(part for part in parts if part)
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>\n{inner}\n</section>' if inner else ""


def contents(titles: dict[str, str]) -> str:
    """Links to the sections of a page."""
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in titles.items())
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def picture(draw: Callable[[], Any], alt: str, caption: str) -> str:
    """A figure that is part of the page; ``draw`` makes and returns Axes, or an array of them, of a new figure."""
    import matplotlib
    import matplotlib.pyplot as plt
    import numpy as np

    with matplotlib.rc_context(), plt.ioff():
        matplotlib.rcdefaults()
        before, file = set(plt.get_fignums()), io.BytesIO()
        try:
            figure = np.ravel(draw())[0].figure
            figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)
    data = base64.b64encode(file.getvalue()).decode()
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def page(title: str, body: str) -> str:
    """A page that needs nothing else."""
    return PAGE.format(title=escape(title), style=STYLE, body=body)
