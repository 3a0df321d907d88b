"""The structures of mclust reach its optima, or better ones, on the data sets of the package; its names, signs and counts of parameters."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.estimators.covariance_types import SHARINGS, count_parameters

MCLUST = json.loads((Path(__file__).parent / "reference" / "mclust_structures.json").read_text())["sets"]
CASES = [(name, word, k) for name, words in MCLUST.items() for word in words for k in (1, 2, 3, 4, 5)]
KEPT = [("faithful", word, 3) for word in list(SHARINGS)[::2]] + [
    ("iris", "VEV", 2),
    ("faithful", "EEE", 3),
    ("acidity", "E", 2),
    ("galaxies", "V", 3),
]
"""By default half of the structures that only mclust's words name, and its best models."""

REACHED = 1e-4
"""Relative shortfall that still counts as the same optimum: mclust stops early."""

KNOWN = 1e-7
"""Relative difference of BIC below which mclust has stopped so near its optimum that ICL can be compared."""


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    yield
    jax.clear_caches()


@pytest.mark.parametrize(
    ("name", "word", "k"),
    [pytest.param(*case, id="-".join(map(str, case)), marks=() if case in KEPT else pytest.mark.slow) for case in CASES],
)
def test_reaches_the_optimum_of_mclust(name, word, k):
    bic, icl = (MCLUST[name][word][criterion][k - 1] for criterion in ("bic", "icl"))
    if bic is None:
        pytest.skip("mclust has no fit")
    x = bg.load_dataset(name).x
    model = bg.GaussianMixture(k, covariance_type=word, max_iter=5000, n_init=10 if k < 4 else 60, random_state=0).fit(x)
    assert model.converged_ and model.collapsed_ == ()
    found = model.bic(x, sign="mclust")
    assert found >= bic - REACHED * abs(bic)
    assert found == -model.bic(x) and model.icl(x, sign="mclust") == -model.icl(x)
    log_likelihood = (bic + model.n_parameters_ * np.log(len(x))) / 2
    assert model.log_likelihood_ >= log_likelihood - REACHED * abs(log_likelihood)
    if k == 1:
        np.testing.assert_allclose(found, bic, rtol=1e-8)
    if abs(found - bic) <= KNOWN * abs(bic):
        np.testing.assert_allclose(model.icl(x, sign="mclust"), icl, rtol=1e-4)


@pytest.mark.parametrize(
    ("word", "k", "d", "df"),
    [
        ("EEE", 3, 2, 11),
        ("VVE", 2, 2, 10),
        ("VEE", 3, 2, 13),
        ("VEV", 2, 4, 26),
        ("VEV", 3, 4, 38),
        ("VVV", 3, 3, 29),
        ("E", 2, 1, 4),
        ("V", 3, 1, 8),
    ],
)
def test_parameters_are_counted_as_mclust_does(word, k, d, df):
    """Figures that mclust prints for its best models of faithful, iris, diabetes, acidity and galaxies."""
    assert count_parameters(word, k, d) == df
