"""The tutorial says what is so: what its pages show is what their code prints, and their sentences have no other numbers."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from scripts import ROOT, printed_by, run, text_of

PAGES = sorted(page for page in (ROOT / "docs" / "tutorial").glob("*.md") if page.stem != "index")
ORDER = ("what-is-a-mixture", "em-by-hand", "covariance-structures", "how-many", "from-em-to-bayes", "kmeans-or-mixture")
NUMBER = r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?"


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def numbers(text: str) -> set[str]:
    """Numbers as they are written, without their sign."""
    return {found.lstrip("-") for found in re.findall(NUMBER, text)}


def prose(text: str) -> str:
    """What a reader reads: no code, no output, no targets of links, no fractions of one digit."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"\\t?frac\d\d|_\d|\^\d", "", text)


def rounded(value: str, found: set[str]) -> bool:
    """Whether a number is one of those found, or one of them rounded."""
    digits = len(value.partition(".")[2])
    return any(f"{float(other):.{digits}f}" == f"{float(value):.{digits}f}" for other in found)


def test_the_pages_are_those_of_the_tutorial():
    assert {page.stem for page in PAGES} == set(ORDER)
    for page, following in itertools.pairwise(ORDER):
        assert f"]({following}.md)" in (ROOT / "docs" / "tutorial" / f"{page}.md").read_text(encoding="utf-8").rsplit("Next", 1)[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_code_prints(page: Path, tmp_path):
    """Output word for word; each number in a sentence, table or formula is printed or stands in the code; pictures are its own."""
    text = page.read_text(encoding="utf-8")
    code, shown = "\n".join(fenced(text, "python")), "".join(fenced(text, "text"))
    printed = run(code, tmp_path)
    assert [line.rstrip() for line in printed.split("\n") if line.strip()] == [line.rstrip() for line in shown.split("\n") if line.strip()]
    known = numbers(printed) | numbers(code) | {"0", "1", "2"}
    unknown = sorted(value for value in numbers(prose(text)) if not rounded(value, known))
    assert not unknown, f"{page.name} states {unknown}, which its code does not print"
    for picture in re.findall(r"\]\(\.\./images/([\w.]+)\)", text):
        assert (tmp_path / picture).exists(), f"the code of {page.name} does not draw {picture}"
        assert (ROOT / "docs" / "images" / picture).exists()


def test_from_scratch_is_thirty_lines_and_reaches_the_bound_it_states(tmp_path):
    example = ROOT / "examples" / "questions" / "from_scratch.py"
    by_hand = re.search(r"^def update.*?^(?=print)", example.read_text(encoding="utf-8"), re.S | re.M).group()
    lines = [line for line in by_hand.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert f"{len(lines)} lines of code" in text_of(example)
    printed = printed_by(example, tmp_path)
    for way in ("by hand", "bg.fit", "the estimator"):
        assert f"bound of {re.search(rf'^{way} +(-[0-9.]+)', printed, re.M).group(1)} nats" in text_of(example)
    assert f"({re.search(r'(-[0-9.]+) in minutes', printed).group(1)} in minutes)" in text_of(example)
    assert len(set(re.search(r"between (-[0-9.]+) and (-[0-9.]+)", printed).groups())) == 1
