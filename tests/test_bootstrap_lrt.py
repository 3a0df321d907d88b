"""The bootstrap likelihood-ratio test: what it draws, what it fits, and what it decides."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from oracles import gaussian_mixture_log_likelihood
from scipy.special import softmax
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.analysis.bootstrap import clusterings, compare, divisions, draw, neighbourhood, one_component, widened
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import PointWeights
from bayesgmm.estimators.selection_options import make_frames, make_problems
from bayesgmm.plots import plot_bootstrap_lrt

mpl.use("Agg")
X = bg.load_dataset("diabetes").x


def mixture(name: str, tied: bool) -> Mixture:
    """Two components far apart and an empty one."""
    structure = STRUCTURES[name]
    dense = np.array([[[2.0, 0.6], [0.6, 0.5]], [[0.3, 0.0], [0.0, 0.3]], [[1.0, 0.0], [0.0, 1.0]]])[: 1 if tied else 3]
    packed = {2: dense, 1: np.diagonal(dense, axis1=1, axis2=2), 0: dense[:, 0, 0]}[structure.rank]
    means = jnp.array([[0.0, 0.0], [30.0, 10.0], [0.0, 0.0]])
    return Mixture(PointWeights(jnp.array([0.7, 0.3, 0.0])), Gaussian(means, jnp.asarray(packed), structure))


@pytest.mark.parametrize(("name", "tied"), [("full", True), ("diag", False), ("spherical", False)])
def test_draws_have_the_moments_of_the_mixture(name, tied, x64):
    point = mixture(name, tied)
    x = np.asarray(draw(jax.random.key(0), point, 40_000))
    second = x[:, 0] > 15
    assert second.mean() == pytest.approx(0.3, abs=0.01)
    for k, rows in enumerate((x[~second], x[second])):
        np.testing.assert_allclose(rows.mean(0), point.components.mean[k], atol=0.03)
        covariance = point.structure.to_dense(point.components.covariance[0 if tied else k], 2)
        np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.06)


def test_starts_are_responsibilities_of_one_component_more(x64):
    x, weight = jnp.asarray(np.random.default_rng(0).normal(size=(50, 2))), jnp.ones(50).at[45:].set(0)
    resp = jnp.pad(jnp.asarray(np.random.default_rng(1).dirichlet([1, 1], 50)), ((0, 0), (0, 2)))
    divided = jax.jit(divisions)(jax.random.key(0), resp, x, weight, 2)
    assert divided.shape == (3, 50, 4)
    np.testing.assert_allclose(divided[:2].sum(2), 1)
    heaviest = int((weight @ resp)[:2].argmax())
    np.testing.assert_allclose(divided[0][:, heaviest] + divided[0][:, 2], resp[:, heaviest])
    assert 5 < (np.asarray(divided[0][:, 2]) > 0).sum() < 45
    near = jax.jit(neighbourhood)(jax.random.key(3), resp, x, weight, 2, 10)
    assert near[:, 2].sum() == 11 and (near[45:] == resp[45:]).all()
    clustered = jax.jit(clusterings)(jax.random.key(0), x, weight, jnp.arange(4) < 3)
    assert (clustered.sum(1) == 1).all() and (clustered[:, :3].sum(0) > 0).all() and clustered[:, 3].sum() == 0


@pytest.fixture(scope="module")
def tested():
    return bg.bootstrap_lrt(X, n_bootstrap=39, verbose=False)


def test_diabetes_has_three_components(tested):
    """The conclusion of mclust's documentation: p .001, .001 and .283 with 999 sets, statistics 369.985, 121.107 and 19.901.

    Its fits with 2 and 4 components are poorer optima than those found here, the others are the same to 0.03 nats.
    """
    t = tested.table
    assert tested.n_components == 3 and list(t["n_components"]) == [1, 2, 3]
    assert (t["p_value"][:2] == 1 / 40).all() and t["p_value"][2] > 0.05
    np.testing.assert_allclose(t["statistic"], 2 * (t["log_likelihood_next"] - t["log_likelihood"]), atol=0.02)
    published = t["log_likelihood"][0] + np.cumsum([369.985, 121.107, 19.901]) / 2
    assert (t["log_likelihood_next"] >= published - 0.001).all() and published[1] == pytest.approx(-2295.118, abs=0.001)
    one = -len(X) / 2 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(np.cov(X.T, bias=True))[1] + 3)
    assert t["log_likelihood"][0] == pytest.approx(one, abs=1e-6)


def test_p_values_count_the_sets_drawn(tested):
    for i, k in enumerate(tested.table["n_components"]):
        drawn = tested.samples[k]
        assert len(drawn) == 39 and (drawn >= 0).all() and drawn.std() > 1
        assert tested.table["p_value"][i] == (1 + (drawn >= tested.table["statistic"][i]).sum()) / 40


def test_the_text_and_the_picture(tested):
    lines = str(tested).splitlines()
    assert lines[0] == "3 components, full covariances (bootstrap likelihood-ratio test at level 0.05, 39 sets drawn)."
    assert lines[2].split()[:2] == ["K", "against"] and lines[3].split()[:2] == ["1", "2"] and len(lines) == 6
    axes = tested.plot()
    assert axes.get_xlabel() == "likelihood-ratio statistic, 3 against 4 components"
    assert axes.lines[0].get_xdata()[0] == tested.table["statistic"][2] and sum(p.get_height() for p in axes.patches) == 39
    given = mpl.pyplot.subplots()[1]
    assert plot_bootstrap_lrt(tested, 1, given) is given and "1 against 2" in given.get_xlabel()
    with pytest.raises(ValueError, match="one of those tested, 1, 2, 3; got 4"):
        tested.plot(4)
    mpl.pyplot.close("all")


def test_the_same_seed_gives_the_same_answer(tested):
    again = bg.bootstrap_lrt(X, n_bootstrap=39, max_components=1, verbose=False)
    np.testing.assert_array_equal(again.samples[1], tested.samples[1])
    assert again.n_components == 2 and "raise max_components" in str(again)
    assert list(again.table.to_pandas().columns) == ["n_components", "log_likelihood", "log_likelihood_next", "statistic", "p_value"]


def test_one_group_stays_one(capsys):
    x = np.random.default_rng(0).normal(size=(145, 3))
    found = bg.bootstrap_lrt(x, n_bootstrap=39, verbose=True)
    assert found.n_components == 1 and found.table["p_value"][0] > 0.05 and found.table["statistic"][0] > 0
    assert "bootstrap_lrt: 1 against 2 components" in capsys.readouterr().err


def one_pass(x, weights, means, covariances) -> float:
    """Log-likelihood after one pass of EM: Bishop (2006), 9.23-9.28."""
    parts = [np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covariances, strict=True)]
    resp = softmax(np.stack(parts, 1), axis=1)
    means = [r @ x / r.sum() for r in resp.T]
    covariances = [(r[:, None] * (x - m)).T @ (x - m) / r.sum() for r, m in zip(resp.T, means, strict=True)]
    return gaussian_mixture_log_likelihood(x, resp.mean(0), np.array(means), np.array(covariances))


def test_its_fits_are_maxima_of_the_likelihood(x64):
    """The data come first: the text-book formula gives their fit the likelihood stated, and one more pass adds next to nothing."""
    problems = make_problems(["full"], X, np.ones(len(X)))
    frame = make_frames(["full"], problems, None)["full"]
    fits = compare(frame, one_component(frame), 1, jax.random.key(0), 39, 5)
    best = frame.problem.coordinates.mixture_outward(jax.tree.map(lambda a: jnp.asarray(a[0]), fits.best))
    weights, components = np.asarray(best.weights.weights)[:2], best.components
    value = gaussian_mixture_log_likelihood(X, weights, np.asarray(components.mean)[:2], np.asarray(components.covariance)[:2])
    assert value == pytest.approx(fits.larger[0] - frame.log_jacobian, abs=1e-6)
    assert (np.asarray(best.weights.weights)[2:] == 0).all() and (fits.larger[1:] > fits.smaller[1:]).all()
    assert value <= one_pass(X, weights, np.asarray(components.mean)[:2], np.asarray(components.covariance)[:2]) < value + 1e-3
    assert widened(jax.tree.map(lambda a: jnp.asarray(a[0]), fits.best), 8).n_components == 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"covariance_type": "round"}, "covariance_type must be one of"),
        ({"max_components": 0}, "max_components must be a whole number of at least 1"),
        ({"n_bootstrap": 9.5}, "n_bootstrap must be a whole number"),
        ({"level": 0}, "level must be a number above 0"),
        ({"level": 2}, "level must be a number above 0, within"),
        ({"n_init": 1}, "n_init must be a whole number of at least 2"),
        ({"X": X[:9]}, "needs at least 10 rows; X has 9"),
        ({"X": X[:, 0]}, "Expected 2D array"),
    ],
)
def test_mistakes_are_explained(options, words):
    with pytest.raises(ValueError, match=words):
        bg.bootstrap_lrt(**{"X": X, "n_bootstrap": 19, **options})
