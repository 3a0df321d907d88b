"""What any mixture estimator must do, whatever its priors: the model-neutral laws that scikit-learn's own mixture tests hold, as ours.

Which of their tests corresponds to which of ours is the table in `sklearn_tests`.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from bad_input import message_of
from sklearn_tests import INAPPLICABLE, OURS

import bayesgmm as bg

pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")

KINDS = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
KEPT = {"em": ("full", "tied_spherical"), "vb": ("full", "diag")}
"""Structures that are tried by default with each estimator; the others are slow cases."""
SETTINGS = {"n_init": 1, "random_state": 0}
MAKERS = {
    "em": functools.partial(bg.GaussianMixture, 3, **SETTINGS),
    "vb": functools.partial(bg.BayesianGaussianMixture, n_components=3, moves=False, prune=False, **SETTINGS),
}
rng = np.random.default_rng(3)
LABELS = rng.permutation(np.repeat(np.arange(3), (30, 20, 14)))
X = (
    np.array([[0.0, 0.0], [4.0, 1.0], [-1.0, 5.0]])[LABELS]
    + rng.normal(size=(64, 2)) * np.array([[1.0, 0.6], [0.5, 1.2], [0.8, 0.8]])[LABELS]
)


@pytest.fixture(autouse=True, scope="module")
def _quick_compilation():
    """These laws hold however programs are compiled."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    fitted.cache_clear()


@functools.cache
def fitted(name: str, kind: str = "full"):
    return MAKERS[name](covariance_type=kind).fit(X)


def slow_unless(kept: bool):
    return () if kept else pytest.mark.slow


each_kind = pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(name, kind, marks=slow_unless(kind in KEPT[name])) for name in MAKERS for kind in KINDS]
)
both = pytest.mark.parametrize("name", MAKERS)


def dense(matrices, kind: str) -> np.ndarray:
    """Covariances or precisions in scikit-learn's shapes as matrices (K or 1, D, D)."""
    a, d = np.asarray(matrices), X.shape[1]
    if kind in ("full", "tied"):
        return a.reshape(-1, d, d)
    rows = np.broadcast_to(a.reshape(-1, d if "diag" in kind else 1), (a.size // (d if "diag" in kind else 1), d))
    return rows[:, :, None] * np.eye(d)


@each_kind
def test_the_bound_rises_with_every_pass_and_is_that_of_the_model(name, kind):
    """No pass lowers the objective beyond rounding, and the last one told is that of the parameters returned."""
    model = fitted(name, kind)
    path = np.asarray(model.lower_bounds_)
    assert len(path) > 2 and (np.diff(path) > -1e-10 * np.abs(path[0])).all()
    assert model.lower_bound_ == path[-1] and model.converged_ and model.n_iter_ >= 1


@each_kind
def test_precisions_are_inverse_covariances(name, kind):
    """Covariance times precision is the identity; the precision is the product of its upper Cholesky factor with its transpose."""
    model = fitted(name, kind)
    covariance, precision = dense(model.covariances_, kind), dense(model.precisions_, kind)
    np.testing.assert_allclose(covariance @ precision, np.broadcast_to(np.eye(2), covariance.shape), atol=1e-10)
    root = dense(model.precisions_cholesky_, kind)
    np.testing.assert_allclose(root @ np.swapaxes(root, 1, 2), precision, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.tril(root, -1), 0, atol=1e-14)


@each_kind
def test_labels_are_the_most_probable_components(name, kind):
    """Probabilities of a row sum to 1, the label is where they are largest, and the row table says the same."""
    model = fitted(name, kind)
    resp = model.predict_proba(X)
    np.testing.assert_allclose(resp.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), resp.argmax(1))
    np.testing.assert_array_equal(model.labels_, resp.argmax(1))


INITS = ("mixed", "kmeans", "k-means++", "random_from_data", "random")


STARTED = [(name, init, n_init) for name in MAKERS for init in INITS for n_init in (1, 3)]


@pytest.mark.parametrize(
    ("name", "init", "n_init"), [pytest.param(*case, marks=slow_unless(case[0] == "em" or case[1:] == ("kmeans", 1))) for case in STARTED]
)
def test_fit_predict_is_fit_and_then_predict(name, init, n_init):
    """For every kind of start, with one start and with several."""
    model = MAKERS[name](init_params=init, n_init=n_init)
    labels = model.fit_predict(X)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_array_equal(labels, MAKERS[name](init_params=init, n_init=n_init).fit(X).labels_)


@pytest.mark.parametrize("init", INITS)
def test_starts_have_means_of_their_own_within_the_data(init):
    """Before the first pass no two means are equal, none lies outside the rows, and the shapes are those of the fit."""
    model = MAKERS["em"](init_params=init, max_iter=0).fit(X)
    assert model.means_.shape == (3, 2) and len(np.unique(model.means_.round(10), axis=0)) == 3
    assert (model.means_ >= X.min(0)).all() and (model.means_ <= X.max(0)).all()


@pytest.mark.parametrize("name", ["em", pytest.param("vb", marks=pytest.mark.slow)])
def test_no_pass_and_one_pass(name):
    """``max_iter=0`` is the start as given, ``max_iter=1`` one pass after it; neither has converged."""
    resp = np.eye(3)[LABELS]
    none = MAKERS[name](init_params=resp, max_iter=0).fit(X)
    assert none.n_iter_ == 0 and not none.converged_
    if name == "em":
        order = np.argsort(-np.bincount(LABELS), kind="stable")
        means = np.stack([X[LABELS == k].mean(0) for k in order])
        np.testing.assert_allclose(none.means_, means, rtol=1e-10)
        np.testing.assert_allclose(none.covariances_, [np.cov(X[LABELS == k].T, bias=True) for k in order], rtol=1e-8)
    one = MAKERS[name](init_params=resp, max_iter=1).fit(X)
    assert one.n_iter_ == 1 and one.lower_bound_ > none.lower_bound_


@both
def test_a_warm_start_goes_on_where_the_last_fit_stopped(name):
    """Fits of one pass each, begun where the last ended, rise to the optimum of a long fit and see that they have converged."""
    model = MAKERS[name](max_iter=1, warm_start=True, tol=1e-7)
    bounds = []
    for _ in range(300):
        bounds.append(model.fit(X).lower_bound_)
        if model.converged_:
            break
    assert model.converged_ and 2 < len(bounds) < 300
    assert np.diff(bounds).min() > -1e-9
    assert bounds[-1] == pytest.approx(fitted(name).lower_bound_, abs=1e-3)
    again = MAKERS[name](max_iter=1).fit(X)
    assert again.fit(X).lower_bound_ == again.lower_bound_ == bounds[0] and not again.converged_


@both
def test_more_starts_are_never_worse(name):
    """The best of several starts is kept: no single one of theirs has a higher bound."""
    one = [MAKERS[name](init_params="random_from_data", random_state=seed).fit(X) for seed in (0, 1)]
    several = [MAKERS[name](init_params="random_from_data", random_state=seed, n_init=8).fit(X) for seed in (0, 1)]
    assert all(b.lower_bound_ >= a.lower_bound_ - 1e-6 for a, b in zip(one, several, strict=True))
    assert all(model.n_starts_ == 8 and 0 < model.restart_agreement_ <= 1 for model in several)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=slow_unless(kind in ("full", "spherical"))) for kind in KINDS])
def test_given_parameters_are_the_start(kind):
    """Weights, means and precisions together are the whole start, to the last digits, whatever the seed."""
    model = fitted("em", kind)
    given = {"weights_init": model.weights_, "means_init": model.means_, "precisions_init": model.precisions_}
    for seed in (0, 1):
        start = bg.GaussianMixture(3, covariance_type=kind, max_iter=0, random_state=seed, **given).fit(X)
        assert start.n_starts_ == 1
        for attribute in ("weights_", "means_", "precisions_", "covariances_"):
            np.testing.assert_allclose(getattr(start, attribute), getattr(model, attribute), rtol=1e-9, atol=1e-12, err_msg=attribute)


@both
def test_scores_and_criteria_are_what_their_names_say(name):
    """``score`` is the mean of ``score_samples``; BIC and AIC follow from the likelihood and the number of parameters."""
    model = fitted(name)
    assert model.score(X) == pytest.approx(model.score_samples(X).mean(), rel=1e-12)
    assert model.score_samples(X[:1]) == pytest.approx(model.score_samples(X)[0], rel=1e-12)
    assert model.n_parameters_ == 2 + 3 * 2 + 3 * 3
    assert model.bic(X) == pytest.approx(-2 * model.log_likelihood_ + 17 * np.log(64), rel=1e-12)
    assert model.aic(X) == pytest.approx(-2 * model.log_likelihood_ + 2 * 17, rel=1e-12)
    if name == "em":
        assert model.log_likelihood_ == pytest.approx(64 * model.score(X), rel=1e-12)
        assert model.lower_bound_ == pytest.approx(model.log_likelihood_, rel=1e-10)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=slow_unless(kind == "full")) for kind in KINDS])
def test_one_component_in_one_column_has_the_bic_of_the_text_book(kind):
    """Mean and variance of the rows, and n (log 2 pi variance + 1) + 2 log n, whatever the structure and the seed."""
    x = X[:, :1]
    for seed in (0, 1):
        model = bg.GaussianMixture(1, covariance_type=kind, n_init=1, random_state=seed).fit(x)
        assert model.bic(x) == pytest.approx(64 * (np.log(2 * np.pi * x.var()) + 1) + 2 * np.log(64), rel=1e-10)
        assert model.means_.item() == pytest.approx(x.mean(), rel=1e-10) and model.weights_.item() == 1


def test_one_component_is_stable_on_few_rows():
    """Two rows: their mean, and their covariance with the smallest variance that is allowed, not NaN."""
    model = bg.GaussianMixture(1, covariance_type="diag", n_init=1, random_state=0).fit(np.array([[0.0, 1.0], [2.0, 5.0]]))
    np.testing.assert_allclose(model.means_, [[1, 3]], rtol=1e-10)
    np.testing.assert_allclose(model.covariances_, [[1, 4]], rtol=1e-8)
    assert model.converged_


def test_rows_that_repeat_are_survived():
    """Three distinct rows many times each, and a component for each: variances stay at their limit, or at what the prior says."""
    x = np.resize(X[:3], X.shape)
    with pytest.warns(bg.FitWarning, match="holds only rows"):
        em = MAKERS["em"]().fit(x)
    vb = MAKERS["vb"]().fit(x)
    for model in (em, vb):
        assert np.linalg.eigvalsh(model.covariances_).min() > 0
        assert np.isfinite(model.score_samples(x)).all() and np.isfinite(model.lower_bound_)


@both
def test_drawn_rows_have_the_moments_of_their_components(name):
    """Labels in order, as many as the weights say, means within 5 standard errors; one seed, one draw."""
    model = fitted(name)
    rows, labels = model.sample(6000)
    assert rows.shape == (6000, 2) and (np.diff(labels) >= 0).all()
    shares = np.bincount(labels, minlength=3) / 6000
    np.testing.assert_allclose(shares, model.weights_, atol=5 * 0.5 / np.sqrt(6000))
    for k in range(3):
        mine = rows[labels == k]
        np.testing.assert_array_less(np.abs(mine.mean(0) - model.means_[k]), 5 * mine.std(0) / np.sqrt(len(mine)))
        np.testing.assert_allclose(np.cov(mine.T), model.covariances_[k], atol=0.25 * np.trace(model.covariances_[k]))
    np.testing.assert_array_equal(rows, model.sample(6000)[0])


@both
def test_more_components_than_rows_are_refused(name):
    """In one sentence that says how many there are of each."""
    said = message_of(lambda: MAKERS[name]().set_params(n_components=10).fit(X[:6]))
    assert "10" in said and "6" in said


@both
def test_progress_is_told_when_asked_for(name, capsys):
    """``verbose=1`` names the estimator on standard error, ``verbose=0`` says nothing."""
    MAKERS[name](verbose=0).fit(X)
    assert capsys.readouterr() == ("", "")
    MAKERS[name](verbose=1).fit(X)
    out, err = capsys.readouterr()
    assert out == "" and type(fitted(name)).__name__ in err


def test_what_the_prior_is_told_is_the_prior():
    """Hyperparameters in units of the data; those not given are the documented ones."""
    given = {"mean_prior": [1.0, 2.0], "mean_precision_prior": 0.5, "degrees_of_freedom_prior": 7.0}
    given |= {"covariance_prior": np.array([[2.0, 0.5], [0.5, 1.0]]), "weight_concentration_prior": [1.0, 2.0, 3.0]}
    told = MAKERS["vb"](weight_concentration_prior_type="dirichlet_distribution", **given).fit(X).prior_
    np.testing.assert_allclose(told.components.mean, [[1, 2]], rtol=1e-12)
    np.testing.assert_allclose(told.components.scale, [[[2, 0.5], [0.5, 1]]], rtol=1e-12)
    assert told.components.mean_precision == 0.5 and told.components.dof == 7
    np.testing.assert_array_equal(np.sort(told.weights.concentration), [1, 2, 3])  # they follow the order of the components
    default = fitted("vb").prior_.components
    np.testing.assert_allclose(default.mean, X.mean(0)[None], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(default.scale, np.cov(X.T, bias=True)[None], rtol=1e-10)
    assert default.mean_precision == 0.01 and default.dof == 4


def test_weights_are_posterior_means():
    """Under a Dirichlet law: the concentrations after the rows, over their sum."""
    model = MAKERS["vb"](weight_concentration_prior_type="dirichlet_distribution", weight_concentration_prior=0.7).fit(X)
    after = np.asarray(model.posterior_.weights.concentration)
    assert after.sum() == pytest.approx(64 + 3 * 0.7, rel=1e-10)
    np.testing.assert_allclose(model.weights_, after / after.sum(), rtol=1e-10)


LAWS = ("dirichlet_process", "dirichlet_distribution")
RANDOM = [(k, scale, kind, law) for k in (1, 2, 10) for scale in (0.5, 1.0, 5.0) for kind in ("full", "diag") for law in LAWS]
USUAL = ((2, 0.5, "diag", LAWS[0]),)


@pytest.mark.parametrize(("k", "scale", "kind", "law"), [pytest.param(*case, marks=slow_unless(case in USUAL)) for case in RANDOM])
def test_rows_without_groups_are_fitted_alike_twice_and_the_bound_rises(k, scale, kind, law):
    """Uniform rows (100, 2) and priors ``scale`` times the identity: same bits twice, monotone bounds (a law of bnpy's)."""
    x = np.random.default_rng(8).uniform(size=(100, 2))
    prior = {"covariance_prior": scale * (np.eye(2) if kind == "full" else np.ones(2)), "weight_concentration_prior_type": law}
    options = {"n_components": k, "covariance_type": kind, "prune": False, "moves": False} | SETTINGS | prior
    one, two = (bg.BayesianGaussianMixture(**options).fit(x) for _ in range(2))
    assert np.diff(one.lower_bounds_).min(initial=0) > -1e-6
    assert one.lower_bounds_ == two.lower_bounds_
    for name in ("weights_", "means_", "covariances_", "labels_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


HERE = Path(__file__).parent


def test_each_test_that_is_named_exists():
    """The table names tests of ours that are there, and gives a reason for those it leaves out."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")}
    named = {name for ours in OURS.values() for value in ours.values() for name in value}
    for name in named:
        file, test = name.split("::")
        assert re.search(rf"def {test}\b", sources[file]), name
    assert all(reason.endswith(".") for reasons in INAPPLICABLE.values() for reason in reasons.values())


@pytest.mark.parametrize("file", OURS)
def test_the_table_has_all_of_scikit_learns_tests(file):
    """Every test function of the installed scikit-learn's mixture tests is in the table, once."""
    sklearn = pytest.importorskip("sklearn")
    path = Path(sklearn.__file__).parent / "mixture" / "tests" / file
    if not path.exists() or sklearn.__version__ != "1.9.1":
        pytest.skip("the table is that of scikit-learn 1.9.1")
    theirs = re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    assert sorted(theirs) == sorted([*OURS[file], *INAPPLICABLE[file]])
