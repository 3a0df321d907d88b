"""Standard streams: closed ones, full ones, narrow terminals, and encodings without the signs of a summary."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

USUAL = 80
"""Columns of a terminal that does not tell."""

FEWEST = 20
"""Columns to which text is still wrapped."""


def open_closed() -> None:
    """Have standard streams that were closed lead nowhere; files opened later would get their numbers, and whatever is written to them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8", errors="backslashreplace"))


def silence(stream: Any) -> None:
    """Have a stream that cannot be written lead nowhere, so that what waits in it does no harm at the end; one that is no file is left."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        place = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, place)
        os.close(nowhere)


def tell(text: str) -> None:
    """Print to standard error, if it can be written: a full disk there is no reason to lose the result."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def columns(stream: Any) -> int:
    """Columns of the terminal of a stream, or those usual; the variable COLUMNS comes first."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no terminal, closed, or no file at all
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    return USUAL


def width(stream: Any) -> int | None:
    """Columns to wrap text to; None for what is not read on a terminal."""
    return max(FEWEST, columns(stream)) if getattr(stream, "isatty", bool)() else None


def plus_minus(stream: Any) -> str:
    """The sign, or letters for it in an encoding that lacks it."""
    try:
        "±".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "+/-"
    return "±"
