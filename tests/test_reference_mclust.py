"""Maximum likelihood reaches the optima of mclust, and published figures, on the data sets of the package."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import bayesgmm as bg

FOLDER = Path(__file__).parent / "reference"
MCLUST = json.loads((FOLDER / "mclust.json").read_text())
PUBLISHED = json.loads((FOLDER / "published.json").read_text())
CLOSED_FORM = ("faithful", "acidity")
"""Sets on which one component, a closed form, is tried too: enough, as every fit of a new shape costs seconds of compilation."""

CASES = [
    (name, kind, n_components)
    for name, kinds in MCLUST["sets"].items()
    for kind in kinds
    for n_components in (1, 2, 3, 4)
    if n_components > 1 or name in CLOSED_FORM
]
REACHED = 1e-5
"""Relative shortfall of the log-likelihood that still counts as the same optimum."""


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    """Compiled programs of many shapes hold memory maps, of which a process may have only so many: let them go."""
    yield
    fitted.cache_clear()
    jax.clear_caches()


@functools.cache
def rows(name: str) -> np.ndarray:
    return bg.load_dataset(name).x


@functools.cache
def fitted(name: str, kind: str, n_components: int) -> bg.GaussianMixture:
    """Best of 20 starts; one component needs no search, so it starts from equal labels."""
    x = rows(name)
    start = "k-means++" if n_components > 1 else np.zeros(len(x), int)
    model = bg.GaussianMixture(n_components, covariance_type=kind, init_params=start, n_init=20, max_iter=20000, random_state=0)
    return model.fit(x)


def test_no_reference_is_degenerate():
    """By the rule in the file every mclust fit asked for here is regular, so none is left out below."""
    assert MCLUST["degenerate"] == {}
    assert {len(entry["log_likelihood"]) for kinds in MCLUST["sets"].values() for entry in kinds.values()} == {4}


# In turn over sets, structures and numbers of components; the others are slow cases.
MARKED = [pytest.param(*case, marks=pytest.mark.slow if (i + i // 4) % 4 else ()) for i, case in enumerate(CASES)]


@pytest.mark.parametrize(("name", "kind", "n_components"), MARKED)
def test_reaches_the_optimum_of_mclust(name, kind, n_components):
    entry = MCLUST["sets"][name][kind]
    target = entry["log_likelihood"][n_components - 1]
    model = fitted(name, kind, n_components)
    assert model.converged_ and model.collapsed_ == ()
    assert model.log_likelihood_ >= target - REACHED * abs(target)
    assert model.n_parameters_ == entry["df"][n_components - 1]
    mclust_bic = 2 * model.log_likelihood_ - model.n_parameters_ * np.log(len(rows(name)))
    np.testing.assert_allclose(model.bic(rows(name)), -mclust_bic, rtol=1e-12)
    if n_components == 1:
        np.testing.assert_allclose(model.log_likelihood_, target, rtol=1e-12)


@pytest.mark.parametrize("entry", PUBLISHED["fits"], ids=lambda e: f"{e['set']}-{e['structure']}-{e['components']}")
def test_published_figures(entry):
    """The unit divides the data, which moves a log-likelihood by n d log(unit); ``early`` is how far short its source stopped."""
    x = rows(entry["set"])
    shift = x.size * np.log(entry.get("unit", 1))
    model = fitted(entry["set"], entry["structure"], entry["components"])
    found = {"log_likelihood": model.log_likelihood_ + shift, "bic": -model.bic(x) + 2 * shift, "icl": -model.icl(x) + 2 * shift}
    early = entry.get("early", 0)
    for figure in set(found) & set(entry):
        assert -2e-4 <= found[figure] - entry[figure] <= 2e-4 + 2 * early, (figure, found[figure])
