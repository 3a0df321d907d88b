"""What notebooks show: HTML that is well formed and says what the text says, names escaped; and names that tab completion can follow."""

from __future__ import annotations

import dataclasses
import re
from html import escape

import numpy as np
import pandas as pd
import pictured
import pytest
from pages import Page

import bayesgmm as bg
from bayesgmm.report import notebook

X = bg.load_dataset("faithful").x
NAMES = ['<b>"eruptions" & more</b>', "waiting (min)"]
FRAME = pd.DataFrame(X, columns=NAMES)
HALVES = (X[:, 1] > 68).astype(int)


@pytest.fixture(scope="module")
def model():
    return bg.GaussianMixture(2, init_params=HALVES).fit(FRAME)


@pytest.fixture(scope="module")
def sure(model):
    return model.uncertainty(FRAME, n_draws=200)


@pytest.fixture(scope="module")
def diagnosis(model):
    return model.diagnose(FRAME, n_draws=100)


@pytest.fixture(scope="module")
def means():
    return bg.KMeans(n_clusters=2, random_state=0).fit(FRAME)


@pytest.fixture(scope="module")
def selection(model, diagnosis):
    return dataclasses.replace(pictured.selection(), best=model, shape=diagnosis.shape)


@pytest.fixture(scope="module")
def answers(model, sure, diagnosis, means, selection):
    return {"model": model, "sure": sure, "intervals": sure.intervals(0.8), "diagnosis": diagnosis, "means": means, "selection": selection}


WHAT = ("sure", "intervals", "diagnosis", "means", "selection")


@pytest.mark.parametrize("what", (*WHAT, "model"))
def test_html_is_well_formed_and_escaped(answers, what):
    html = answers[what]._repr_html_()
    found = Page(html)
    assert "b" not in found.tags and "table" in found.tags
    if what in ("sure", "intervals", "means", "model"):
        assert NAMES[0] in found.words and escape(NAMES[0]) in html
    assert len({len(row) for row in found.rows}) <= 2 and len(html) < 12_000


@pytest.mark.parametrize("what", WHAT)
def test_html_says_what_the_text_says(answers, what):
    """All numbers of the printed text are there, in its order."""
    found = Page(answers[what]._repr_html_())
    numbers = lambda text: re.findall(r"\d+\.\d+|\d+", text)  # noqa: E731
    if what == "means":
        centres = [row[1:-1] for row in found.rows[1:]]
        np.testing.assert_allclose(np.array(centres, float), answers[what].cluster_centers_, rtol=5e-3)
        assert [int(row[-1]) for row in found.rows[1:]] == np.bincount(answers[what].labels_).tolist()
    else:
        said = numbers(str(answers[what]))
        assert numbers(found.words)[: len(said)] == said


def test_colours_are_those_of_the_page(answers):
    """No letters or grounds of a fixed colour, so that light and dark themes can be read."""
    assert not re.search(r"(?<![-\w])(color|background):(?!inherit|transparent)", notebook.STYLE)
    for what in WHAT:
        assert answers[what]._repr_html_().startswith(f"<style>{notebook.STYLE}</style>")


def test_models_that_are_not_fitted_show_themselves():
    assert bg.KMeans(n_clusters=3)._repr_html_() == "<pre>KMeans(n_clusters=3)</pre>"


def test_own_quantities_are_lines(sure):
    found = Page(sure.intervals(0.8, lambda weights, means, covariances: {"a < b": means[0, 0]})._repr_html_())
    assert "a < b: " in found.words and "table" not in found.tags


@pytest.mark.parametrize("what", (*WHAT, "model"))
def test_names_for_tab_completion_lead_somewhere(answers, what):
    thing = answers[what]
    names = [name for name in dir(thing) if not name.startswith("_")]
    assert names == sorted(set(names))
    for name in names:
        getattr(thing, name)
    wanted = {
        "model": {"weights_", "means_", "covariances_", "n_components_", "labels_", "predict", "plot", "trace"},
        "sure": {"intervals", "draws", "responsibilities", "similarity", "partition", "n_clusters"},
        "intervals": {"prob", "to_pandas", "items"},
        "diagnosis": {"checks", "concerns", "plot"},
        "means": {"cluster_centers_", "labels_", "inertia_"},
        "selection": {"best", "table", "verdict", "n_components", "covariance_type", "plot"},
    }
    assert wanted[what] <= set(names)


@pytest.mark.parametrize("make", [bg.BayesianGaussianMixture, bg.GaussianMixture, bg.KMeans])
def test_before_a_fit_there_are_no_results_to_complete(make):
    names = [name for name in dir(make()) if not name.startswith("_")]
    assert not [name for name in names if name.endswith("_")]
    for name in names:
        getattr(make(), name)
