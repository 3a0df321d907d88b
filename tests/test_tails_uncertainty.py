"""How sure fits with noise and heavy tails are: curvature beside text-book likelihoods, ways that ask the same, and every other answer."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t

import bayesgmm as bg
from bayesgmm.analysis import observed
from bayesgmm.analysis.bootstrap import draw
from bayesgmm.estimators.uncertainty_ml import _charted
from bayesgmm.inference.compiling import jit

K = 2
BOX = np.array([[-14.0, -12.0], [20.0, 15.0]])
VOLUME = float(np.prod(BOX[1] - BOX[0]))
MODELS = {
    "noise": {"noise": VOLUME},
    "tails": {"student_t": "learn"},
    "both": {"noise": VOLUME, "student_t": "shared", "covariance_type": "tied"},
    "fixed": {"student_t": 4.0, "covariance_type": "diag"},
}
some = pytest.mark.parametrize("kind", [name if name == "fixed" else pytest.param(name, marks=pytest.mark.slow) for name in MODELS])


@functools.cache
def rows(n: int = 240) -> np.ndarray:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, 2)) / np.sqrt(rng.chisquare(4, (n, 1)) / 4) + 6.0 * (np.arange(n) % 2)[:, None] * np.array([1.0, 0.4])
    x[::12] = rng.uniform(*BOX, (len(x[::12]), 2))
    return x


@functools.cache
def fitted(kind: str) -> bg.GaussianMixture:
    return bg.GaussianMixture(K, init_params=np.arange(240) % 2, tol=1e-13, max_iter=3000, **MODELS[kind]).fit(rows())


@functools.cache
def bayesian(kind: str) -> bg.BayesianGaussianMixture:
    return bg.BayesianGaussianMixture(n_components=K, init_params=np.arange(240) % 2, tol=1e-12, prune=False, **MODELS[kind]).fit(rows())


def log_likelihood(point, x: np.ndarray, log_volume: float) -> float:
    """By scipy's densities, of parameters in the coordinates of the rows."""
    law, structure = observed.gaussians(point.components), point.structure
    dense = np.broadcast_to(structure.to_dense(law.covariance, 2), (K, 2, 2))
    heavy = observed.tails(point.components)
    if heavy is None:
        density = [multivariate_normal(m, c).logpdf(x) for m, c in zip(law.mean, dense, strict=True)]
    else:
        density = [multivariate_t(m, c, v).logpdf(x) for m, c, v in zip(law.mean, dense, heavy.dof, strict=True)]
    if point.n_noise:
        density.append(np.full(len(x), -log_volume))
    return float(logsumexp(np.stack(density, 1) + np.log(np.asarray(point.weights.weights)), axis=1).sum())


@pytest.mark.usefixtures("x64")
@some
def test_the_information_is_that_of_the_text_book_likelihood(kind):
    """By finite differences, at all pairs of the first mean, a covariance, the weights and, where they were learnt, the tails."""
    model, x = fitted(kind), rows()
    point, y = model._coordinates.mixture_inward(model.posterior_), np.asarray(model._coordinates.inward(x))
    chart, beside = _charted(model, point)
    found = observed.curvature(chart, jnp.asarray(y), jnp.ones(len(x)), beside)
    size, step = len(found.slope), 1e-3
    assert size == model.n_parameters_ - point.n_noise  # the volume is none of them
    np.testing.assert_allclose(found.slope, 0, atol=1e-3)
    log_volume = np.log(VOLUME) - float(model._coordinates.log_det)
    moves = np.concatenate([s * step * np.eye(size)[i] + t * step * np.eye(size)[j] for i, j, s, t in pairs(size)]).reshape(-1, size)
    points = jax.tree.map(np.asarray, outward(chart, jnp.asarray(moves), beside))
    values = np.array([log_likelihood(jax.tree.map(lambda a, n=n: a[n], points), y, log_volume) for n in range(len(moves))])
    second = (values.reshape(-1, 4) @ np.array([1.0, -1.0, -1.0, 1.0])) / (4 * step**2)
    expected = np.array([found.information[i, j] for i, j, s, t in pairs(size)[::4]])
    np.testing.assert_allclose(-second, expected, atol=2e-3)


@jit
def outward(chart, z, beside):
    own = observed.n_coordinates(chart)
    return jax.vmap(lambda place: beside.of(observed.outward(chart, place[:own])[0], place[own:]))(z)


def pairs(size: int) -> list[tuple[int, int, int, int]]:
    places = sorted({0, 1, 2, 3, size // 2, size - 2, size - 1})
    return [(i, j, s, t) for i in places for j in places if i <= j for s in (1, -1) for t in (1, -1)]


def summed(model, method: str, n_draws: int) -> np.ndarray:
    found = model.uncertainty(rows(), method, n_draws=n_draws).intervals()
    logs = [found["noise_weight"].sd[None]] if "noise_weight" in found else []
    return np.concatenate([found["weights"].sd[:1], found["means"].sd.ravel(), found["standard_deviations"].sd.ravel(), *logs])


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_methods_that_ask_the_same_agree(kind):
    model = fitted(kind)
    for group in (("observed_information", "parametric_bootstrap"), ("sandwich", "jackknife", "bootstrap", "weighted_bootstrap")):
        first, *others = (summed(model, name, 600) for name in group)
        for errors in others:
            assert np.median(np.abs(errors / first - 1)) < 0.15, (group, errors / first)
            assert np.abs(errors / first - 1).max() < 0.4, (group, errors / first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "fixed"])
def test_bayesian_and_likelihood_errors_agree_under_a_weak_prior(kind):
    first, second = summed(fitted(kind), "observed_information", 4000), summed(bayesian(kind), "linear_response", 4000)
    assert np.abs(second / first - 1).max() < 0.25, second / first
    narrow = summed(bayesian(kind), "mean_field", 4000)
    assert (narrow < 1.03 * second).all() and narrow.mean() < 0.97 * second.mean()


@pytest.mark.slow
def test_refits_learn_the_tails():
    """As widely as the sandwich says, but for sets without far rows, in which a component may become Gaussian."""
    model = fitted("tails")
    by_curvature, by_refits = (
        model.uncertainty(rows(), name, n_draws=400).draws["degrees_of_freedom"] for name in ("sandwich", "bootstrap")
    )
    logs = [np.log(draws) for draws in (by_curvature, by_refits)]
    for each in logs:
        np.testing.assert_allclose(np.median(each, 0), np.log(model.degrees_of_freedom_), atol=0.1)
    inner, outer = (np.ptp(np.quantile(each, (0.25, 0.75), axis=0), axis=0) for each in logs)
    np.testing.assert_allclose(outer, inner, rtol=0.4)
    assert "degrees_of_freedom" in model.uncertainty(rows(), "bootstrap", n_draws=20).intervals()
    assert "degrees_of_freedom" not in fitted("fixed").uncertainty(rows(), "bootstrap", n_draws=20).draws


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_what_draws_say_of_parameters_and_rows(kind):
    model, x = bayesian(kind), rows()
    evidence = model.log_evidence(x)
    assert evidence.elbo == model.lower_bound_ and evidence.response > 0 and 0 < evidence.contraction < 1
    assert evidence.multiplicity == pytest.approx(model._multiplicity)
    sure = model.uncertainty(x, n_draws=200)
    noise = sure.draws.get("noise_weight", np.zeros(200))
    np.testing.assert_allclose(sure.draws["weights"].sum(1), 1 - noise)
    np.testing.assert_allclose(sure.draws["weights"].mean(0), model.weights_, atol=0.02)
    if kind in ("noise", "both"):
        found = sure.intervals()["noise_weight"]
        assert found.lower < model.noise_weight_ < found.upper
        assert "weight of noise" in str(sure)
    resp = model.predict_proba(x)
    assert sure.responsibilities.mean.shape == resp.shape
    assert np.abs(sure.responsibilities.mean - resp).max() < 0.15
    apart = sure.partition()
    assert apart.n_clusters == resp.shape[1] and set(sure.n_clusters) == {K}
    assert bg.adjusted_rand_index(apart.labels, resp.argmax(1)) > 0.9
    for method in ("importance", "gibbs"):
        with pytest.raises(ValueError, match="use 'mean_field' or 'linear_response'"):
            model.uncertainty(x, method)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_draws_for_arviz(kind):
    sure = bayesian(kind).uncertainty(rows(), "mean_field", n_draws=50)
    found = sure.to_arviz()
    assert found.posterior_predictive["x"].shape == (1, 50, 240, 2)
    assert ("noise_weight" in found.posterior) == (kind in ("noise", "both"))


@pytest.mark.slow
def test_missing_numbers_beside_noise_and_tails():
    x = rows().copy()
    x[::9, 1] = np.nan
    options = {"init_params": np.arange(240) % 2, "missing": "at_random", "noise": VOLUME, "student_t": 4.0}
    model = bg.BayesianGaussianMixture(n_components=K, prune=False, **options).fit(x)
    assert model.log_evidence(x).response > 0
    whole = bg.BayesianGaussianMixture(n_components=K, prune=False, **options).fit(rows()).uncertainty(rows())
    part = model.uncertainty(x)
    assert (part.intervals()["means"].sd > 0.95 * whole.intervals()["means"].sd).all()
    likely = bg.GaussianMixture(K, **options, tol=1e-12).fit(x)
    errors = likely.uncertainty(x).intervals()["means"].sd
    np.testing.assert_allclose(errors, part.intervals()["means"].sd, rtol=0.25)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_rows_drawn_from_a_fit_are_of_its_law():
    """The share of noise, which fills its box, and the tails."""
    model = fitted("both")
    point = model._coordinates.mixture_inward(model.posterior_)
    low, high = model._noise_box
    corner, ends = (np.asarray(model._coordinates.inward(a)) for a in (low, low + np.diag(high - low)))
    x = np.asarray(model._coordinates.outward(draw(jax.random.key(0), point, 20_000, (corner, ends - corner))))
    again, _ = model.sample(20_000)
    for level in (0.002, 0.02, 0.5, 0.98, 0.998):
        share = (x[:, 0] < np.quantile(again[:, 0], level)).mean()
        assert share == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / 10_000))


@pytest.mark.parametrize("kind", ["noise", pytest.param("tails", marks=pytest.mark.slow)])
def test_components_combine_beside_noise(kind):
    """Noise stays by itself: a group of two components is found again, and rows of noise have label -1."""
    x = rows()
    start = np.where(x[:, 0] < 3, (x[:, 1] > 0).astype(int), 2)
    model = bg.GaussianMixture(3, init_params=start, max_iter=20, **MODELS[kind])
    with pytest.warns(bg.FitWarning):
        model.fit(x)
    for method in ("entropy", "misclassification"):
        found = bg.combine(model, x, method, n_clusters=2)
        assert found.n_clusters == 2 and sorted(map(len, found.groups)) == [1, 2]
        np.testing.assert_allclose(found.probabilities.sum(1), 1)
        noise = getattr(model, "noise_weight_", 0.0)
        assert found.weights.sum() == pytest.approx(1 - noise, abs=0.02)
        assert (found.labels == -1).any() == (kind == "noise") == ("Noise" in str(found))
        np.testing.assert_array_equal(found.labels == -1, model.predict(x) == -1)
    with pytest.raises(ValueError, match="'elbow', a number or a threshold"):
        bg.combine(model, x, n_clusters="icl")
    if kind == "tails":
        with pytest.raises(ValueError, match="follows Gaussian densities"):
            bg.combine(model, x, "ridgeline")


@pytest.mark.slow
def test_tails_at_the_end_of_their_range_have_no_curvature():
    x = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    model = bg.GaussianMixture(1, student_t="learn").fit(x)
    with pytest.raises(ValueError, match="those of component 0 are at its end"):
        model.uncertainty(x)
    assert model.uncertainty(x, "bootstrap", n_draws=20).draws["degrees_of_freedom"].shape == (20, 1)


@pytest.mark.slow
def test_the_page_says_how_sure_the_fit_of_wrong_rows_is():
    """The figures of docs/how-to/outliers-and-heavy-tails.md."""
    page = " ".join((Path(__file__).parents[1] / "docs/how-to/outliers-and-heavy-tails.md").read_text(encoding="utf-8").split())
    geyser, rng = bg.load_dataset("faithful").x, np.random.default_rng(0)
    x = np.concatenate([geyser, np.column_stack([rng.choice(geyser[:, 0], 20), rng.uniform(0, 180, 20)])])
    found = bg.GaussianMixture(2, noise="box", random_state=0).fit(x).uncertainty(x).intervals()
    alone = bg.GaussianMixture(2, random_state=0).fit(geyser).uncertainty(geyser).intervals()
    noise, (waits, same) = found["noise_weight"], (tuple(part[0, 1] for part in each["means"]) for each in (found, alone))
    assert f"noise has {noise.mean:.3f} of the weight, 94 % interval {noise.lower:.3f} to {noise.upper:.3f};" in page
    assert "larger group is {:.1f} minutes, {:.1f} to {:.1f}, as it is {:.1f}, {:.1f} to {:.1f}".format(*at(waits), *at(same)) in page


def at(parts: tuple) -> tuple:
    mean, _, lower, upper = parts
    return mean, lower, upper
