"""What a fit says about itself: text, notebook and page hold the facts, equal to the attributes, with every name escaped."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from pages import Page

import bayesgmm as bg

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
BETWEEN = X.copy()
BETWEEN[:15] -= 3
NAMES = ["length", "<b>width</b> & {more}"]
SETTINGS = {"n_init": 1, "random_state": 0}


@pytest.fixture(scope="module")
def em():
    return bg.GaussianMixture(2, **SETTINGS).fit(pd.DataFrame(BETWEEN, columns=NAMES))


@pytest.fixture(scope="module")
def vb():
    return bg.BayesianGaussianMixture(n_components=3, moves=False, **SETTINGS).fit(pd.DataFrame(BETWEEN, columns=NAMES))


def flat(text: str) -> str:
    return " ".join(text.split())


def numbers(text: str) -> list[float]:
    return [float(word) for word in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", text)]


def check_facts(said: str, model) -> None:
    """The sentences in a text agree with the attributes."""
    said = flat(said)
    d = model.n_features_in_
    assert f"30 rows, {d} columns" in said
    assert f"log-likelihood {model.log_likelihood_:.4f} with {model.n_parameters_} parameters" in said.replace("Log-", "log-")
    data = BETWEEN if d == 2 else None
    if data is not None:
        for name in ("bic", "aic", "icl"):
            assert f"{name.upper()} {getattr(model, name)(data):.2f}" in said
    assert f"Converged after {model.n_iter_} passes, one start. Seed 0, bayesgmm {bg.__version__}." in said


def check_table(rows: list[list[str]], model) -> None:
    """Weights, means, standard deviations and numbers of rows of every component, to the digits shown."""
    assert len(rows) == model.n_components_
    for k, cells in enumerate(rows):
        shown = numbers(" ".join(cells).replace("±", " "))
        spreads = np.sqrt(np.diagonal(model.covariances_[k]))
        pairs = np.stack([model.means_[k], spreads], 1).ravel()
        expected = [k + 1, model.weights_[k], *pairs, (model.labels_ == k).sum()]
        np.testing.assert_allclose(shown, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("name", ["em", "vb"])
def test_text(name, request):
    model = request.getfixturevalue(name)
    text = model.summary()
    check_facts(text, model)
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["weight"])
    assert NAMES[0] in lines[head] and NAMES[1] in lines[head]
    check_table([[line] for line in lines[head + 1 : head + 1 + model.n_components_]], model)
    assert max(map(len, lines)) <= 120
    assert not any(line != line.rstrip() for line in lines)


def test_a_bayesian_text_has_the_bound(vb, em):
    assert f"Evidence lower bound {vb.lower_bound_:.4f} nats" in flat(vb.summary())
    assert f"{vb.n_components_} components kept of 3." in vb.summary()
    assert "Evidence" not in em.summary() and "maximum likelihood, full covariances" in flat(em.summary())


def test_rows_in_doubt_are_those_of_the_smallest_probability(em):
    certain = em.predict_proba(BETWEEN).max(1)
    row = int(certain.argmin())
    assert f"Least certain (rows count from 0): row {row} ({certain[row]:.2f} in {em.labels_[row] + 1} /" in flat(em.summary())
    clear = bg.GaussianMixture(2, **SETTINGS).fit(X)
    assert "No row is in doubt" in clear.summary()


def test_with_the_data_it_compares_with_kmeans(em):
    said = flat(em.summary(BETWEEN))
    found = re.search(r"k-means with 2 clusters .* agrees on (\d+) of 30 rows", said)
    standard = (BETWEEN - BETWEEN.mean(0)) / BETWEEN.std(0)
    other = bg.KMeans(2, random_state=0).fit(standard).labels_
    same = (other == em.labels_).sum()
    assert int(found[1]) == max(same, 30 - same)
    assert "k-means" not in em.summary()


@pytest.mark.parametrize("name", ["em", "vb"])
def test_notebook(name, request):
    model = request.getfixturevalue(name)
    page = Page(model._repr_html_())
    assert not page.tags & {"b", "script", "html", "body"} and not page.links
    check_facts(page.words, model)
    assert NAMES[1] in page.rows[0]
    check_table(page.rows[1:], model)


def test_notebook_before_the_fit():
    page = Page(bg.GaussianMixture(covariance_type="<i>x</i>")._repr_html_())
    assert page.words == "GaussianMixture(covariance_type='<i>x</i>')"
    assert page.tags == {"pre"}


def test_names_are_escaped_wherever_they_are_shown(em):
    facts = em.facts(title="<script>alert('x')</script>", units=("<cm>", '"'))
    from bayesgmm.report import html, text

    page = Page(html.fragment(facts))
    assert not page.tags & {"script", "cm", "b"}
    assert "<script>alert('x')</script>" in page.words and "length (<cm>)" in page.rows[0]
    assert "<script>" in text.summary(facts), "text is text"


def test_wide_data_have_a_line_for_each_column():
    wide = np.concatenate([X, rng.normal(size=(30, 18))], 1)
    names = [f"measurement number {j}" for j in range(20)]
    model = bg.GaussianMixture(2, covariance_type="spherical", **SETTINGS).fit(pd.DataFrame(wide, columns=names))
    text = model.summary(wide)
    lines = text.splitlines()
    for j, name in enumerate(names):
        line = next(line for line in lines if line.startswith(f"{name} "))
        spread = np.sqrt(model.covariances_)
        expected = [j, model.means_[0, j], spread[0], model.means_[1, j], spread[1]]
        np.testing.assert_allclose(numbers(line.replace("±", " ")), expected, atol=6e-3, rtol=5e-3)
    assert max(map(len, lines)) <= 120
    assert "30 rows, 20 columns" in text and ", ...)" in flat(text)
    assert Page(model._repr_html_()).rows[0][2:-1] == names


def test_one_component():
    model = bg.GaussianMixture(1, covariance_type="spherical", **SETTINGS).fit(X)
    text = model.summary(X)
    assert "\n1 component.\n" in text and "One component: no row is in doubt." in text and "k-means" not in text
    Page(model._repr_html_())


def test_weights():
    weight = np.r_[np.full(15, 2.0), np.ones(15)]
    weight[3] = 0
    model = bg.GaussianMixture(2, **SETTINGS).fit(X, sample_weight=weight)
    text = flat(model.summary())
    assert "30 rows (total weight 43.0)" in text
    assert f"BIC {model.bic(X, weight):.2f}, AIC {model.aic(X, weight):.2f}, ICL {model.icl(X, weight):.2f}" in text


def test_a_fit_that_stopped_early_says_so():
    with pytest.warns(bg.FitWarning, match="did not converge"):
        model = bg.GaussianMixture(2, max_iter=1, **SETTINGS).fit(BETWEEN)
    text = flat(model.summary())
    assert "NOT converged after 1 passes" in text and "Note: Not converged" in text


def test_without_a_seed_none_is_claimed():
    model = bg.GaussianMixture(2, n_init=1, random_state=np.random.default_rng(0)).fit(X)
    assert "Seed" not in model.summary()


def test_facts_are_plain_python(vb):
    def walk(value):
        if isinstance(value, (list, tuple)):
            for item in value:
                yield from walk(item)
        elif isinstance(value, dict):
            yield from walk(list(value.items()))
        else:
            yield value

    facts = vb.facts(BETWEEN, title="data", units=("cm", ""))
    assert {type(item) for item in walk([v for k, v in vars(facts).items() if k != "doubtful"])} <= {str, int, float, bool, type(None)}
    assert facts.bound == vb.lower_bound_ and facts.weights == vb.weights_.tolist()
    assert sum(facts.rows) == 30


def test_restart_agreement_is_the_share_of_starts_that_reach_the_best():
    far = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0, 0], [20, 0]], 30, 0)
    model = bg.GaussianMixture(2, n_init=4, random_state=0).fit(far)
    assert model.restart_agreement_ == 1 and "best of 4 starts, reached by 100%" in model.summary()
    assert bg.GaussianMixture(2, n_init=1, random_state=0).fit(far).restart_agreement_ == 1
    hard = bg.GaussianMixture(6, n_init=8, random_state=0).fit(bg.load_dataset("iris").x)
    assert 0 < hard.restart_agreement_ < 1
