"""Every public plot function draws what it drew: small pictures without text, and the texts, are kept in tests/reference/images.

After a change that is meant, ``BAYESGMM_REMAKE_PICTURES=1 python -m pytest tests/test_pictures.py`` keeps the new ones; look at them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")
import numpy as np
import pytest
from pictured import PICTURES, figure_of, small, texts_of
from PIL import Image

from bayesgmm import plots

FOLDER = Path(__file__).parent / "reference" / "images"
TEXTS = FOLDER / "texts.json"
REMAKE = bool(os.environ.get("BAYESGMM_REMAKE_PICTURES"))

SEEN = 10.0
"""Difference of a colour, of 255, above which a square counts as changed."""

FEW = 3
"""Squares that may change: fonts are not in the pictures, but releases of matplotlib blend lines a little differently."""


@pytest.fixture(autouse=True)
def usual_style():
    """As matplotlib comes, whatever the user's own settings."""
    with mpl.rc_context(), mpl.style.context("default"):
        yield
    plt.close("all")


def changed(found: np.ndarray, kept: np.ndarray) -> int:
    """Squares whose colour differs visibly, however the picture is moved by a pixel; all, where the sizes differ."""
    if found.shape[1:] != kept.shape:
        return kept.size
    return int((np.abs(found - kept).max(-1).min(0) > SEEN).sum())


def kept_picture(name: str) -> np.ndarray:
    return np.asarray(Image.open(FOLDER / f"{name}.png"), float)


def kept_texts() -> dict[str, list[str]]:
    return json.loads(TEXTS.read_text(encoding="utf-8")) if TEXTS.exists() else {}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_as_it_was(name, tmp_path):
    figure = figure_of(name)
    texts, found = texts_of(figure), small(figure)
    if REMAKE:
        FOLDER.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found[0].round().astype(np.uint8)).save(FOLDER / f"{name}.png", optimize=True)
        known = kept_texts() | {name: texts}
        TEXTS.write_text(json.dumps({key: known[key] for key in sorted(known) if key in PICTURES}, indent=1) + "\n", encoding="utf-8")
    assert texts == kept_texts()[name]
    n = changed(found, kept_picture(name))
    if n > FEW:
        figure.savefig(tmp_path / f"{name}.png")
    assert n <= FEW, f"{n} squares of {name} changed; it now looks like {tmp_path / name}.png. If that is meant: see the top of this file."


def test_every_public_plot_function_has_a_picture():
    assert {name.split("-")[0] for name in PICTURES} == set(plots.__all__)
    assert {path.stem for path in FOLDER.glob("*.png")} == set(PICTURES) == set(kept_texts())


def test_reference_pictures_are_small():
    assert max(path.stat().st_size for path in FOLDER.glob("*.png")) < 25_000


def parts_of(figure) -> list:
    """Of each kind of artist the last one that can be seen, in every panel."""
    found = []
    for ax in figure.axes:
        for artists in (ax.lines, ax.patches, ax.collections, ax.images):
            drawn = [each for each in artists if each.get_visible() and _has_extent(each)]
            found += drawn[-1:]
    return found


def _has_extent(artist) -> bool:
    """Whether it covers pixels: bars of almost no height and lines without points, which are in legends only, do not."""
    if hasattr(artist, "get_xydata"):
        return len(artist.get_xydata()) > 0
    if hasattr(artist, "get_paths"):
        return any(len(path.vertices) for path in artist.get_paths())
    box = artist.get_window_extent()
    return box.width > 2 and box.height > 2


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_missing_is_noticed(name):
    """A line, marker, bar, area, cloud of points or image that is gone, one after the other; and a whole panel."""
    figure = figure_of(name)
    kept = kept_picture(name)
    assert changed(small(figure), kept) <= FEW
    for part in parts_of(figure):
        part.set_visible(False)
        n = changed(small(figure), kept)
        part.set_visible(True)
        assert n > FEW, f"{part} could go missing from {name}: {n} squares change"
    figure.axes[0].set_visible(False)
    assert changed(small(figure), kept) > FEW


CHANGES = {
    "colour": lambda line: line.set_color("#E69F00"),
    "marker": lambda line: line.set_marker("x"),
    "width": lambda line: line.set_linewidth(4),
    "no marker": lambda line: line.set_marker(""),
    "kind": lambda line: line.set_linestyle(":"),
}


@pytest.mark.parametrize("name", ["plot_bound", "plot_criteria", "plot_intervals", "plot_selection"])
@pytest.mark.parametrize("change", CHANGES)
def test_another_look_of_a_line_is_noticed(name, change):
    figure = figure_of(name)
    for ax in figure.axes:
        for line in ax.lines:
            CHANGES[change](line)
    assert changed(small(figure), kept_picture(name)) > FEW


def test_other_limits_are_noticed():
    figure = figure_of("plot_components")
    figure.axes[0].set_xlim(-3, 6)
    assert changed(small(figure), kept_picture("plot_components")) > FEW
