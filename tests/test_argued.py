"""Lines that no test runs, beside the list of those that are argued."""

from __future__ import annotations

import ast
import re

import argued
import pytest
from scripts import ROOT

CODE = """
def outer(x):
    if x:
        return 1
    def inner():
        return 2
    for i in range(3):
        x = i
    return inner


class Kind:
    def method(self):
        raise ValueError("no")
"""


@pytest.fixture
def report(tmp_path):
    """Of a file of which two lines and two branches were not run; one of these leads to a line that was not."""
    (tmp_path / "made.py").write_text(CODE)
    return {"files": {"made.py": {"missing_lines": [4, 14], "missing_branches": [[3, 4], [3, 5], [7, -2]]}}}


def test_places_are_known_by_text_wherever_they_are(report, tmp_path):
    expected = {
        ("made.py", "outer | return 1"),
        ("made.py", 'Kind.method | raise ValueError("no")'),
        ("made.py", "outer | if x: -> def inner():"),
        ("made.py", "outer | for i in range(3): -> end"),
    }
    assert argued.uncovered(report, tmp_path) == expected
    (tmp_path / "made.py").write_text("\n\n" + CODE)
    (found,) = report["files"].values()
    found["missing_lines"] = [line + 2 for line in found["missing_lines"]]
    found["missing_branches"] = [[5, 6], [5, 7], [9, -4]]
    assert argued.uncovered(report, tmp_path) == expected


def test_a_statement_of_several_lines_is_one_place(tmp_path):
    """Its lines count as its first; one that was run is enough; a body that is only `...` is none."""
    (tmp_path / "made.py").write_text("x = f(\n    1,\n    lambda: 2,\n)\ny = g(\n    3,\n)\ndef h():\n    ...\n")
    told = {"executed_lines": [1, 8], "missing_lines": [2, 3, 5, 6, 9]}
    report = {"files": {"made.py": told}}
    assert argued.uncovered(report, tmp_path) == {("made.py", "module | y = g(")} and argued.n_statements(report, tmp_path) == 4


def test_a_file_that_nothing_imports_is_a_place(tmp_path):
    (tmp_path / "bayesgmm").mkdir()
    (tmp_path / "bayesgmm" / "new.py").write_text("x = 1\n")
    assert argued.uncovered({"files": {}}, tmp_path) == {("bayesgmm/new.py", "module | imported by no test")}


def test_what_is_not_argued_and_what_is_not_needed():
    places = [("a.py", "f | x"), ("a.py", "f | y")]
    assert argued.compare(places, places) == ([], [])
    assert argued.compare(places, [("b.py", "f | x"), places[1]]) == ([("a.py", "f | x")], [("b.py", "f | x")])


WRONG = ["", 'kind = "bad"\nreason = "r"\n', 'kind = "slow"\nreason = " "\n', 'kind = "slow"\nreason = "r"\nmore = 1\n']


@pytest.mark.parametrize("wrong", WRONG)
def test_arguments_have_a_reason_of_a_known_kind(tmp_path, wrong):
    (tmp_path / "list.toml").write_text(f'[[argument]]\nfile = "a.py"\nplaces = ["f | x"]\n{wrong}')
    with pytest.raises(ValueError, match="An argument has a file, a kind"):
        argued.read(tmp_path / "list.toml")


def test_what_is_argued_stands_in_the_package():
    """A line that has gone, or another text of it, leaves the list."""
    found = argued.read()
    assert found
    for file in {file for file, _ in found}:
        text = (ROOT / file).read_text(encoding="utf-8")
        name, size = argued._names(text), len(text.splitlines())
        lines = {name(number) for number in range(1, size + 1)}
        for place in (place for where, place in found if where == file):
            assert place.partition(" -> ")[0] in lines or place in lines, (file, place)


def test_the_record_has_the_numbers_of_the_list():
    """Counts of reasons in decision 10."""
    text = (ROOT / "docs" / "decisions" / "0010-trust.md").read_text(encoding="utf-8")
    section = text[text.index("**Coverage.**") :]
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", section, re.M))
    kinds = list(argued.read().values())
    assert {kind: int(n) for kind, n in told.items()} == {kind: kinds.count(kind) for kind in set(kinds)}


def test_names_of_functions_are_full():
    assert [name for name, _, _ in argued._functions(ast.parse(CODE))] == ["outer", "outer.inner", "Kind", "Kind.method"]
