"""Discriminant analysis: mclust's figures, scikit-learn's linear and quadratic rules, and laws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, zscore
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB

import bayesgmm as bg
from bayesgmm.analysis.classification import brier, stratified

FOLDER = Path(__file__).parent / "reference"
MCLUST = json.loads((FOLDER / "discriminant.json").read_text())["fits"]
THYROID = pd.read_csv(FOLDER / "thyroid.csv")
IRIS = bg.load_dataset("iris")
X, SPECIES = IRIS.x, np.asarray(IRIS.labels)


@pytest.fixture(scope="module")
def iris():
    """The structures that mclust chooses among ours, so that few programs are compiled."""
    return bg.DiscriminantAnalysis(n_components=(1, 2), covariance_type=("full", "tied")).fit(X, SPECIES)


def assert_mclusts(model, x, y, entry, tolerance, n_seeds):
    judged = model.evaluate(x, y)
    assert model.n_parameters_ == round(entry["df"])
    assert model.log_likelihood_ == pytest.approx(entry["loglik"], abs=tolerance)
    assert -model.bic_ == pytest.approx(entry["bic"], abs=2 * tolerance)
    assert judged.error == pytest.approx(entry["training_error"], abs=1e-12)
    assert judged.brier == pytest.approx(entry["training_brier"], abs=1e-6)
    left_out = [model.cross_validate(x, y, random_state=seed) for seed in range(n_seeds)]
    for name, of in (("error", "cv_error"), ("brier", "cv_brier")):
        assert np.mean([getattr(found, name) for found in left_out]) == pytest.approx(entry[of], abs=1.5 * entry["cv_se"])


@pytest.mark.slow
def test_mclusts_mixtures_of_iris(iris):
    """EEE with two components for setosa, one Gaussian for the others; mclust stops 9e-5 nats before the optimum."""
    assert iris.n_components_.tolist() == [2, 1, 1] and iris.covariance_types_[0] == "tied"
    entry = MCLUST["iris_MclustDA"]
    assert [entry["models"][name]["G"] for name in iris.classes_] == [2, 1, 1]
    assert iris.log_likelihood_ > entry["loglik"]
    assert_mclusts(iris, X, SPECIES, entry, 2e-4, 1)


def test_mclusts_gaussians_of_thyroid():
    """VVI: naive Bayes."""
    x, y = THYROID.drop(columns="diagnosis"), THYROID["diagnosis"]
    model = bg.DiscriminantAnalysis("gaussians").fit(x, y)
    assert set(model.covariance_types_) == {"diag"}
    assert_mclusts(model, x, y, MCLUST["thyroid_EDDA"], 1e-7, 3)


@pytest.mark.slow
def test_mclusts_gaussians_of_iris():
    """VEV, which mclust chooses among all fourteen."""
    model = bg.DiscriminantAnalysis("gaussians", covariance_type=("VEV", "full", "tied")).fit(X, SPECIES)
    assert set(model.covariance_types_) == {"VEV"}
    assert_mclusts(model, X, SPECIES, MCLUST["iris_EDDA"], 1e-5, 1)


def of_classes(x, y, entry) -> dict:
    """For each class our optimum of mclust's structure and number of components."""
    return {name: bg.select(x[y == name], one["G"], one["modelName"], criterion="bic").best for name, one in entry["models"].items()}


def judged(fits: dict, x, y) -> tuple[float, float, int]:
    """Log-likelihood of rows whose classes are not told, training error and number of parameters."""
    joint = np.stack([fit.score_samples(x) + np.log(np.mean(y == name)) for name, fit in fits.items()], 1)
    wrong = np.array(list(fits))[joint.argmax(1)] != y
    return logsumexp(joint, axis=1).sum(), wrong.mean(), sum(fit.n_parameters_ for fit in fits.values())


@pytest.mark.slow
def test_mclusts_mixtures_of_thyroid():
    """The same optima; what is maximised is the likelihood of each class, so that that of all rows may be a little lower at the top."""
    x, y, entry = THYROID.drop(columns="diagnosis").to_numpy(float), np.array(THYROID["diagnosis"].tolist()), MCLUST["thyroid_MclustDA"]
    log_likelihood, error, n_parameters = judged(of_classes(x, y, entry), x, y)
    assert log_likelihood == pytest.approx(entry["loglik"], abs=0.01) and n_parameters == entry["df"]
    assert error * 215 == pytest.approx(7) and entry["training_error"] * 215 == pytest.approx(8)


@pytest.mark.slow
def test_gaussians_of_wine_are_more_likely_than_mclusts():
    """VVE: other common axes."""
    wine, entry = load_wine(), MCLUST["wine13_EDDA"]
    model = bg.DiscriminantAnalysis("gaussians", covariance_type="VVE").fit(wine.data, wine.target)
    assert model.n_parameters_ == round(entry["df"]) and model.evaluate(wine.data, wine.target).error == entry["training_error"] == 0
    assert 5.9 < model.log_likelihood_ - entry["loglik"] < 5.91 and 11.8 < -model.bic_ - entry["bic"] < 11.82


@pytest.mark.slow
def test_mclusts_mixtures_of_wine_rest_on_a_component_of_two_rows():
    """It counts as collapsed here, so that the search ends elsewhere; from its rows the likelihood is mclust's, and a little more."""
    wine, entry = load_wine(), MCLUST["wine13_MclustDA"]
    x, y = wine.data, (wine.target + 1).astype(str)
    fits = of_classes(x, y, entry)
    assert not any(fit.collapsed_ for fit in fits.values())
    third = x[y == "3"]
    start = fcluster(linkage(zscore(third), "ward"), 3, "maxclust") - 1
    with pytest.warns(bg.FitWarning, match="holds only rows"):
        thin = bg.GaussianMixture(3, covariance_type="VEI", init_params=start, max_iter=5000).fit(third)
    assert [len(found.rows) for found in thin.collapsed_] == [2]
    log_likelihood, error, n_parameters = judged(fits | {"3": thin}, x, y)
    assert 0 < log_likelihood - entry["loglik"] < 0.5 and error == 0 and n_parameters == entry["df"]


@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        ("tied", LinearDiscriminantAnalysis(solver="lsqr")),
        ("full", QuadraticDiscriminantAnalysis(store_covariance=True)),
        ("diag", GaussianNB(var_smoothing=0)),
    ],
)
def test_scikit_learns_rules(kind, peer):
    """Probabilities of the same rule, written out; the peers divide by n - 1 or not, so they are compared by their means and labels."""
    model = bg.DiscriminantAnalysis("gaussians", covariance_type=kind).fit(X, SPECIES)
    peer.fit(X, SPECIES)
    assert (model.predict(X) == peer.predict(X)).mean() > 0.99
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=0.06)
    if kind == "diag":
        np.testing.assert_allclose(model.predict_log_proba(X), peer.predict_log_proba(X), rtol=1e-7, atol=1e-10)


def test_bayes_rule_by_hand():
    model = bg.DiscriminantAnalysis("gaussians", covariance_type="tied", priors=[0.5, 0.3, 0.2]).fit(X, SPECIES)
    groups = [X[SPECIES == c] for c in model.classes_]
    pooled = sum(np.cov(g.T, bias=True) * len(g) for g in groups) / len(X)
    scores = np.stack([multivariate_normal.logpdf(X, g.mean(0), pooled) for g in groups], 1)
    np.testing.assert_allclose(model.log_densities(X), scores, rtol=1e-9)
    joint = scores + np.log([0.5, 0.3, 0.2])
    np.testing.assert_allclose(model.predict_log_proba(X), joint - logsumexp(joint, axis=1, keepdims=True), atol=1e-8)
    assert model.log_likelihood_ == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-10)
    assert model.n_parameters_ == 3 * 4 + 10


def test_priors_and_rows_far_away():
    equal = bg.DiscriminantAnalysis("gaussians", covariance_type="full", priors="equal").fit(X[:120], SPECIES[:120])
    np.testing.assert_allclose(equal.priors_, 1 / 3)
    shares = bg.DiscriminantAnalysis("gaussians", covariance_type="full").fit(X[:120], SPECIES[:120])
    np.testing.assert_allclose(shares.priors_, [5 / 12, 5 / 12, 2 / 12])
    never = bg.DiscriminantAnalysis("gaussians", covariance_type="full", priors=[0.5, 0.5, 0]).fit(X, SPECIES)
    assert (never.predict(X) != never.classes_[2]).all() and np.isfinite(never.log_likelihood_)
    far = equal.predict_proba([[1e5, 1e5, -1e5, 0.0]])
    assert np.isfinite(far).all() and far.sum() == pytest.approx(1)


def test_weights_are_repeated_rows():
    weight = np.random.default_rng(0).integers(0, 3, 150)
    for kind in ("full", "tied_diag"):
        a = bg.DiscriminantAnalysis("gaussians", covariance_type=kind).fit(X, SPECIES, sample_weight=weight)
        b = bg.DiscriminantAnalysis("gaussians", covariance_type=kind).fit(np.repeat(X, weight, 0), np.repeat(SPECIES, weight))
        assert a.bic_ == pytest.approx(b.bic_, rel=1e-10)
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-9)
        once, more = a.evaluate(X, SPECIES, weight), b.evaluate(np.repeat(X, weight, 0), np.repeat(SPECIES, weight))
        assert once.brier == pytest.approx(more.brier) and (once.confusion == more.confusion).all()


@pytest.mark.slow
def test_bayesian_classes_predict_by_student_t():
    """Densities of classes chosen by evidence are posterior predictives, wider than Gaussians."""
    model = bg.DiscriminantAnalysis(criterion="evidence", n_components=1, covariance_type="diag").fit(X, SPECIES)
    assert all(np.isfinite(density.dof).all() for density in model.densities_)
    assert model.evaluate(X, SPECIES).error < 0.06
    alone = bg.select(X[:50], 1, "diag").best
    np.testing.assert_allclose(model.log_densities(X[:5])[:, 0], alone.score_samples(X[:5]), rtol=1e-9)


def test_saved_and_read_again(iris, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = bg.DiscriminantAnalysis("gaussians", covariance_type="full").fit(frame, SPECIES)
    for fitted, x in ((model, frame), (iris, X)):
        fitted.save(tmp_path / "model")
        again = bg.load(tmp_path / "model")
        assert repr(again) == repr(fitted)
        np.testing.assert_array_equal(again.predict_proba(x), fitted.predict_proba(x))
        np.testing.assert_array_equal(again.predict(x), fitted.predict(x))
    assert again.densities_[0].feature_names == ("x0", "x1", "x2", "x3") and model.densities_[0].feature_names == tuple("abcd")


def test_the_brier_score_and_folds():
    certain = np.eye(3)[[0, 1, 2, 0]]
    assert brier(certain, np.array([0, 1, 2, 0]), np.ones(4)) == 0
    assert brier(certain, np.array([1, 2, 0, 1]), np.ones(4)) == 1
    assert brier(np.array([[0.8, 0.2]]), np.array([0]), np.ones(1)) == pytest.approx(0.04)
    label = np.repeat([0, 1, 2], [50, 13, 7])
    fold = stratified(label, 5, 0)
    for c, n in ((0, 50), (1, 13), (2, 7)):
        counts = np.bincount(fold[label == c], minlength=5)
        assert counts.sum() == n and counts.max() - counts.min() <= 1
    counts = np.bincount(fold, minlength=5)
    assert counts.max() - counts.min() <= 1 and (fold == stratified(label, 5, 0)).all() and (fold != stratified(label, 5, 1)).any()


def test_scikit_learns_cross_validation():
    scores = cross_val_score(bg.DiscriminantAnalysis("gaussians", covariance_type="tied"), X, SPECIES, cv=5, error_score="raise")
    assert 0.95 < scores.mean() <= 1


BAD = [
    ({"y": SPECIES[:149]}, r"y must have shape \(150,\)"),
    ({"y": np.zeros(150)}, "at least two classes; it has one class only"),
    ({"y": X[:, 0]}, "continuous"),
    ({"y": np.r_[SPECIES[:149].astype(object), [None]]}, "None at row 149"),
    ({"y": np.r_[np.zeros(75), np.ones(74), [np.nan]]}, "NaN or None at row 149"),
    ({"y": None}, "requires y to be passed"),
    ({"y": np.r_[SPECIES[:149].astype(object), [3]]}, "mixes text and numbers"),
    ({"X": np.where(X > 7, np.nan, X)}, "NaN"),
    ({"sample_weight": (SPECIES != "setosa").astype(float)}, "The class 'setosa' has no rows of positive weight"),
    ({"method": "lda"}, "method must be one of 'mixtures', 'gaussians'"),
    ({"criterion": "evidence"}, "criterion must be one of 'bic', 'aic'"),
    ({"covariance_type": "EEX"}, "covariance_type must be one of"),
    ({"priors": [0.5, 0.5]}, "priors must have shape"),
    ({"priors": "flat"}, "'equal'"),
    ({"method": "mixtures", "y": np.r_[[0], np.ones(149, int)]}, "Class 0 could not be fitted"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_misuse_is_told(change, message):
    given = {"X": X, "y": SPECIES, "sample_weight": None} | {k: v for k, v in change.items() if k in ("X", "y", "sample_weight")}
    options = {"method": "gaussians"} | {k: v for k, v in change.items() if k not in given}
    with pytest.raises(ValueError, match=message):
        bg.DiscriminantAnalysis(**options).fit(**given)


def test_misuse_of_a_fitted_model_is_told():
    with pytest.raises(ValueError, match="not fitted yet"):
        bg.DiscriminantAnalysis().predict(X)
    model = bg.DiscriminantAnalysis("gaussians", covariance_type="full").fit(X, SPECIES)
    with pytest.raises(ValueError, match="y has the class 'rosa', but the model knows"):
        model.score(X[:1], ["rosa"])
    with pytest.raises(ValueError, match="n_folds must be"):
        model.cross_validate(X, SPECIES, n_folds=51)
    with pytest.raises(ValueError, match="3 features"):
        model.predict(X[:, :3])
    with pytest.warns(bg.FitWarning, match="too few rows"):
        bg.DiscriminantAnalysis("gaussians", covariance_type="full").fit(X[[0, 1, 2, 50, 51, 52]], SPECIES[[0, 1, 2, 50, 51, 52]])
