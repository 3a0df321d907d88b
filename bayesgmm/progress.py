"""Where a long computation is, told on one line of standard error that the next message overwrites."""

from __future__ import annotations

import sys


class Progress:
    """Tell messages; a context manager that wipes the line at its end.

    Parameters
    ----------
    shown : bool, optional
        None shows them where somebody is watching: on a terminal or in a notebook.
    """

    def __init__(self, shown: bool | None = None):
        self.shown = (sys.stderr.isatty() or "ipykernel" in sys.modules) if shown is None else shown

    def __call__(self, text: str) -> None:
        if self.shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *failure) -> None:
        self("")
