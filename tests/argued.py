"""Lines and branches that no test of the default suite runs, beside the list of those that have a reason (`.ci/coverage`).

A place is known by file, function and text of the line, not by its number, so that the list stays true when lines move.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LIST = Path(__file__).parent / "uncovered.toml"
KINDS = ("slow", "process", "version", "device", "system", "fault", "guard", "bound", "open")
"""Reasons: run by slow tests only, by a process that is not measured, with other versions of libraries, on other devices or systems; where
something outside fails, or a caller inside makes a mistake; loops that end early in every test; and gaps that are known, and open."""

Place = tuple[str, str]
"""File, and ``function | text``, with `` -> text`` of where it leads, or `` -> end`` of the function, where it is a branch never taken."""


def read(path: Path = LIST) -> dict[Place, str]:
    """Kind of reason of every place that is argued."""
    with path.open("rb") as file:
        found = tomllib.load(file)["argument"]
    for argument in found:
        if set(argument) != {"file", "kind", "reason", "places"} or argument["kind"] not in KINDS or not argument["reason"].strip():
            raise ValueError(f"An argument has a file, a kind ({', '.join(KINDS)}), a reason and places; got {argument}.")
    return {(argument["file"], place): argument["kind"] for argument in found for place in argument["places"]}


def uncovered(report: dict[str, Any], root: Path) -> set[Place]:
    """Places that a report calls missing. Branches to or from a missing line are not told beside that line."""
    package = {path.relative_to(root).as_posix() for path in (root / "bayesgmm").rglob("*.py") if path.stat().st_size}
    found = {(file, "module | imported by no test") for file in package - set(report["files"])}
    for file, told in report["files"].items():
        text = (root / file).read_text(encoding="utf-8")
        name, missing = _names(text), _missing(told, text)
        found |= {(file, name(line)) for line in missing}
        for begin, end in told.get("missing_branches", ()):
            if not {begin, end} & missing:
                leads = name(end).partition(" | ")[2] if end > 0 else "end"
                found.add((file, f"{name(begin)} -> {leads}"))
    return found


def n_statements(report: dict[str, Any], root: Path) -> int:
    """How many there are in the files of a report."""
    total = 0
    for file, told in report["files"].items():
        first = _first_lines((root / file).read_text(encoding="utf-8"))
        total += len({first.get(line, line) for line in (*told["executed_lines"], *told["missing_lines"])})
    return total


def _missing(told: dict[str, Any], text: str) -> set[int]:
    """First lines of statements of which no line was run."""
    first = _first_lines(text)
    run, not_run = ({first.get(line, line) for line in told.get(key, ())} for key in ("executed_lines", "missing_lines"))
    lines = text.splitlines()
    return {line for line in not_run - run if lines[line - 1].strip() != "..."}


def _first_lines(text: str) -> dict[int, int]:
    """First line of the statement that each line belongs to; statements within others have their own."""
    found: dict[int, int] = {}
    for node in ast.walk(ast.parse(text)):  # the outer ones come first
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
            found |= dict.fromkeys(range(node.lineno, max(node.lineno, last) + 1), node.lineno)
    return found


def compare(places: Iterable[Place], argued: Iterable[Place]) -> tuple[list[Place], list[Place]]:
    """Places without an argument, and arguments that are not needed."""
    places, argued = set(places), set(argued)
    return sorted(places - argued), sorted(argued - places)


def _names(text: str):
    """What a line is called."""
    lines, functions = text.splitlines(), list(_functions(ast.parse(text)))

    def name(number: int) -> str:
        inside = [function for function, first, last in functions if first < number <= last]
        return f"{inside[-1] if inside else 'module'} | {' '.join(lines[number - 1].split())}"

    return name


def _functions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, int, int]]:
    """Full name, first and last line of functions and classes, the inner ones after the outer."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            full = f"{outer}{node.name}"
            yield full, node.lineno, node.end_lineno or node.lineno
            yield from _functions(node, f"{full}.")
        else:
            yield from _functions(node, outer)
