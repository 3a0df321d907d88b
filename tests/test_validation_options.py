"""Options and hyperparameters that make no sense: one clear sentence that names option, expectation and value."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from bad_input import MAKERS, X, em, message_of, vb

import bayesgmm as bg
from bayesgmm.estimators.results import _judge
from bayesgmm.inference.loop import Outcome

BAD_OPTIONS = [
    ("em", {"n_components": 0}, "n_components must be a whole number of at least 1; got 0."),
    ("em", {"n_components": 2.5}, "n_components must be a whole number of at least 1; got 2.5."),
    ("em", {"n_components": "3"}, "n_components must be a whole number of at least 1; got '3'."),
    ("em", {"n_components": None}, "got None"),
    ("em", {"n_components": True}, "got True"),
    ("em", {"n_components": np.array([2])}, "got array([2])"),
    ("em", {"n_components": 31}, "n_components = 31 is more than the n_samples = 30 rows of X; ask for at most 30."),
    ("em", {"n_components": 10**20}, "within 1 to 1e+09"),
    ("vb", {"n_components": 31}, "n_components = 31 is more than the n_samples = 30"),
    ("vb", {"n_components": -1}, "got -1"),
    ("kmeans", {"n_clusters": 0}, "n_clusters must be a whole number of at least 1; got 0."),
    ("kmeans", {"n_clusters": 2.5}, "n_clusters must be a whole number"),
    ("kmeans", {"n_clusters": 31}, "n_clusters = 31 is more than the n_samples = 30"),
    ("em", {"covariance_type": "ful"}, "Did you mean 'full'?"),
    ("em", {"covariance_type": "Diag"}, "Did you mean 'diag'?"),
    ("em", {"covariance_type": None}, "covariance_type must be one of 'full', 'tied', 'diag', 'spherical'"),
    ("em", {"covariance_type": ["full"]}, "got ['full']"),
    ("em", {"init_params": "kmean"}, "Did you mean 'kmeans'?"),
    ("vb", {"weight_concentration_prior_type": "dirichlet"}, "Did you mean 'dirichlet_"),
    ("em", {"dtype": "float16"}, "dtype must be one of 'float64', 'float32'"),
    ("em", {"dtype": np.float64}, "dtype must be one of 'float64', 'float32'"),
    ("kmeans", {"init": "kmeans++"}, "Did you mean 'k-means++'?"),
    ("em", {"tol": -1e-3}, "tol must be a number of at least 0; got -0.001."),
    ("em", {"tol": np.nan}, "got nan"),
    ("em", {"tol": "small"}, "got 'small'"),
    ("em", {"tol": np.inf}, "got inf"),
    ("em", {"tol": 10**30}, "within 0 to 1e+09"),
    ("em", {"reg_covar": 2.5}, "reg_covar must be a number of at least 0, within 0 to 1; got 2.5."),
    ("em", {"max_iter": -1}, "max_iter must be a whole number of at least 0"),
    ("em", {"max_iter": 1e3}, "max_iter must be a whole number of at least 0; got 1000.0."),
    ("em", {"max_iter": 10**10}, "within 0 to 1e+07"),
    ("em", {"n_init": 0}, "n_init must be a whole number of at least 1"),
    ("em", {"chunk_size": 0}, "chunk_size must be a whole number of at least 1"),
    ("em", {"warm_start": "no"}, "warm_start must be True or False; got 'no'."),
    ("vb", {"prune": None}, "prune must be True or False; got None."),
    ("vb", {"moves": np.ones(2)}, "moves must be True or False"),
    ("em", {"random_state": -1}, "random_state must be a whole number of at least 0, a numpy generator or None; got -1."),
    ("em", {"random_state": 1.5}, "got 1.5"),
    ("em", {"random_state": "1"}, "got '1'"),
    ("em", {"random_state": True}, "got True"),
    ("em", {"random_state": np.random}, "random_state must be"),
    ("em", {"init_params": np.arange(30)}, "init_params as labels must lie in 0..1; got 0..29."),
    ("em", {"init_params": np.zeros(29, int)}, "got an array of shape (29,) and dtype int64"),
    ("em", {"init_params": np.zeros(30)}, "whole-number labels of shape (30,)"),
    ("em", {"init_params": np.ones((30, 2))}, "every row must sum to 1"),
    ("em", {"init_params": np.full((30, 2), np.nan)}, "every row must sum to 1"),
    ("em", {"init_params": None}, "got None"),
    ("em", {"init_params": [[1, 2], [3]]}, "init_params must be a method's name"),
    ("em", {"weights_init": [0.5, 0.6]}, "weights_init must not be negative and must sum to 1; got array([0.5, 0.6]), whose sum is 1.1."),
    ("em", {"weights_init": [1.5, -0.5]}, "must not be negative"),
    ("em", {"weights_init": [1.0]}, "weights_init must have shape (2,); got shape (1,)."),
    ("em", {"weights_init": ["a", "b"]}, "weights_init must be real numbers, of shape (2,); got ['a', 'b']."),
    ("em", {"means_init": X[:3]}, "means_init must have shape (2, 2); got shape (3, 2)."),
    ("em", {"means_init": X[:2] + 1j}, "means_init must be real numbers"),
    ("em", {"means_init": np.full((2, 2), np.nan)}, "means_init must be finite"),
    ("em", {"precisions_init": np.eye(2)}, "precisions_init must have shape (2, 2, 2); got shape (2, 2)."),
    ("em", {"precisions_init": -np.stack([np.eye(2)] * 2)}, "precisions_init must be symmetric and positive definite"),
    ("em", {"precisions_init": np.ones((2, 2, 2))}, "precisions_init must be symmetric and positive definite"),
    ("em", {"precisions_init": np.array([[[1, 0.5], [0.4, 1]]] * 2)}, "precisions_init must be symmetric"),
    ("em", {"precisions_init": [1, -1], "covariance_type": "spherical"}, "precisions_init must be positive; got array([ 1., -1.])."),
    ("em", {"prior": "Default"}, "prior must be None"),
    ("vb", {"mean_prior": [1, 2, 3]}, "mean_prior must have shape (2,); got shape (3,)."),
    ("vb", {"mean_prior": "ab"}, "mean_prior must be real numbers, of shape (2,); got 'ab'."),
    ("vb", {"mean_prior": [np.inf, 0]}, "mean_prior must be finite"),
    ("vb", {"covariance_prior": np.ones(2)}, "covariance_prior must have shape (2, 2); got shape (2,)."),
    ("vb", {"covariance_prior": -np.eye(2)}, "positive definite; got array([[-1., -0.], [-0., -1.]])."),
    ("vb", {"covariance_prior": np.array([[1, 2], [2, 1.0]])}, "positive definite"),
    ("vb", {"covariance_prior": np.ones((2, 2))}, "positive definite"),
    ("vb", {"covariance_prior": np.array([[1, 0.5], [0.2, 1]])}, "symmetric"),
    ("vb", {"covariance_prior": np.zeros((2, 2))}, "positive definite"),
    ("vb", {"covariance_prior": [[1e200, 0], [0, 1e-200]]}, "not beyond 1e+140"),
    ("vb", {"covariance_prior": [1, -1], "covariance_type": "diag"}, "covariance_prior must be positive; got array([ 1., -1.])."),
    ("vb", {"covariance_prior": [1, 1], "covariance_type": "spherical"}, "covariance_prior must be a single number; got shape (2,)."),
    ("vb", {"degrees_of_freedom_prior": 1}, "degrees_of_freedom_prior must be a number above 1; got 1."),
    ("vb", {"degrees_of_freedom_prior": 0, "covariance_type": "diag"}, "degrees_of_freedom_prior must be a number above 0; got 0."),
    ("vb", {"mean_precision_prior": 0}, "mean_precision_prior must be a number above 0; got 0."),
    ("vb", {"mean_precision_prior": [1, 1]}, "mean_precision_prior must be a number"),
    ("vb", {"weight_concentration_prior": 0}, "weight_concentration_prior must be a number above 0; got 0."),
    ("vb", {"weight_concentration_prior": 1e-300}, "within 1e-09 to 1e+09"),
    ("vb", {"weight_concentration_prior": (1, 2, 3)}, "pair (shape, rate)"),
    ("vb", {"weight_concentration_prior": (1, -1)}, "got -1"),
    ("kmeans", {"init": X[:3]}, "init must have shape (2, 2); got shape (3, 2)."),
    ("kmeans", {"max_iter": 0}, "max_iter must be a whole number of at least 1"),
    ("kmeans", {"n_init": 0}, "n_init must be a whole number of at least 1"),
    ("kmeans", {"tol": None}, "tol must be a number"),
]


NAMES = [f"{maker}-{'-'.join(options)}-{i}" for i, (maker, options, _) in enumerate(BAD_OPTIONS)]


@pytest.mark.parametrize(("maker", "options", "said"), BAD_OPTIONS, ids=NAMES)
def test_bad_options(maker, options, said):
    assert said in message_of(lambda: MAKERS[maker](**options).fit(X))


def test_dirichlet_concentrations():
    def fit(value):
        return vb(weight_concentration_prior_type="dirichlet_distribution", weight_concentration_prior=value).fit(X)

    assert "must have shape (3,); got shape (2,)" in message_of(lambda: fit([1, 1]))
    assert "must be positive" in message_of(lambda: fit([1, 1, 0]))
    assert "got nan" in message_of(lambda: fit(np.nan))


def normal_wishart(d=2):
    return bg.NormalWishart(np.zeros((1, d)), np.ones(1), np.array([d + 2.0]), np.eye(d)[None], bg.Full(), False)


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        (lambda: bg.Mixture(bg.Dirichlet(np.array([0.5, 0.5])), normal_wishart()), "concentrations of at least 1"),
        (lambda: bg.Mixture(bg.StickBreaking.prior(2, 0.5), normal_wishart()), "concentrations of at least 1"),
        (lambda: bg.Mixture(bg.StickBreaking.prior(2, (1.0, 1.0)), normal_wishart()), "fixed concentration"),
        (lambda: bg.Mixture(bg.Dirichlet(np.ones(3)), normal_wishart()), "prior is for 3 components, but n_components is 2."),
        (lambda: bg.Mixture(bg.Dirichlet(np.ones(2)), normal_wishart(3)), "for 3 features, but X has 2."),
    ],
)
def test_bad_priors_of_map(prior, said):
    assert said in message_of(lambda: em(prior=prior()).fit(X))


def test_a_prior_of_numpy_arrays_works():
    model = em(prior=bg.Mixture(bg.Dirichlet(np.array([2.0, 2.0])), normal_wishart())).fit(X)
    assert model.converged_ and model.means_.dtype == np.float64


def test_unknown_parameters_suggest_a_known_one():
    assert "Did you mean 'n_components'?" in message_of(lambda: em().set_params(n_component=3))
    model = em()
    with pytest.raises(ValueError):
        model.set_params(n_components=5, nonsense=1)
    assert model.n_components == 2


@pytest.mark.parametrize("maker", [em, vb])
def test_a_warm_start_from_another_model_is_refused(maker):
    def again(data=X, **changes):
        return model.set_params(**changes).fit(data)

    model = maker(warm_start=True).fit(X)
    bound = model.lower_bound_
    assert "the last fit, which had 2 columns, not 3" in message_of(lambda: again(np.column_stack([X, X[:, 0] ** 2])))
    assert "covariance_type='full', not 'tied'" in message_of(lambda: again(covariance_type="tied"))
    model.set_params(covariance_type="full")
    if maker is vb:
        assert "another law of the weights" in message_of(lambda: again(weight_concentration_prior=2.0))
        model.set_params(weight_concentration_prior=None)
        assert "2 components, more than n_components = 1" in message_of(lambda: again(n_components=1))
        model.set_params(n_components=3)
    assert again().lower_bound_ == pytest.approx(bound)


def test_whole_numbers_of_numpy_are_whole_numbers():
    for name, option, n in (("em", "n_components", 2), ("vb", "n_components", 3), ("kmeans", "n_clusters", 2)):
        given, plain = (MAKERS[name](**{option: k}).fit(X) for k in (np.int64(n), n))
        np.testing.assert_array_equal(given.labels_, plain.labels_)


def test_precisions_of_diagonal_components_are_numbers_not_a_matrix():
    model = em(covariance_type="diag", precisions_init=[[1.0, 2.0], [3.0, 4.0]]).fit(X)
    assert model.converged_
    assert "precisions_init must be positive" in message_of(lambda: em(covariance_type="diag", precisions_init=np.eye(2)).fit(X))


FAILED = SimpleNamespace(outcome=Outcome.NONFINITE)


@pytest.mark.parametrize(
    ("weight", "options", "told"),
    [
        (1e13, {}, "sample_weight is 1e+13 on average: rescale it"),
        (1e-13, {"reg_covar": 0}, "sample_weight is 1e-13 on average: rescale it"),
        (1, {"reg_covar": 0}, "of components far narrower than their distances reg_covar=0 may leave nothing but rounding"),
        (1, {}, "look for values of extreme size"),
    ],
)
def test_a_failed_fit_names_the_likely_cause(weight, options, told):
    """As the fit of two groups 1e9 widths apart without a floor ends, on most machines."""
    data = SimpleNamespace(total=weight * len(X), n_rows=len(X))
    with pytest.raises(bg.FitError, match=re.escape(f"infinite or not a number; {told}")):
        _judge(bg.GaussianMixture(**options), FAILED, data)


def test_the_number_of_components_comes_first():
    for kind in (bg.GaussianMixture, bg.BayesianGaussianMixture):
        assert kind(3).n_components == 3
