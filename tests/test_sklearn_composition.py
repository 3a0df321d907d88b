"""Estimators inside scikit-learn's meta-estimators: frames out, columns transformed, weights routed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesgmm as bg
from bayesgmm.estimators.base import ROUTED

ROWS = 40
X = np.random.default_rng(0).normal(size=(ROWS, 2)) + 6 * (np.arange(ROWS) % 2)[:, None]
FRAME = pd.DataFrame(X, columns=["a", "b"], index=np.arange(100, 100 + ROWS)).assign(c=1.0)
WEIGHT = np.r_[np.ones(30), np.zeros(10)]
QUICK = {"n_init": 1, "random_state": 0}
KMEANS = bg.KMeans(2, **QUICK)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_column_transformer_keeps_rows_together():
    """A frame comes out with the index of the rows, so that columns of other transformers stay beside them."""
    columns = ColumnTransformer([("k", clone(KMEANS), ["a", "b"])], remainder="passthrough").set_output(transform="pandas")
    found = columns.fit_transform(FRAME)
    assert list(found.columns) == ["k__kmeans0", "k__kmeans1", "remainder__c"] == list(columns.get_feature_names_out())
    pd.testing.assert_index_equal(found.index, FRAME.index)
    np.testing.assert_array_equal(found.iloc[:, :2], clone(KMEANS).fit_transform(FRAME[["a", "b"]]))


def test_what_transform_returns_survives_clone_and_saving(tmp_path):
    model = clone(clone(KMEANS).set_output(transform="polars")).fit(X)
    assert isinstance(model.transform(X), pl.DataFrame)
    model.save(tmp_path / "m.npz")
    assert isinstance(bg.load(tmp_path / "m.npz").transform(X), pl.DataFrame)
    assert model.transform(X).columns == list(model.get_feature_names_out())


def test_the_configuration_of_scikit_learn_counts_where_nothing_was_said():
    model = clone(KMEANS).fit(X)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(model.transform(X), pd.DataFrame)
        assert isinstance(clone(model).set_output(transform="default").fit_transform(X), np.ndarray)
    assert isinstance(model.transform(X), np.ndarray)


MODELS = {"kmeans": KMEANS, "em": bg.GaussianMixture(2, covariance_type="spherical", **QUICK)}
MODELS |= {"vb": bg.BayesianGaussianMixture(n_components=2, covariance_type="spherical", moves=False, **QUICK)}
MODELS |= {"classes": bg.DiscriminantAnalysis("gaussians", covariance_type="diag")}


def asking(name: str, wanted: bool | str = True):
    return clone(MODELS[name]).set_fit_request(sample_weight=wanted).set_score_request(sample_weight=wanted)


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("kmeans", "classes") else pytest.mark.slow) for name in MODELS])
def test_weights_are_routed_to_those_that_ask_for_them(name, routing):
    """Fit and score in cross-validation see the weights, by any name, and those that are not asked for stay out."""
    y = np.arange(ROWS) % 2
    model = MODELS[name]
    folds = [(np.arange(20, ROWS), np.arange(20)), (np.arange(20), np.arange(20, ROWS))]
    expected = [clone(model).fit(X[a], y[a], sample_weight=WEIGHT[a]).score(X[b], y[b], sample_weight=WEIGHT[b]) for a, b in folds]
    found = cross_val_score(asking(name), X, y, cv=folds, params={"sample_weight": WEIGHT})
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    named = cross_val_score(asking(name, "importance"), X, y, cv=folds, params={"importance": WEIGHT})
    np.testing.assert_allclose(named, expected, rtol=1e-12)
    fits_only = cross_val_score(asking(name).set_score_request(sample_weight=False), X, y, cv=folds, params={"sample_weight": WEIGHT})
    plain = [clone(model).fit(X[a], y[a], sample_weight=WEIGHT[a]).score(X[b], y[b]) for a, b in folds]
    np.testing.assert_allclose(fits_only, plain, rtol=1e-12)


def test_weights_that_nobody_asked_for_are_told(routing):
    with pytest.raises(UnsetMetadataPassedError, match="set_fit_request"):
        cross_val_score(clone(KMEANS), X, cv=2, params={"sample_weight": WEIGHT})


def test_every_method_that_takes_weights_may_ask_for_them(routing):
    for name, model in MODELS.items():
        for method in ROUTED:
            if hasattr(model, method):
                asked = getattr(clone(model), f"set_{method}_request")(sample_weight="importance")
                assert getattr(asked.get_metadata_routing(), method).requests == {"sample_weight": "importance"}, (name, method)


def test_routing_through_a_pipeline_and_a_search(routing, tmp_path):
    scaled = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asking("kmeans")).fit(X, sample_weight=WEIGHT)
    plain = clone(KMEANS).fit(StandardScaler().fit_transform(X), sample_weight=WEIGHT)
    np.testing.assert_array_equal(scaled[-1].cluster_centers_, plain.cluster_centers_)
    search = GridSearchCV(asking("kmeans"), {"n_clusters": [1, 2]}, cv=2).fit(X, sample_weight=WEIGHT)
    np.testing.assert_array_equal(search.best_estimator_.cluster_centers_, clone(KMEANS).fit(X, sample_weight=WEIGHT).cluster_centers_)
    search.best_estimator_.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(bg.load(tmp_path / "m.npz").predict(X), search.predict(X))
