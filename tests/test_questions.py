"""Figures in the answers of the questions are those that the pages print."""

from __future__ import annotations

import re

import pytest
from scripts import ROOT, printed_by

SAID = {
    "can_i_trust_it": [(r"species: ([\d.]+)", r"adjusted Rand index ([\d.]+)\)")],
    "kmeans_or_mixture": [(r"agree on (\d+ of \d+) rows", r"agree on (\d+ of \d+) rows")],
    "look_at_a_fit": [
        (r"mixture: adjusted Rand index with the species ([\d.]+)", r"adjusted Rand index ([\d.]+),"),
        (r"k-means: adjusted Rand index with the species ([\d.]+)", r"k-means ([\d.]+)\)"),
    ],
    "old_faithful": [(r"^2 +(0\.\d+)", r"weight (0\.\d+)\)")],
    "how_many_clusters": [(r"^(\d+) components, full", r"^By the evidence (four)")],
}
"""For each page what it prints, and where its answer says it."""

WORDS = {"four": "4"}


def answer_of(name: str) -> str:
    """The text of the last cell, in one line."""
    source = (ROOT / "examples" / "questions" / f"{name}.py").read_text(encoding="utf-8")
    last = source.rsplit("# Answer\n", 1)[1]
    return " ".join(line.removeprefix("#").strip() for line in last.splitlines()[1:]).strip()


@pytest.mark.parametrize("name", SAID)
def test_an_answer_says_what_its_page_prints(name, tmp_path):
    printed, answer = printed_by(ROOT / "examples" / "questions" / f"{name}.py", tmp_path), answer_of(name)
    for shown, said in SAID[name]:
        found, stated = re.search(shown, printed, re.M), re.search(said, answer)
        assert found and stated, (shown, said)
        assert WORDS.get(stated.group(1), stated.group(1)) == found.group(1)


def test_the_answer_about_component_3_says_what_its_page_prints(tmp_path):
    printed = printed_by(ROOT / "examples" / "questions" / "how_sure_am_i.py", tmp_path)
    ends = {
        name: re.findall(r"\[0\.(\d\d), 0\.(\d\d)\]", line)[2] for name, line in re.findall(r"^(mean field|Gibbs) +(0.*)$", printed, re.M)
    }
    low, high, gibbs_low, gibbs_high = (int(number) for number in (*ends["mean field"], *ends["Gibbs"]))
    assert f"{low} to {high} % of the rows; by Gibbs it is {gibbs_low} to {gibbs_high} %" in answer_of("how_sure_am_i")
