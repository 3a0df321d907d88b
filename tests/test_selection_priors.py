"""Several priors in one table: each as it would be alone, their probabilities together 1."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.plots import plot_selection

X = bg.load_dataset("faithful").x
OWN = ({"mean_precision_prior": 0.1}, {"mean_precision_prior": 1.0, "degrees_of_freedom_prior": 5.0})


@pytest.fixture(scope="module")
def several():
    return bg.select(X, range(1, 4), "full", prior=("fixed", "hierarchical", *OWN), verbose=False)


def test_every_prior_has_its_rows(several):
    t = several.table
    assert list(dict.fromkeys(t["prior"])) == ["fixed", "hierarchical", "given 1", "given 2"]
    assert t.n_rows == 12 and (t["price"][t["prior"] != "hierarchical"] == 0).all()
    for prior, label in (("fixed", "fixed"), ("hierarchical", "hierarchical"), (OWN[1], "given 2")):
        alone = bg.select(X, range(1, 4), "full", prior=prior, verbose=False).table
        mine = t["prior"] == label
        np.testing.assert_allclose(t["evidence"][mine], alone["evidence"], rtol=1e-9)
        share = t["probability"][mine] / t["probability"][mine].sum()
        np.testing.assert_allclose(share, alone["probability"], rtol=1e-6)


def test_probabilities_are_across_all(several):
    t = several.table
    assert t["probability"].sum() == pytest.approx(1)
    ratio = np.exp(t["evidence"] - t["evidence"].max())
    np.testing.assert_allclose(t["probability"], ratio / ratio.sum(), rtol=1e-9)
    shares = several.prior_probability
    assert sum(shares.values()) == pytest.approx(1) and max(shares, key=shares.get) == several.prior == "hierarchical"


def test_the_best_is_the_best_of_all(several):
    t = several.table
    assert several.best.lower_bound_ == pytest.approx(t["elbo"][several.row], abs=0.01)
    by_bound = bg.select(X, range(1, 4), "full", criterion="elbo", prior=("fixed", OWN[1]), verbose=False)
    top = by_bound.table.best("elbo")
    assert by_bound.row == top and by_bound.prior == by_bound.table["prior"][top]
    expected = {"fixed": 0.01, "given": 1.0}[by_bound.prior]
    assert by_bound.best.mean_precision_prior == pytest.approx(expected)


def test_verdict_table_and_picture_name_them(several):
    said = " ".join(several.verdict.split())
    assert "under the hierarchical prior" in said and "averaged over structures and priors" in said and "priors: hierarchical" in said
    assert "Prior 'given 2': mean_precision_prior = 1.0, degrees_of_freedom_prior = 5.0." in said
    assert str(several).split("\n\n")[1].split()[0] == "prior"
    labels = [text.get_text() for text in plot_selection(several).get_legend().get_texts()]
    assert "full, given 1 prior" in labels and len(labels) == 5


def test_likelihoods_have_no_prior():
    found = bg.select(X, [1, 2], "full", criterion="bic", prior=("fixed", "hierarchical"), n_init=1, verbose=False)
    assert set(found.table["prior"]) == {"none"} and found.prior == "none" and "make no difference" in found.verdict


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ((), "must name at least one prior"),
        (("fixed", "fixed"), "names 'fixed' twice"),
        (("fixed", "flat"), "prior must be one of 'hierarchical', 'fixed'; got 'flat'"),
        (("fixed", {"kappa": 1.0}), "hyperparameter in prior must be one of"),
        (3, "prior must be one of"),
    ],
)
def test_mistakes_are_explained(prior, words):
    for criterion in ("evidence", "bic"):
        with pytest.raises(ValueError, match=words):
            bg.select(X, [1, 2], "full", prior=prior, criterion=criterion)
