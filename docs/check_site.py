"""Whether a built site is whole: ``python docs/check_site.py OUT``; every link leads somewhere, and nothing is fetched from elsewhere."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("iframe", "src")}
"""What a browser loads by itself; links that a reader may follow are another matter."""

NOT_LOADED = {"canonical", "next", "prev", "search", "index", "genindex", "author"}
"""Kinds of ``<link>`` that are read by machines only."""

FRONT_PAGE = ("how-to/how-many-clusters.html", "how-to/uncertainty.html", "how-to/coming-from-scikit-learn.html")
"""How to choose K, how sure one can be, how to switch: on the front page itself."""


class Page(HTMLParser):
    """Addresses and anchors of one page."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        for name in ("href", "src"):
            address = given.get(name)
            if not address or (tag == "link" and given.get("rel") in NOT_LOADED):
                continue
            (self.fetched if (tag, name) in FETCHED else self.links).append(address)


def faults(site: Path) -> list[str]:
    """What is wrong, a line each."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        here = path.relative_to(site.resolve())
        found += [f"{here} loads {address}" for address in page.fetched if urlsplit(address).netloc]
        for address in page.links + page.fetched:
            found += _broken(here, path, address, pages)
    front = {urlsplit(address).path for address in pages[(site / "index.html").resolve()].links}
    return found + [f"index.html does not link to {wanted}" for wanted in FRONT_PAGE if wanted not in front]


def _broken(here: Path, path: Path, address: str, pages: dict[Path, Page]) -> list[str]:
    """The fault of one address within the site, if it has one."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return []
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return [f"{here} links to {address}, which does not exist"]
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return [f"{here} links to {address}, which has no such anchor"]
    return []


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong) or "Every link leads somewhere; nothing is loaded from elsewhere.")
    sys.exit(bool(wrong))
