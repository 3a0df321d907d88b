"""The page of promises names tests, commands and pages that exist, and counts what the tests count."""

from __future__ import annotations

import re

import argued
import pytest
from scripts import ROOT
from sklearn_tests import INAPPLICABLE, OURS
from test_hostile import FORMS, TABLES, WEIGHTS
from test_sklearn_conformance import NUMBERS

PAGE = (ROOT / "docs" / "explanation" / "promises.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"(?:tests|benchmarks|\.ci)/[\w./]+", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_exists(name):
    assert (ROOT / name.rstrip(".")).exists()


def test_every_promise_says_how_to_try_it():
    lines = re.findall(r"^\| \*\*.*$", PAGE, re.M)
    assert len(lines) >= 9
    for line in lines:
        promise, tried, lost, command = line.strip("|").split("|")[:4]
        assert promise.strip() and tried.strip() and lost.strip()
        assert re.search(r"`(?:\w+=\w+ )?(?:python -m pytest|python benchmarks/|\.ci/|bash \.ci/)", command), line


def test_counts_are_those_of_the_tests():
    assert f"{sum(NUMBERS.values())} checks" in PAGE
    theirs = sum(len(tests) for tests in (*OURS.values(), *INAPPLICABLE.values()))
    assert f"{sum(map(len, OURS.values()))} of the {theirs} tests" in PAGE
    assert f"{len(TABLES)} kinds of tables, {len(FORMS)} forms of data and {len(WEIGHTS)} of weights" in PAGE


def test_counts_of_hostile_inputs_are_those_of_the_decision():
    """Numbers of the first two promises stand in the table of decision 9."""
    decision = (ROOT / "docs" / "decisions" / "0009-hostile-input.md").read_text(encoding="utf-8")
    first, second = re.findall(r"^\| \*\*.*$", PAGE, re.M)[:2]
    for line in (first, second):
        for number in re.findall(r"\d+,\d{3}", line.split("|")[2]):
            assert number in decision or number == "2,000", number


def test_places_that_no_test_runs_are_counted():
    kinds = list(argued.read().values())
    assert f"{len(kinds)} places" in PAGE and "open" not in kinds
