"""Criteria against their definitions, and the slope heuristic on a slope that is known."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.analysis import criteria
from bayesgmm.analysis.selection import Table, bnb, chosen_row, share_by


def test_aicc_tends_to_aic_and_refuses_too_few_rows():
    assert criteria.aicc(-100.0, 5, 1e9) == pytest.approx(criteria.aic(-100.0, 5), abs=1e-6)
    assert criteria.aicc(-100.0, 5, 20) == pytest.approx(210 + 60 / 14)
    assert criteria.aicc(-100.0, 5, 6) == np.inf


def test_entropy_and_soft_icl():
    resp = np.array([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    expected = 2 * np.log(2) - 3 * (0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert criteria.entropy(resp, np.array([1.0, 2.0, 3.0])) == pytest.approx(expected)
    assert criteria.icl_soft(10.0, 1.5) == 13.0


def test_nec():
    assert criteria.nec(-50.0, -50.0, 0.0, 1) == 1.0
    assert criteria.nec(-50.0, -60.0, 2.0, 2) == pytest.approx(0.2)
    assert criteria.nec(-60.0, -60.0, 2.0, 2) == np.inf


def test_slope_heuristic_finds_the_slope_and_the_model():
    """log L rises steeply to size 30 and by 0.7 a parameter beyond; outliers below do not matter."""
    size = np.arange(5, 100, 5)
    likelihood = np.where(size <= 30, -1000 + 20.0 * size, -400 + 0.7 * (size - 30)) + np.sin(size) * 0.2
    found = criteria.slope_heuristic(likelihood, size)
    assert size[found.argmin()] == 30
    np.testing.assert_allclose(found, -2 * likelihood + 4 * 0.7 * size, rtol=0.02)
    several = criteria.slope_heuristic(np.append(likelihood, [-900, np.nan]), np.append(size, [50, 60]))
    assert several[:-2].argmin() == found.argmin() and np.isnan(several[-1])
    assert np.isnan(criteria.slope_heuristic(likelihood[:5], size[:5])).all()
    assert np.isnan(criteria.slope_heuristic(-size, size)).all()


def test_prior_of_the_number_of_components():
    """Sums to 1, and its head is that of the published BNB(1, 4, 3): p(1) = B(5, 3) / B(4, 3)."""
    numbers = np.arange(1, 20000)
    assert sum(bnb(k) for k in numbers) == pytest.approx(1, abs=1e-6)
    assert bnb(1) == pytest.approx(4 / 7)


def table(**columns) -> Table:
    k = np.array([1, 2, 3, 2, 3])
    kinds = np.array(["full", "full", "full", "tied", "tied"], object)
    return Table(covariance_type=kinds, n_components=k, **{name: np.array(values, float) for name, values in columns.items()})


def test_the_evidence_is_averaged_over_structures():
    """The best single model has 3 components, but 2 have more probability together."""
    found = table(evidence=[-10, -1.2, -1.0, -1.1, -9], probability=[0.0, 0.3, 0.37, 0.33, 0.0])
    assert chosen_row(found, "evidence") == 3
    assert share_by(found["n_components"], found["probability"]) == pytest.approx({1: 0.0, 2: 0.63, 3: 0.37})
    assert share_by(found["covariance_type"], found["probability"]) == pytest.approx({"full": 0.67, "tied": 0.33})


def test_other_criteria_take_their_best_model():
    found = table(bic=[5, 4, np.nan, 3, 9], elbo=[1, 2, 3, 9, np.nan], aic=[np.nan] * 5)
    assert chosen_row(found, "bic") == 3 and chosen_row(found, "elbo") == 3 and chosen_row(found, "aic") is None
