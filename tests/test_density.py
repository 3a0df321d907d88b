"""Densities of some columns given others: laws for every structure and weight law, and mclust's figures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from registry import K, N, bayesian_cases, blobs, each, main_cases, responsibilities, start
from scipy import integrate, stats

import bayesgmm as bg
from bayesgmm.analysis.density import Density, conditional, predictive

D = 3
NAMES = ("a", "b", "c")
MCLUST = json.loads((Path(__file__).parent / "reference" / "density.json").read_text())["sets"]
FAITHFUL = bg.load_dataset("faithful")
x64 = pytest.mark.usefixtures("x64")


def law(case) -> tuple:
    """Prior, posterior of some responsibilities, and its density."""
    prior = case.prior(K, D)
    q = start(prior, blobs(N, D), np.ones(N), np.sort(responsibilities()))
    return prior, q, predictive(q, prior, NAMES)


@x64
@each([case for case in main_cases() if case.mode != "vb"] + bayesian_cases())
def test_the_joint_density_is_that_of_the_model(case):
    prior, q, density = law(case)
    x = np.concatenate([blobs(20, D, seed=5), [[30.0, -40.0, 20.0]]])
    theirs = q.predictive_log_prob(jnp.asarray(x), prior) if case.mode == "vb" else q.predictive_log_prob(jnp.asarray(x))
    np.testing.assert_allclose(density.log_density(x), theirs, rtol=1e-11)
    assert density.n_components == K + ("sticks" in case.weights and case.mode == "vb")


@x64
@each(bayesian_cases() + [case for case in main_cases() if case.mode == "ml"])
def test_joint_is_marginal_times_conditional(case):
    """Whichever columns are given, in whichever order."""
    *_, density = law(case)
    x = np.concatenate([blobs(20, D, seed=5), [[30.0, -40.0, 20.0]]])
    joint = density.log_density(x)
    for given, rest in (((0,), (1, 2)), ((2, 0), (1,)), ((1,), (0, 2))):
        known, other = x[:, given], x[:, rest]
        both = density.take(given).log_density(known) + conditional(density, given, known).log_density(other)
        np.testing.assert_allclose(both, joint, rtol=1e-10)


@x64
@each(bayesian_cases(("sticks",)) + [case for case in main_cases() if case.mode == "ml"])
def test_one_column_given_the_others(case):
    """Its density integrates to 1, the distribution function is its integral, quantiles invert that, moments are its moments."""
    *_, density = law(case)
    found = conditional(density, (0, 2), blobs(3, D, seed=7)[:, (0, 2)])
    u = np.linspace(-30, 30, 20001)
    y, volume = np.sinh(u), np.cosh(u)
    for m in range(3):
        one = conditional(density, (0, 2), blobs(3, D, seed=7)[m : m + 1, (0, 2)])
        f = np.exp(one.log_density(y[:, None])) * volume
        below = integrate.cumulative_simpson(f, x=u, initial=0)
        np.testing.assert_allclose(below[-1], 1, atol=1e-9)
        np.testing.assert_allclose(one.cdf(y[:, None])[:, 0], below, atol=1e-7)
        np.testing.assert_allclose(one.mean[0, 0], integrate.simpson(f * y, x=u), atol=1e-6)
        np.testing.assert_allclose(one.mean[0], found.mean[m], rtol=1e-12)
    prob = np.array([1e-9, 0.03, 0.5, 0.97])
    quantiles = found.quantile(prob)
    assert quantiles.shape == (3, 1, 4) and found.quantile(0.5).shape == (3, 1)
    for i, p in enumerate(prob):
        np.testing.assert_allclose(found.cdf(quantiles[..., i])[:, 0], p, rtol=1e-9)
    np.testing.assert_allclose(found.intervals(0.94), found.quantile([0.03, 0.97]), rtol=1e-12)


@x64
@each(bayesian_cases(("asymmetric", "sticks")) + [case for case in main_cases() if case.mode == "ml"])
def test_drawn_rows_have_the_density(case):
    """Each column by Kolmogorov's test; the conditional, through the distribution function that makes drawn values uniform."""
    *_, density = law(case)
    rows = density.sample(4000, 1)
    assert rows.shape == (4000, D) and (rows == density.sample(4000, 1)).all()
    for column in density.cdf(rows).T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    given = conditional(density, (0, 1), rows[:, :2])
    assert stats.kstest(given.cdf(rows[:, 2:])[:, 0], "uniform").pvalue > 1e-3
    drawn = conditional(density, (0,), rows[:2, :1]).sample(4000, 2)
    assert drawn.shape == (2, 4000, 2)
    few = conditional(density, (0,), rows[:2, :1])
    for m in range(2):
        one = conditional(density, (0,), rows[m : m + 1, :1])
        for column in one.cdf(drawn[m]).T:
            assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert few.covariance.shape == (2, 2, 2)


@x64
def test_moments_are_those_of_draws():
    for case in bayesian_cases(("asymmetric",)):
        *_, density = law(case)
        rows = density.sample(200_000, 3)
        error = rows.std(0) / np.sqrt(len(rows))
        assert (np.abs(rows.mean(0) - density.mean) <= 5 * error).all()
        np.testing.assert_allclose(np.cov(rows.T), density.covariance, rtol=0.2, atol=0.2 * np.abs(density.covariance).max())


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_one_component_is_ordinary_least_squares(kind):
    x = bg.load_dataset("iris").x
    model = bg.GaussianMixture(1, covariance_type=kind, init_params=np.zeros(150, int), n_init=1).fit(x)
    design = np.column_stack([np.ones(150), x[:, [0, 2, 3]]])
    beta, rest, *_ = np.linalg.lstsq(design, x[:, 1], rcond=None)
    found = model.condition([0, 2, 3], x[:, [0, 2, 3]])
    np.testing.assert_allclose(found.mean[:, 0], design @ beta, rtol=1e-9)
    np.testing.assert_allclose(found.covariance[:, 0, 0], rest[0] / 150, rtol=1e-9)


@pytest.fixture(scope="module")
def faithful():
    frame = pd.DataFrame(FAITHFUL.x, columns=list(FAITHFUL.feature_names))
    return bg.BayesianGaussianMixture(n_components=3, random_state=0).fit(frame)


def test_the_posterior_predictive_of_a_fit(faithful):
    """By name, by number and from frames; the joint density is score_samples."""
    x = FAITHFUL.x
    np.testing.assert_allclose(faithful.marginal().log_density(x), faithful.score_samples(FAITHFUL), rtol=1e-12)
    wanted = faithful.condition("eruptions", x[:, 0])
    for columns, values in ((0, x[:, 0]), (["eruptions"], x[:, :1]), ("eruptions", pd.DataFrame({"eruptions": x[:, 0]}))):
        np.testing.assert_array_equal(faithful.condition(columns, values).mean, wanted.mean)
    assert wanted.feature_names == ("waiting",) and wanted.mean.dtype == np.float64
    both = faithful.marginal("eruptions").log_density(x[:, :1]) + wanted.log_density(x[:, 1:])
    np.testing.assert_allclose(both, faithful.marginal(["eruptions", "waiting"]).log_density(x), rtol=1e-11)
    inside = (wanted.intervals(0.9)[:, 0, 0] <= x[:, 1]) & (x[:, 1] <= wanted.intervals(0.9)[:, 0, 1])
    assert 0.85 < inside.mean() < 0.95
    assert faithful.condition("waiting", 70).mean.shape == (1, 1)


BAD = [
    (lambda m: m.condition("wait", [1.0]), "Did you mean 'waiting'"),
    (lambda m: m.condition(2, [1.0]), "column must be"),
    (lambda m: m.condition(["waiting", 1], [[1.0, 2.0]]), "'waiting' is given more than once"),
    (lambda m: m.condition(["waiting", "eruptions"], [[1.0, 2.0]]), "columns are all 2 of them"),
    (lambda m: m.condition([], [[]]), "at least one of eruptions, waiting"),
    (lambda m: m.condition("waiting", [[1.0, 2.0]]), r"values must have 1 column\(s\), waiting; got shape \(1, 2\)"),
    (lambda m: m.condition("waiting", [70.0, np.nan]), "values contains NaN at row 1, column 'waiting'"),
    (lambda m: m.condition("waiting", pd.DataFrame({"eruptions": [1.0]})), "columns says"),
    (lambda m: m.condition("waiting", ["long"]), "long"),
    (lambda m: m.condition("waiting", [70.0, 80.0]).log_density([[1.0]] * 3), r"y must have shape \(2, 1\)"),
    (lambda m: m.marginal("waiting").cdf([1.0]), r"y must have shape \(N, 1\), columns waiting; got shape \(1,\)"),
    (lambda m: m.marginal("waiting").log_density([[np.nan]]), "y contains NaN at row 0, column 'waiting'"),
    (lambda m: m.marginal("waiting").quantile(1.0), "strictly between 0 and 1"),
    (lambda m: m.marginal("waiting").intervals(94), "strictly between 0 and 1"),
    (lambda m: m.marginal("waiting").quantile("most"), "strictly between 0 and 1, one or a list of them; got 'most'"),
    (lambda m: m.marginal("waiting").quantile([]), "strictly between 0 and 1"),
    (lambda m: m.marginal("waiting").intervals("most"), "such as 0.94; got 'most'"),
    (lambda m: m.marginal("waiting").sample(0), "n_samples must be"),
    (lambda m: m.marginal("waiting").sample(2, random_state="x"), "random_state must be a whole number of at least 0"),
    (lambda m: m.marginal("waiting").sample(2, random_state=-1), "random_state must be"),
    (lambda m: bg.GaussianMixture().condition(0, [1.0]), "not fitted yet"),
    (lambda m: bg.GaussianMixture().marginal(), "not fitted yet"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_misuse_is_told(faithful, call, message):
    with pytest.raises(ValueError, match=message):
        call(faithful)


@pytest.mark.parametrize(("shift", "factor"), [(1e8, [1.0, 1.0]), (0.0, [1e-9, 1e9])])
def test_other_units_say_the_same(faithful, shift, factor):
    """Of the parameters in other units: predictions move along, and the joint density is still marginal times conditional."""
    here, factor = faithful.marginal(), np.array(factor)
    there = dataclasses.replace(here, means=here.means * factor + shift, dispersions=here.dispersions * factor[:, None] * factor)
    x, z = FAITHFUL.x, FAITHFUL.x * factor + shift
    a, b = conditional(here, [0], x[:, :1]), conditional(there, [0], z[:, :1])
    np.testing.assert_allclose(b.mean, a.mean * factor[1] + shift, rtol=1e-8)
    np.testing.assert_allclose(b.intervals(), a.intervals() * factor[1] + shift, rtol=1e-8)
    np.testing.assert_allclose(there.log_density(z), here.log_density(x) - np.log(factor).sum(), atol=1e-6)
    np.testing.assert_allclose(there.take([0]).log_density(z[:, :1]) + b.log_density(z[:, 1:]), there.log_density(z), atol=1e-7)


def theirs(entry) -> Density:
    """The density of mclust's parameters."""
    k = len(entry["weights"])
    means = np.array(entry["means"]).reshape(k, -1)
    d = means.shape[1]
    spread = np.array(entry.get("covariances", entry.get("variances"))).reshape(k, d, d)
    return Density(np.array(entry["weights"]), means, spread, np.ones(k), np.full(k, np.inf), False, tuple(map(str, range(d))))


@pytest.mark.parametrize("name", MCLUST)
def test_mclusts_densities(name):
    """Density, distribution function, quantiles and levels of densityMclust, from its parameters."""
    entry, x = MCLUST[name], bg.load_dataset(name).x
    density = theirs(entry)
    np.testing.assert_allclose(np.exp(density.log_density(x[:10])), entry["density_at_data"], rtol=1e-12)
    if name == "faithful":
        levels = np.quantile(np.exp(density.log_density(x)), 1 - np.array(entry["hdr_levels"]["prob"]))
        np.testing.assert_allclose(levels, entry["hdr_levels"]["level"], rtol=1e-12)
        return
    grid = np.array(entry["grid"])[:, None]
    np.testing.assert_allclose(np.exp(density.log_density(grid)), entry["density"], rtol=1e-12)
    np.testing.assert_allclose(density.cdf(grid)[:, 0], entry["cdf"], atol=1e-14)
    np.testing.assert_allclose(density.quantile(entry["prob"])[0], entry["quantiles"], rtol=1e-8)


def test_a_fit_has_mclusts_quantiles():
    """The best model of acidity by BIC, E with two components; mclust stops 4e-5 nats before the optimum."""
    entry, x = MCLUST["acidity"], bg.load_dataset("acidity").x
    model = bg.GaussianMixture(2, covariance_type="tied", n_init=2, random_state=0).fit(x)
    assert model.log_likelihood_ == pytest.approx(entry["log_likelihood"], abs=1e-3)
    np.testing.assert_allclose(model.marginal().quantile(entry["prob"])[0], entry["quantiles"], rtol=1e-4)
