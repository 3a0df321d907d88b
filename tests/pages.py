"""What is on a page, or a piece of one, read as a browser reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"br", "hr", "img", "meta", "link"}


class Page(HTMLParser):
    """Elements with their attributes, headings, cells of tables and all text of a piece of HTML, whose tags must be balanced."""

    def __init__(self, source: str):
        super().__init__()
        self.source, self.words, self.open = source, "", []
        self.elements: list[tuple[str, dict]] = []
        self.headings: list[tuple[int, str]] = []
        self.rows: list[list[str]] = []
        self.feed(source)
        self.close()
        assert not self.open

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def links(self) -> list[str]:
        return [value for _, given in self.elements for name, value in given.items() if name in ("href", "src", "action", "data")]

    def all(self, tag: str) -> list[dict]:
        """Attributes of every element with this tag."""
        return [given for name, given in self.elements if name == tag]

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.words += " " * (tag in ("td", "th", "p"))

    def handle_data(self, data):
        within = self.open[-1] if self.open else ""
        if within == "style":
            return
        self.words += data
        if within in ("td", "th"):
            self.rows[-1][-1] += data
        if re.fullmatch("h[1-6]", within):
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] + data)
