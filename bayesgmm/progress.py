"""Where a long computation is, told on one line of standard error that the next message overwrites."""

from __future__ import annotations

import sys

from bayesgmm.terminal import columns


class Progress:
    """Tell messages; a context manager that wipes the line at its end.

    A message is written over the last one by a carriage return and spaces, which terminals and notebooks both understand.

    Parameters
    ----------
    shown : bool, optional
        None shows them where somebody is watching: on a terminal or in a notebook.
    """

    def __init__(self, shown: bool | None = None):
        self.shown = (sys.stderr.isatty() or "ipykernel" in sys.modules) if shown is None else shown
        self._length = 0

    def __call__(self, text: str) -> None:
        if not self.shown:
            return
        text = text[: max(columns(sys.stderr) - 1, 0)]  # a longer line would not be overwritten
        print(f"\r{text.ljust(self._length)}\r{text}", end="", file=sys.stderr, flush=True)
        self._length = len(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *failure) -> None:
        self("")
