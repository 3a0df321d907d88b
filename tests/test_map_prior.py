"""Priors that users give to maximum a posteriori: what they answer, and what is said of those that fit no model."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.core.pytree import replace
from bayesgmm.estimators.map_prior import check_map_prior

X = np.concatenate([np.random.default_rng(0).normal(0, 1, 40), np.random.default_rng(1).normal(9, 1, 30)])[:, None]
LAW = bg.NormalWishart(np.full((3, 1), 2.0), np.full(3, 0.01), np.full(3, 3.0), np.full((3, 1, 1), 3.0), bg.Full(), False)


def fitted(weights, law=LAW, **options):
    return bg.GaussianMixture(3, n_init=1, prior=bg.Mixture(weights, law), random_state=0, **options).fit(X)


def test_the_likelihood_of_a_mode_of_sticks_is_that_of_its_scores():
    """The mode of sticks leaves something to components not seen, which no score counts."""
    model = fitted(bg.StickBreaking.prior(3, 2.0))
    assert float(model.posterior_.weights.unseen()) > 0.01
    assert model.log_likelihood_ == pytest.approx(model.score_samples(X).sum(), rel=1e-12)
    assert model.bic(X) == pytest.approx(model.n_parameters_ * np.log(len(X)) - 2 * model.log_likelihood_, rel=1e-12)
    model.diagnose(X, n_draws=100)  # which refuses other rows than those of the fit


@pytest.mark.parametrize("noise", [None, "box"])
def test_weights_to_start_from_beside_sticks(noise):
    model = fitted(bg.StickBreaking.prior(3, 1.5), weights_init=[0.5, 0.3, 0.2], noise=noise)
    assert np.isfinite(model.lower_bound_) and model.converged_


def test_priors_have_64_bits_wherever_they_are_made():
    """Those of JAX's own arrays are widened; the answers are those of NumPy's."""
    for made in (bg.Dirichlet.symmetric(3, 0.1).concentration, bg.StickBreaking.prior(3, 1.7).beta):
        assert made.dtype == np.float64
    arrays = (jnp.asarray(a) for a in (LAW.mean, LAW.mean_precision, LAW.dof, LAW.scale))
    single = bg.NormalWishart(*arrays, bg.Full(), False)
    wide = check_map_prior(bg.Mixture(bg.Dirichlet(jnp.full(3, 1e8)), single), "full", 3, 1)
    assert {a.dtype for a in (wide.components.mean, wide.components.scale, wide.weights.concentration)} == {np.dtype(float)}
    for weights in (bg.Dirichlet.symmetric(3, 100.0), bg.StickBreaking.prior(3, 2.0)):
        assert fitted(weights, single).lower_bound_ == pytest.approx(fitted(weights).lower_bound_, rel=1e-6)  # 0.01 in 32 bits


LAWS_REFUSED = {
    "of shape .1, 1. or .3, 1.; got .2,.": {"mean": [1, 2]},
    "arrays of numbers; got 'abc'": {"mean": "abc"},
    "arrays of numbers; got None": {"mean": None},
    "scale must have shape .1, 1, 1. or .3, 1, 1.; got .3, 3.": {"scale": np.ones((3, 3))},
    "mean_precision must have shape .1,. or .3,.; got .2,.": {"mean_precision": np.ones(2)},
    "mean_precision must be above 0": {"mean_precision": -np.ones(3)},
    "dof must be above 0": {"dof": np.zeros(3)},
    "scale must be symmetric and positive definite": {"scale": -LAW.scale},
    "mean must hold finite numbers; got ..nan": {"mean": LAW.mean * np.nan},
    "is for 2 features, but X has 1": {"mean": np.ones((3, 2))},
}


@pytest.mark.parametrize("words", LAWS_REFUSED)
def test_laws_of_components_that_are_refused(words):
    with pytest.raises(ValueError, match=words.replace("of shape", "must have shape")):
        fitted(bg.Dirichlet.symmetric(3, 2.0), replace(LAW, **LAWS_REFUSED[words]))


WEIGHTS_REFUSED = {
    "law; got str": "abc",
    "law; got PointWeights": bg.PointWeights(np.ones(3) / 3),
    "numbers up to 1e.15; got .nan": bg.Dirichlet(np.full(3, np.nan)),
    "numbers up to 1e.15; got .1e.300": bg.Dirichlet(np.full(3, 1e300)),
    "must be an array of shape .3,.; got shape .1, 3.": bg.Dirichlet(np.ones((1, 3))),
    "prior is for 2 components": bg.StickBreaking.prior(2, 2.0),
    "for 4 components": bg.FlatWeights(4),
    "at least 1": bg.Dirichlet.symmetric(3, 0.5),
    "fixed concentration": bg.StickBreaking.prior(3, (2.0, 1.0)),
}


@pytest.mark.parametrize("words", WEIGHTS_REFUSED)
def test_laws_of_weights_that_are_refused(words):
    with pytest.raises(ValueError, match=words):
        fitted(WEIGHTS_REFUSED[words])


@pytest.mark.parametrize("noise", [None, "box"])
def test_a_warm_start_keeps_the_concentrations_of_the_components_left(noise):
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(0, 1, (80, 2)), rng.normal(6, 1, (60, 2))])
    model = bg.BayesianGaussianMixture(
        3,
        n_init=2,
        warm_start=True,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=[1.0, 2.0, 30.0],
        random_state=0,
        noise=noise,
    ).fit(x)
    before, law = model.lower_bound_, model.prior_.weights.weights if noise else model.prior_.weights
    assert 30 in law.concentration and len(law.concentration) < 3
    model.fit(x)
    after = model.prior_.weights.weights if noise else model.prior_.weights
    assert sorted(after.concentration.tolist()) == sorted(law.concentration.tolist())
    assert model.lower_bound_ == pytest.approx(before, rel=1e-9)
    model.set_params(weight_concentration_prior=[5.0, 6.0, 7.0]).fit(x)  # others are taken as they come
    assert np.isfinite(model.lower_bound_)


@pytest.mark.parametrize("volume", [1e-300, 1e-30])
def test_noise_that_has_all_rows_is_told(volume):
    with pytest.warns(bg.FitWarning) as told:
        model = bg.GaussianMixture(2, noise=volume, random_state=0, n_init=1).fit(np.c_[X, X[::-1]])
    assert any("Noise has all rows: over a volume of 1e-" in str(warning.message) for warning in told)
    assert model.noise_weight_ == pytest.approx(1) and np.isfinite(model.weights_).all()


def test_weights_without_a_prior_beside_components_with_one():
    """As with a Dirichlet law of concentration 1, whose density is flat."""
    assert fitted(bg.FlatWeights(3)).weights_ == pytest.approx(fitted(bg.Dirichlet.symmetric(3)).weights_, abs=1e-4)
