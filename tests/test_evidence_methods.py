"""The evidence of fitted mixtures: sampled values beside corrected ones, units, copies of rows, several optima, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis.importance import summarise
from bayesgmm.estimators.evidence import _warn

N = 60
SETTINGS = {
    "n_components": 2,
    "prune": False,
    "weight_concentration_prior_type": "dirichlet_distribution",
    "n_init": 1,
    "random_state": 0,
}


def groups(separation: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 2)) + separation * np.array([[0.0, 0.0], [1.0, 0.3]])[np.arange(N) % 2]


def fitted(x, **changes):
    return bg.BayesianGaussianMixture(**{**SETTINGS, **changes}).fit(x)


@pytest.mark.slow
def test_sampled_and_corrected_evidence_agree_in_any_units():
    """The value follows the units exactly, since coordinates and draws follow the fit; so does the order of the rows."""
    x = groups()
    model = fitted(x)
    found, corrected = model.importance_evidence(x), model.log_evidence(x)
    assert found.k_hat < 0.7 and found.standard_error < 0.05 and 100 < found.ess < found.n_draws == 2000
    assert abs(found.log_evidence - corrected.total) < 0.3
    assert found.log_evidence - corrected.elbo > 0.8, "copies and overlap would be missed"
    matrix = np.array([[3.0, 0.0], [-0.4, 0.02]])
    moved = fitted(x @ matrix.T + 100).importance_evidence(x @ matrix.T + 100)
    shift = -N * np.log(np.linalg.det(matrix))
    np.testing.assert_allclose(moved.log_evidence, found.log_evidence + shift, atol=1e-5)
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_allclose(model.importance_evidence(x[order]), found, rtol=1e-8)
    other = model.importance_evidence(x, random_state=1)
    assert 0 < abs(other.log_evidence - found.log_evidence) < 4 * np.hypot(found.standard_error, other.standard_error)


def test_weights_count_rows():
    x, weight = groups()[: N // 2], np.full(N // 2, 2)
    weighted = bg.BayesianGaussianMixture(**{**SETTINGS, "random_state": 1}).fit(x, sample_weight=weight)
    repeated = fitted(np.repeat(x, 2, 0), random_state=1)
    one, other = weighted.importance_evidence(x, sample_weight=weight), repeated.importance_evidence(np.repeat(x, 2, 0))
    np.testing.assert_allclose(one.log_evidence, other.log_evidence, atol=1e-4)


def test_optima_add_up_once_each():
    """The same fit from two seeds is one optimum; another adds its own evidence."""
    x = groups()
    best, again = fitted(x), fitted(x, random_state=1)
    poor = fitted(x, init_params=(np.arange(N) == 0).astype(int))
    assert poor.lower_bound_ < best.lower_bound_ - 0.1, "the start found the best optimum"
    found = bg.evidence_over_optima([poor, again, best], x)
    assert len(found.models) == len(found.evidences) == 2 and found.models[1] is poor
    each = [model.log_evidence(x).total for model in (best, poor)]
    np.testing.assert_allclose(found.log_evidence, np.logaddexp(*each), rtol=1e-9)
    np.testing.assert_allclose(found.probability, np.exp(each - np.logaddexp(*each)), rtol=1e-6)
    one, several = (bg.importance_evidence(models, x) for models in (best, [best, again]))
    # Two optima would differ by the log of 2. Which of the runs is better is a matter of rounding, and they agree to `tol` only.
    np.testing.assert_allclose(several, one, rtol=1e-6)


def test_what_cannot_be_sampled_is_refused():
    x = groups()
    model = fitted(x)
    with pytest.raises(ValueError, match="X and sample_weight must be those of the fit"):
        model.importance_evidence(x + 1)
    with pytest.raises(ValueError, match="n_draws must be a whole number of at least 100; got 10"):
        model.importance_evidence(x, n_draws=10)
    with pytest.raises(ValueError, match="random_state must be a whole number"):
        model.importance_evidence(x, random_state="seed")
    with pytest.raises(ValueError, match="needs Dirichlet weights with one concentration"):
        fitted(x, weight_concentration_prior_type="dirichlet_process").importance_evidence(x)
    with pytest.raises(ValueError, match="models must be fits of one model"):
        bg.evidence_over_optima([model, fitted(x, weight_concentration_prior=2.0)], x)
    for wrong in ([], "model", [model, bg.GaussianMixture(2)], [bg.GaussianMixture(2).fit(x)]):
        with pytest.raises(ValueError, match="models must be a fitted BayesianGaussianMixture or several of them; got"):
            bg.importance_evidence(wrong, x)
    with pytest.raises(ValueError, match="is not fitted yet"):
        bg.importance_evidence(bg.BayesianGaussianMixture(), x)


def test_heavy_tails_are_told():
    rng = np.random.default_rng(0)
    heavy = summarise(np.log(rng.pareto(1.0, 2000) + 1))
    with pytest.warns(bg.FitWarning, match=r"too heavy a tail \(k-hat [01]\.\d\d, above 0\.7\)"):
        _warn(heavy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn(summarise(rng.normal(size=2000) * 0.1))
    even = summarise(np.append(rng.normal(size=1999) * 1e-3, np.nan))
    assert abs(even.log_evidence) < 2e-3 and even.ess > 1990
