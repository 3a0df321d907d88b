"""The report: everything is on the page, in words and numbers that are those of the fit; the page needs nothing else and can be read."""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, look_at
from pages import Page

import bayesgmm as bg
from bayesgmm.cli import main

FAITHFUL = bg.load_dataset("faithful")
NAMES = ["<b>eruptions</b>", 'waiting & "more"']
ROWS = pd.DataFrame(FAITHFUL.x, columns=NAMES)
SECTIONS = ["Answer", "Data", "Components", "How many components", "How sure", "Checks", "Prior", "Caveats", "How to get it again"]


def report(model, folder, *args, **options) -> Page:
    model.report(folder / "report.html", *args, **options)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bayes():
    return bg.BayesianGaussianMixture(n_components=4, n_init=2, random_state=0).fit(ROWS)


HOSTILE = {"title": "<script>alert(1)</script>", "units": ("<min>", '"'), "question": "Is 1 < 2 & 3 > 2?", "command": "fit <x> && rm"}


@pytest.fixture(scope="module")
def whole(bayes, tmp_path_factory):
    return report(bayes, tmp_path_factory.mktemp("whole"), ROWS, **HOSTILE)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Maximum likelihood, missing numbers, noise: a model that lacks some of what a report shows."""
    x = FAITHFUL.x.copy()
    x[::9, 0] = np.nan
    model = bg.GaussianMixture(2, covariance_type="diag", noise="box", missing="at_random", n_init=1, random_state=0).fit(x)
    selection = bg.select(x, range(1, 4), "diag", "bic", missing="at_random", noise="box", n_init=1)
    return report(model, tmp_path_factory.mktemp("noisy"), x, selection=selection), model, selection, x


def test_every_section_is_there_and_in_the_contents(whole):
    assert [title for level, title in whole.headings if level == 2] == SECTIONS
    assert [title for level, title in whole.headings if level == 1] == ["<script>alert(1)</script>: 2 components"]
    targets = [attributes["href"] for attributes in whole.all("a")]
    ids = {attributes["id"] for _, attributes in whole.elements if "id" in attributes}
    assert len(targets) == len(SECTIONS) and {target.lstrip("#") for target in targets} <= ids


@pytest.mark.parametrize("which", ["whole", "noisy"])
def test_a_page_needs_nothing_else_and_can_be_read_aloud(which, request):
    page = request.getfixturevalue(which)
    page = page[0] if isinstance(page, tuple) else page
    tags = page.tags
    assert not tags & {"script", "link", "iframe", "object", "embed", "b", "x", "min"}
    assert not re.search(r"https?:|url\(|@import|\bon[a-z]+=", page.source)
    images = page.all("img")
    assert images and all(image["src"].startswith("data:image/png;base64,") and len(image["alt"]) > 20 for image in images)
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.all("html")[0]["lang"] == "en" and page.all("main") and page.all("nav")[0]["aria-label"]
    assert len(page.all("caption")) == len(page.all("table")) and all("scope" in cell for cell in page.all("th"))


def test_everything_from_outside_is_shown_as_it_is(whole):
    for text in (*NAMES, *(HOSTILE[name] for name in ("title", "question", "command")), "<b>eruptions</b> (<min>)"):
        assert text in whole.words


def test_numbers_are_those_of_the_fit(bayes, whole):
    words = " ".join(whole.words.split())
    assert f"{bayes.n_components_} components kept of 4." in words
    assert f"Evidence lower bound {bayes.lower_bound_:.4f} nats" in words
    found = bayes.uncertainty(ROWS, random_state=0).intervals(0.94)["weights"]
    for k in range(2):
        share = f"{100 * bayes.weights_[k]:.1f} % of the rows [{100 * found.lower[k]:.1f}, {100 * found.upper[k]:.1f}]"
        assert f"Component {k + 1}: {share}" in words
        assert f"{(bayes.labels_ == k).sum()} rows are most probably of it." in words
    assert hashlib.sha256(FAITHFUL.x.tobytes()).hexdigest() in words
    assert f"{FAITHFUL.x[:, 1].mean():.1f}" in words
    for check in bayes.diagnose(ROWS, random_state=0).checks:
        assert check.text in words and f"{check.name}" in words
    assert "With each hyperparameter halved and doubled" in words and "DirichletWeights" not in words
    for prior in ("dof", "mean precision"):
        assert prior in words


def test_a_table_shows_the_estimates_of_the_fit(bayes, whole):
    """Not the mean of draws, which the answer would contradict in the last digit."""
    cells = [c for c in re.findall(r"<td>(.*?)</td>", whole.source) if re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", c)]
    assert [cell.split()[0] for cell in cells[:2]] == [f"{weight:.3f}" for weight in bayes.weights_]
    assert "[94 % interval, 1,000 draws" in " ".join(whole.words.split())


def test_the_models_compared_are_those_of_the_models_own_prior(bayes, whole):
    own = bg.select(ROWS, range(1, 6), "full", prior={}, n_init=3)
    words = " ".join(whole.words.split())
    assert own.n_components == 2 and own.sentences[0] in words and own.sentences[1] in words


def test_what_a_model_lacks_is_said(noisy):
    page, model, selection, _ = noisy
    words = " ".join(page.words.split())
    assert "Not computed: checks. " in words and "noise" in words
    assert [t for level, t in page.headings if level == 2] == [s for s in SECTIONS if s not in ("Checks", "Prior")]
    assert " ".join(selection.verdict.split()).split(". ")[0] in words
    assert f"Noise: {model.noise_weight_:.3f} of the weight" in words
    assert "242" not in words and str(int(np.isfinite(noisy[3][:, 0]).sum())) in words


def test_a_report_of_another_fit_than_the_one_chosen_says_so(bayes, tmp_path):
    selection = bg.select(ROWS, [1], "spherical", n_init=1)
    said = report(bayes, tmp_path, ROWS, selection=selection, full=False).words
    assert "This report is of another fit than the one chosen here: 2 components, full covariances." in said


def test_the_same_fit_gives_the_same_file(bayes, whole, tmp_path):
    again = report(bg.BayesianGaussianMixture(n_components=4, n_init=2, random_state=0).fit(ROWS), tmp_path, ROWS, **HOSTILE)
    assert again.source == whole.source


def test_without_rows_or_in_brief(bayes, tmp_path):
    short = report(bayes, tmp_path)
    assert "Without pictures, intervals and checks" in short.words and not short.all("img")
    assert f"bg.{bayes!r}.fit(X)" in short.words
    brief = report(bayes, tmp_path, ROWS, full=False)
    assert brief.all("img") and "Checks" not in [title for _, title in brief.headings]


def test_weights_are_those_of_the_fit(tmp_path):
    weight = np.repeat([1.0, 2.0], 136)
    model = bg.GaussianMixture(2, n_init=1, random_state=0).fit(ROWS, sample_weight=weight)
    page = report(model, tmp_path, ROWS, sample_weight=weight)
    assert "(total weight 408)" in page.words and "Not computed" not in page.words


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda m, p: m.report(p / "no" / "r.html", ROWS), FileNotFoundError, "There is no folder"),
        (lambda m, p: m.report(p, ROWS), IsADirectoryError, "is a folder"),
        (lambda m, p: m.report(5, ROWS), TypeError, "must be a file name"),
        (lambda m, p: m.report(p / "r.html", ROWS[:200]), ValueError, "must be the 272 rows of the fit"),
        (lambda m, p: m.report(p / "r.html", ROWS, selection="bic"), ValueError, "selection must be what bg.select returned"),
        (lambda m, p: m.report(p / "r.html", ROWS, units=("min",)), ValueError, "units must be 2"),
        (lambda m, p: m.report(p / "r.html", ROWS, units="mm"), ValueError, "units must be 2"),
        (lambda m, p: m.report(p / "r.html", ROWS, full="yes"), ValueError, "full must be"),
        (lambda m, p: bg.GaussianMixture(2).report(p / "r.html", ROWS), ValueError, "not fitted"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(bayes, call, error, message, tmp_path):
    with pytest.raises(error, match=message):
        call(bayes, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_in_a_report_makes_the_report_again(tmp_path, monkeypatch, capsys):
    words = [
        "fit",
        "faithful",
        "--covariance",
        "full",
        "--max-components",
        "3",
        "--restarts",
        "1",
        "--no-cache",
        "--brief",
        "--out",
        "my results",
    ]
    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    assert main(words) == 0
    first = (tmp_path / "first" / "my results" / "report.html").read_text(encoding="utf-8")
    command = re.search(r"<pre>bayesgmm (.*?)</pre>", first).group(1).replace("&#x27;", "'")
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "second")
    assert main(shlex.split(command)) == 0
    assert (tmp_path / "second" / "my results" / "report.html").read_text(encoding="utf-8") == first


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["whole", "noisy"])
def test_in_a_browser(which, width, request, tmp_path):
    page = request.getfixturevalue(which)
    seen = look_at((page[0] if isinstance(page, tuple) else page).source, width, tmp_path)
    assert seen["width"] == width and seen["scroll"] <= width and not seen["wide"]
    assert seen["blank"] == 0 and seen["images"] >= 3
    assert seen["contrast"] >= 4.5 and seen["small"] >= 12


def test_forgotten_weights_are_told(tmp_path):
    model = bg.GaussianMixture(2, n_init=1, random_state=0).fit(ROWS, sample_weight=np.repeat([1.0, 2.0], 136))
    with pytest.raises(ValueError, match="whose total is 408; got none for 272 rows"):
        model.report(tmp_path / "r.html", ROWS)


def test_observations_have_a_report_without_pictures(tmp_path):
    labels = np.repeat([0, 1, -1], [0, 0, 272])
    labels[[0, 1]] = 0, 1
    rows = bg.Observations(FAITHFUL.x, labels=labels)
    page = report(bg.GaussianMixture(2, n_init=1, random_state=0).fit(rows), tmp_path, rows, full=False)
    assert not page.all("img") and "Not drawn: pictures of the rows" in page.words


def test_one_component_and_names_that_look_like_formulas(tmp_path):
    import matplotlib.pyplot as plt

    rows = pd.DataFrame(FAITHFUL.x, columns=[r"$\bad{$ and $", "b"])
    before = plt.get_fignums()
    page = report(bg.GaussianMixture(1, random_state=0).fit(rows), tmp_path, rows, full=False)
    assert plt.get_fignums() == before and page.all("img")[0]["alt"].startswith("The 272 rows and the fitted component, by")


def test_one_column_is_called_a_histogram(tmp_path):
    rows = FAITHFUL.x[:, :1]
    page = report(bg.GaussianMixture(1, random_state=0).fit(rows), tmp_path, rows, full=False)
    assert "Rows as a histogram" in page.words and "two standard deviations" not in page.words
