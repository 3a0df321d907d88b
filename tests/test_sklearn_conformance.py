"""The estimators are what scikit-learn takes for estimators, although the library does not import it.

With BAYESGMM_ALL_CHECKS set, its checks run on the estimators as they come; without, on ones that compile in less time.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import unittest
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_clusterer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

import bayesgmm as bg

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
DATA = pd.DataFrame(X, columns=["a", "b"])
QUICK = {"n_init": 1, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """The checks use dozens of shapes, and their time goes into compiling for each."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


FLAT = "A mixture for each class is refused where a class has a constant column or a few equal rows, as these data have."
FAILING = dict.fromkeys(
    ("check_sample_weights_shape", "check_sample_weights_not_overwritten", "check_sample_weight_equivalence_on_dense_data"), FLAT
)
"""Checks that a discriminant analysis by mixtures must fail, and why."""

NUMBERS = {"KMeans": 54, "GaussianMixture": 48, "BayesianGaussianMixture": 48, "DiscriminantAnalysis": 62}
"""Checks of each estimator in scikit-learn 1.9.1; one of each is skipped, that of `test_arrays_under_scipys_array_api`."""


def checks() -> list:
    """Every check of scikit-learn's for every estimator; that they inherit nothing is what it warns about."""
    everything = bool(os.environ.get("BAYESGMM_ALL_CHECKS"))
    light = {} if everything else {"n_init": 1, "covariance_type": "spherical"}
    law = {"weight_concentration_prior_type": "dirichlet_distribution"} if light else {}
    found = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimator .* does not inherit from")
        discriminant = bg.DiscriminantAnalysis("gaussians", covariance_type="diag")  # mixtures need more rows than the checks have
        models = (bg.KMeans(), bg.GaussianMixture(**light), bg.BayesianGaussianMixture(**light, **law), discriminant)
        for model in models + ((bg.DiscriminantAnalysis(),) if everything else ()):
            for estimator, check in estimator_checks_generator(model):
                name = getattr(check, "func", check).__name__
                fails = FAILING if getattr(model, "method", "") == "mixtures" else {}
                marks = pytest.mark.xfail(reason=fails[name], strict=True, raises=ValueError) if name in fails else ()
                found.append(pytest.param(estimator, check, id=f"{type(model).__name__}-{name}", marks=marks))
    return found


@pytest.mark.parametrize(("estimator", "check"), checks())
def test_scikit_learns_own_checks(estimator, check):
    try:
        check(estimator)
    except unittest.SkipTest as reason:
        assert "SCIPY_ARRAY_API is not set" in str(reason)
        raise


@pytest.mark.parametrize("name", NUMBERS)
def test_no_check_is_lost(name):
    """As many as in the version that was counted, or in others not far fewer."""
    cls = getattr(bg, name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimator .* does not inherit from")
        n = sum(1 for _ in estimator_checks_generator(cls()))
    print(f"\nscikit-learn {sklearn.__version__}: {n} checks of {name}")
    assert n == NUMBERS[name] if sklearn.__version__ == "1.9.1" else n > 0.8 * NUMBERS[name]


ARRAYS = """
import warnings
import bayesgmm as bg
from sklearn.utils.estimator_checks import check_array_api_input
warnings.simplefilter("ignore")
light = {"n_init": 1, "covariance_type": "spherical"}
for model in (bg.KMeans(n_init=1), bg.GaussianMixture(**light), bg.BayesianGaussianMixture(**light), bg.DiscriminantAnalysis("gaussians")):
    check_array_api_input(type(model).__name__, model, array_namespace="numpy", expect_only_array_outputs=False)
print("fine")
"""


@pytest.mark.slow
def test_arrays_under_scipys_array_api():
    """The check that is skipped unless SciPy, when it is imported, is told to dispatch on kinds of arrays."""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", ARRAYS], capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout == "fine\n", done.stderr


def test_kinds():
    assert is_clusterer(bg.KMeans())
    assert get_tags(bg.KMeans()).transformer_tags is not None
    for mixture in (bg.GaussianMixture(), bg.BayesianGaussianMixture()):
        assert get_tags(mixture).estimator_type == "density_estimator"
        assert get_tags(mixture).transformer_tags is None


ESTIMATORS = [
    bg.KMeans(2, **QUICK),
    bg.GaussianMixture(2, covariance_type="spherical", means_init=X[[20, 0]].tolist(), **QUICK),
    bg.BayesianGaussianMixture(n_components=3, covariance_type="diag", moves=False, covariance_prior=np.ones(2), **QUICK),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_clone_has_the_parameters_and_not_the_fit(estimator):
    model = clone(estimator).fit(DATA)
    copy = clone(model)
    assert copy is not model and not copy.__sklearn_is_fitted__()
    for name, value in copy.get_params().items():
        np.testing.assert_equal(value, model.get_params()[name])
    np.testing.assert_array_equal(copy.fit(DATA).labels_, model.labels_)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_pickle_round_trip(estimator):
    model = clone(estimator).fit(DATA)
    copy = pickle.loads(pickle.dumps(model))
    assert vars(copy).keys() == vars(model).keys()
    np.testing.assert_array_equal(copy.predict(DATA), model.predict(DATA))
    assert copy.score(DATA) == model.score(DATA)


def test_pickle_keeps_64_bits_of_a_prior_given_as_jax_arrays():
    with jax.enable_x64(True):
        third = jax.numpy.asarray(1 / 3)
        components = bg.NormalWishart(third * np.ones((1, 2)), third[None], 12 * third[None], third * np.eye(2)[None], bg.Full(), False)
        prior = bg.Mixture(bg.Dirichlet(3 + third * np.ones(2)), components)
    model = bg.GaussianMixture(2, prior=prior, **QUICK).fit(X)
    copy = pickle.loads(pickle.dumps(model))
    for before, after in zip(jax.tree.leaves(prior), jax.tree.leaves(copy.prior), strict=True):
        assert after.dtype == np.float64
        np.testing.assert_array_equal(after, np.asarray(before))
    assert copy.fit(X).lower_bound_ == pytest.approx(model.lower_bound_, rel=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS[1:], ids=lambda e: type(e).__name__)
def test_at_the_end_of_a_pipeline(estimator):
    plain = Pipeline([("scale", StandardScaler()), ("mixture", clone(estimator))]).fit(DATA)
    named = clone(plain).set_output(transform="pandas").fit(DATA)
    assert named["mixture"].feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(named.predict(DATA), plain.predict(DATA))
    assert named.score(DATA) == plain.score(DATA)
    weighted = clone(plain).fit(DATA, mixture__sample_weight=np.r_[np.ones(20), np.zeros(10)])
    assert weighted.score(DATA) != plain.score(DATA)
    assert "GaussianMixture" in plain._repr_html_()


def test_kmeans_as_a_step_of_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), bg.KMeans(2, **QUICK), bg.GaussianMixture(2, **QUICK))
    assert pipeline.fit(DATA).predict(DATA).shape == (30,)
    assert pipeline[:-1].transform(DATA).shape == (30, 2)


def test_kmeans_in_a_pipeline_with_frames():
    pipeline = make_pipeline(StandardScaler(), bg.KMeans(2, **QUICK)).set_output(transform="pandas")
    distances = pipeline.fit(DATA).transform(DATA)
    assert list(distances.columns) == ["kmeans0", "kmeans1"]


def test_grid_search_finds_the_number_of_components():
    order = np.random.default_rng(0).permutation(30)
    search = GridSearchCV(bg.GaussianMixture(**QUICK), {"n_components": [1, 2], "covariance_type": ["diag"]}, cv=3, error_score="raise")
    search.fit(X[order])
    assert search.best_params_["n_components"] == 2
    assert search.predict(X).shape == (30,)
    assert search.score(X) == search.best_estimator_.score(X)


def test_cross_validation_with_weights():
    order = np.random.default_rng(0).permutation(30)
    weights = np.ones(30)
    scores = cross_val_score(bg.KMeans(2, **QUICK), X[order], params={"sample_weight": weights}, cv=3, error_score="raise")
    assert np.isfinite(scores).all() and (scores < 0).all()


def test_parameters_are_stored_as_given_and_not_checked_before_fit():
    model = bg.GaussianMixture(n_components="many", means_init=DATA)
    assert model.get_params()["n_components"] == "many"
    assert model.means_init is DATA
    assert repr(model).startswith("GaussianMixture(n_components='many', means_init=")
    assert repr(bg.KMeans()) == "KMeans()"
    assert repr(bg.BayesianGaussianMixture(n_components=3, prune=False)) == "BayesianGaussianMixture(n_components=3, prune=False)"
    assert len(repr(bg.GaussianMixture(init_params=np.zeros(10_000, int)))) < 120


SCRIPT = """
import sys
import numpy as np
import bayesgmm as bg
x = np.arange(20.0).reshape(10, 2) ** 1.5
model = bg.KMeans(2, n_init=1, random_state=0).fit(x)
model.predict(x), model.score(x), repr(model), model.get_params()
try:
    bg.KMeans().predict(x)
except bg.estimators.NotFittedError as error:
    assert isinstance(error, ValueError) and isinstance(error, AttributeError)
else:
    raise SystemExit("no error")
assert "sklearn" not in sys.modules, "sklearn was imported"
import pickle
from sklearn.exceptions import NotFittedError
try:
    bg.KMeans().predict(x)
except NotFittedError as error:
    assert isinstance(error, bg.estimators.NotFittedError)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, NotFittedError) and str(again) == str(error)
    print("fine")
"""


def test_nothing_needs_scikit_learn():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.stdout == "fine\n", done.stderr
