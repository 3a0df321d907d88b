"""Messages of long computations take one line, on a terminal and in a notebook."""

from __future__ import annotations

import pytest

import bayesgmm as bg
from bayesgmm.progress import Progress


def screen(written: str) -> str:
    """What is to be seen after carriage returns: later text lies over earlier text."""
    seen: list[str] = []
    for part in written.split("\r"):
        seen[: len(part)] = part
    return "".join(seen).rstrip()


def test_a_message_covers_the_last_one(capsys):
    with Progress(True) as tell:
        tell("fit 1 of 10, a long name")
        tell("fit 2")
        first = capsys.readouterr().err
        assert screen(first) == "fit 2"
    assert screen(first + capsys.readouterr().err) == ""


def test_nothing_wraps(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    Progress(True)("x" * 100)
    assert screen(capsys.readouterr().err) == "x" * 39


@pytest.mark.parametrize("shown", [None, False])
def test_nobody_is_told_where_nobody_watches(shown, capsys):
    Progress(shown)("fit 1")
    assert capsys.readouterr().err == ""


def test_long_computations_tell(capsys):
    x = bg.load_dataset("faithful").x
    bg.select(x, [1, 2], "spherical", n_init=1, verbose=True)
    assert "\r" in capsys.readouterr().err
