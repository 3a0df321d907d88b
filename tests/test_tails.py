"""How unusual rows are: closed forms, calibration, and honest standard errors."""

from __future__ import annotations

import numpy as np
import pytest
from registry import K, N, bayesian_cases, blobs, each, main_cases, responsibilities, start
from scipy import stats

import bayesgmm as bg
from bayesgmm.analysis.density import Density, predictive
from bayesgmm.analysis.tails import importance_draws, tail_probability

D = 3
FAITHFUL = bg.load_dataset("faithful").x
DRAWS = 100_000


def one(dof: float, d: int = D) -> Density:
    """A single component with a full covariance."""
    root = np.tril(np.cos(np.arange(d * d)).reshape(d, d)) + 2 * np.eye(d)
    return Density(np.ones(1), np.ones((1, d)), (root @ root.T)[None], np.ones(1), np.array([dof]), False, tuple("abcdefghij"[:d]))


def twice(density: Density) -> Density:
    """The same density as a mixture of two equal components, which has to be sampled."""
    both = {name: np.repeat(getattr(density, name), 2, 0) for name in ("means", "dispersions", "spread", "dof")}
    return Density(np.array([0.3, 0.7]), independent=density.independent, feature_names=density.feature_names, **both)


@pytest.mark.parametrize("d", [1, 3, 10])
@pytest.mark.parametrize("dof", [np.inf, 4.0, 30.0])
def test_draws_agree_with_the_closed_form(dof, d):
    """Chi-squared and F, down to probabilities of 1e-9 for Gaussians, within five standard errors, which are small."""
    density = one(dof, d)
    exact = np.array([0.999, 0.5, 0.05, 1e-3, 1e-6, 1e-9])[: 6 if np.isinf(dof) else 4]
    squares = stats.chi2.isf(exact, d) if np.isinf(dof) else d * stats.f.isf(exact, d, dof)
    x = density.means + np.sqrt(squares)[:, None] * np.linalg.cholesky(density.dispersions[0])[:, 0]
    known, found = tail_probability(density, x, DRAWS, 0), tail_probability(twice(density), x, DRAWS, 0)
    assert known.exact and not found.exact and (known.standard_error == 0).all()
    np.testing.assert_allclose(known.probability, exact, rtol=1e-9)
    assert (np.abs(found.probability - exact) <= 5 * found.standard_error).all()
    assert (found.standard_error <= np.maximum(0.05 * exact, 1e-6 * (not np.isinf(dof)))).all()


@pytest.mark.usefixtures("x64")
@each(bayesian_cases(("sticks", "asymmetric")) + [case for case in main_cases() if case.mode == "ml"])
def test_rows_of_the_model_have_uniform_p_values(case):
    prior = case.prior(K, D)
    q = start(prior, blobs(N, D), np.ones(N), np.sort(responsibilities()))
    density = predictive(q, prior, ("a", "b", "c"))
    found = tail_probability(density, density.sample(2000, 5), 50_000, 1)
    assert stats.kstest(found.probability, "uniform").pvalue > 1e-3
    assert ((found.probability > 0) & (found.probability <= 1)).all()


def test_the_standard_error_is_that_of_other_seeds():
    model = bg.GaussianMixture(2, covariance_type="diag", n_init=1, random_state=0).fit(FAITHFUL)
    x = FAITHFUL[:40]
    found = [model.tail_probability(x, n_draws=2000, random_state=seed) for seed in range(60)]
    spread = np.std([f.probability for f in found], axis=0)
    np.testing.assert_allclose(spread, np.mean([f.standard_error for f in found], axis=0), rtol=0.5)
    assert 0.8 < np.mean(spread / np.mean([f.standard_error for f in found], axis=0)) < 1.2
    again = model.tail_probability(x[:3], n_draws=2000, random_state=7)
    np.testing.assert_array_equal(again.probability, found[7].probability[:3])


def test_less_likely_rows_are_more_unusual():
    model = bg.GaussianMixture(2, covariance_type="diag", n_init=1, random_state=0).fit(FAITHFUL)
    found, order = model.tail_probability(FAITHFUL), np.argsort(model.score_samples(FAITHFUL))
    assert (np.diff(found.probability[order]) >= 0).all()
    far = model.tail_probability([[1e6, 1e6]])
    assert far.probability[0] == far.smallest == far.standard_error[0] > 0


def test_rows_that_do_not_belong_are_found():
    """Ten rows beside the components are the unusual ones among 282; Benjamini and Hochberg's rule by hand."""
    model = bg.GaussianMixture(2, covariance_type="diag", n_init=1, random_state=0).fit(FAITHFUL)
    strange = np.column_stack([np.full(10, 3.0), np.linspace(110, 130, 10)])
    found = model.tail_probability(np.concatenate([FAITHFUL, strange]))
    assert set(range(272, 282)) <= set(found.unusual(0.05).tolist())
    p = np.sort(found.probability)
    rate = 0.05
    passed = np.flatnonzero(p <= rate * np.arange(1, 283) / 282)
    assert len(found.unusual(rate)) == passed.max() + 1
    assert found.unusual(rate)[0] in range(272, 282)


def test_one_component_of_a_fit():
    """Chi-squared for maximum likelihood; F for the Bayesian with one Dirichlet weight, as Hotelling's predictive region has it."""
    x, start_at = FAITHFUL, {"n_init": 1, "init_params": np.zeros(272, int)}
    ml = bg.GaussianMixture(1, **start_at).fit(x)
    away = x - x.mean(0)
    squares = np.einsum("nd,de,ne->n", away, np.linalg.inv(np.cov(x.T, bias=True)), away)
    found = ml.tail_probability(x)
    assert found.exact
    np.testing.assert_allclose(found.probability, stats.chi2.sf(squares, 2), rtol=1e-9)
    law = {"weight_concentration_prior_type": "dirichlet_distribution", "n_components": 1}
    bayes = bg.BayesianGaussianMixture(**law, **start_at).fit(x)
    q = bayes.posterior_.components
    away = x - q.mean[0]
    dof, ratio = q.dof[0] - 1, q.mean_precision[0] / (q.mean_precision[0] + 1)
    squares = np.einsum("nd,de,ne->n", away, np.linalg.inv(q.scale[0]), away) * dof * ratio
    found = bayes.tail_probability(x)
    assert found.exact
    np.testing.assert_allclose(found.probability, stats.f.sf(squares / 2, 2, dof), rtol=1e-9)
    assert not bg.BayesianGaussianMixture(covariance_type="diag", **law, **start_at).fit(x).tail_probability(x).exact


def test_importance_weights_have_mean_one_and_a_limit():
    weight = importance_draws(one(5.0), 20_000, 0)[1]
    assert weight.max() <= 2 + 1e-9
    assert abs(weight.mean() - 1) < 5 * weight.std() / np.sqrt(len(weight))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": [[1.0, np.nan]]}, "NaN at row 0, column 1"),
        ({"X": [[1.0]]}, "1 features"),
        ({"X": FAITHFUL, "n_draws": 10}, "n_draws must be"),
        ({"X": FAITHFUL, "random_state": -1}, "random_state must be"),
    ],
)
def test_misuse_is_told(arguments, message):
    model = bg.GaussianMixture(2, covariance_type="diag", n_init=1, random_state=0).fit(FAITHFUL)
    with pytest.raises(ValueError, match=message):
        model.tail_probability(**arguments)
    with pytest.raises(ValueError, match="not fitted yet"):
        bg.GaussianMixture().tail_probability(FAITHFUL)
