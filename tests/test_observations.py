"""Mixtures fitted to rows of which numbers are missing, were measured with errors, or whose labels are known in part."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.inference.arrange import Known
from bayesgmm.inference.incomplete import never_together

IRIS, _, SPECIES = bg.load_dataset("iris")
FAITHFUL = bg.load_dataset("faithful").x


def holes(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Some numbers at random left out, but never all of a row."""
    gaps = np.random.default_rng(seed).random(x.shape) < share
    gaps[gaps.all(1), 0] = False
    return np.where(gaps, np.nan, x)


def fit(x, kind="full", model=bg.GaussianMixture, k=2, **options):
    return model(n_components=k, covariance_type=kind, random_state=0, **options).fit(x)


@pytest.mark.parametrize("model", [bg.GaussianMixture, bg.BayesianGaussianMixture])
def test_without_gaps_the_answer_is_the_same_to_the_last_digit(model):
    plain, allowed = fit(FAITHFUL, model=model), fit(FAITHFUL, model=model, missing="at_random")
    assert allowed.lower_bound_ == plain.lower_bound_
    np.testing.assert_array_equal(allowed.means_, plain.means_)


@pytest.mark.parametrize("kind", ["full", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("tied", "diag", "spherical"))])
@pytest.mark.parametrize("model", [bg.GaussianMixture, bg.BayesianGaussianMixture])
def test_observations_of_complete_rows_are_these_rows(kind, model):
    plain, known = fit(FAITHFUL, kind, model), fit(bg.Observations(FAITHFUL), kind, model)
    assert known.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)
    np.testing.assert_allclose(known.covariances_, plain.covariances_, rtol=1e-5)
    np.testing.assert_allclose(known.score_samples(bg.Observations(FAITHFUL)), plain.score_samples(FAITHFUL), atol=1e-5)


def naive_em(known, weight, k: int, means, covariance, weights, steps: int = 3000):
    """EM for rows known in part, a row and a group at a time, in plain numpy; log-likelihood, weights, means and covariances (K, D, D)."""
    x, d = known.values, known.values.shape[1]
    covariances = np.stack([covariance] * k)
    group = np.where(known.group < 0, -1 - np.arange(len(x)), known.group)
    before = -np.inf
    for _ in range(steps):
        scores, whole, rest = np.zeros((len(x), k)), np.zeros((len(x), k, d)), np.zeros((len(x), k, d, d))
        for n in range(len(x)):
            o = ~np.isnan(x[n])
            for j in range(k):
                own = covariances[j][np.ix_(o, o)]
                gain = covariances[j][:, o] @ np.linalg.inv(own)
                scores[n, j] = np.log(weights[j]) + multivariate_normal(means[j][o], own).logpdf(x[n][o])
                whole[n, j] = means[j] + gain @ (x[n] - means[j])[o]
                rest[n, j] = covariances[j] - gain @ covariances[j][o]
        scores = np.where(known.allowed[:, :k], scores, -np.inf)
        total, resp = 0.0, np.zeros((len(x), k))
        for number in np.unique(group):
            own = group == number
            joint = (weight[own] @ scores[own]) if number >= 0 else scores[own][0]
            total += logsumexp(joint) * (1 if number >= 0 else weight[own][0])
            resp[own] = np.exp(joint - logsumexp(joint))
        if total - before < 1e-10:
            break
        before, share = total, resp * weight[:, None]
        counts = share.sum(0)
        weights, means = counts / counts.sum(), np.einsum("nk,nkd->kd", share, whole) / counts[:, None]
        away = whole - means
        spread = np.einsum("nk,nki,nkj->kij", share, away, away) + np.einsum("nk,nkij->kij", share, rest)
        covariances = spread / counts[:, None, None]
    return total, weights, means, covariances


@pytest.mark.parametrize("chunk_size", [7, pytest.param(None, marks=pytest.mark.slow)])
def test_weights_labels_groups_gaps_and_chunks_together_are_brute_force(chunk_size):
    """One fit of everything at once, against a loop over rows in plain numpy from the same start."""
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    x = holes(rng.standard_normal((60, 3)) @ [[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]] + 1.7 * truth[:, None], 0.2, 1)
    weight = rng.uniform(0.5, 2, 60)
    labels = np.where(rng.random(60) < 0.2, truth, -1)
    group = np.where((truth == 0) & (rng.random(60) < 0.4), 0, -1)
    labels[group == 0] = -1
    rows = bg.Observations(x, labels=labels, groups=group)
    means, covariance = np.array([[0.0, 0, 0], [1.7, 1.7, 1.7]]), np.eye(3)
    given = {"means_init": means, "precisions_init": np.stack([covariance] * 2), "weights_init": [0.5, 0.5], "reg_covar": 0}
    options = {"missing": "at_random", "chunk_size": chunk_size, "tol": 1e-12}
    model = bg.GaussianMixture(2, random_state=0, **given, **options).fit(rows, sample_weight=weight)
    total, weights, centres, covariances = naive_em(rows.known, weight, 2, means, covariance, np.array([0.5, 0.5]))
    assert model.log_likelihood_ == pytest.approx(total, abs=1e-7)
    assert model.lower_bound_ == pytest.approx(total, abs=1e-7)
    np.testing.assert_allclose(model.weights_, weights, atol=1e-5)
    np.testing.assert_allclose(model.means_, centres, atol=1e-4)
    np.testing.assert_allclose(model.covariances_, covariances, atol=1e-4)
    assert (model.labels_[labels >= 0] == labels[labels >= 0]).all()
    assert len(set(model.labels_[group == 0])) == 1


def test_iris_with_a_fifth_missing_is_clustered_as_iris_is():
    """The clusters found, and what is filled in; scikit-learn's imputer iterates regressions on the same columns."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    complete = fit(IRIS, "tied", k=3)
    agreement = bg.adjusted_rand_index(complete.labels_, SPECIES)
    found, errors = [], []
    for seed in (0, 1):
        x = holes(IRIS, 0.2, seed)
        gaps = np.isnan(x)
        model = fit(x, "tied", k=3, missing="at_random")
        found.append(bg.adjusted_rand_index(model.predict(IRIS), SPECIES))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = IterativeImputer(random_state=0, max_iter=50).fit_transform(x)
        filled = (model.impute(x), peer, np.where(gaps, np.nanmean(x, 0), x))
        errors.append([np.sqrt(np.mean(((y - IRIS) / IRIS.std(0))[gaps] ** 2)) for y in filled])
    assert min(found) > agreement - 0.03
    ours, peers, means = np.mean(errors, 0)
    assert ours < peers < means


def test_draws_of_missing_numbers_scatter_about_what_is_expected():
    x = holes(FAITHFUL, 0.2, 0)
    for model in (bg.GaussianMixture, bg.BayesianGaussianMixture):
        fitted = fit(x, model=model, missing="at_random")
        draws, expected = fitted.impute(x, n_draws=400), fitted.impute(x)
        gaps = np.isnan(x)
        np.testing.assert_array_equal(draws[:, ~gaps], np.broadcast_to(x[~gaps], (400, (~gaps).sum())))
        error = (draws.mean(0) - expected)[gaps] / (draws.std(0)[gaps] / 20)
        assert abs(error.mean()) < 0.3 and 0.7 < error.std() < 1.4
        np.testing.assert_array_equal(draws, fitted.impute(x, n_draws=400))


def test_what_is_expected_of_a_missing_number_is_the_conditional_mean():
    model = fit(FAITHFUL)
    x = np.array([[2.0, np.nan], [np.nan, 80.0], [3.0, 70.0]])
    filled = model.impute(x)
    np.testing.assert_allclose(filled[0, 1], model.condition(0, [2.0]).mean[0, 0])
    np.testing.assert_allclose(filled[1, 0], model.condition(1, [80.0]).mean[0, 0])
    np.testing.assert_array_equal(filled[2], x[2])


@pytest.mark.slow
def test_errors_of_measurement_are_taken_out_of_the_spread():
    """Noisy rows of two groups: the spread found is that of the true values; without errors nothing changes."""
    rng = np.random.default_rng(0)
    n = 4000
    true = rng.standard_normal((n, 2)) * [1, 0.5] + np.where(rng.random(n) < 0.4, 6, 0)[:, None]
    sd = rng.uniform(0.3, 1.5, (n, 2))
    noisy = true + sd * rng.standard_normal((n, 2))
    model = fit(bg.Observations(noisy, error_covariance=sd**2), "diag")
    np.testing.assert_allclose(np.sqrt(model.covariances_), [[1, 0.5]] * 2, rtol=0.1)
    assert np.sqrt(fit(noisy, "diag").covariances_).min() > 1
    closer = model.impute(bg.Observations(noisy, error_covariance=sd**2))
    assert np.mean((closer - true) ** 2) < 0.8 * np.mean((noisy - true) ** 2)
    nothing = fit(bg.Observations(FAITHFUL, error_covariance=[0.0, 0.0]))
    assert nothing.log_likelihood_ == pytest.approx(fit(FAITHFUL).log_likelihood_, abs=1e-6)


@pytest.mark.parametrize("model", [bg.GaussianMixture, bg.BayesianGaussianMixture])
def test_known_labels_name_the_components(model):
    """Classes keep their numbers, whatever their sizes; further components come after them."""
    known = [word if i % 3 == 0 else None for i, word in enumerate(SPECIES)]
    rows = bg.Observations(IRIS, labels=known)
    fitted = fit(rows, model=model, k=4)
    assert rows.label_names == ("setosa", "versicolor", "virginica")
    codes = np.unique(SPECIES, return_inverse=True)[1]
    assert (fitted.labels_[::3] == codes[::3]).all()
    assert (fitted.predict(IRIS) == codes).mean() > 0.9
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(rows), fitted.labels_)
    total = again.score_samples(rows).sum() if model is bg.GaussianMixture else None
    assert total is None or total == pytest.approx(fitted.log_likelihood_)


@pytest.mark.slow
def test_uncertainty_and_evidence_take_such_rows():
    rows, x = bg.Observations(FAITHFUL), holes(FAITHFUL, 0.3, 0)
    bayes, part = fit(rows, model=bg.BayesianGaussianMixture), fit(x, model=bg.BayesianGaussianMixture, missing="at_random")
    plain = fit(FAITHFUL, model=bg.BayesianGaussianMixture)
    assert bayes.log_evidence(rows).total == pytest.approx(plain.log_evidence(FAITHFUL).total, abs=1e-7)
    sd = plain.uncertainty(FAITHFUL).intervals()["means"].sd
    np.testing.assert_allclose(bayes.uncertainty(rows).intervals()["means"].sd, sd, rtol=1e-5)
    wider = part.uncertainty(x)
    assert (wider.intervals()["means"].sd > sd).all()
    assert wider.responsibilities.mean.shape == (272, 2) and wider.labels.shape == (1000, 272)
    with pytest.raises(ValueError, match="needs complete rows"):
        part.uncertainty(x, method="gibbs")
    likely = fit(rows)
    for method in ("observed_information",):
        first = fit(FAITHFUL).uncertainty(FAITHFUL, method).intervals()["means"].sd
        np.testing.assert_allclose(likely.uncertainty(rows, method).intervals()["means"].sd, first, rtol=1e-5)


@pytest.mark.slow
def test_select_takes_such_rows():
    plain, known = (bg.select(rows, range(1, 4), covariance_type=("full", "tied")) for rows in (FAITHFUL, bg.Observations(FAITHFUL)))
    for name in ("elbo", "evidence", "bic"):
        np.testing.assert_allclose(known.table[name], plain.table[name], atol=1e-6)
    found = bg.select(holes(FAITHFUL, 0.2, 0), range(1, 4), covariance_type="full", missing="at_random")
    assert found.n_components in (2, 3) and found.best.missing == "at_random"
    labels = np.where(np.arange(150) % 3 == 0, np.unique(SPECIES, return_inverse=True)[1], -1)
    named = bg.select(bg.Observations(IRIS, labels=labels), range(1, 5), covariance_type="full")
    assert named.n_components >= 3 and (named.best.labels_[::3] == labels[::3]).all()


def test_one_known_class_is_known():
    """Some rows known to be of one kind, the rest unknown: one component has all of them, and no more need be named."""
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(-2, 1, 100), rng.normal(2, 1, 100)][:, None]
    labels = np.full(200, -1)
    labels[:10] = labels[100:105] = 0
    model = fit(bg.Observations(x, labels=labels))
    assert (model.labels_[labels == 0] == 0).all()
    assert model.log_likelihood_ < fit(x).log_likelihood_ - 1
    words = fit(bg.Observations(x, labels=np.where(labels == 0, "yes", "")))
    assert words.log_likelihood_ == pytest.approx(model.log_likelihood_)


def test_labels_are_numbers_or_words_whatever_holds_them():
    x = np.random.default_rng(0).normal(size=(5, 2))
    for labels in ([2, 4, 1, None, -2], [2.0, 4.0, 1.0, np.nan, -1.0], np.array([2, 4, 1, -1, -3])):
        known = bg.Observations(x, labels=labels).known
        assert known.n_named == 5 and known.allowed.argmax(1)[:3].tolist() == [2, 4, 1] and known.allowed[3:].all()
    groups = bg.Observations(x, groups=[-5, 3, None, 3, "nan"]).known.group
    assert groups.tolist() == [-1, 3, -1, 3, -1]


def test_draws_keep_groups_together():
    rng = np.random.default_rng(0)
    x = np.c_[np.r_[rng.normal(-10, 1, 60), rng.normal(10, 1, 60)], rng.normal(size=120)]
    model = fit(x, missing="at_random")
    draws = model.impute(bg.Observations([[np.nan, 0.0]] * 3, groups=[0, 0, 0]), n_draws=100)[:, :, 0]
    assert (np.sign(draws) == np.sign(draws[:, :1])).all() and 20 < (draws[:, 0] > 0).sum() < 80


def test_rows_without_numbers_say_nothing():
    x = np.r_[FAITHFUL, np.full((50, 2), np.nan)]
    labels = np.r_[np.full(272, -1), np.zeros(50, int)]
    model = fit(bg.Observations(x, labels=labels), missing="at_random")
    assert model.log_likelihood_ == pytest.approx(fit(FAITHFUL).log_likelihood_, abs=1e-6)
    assert model.score_samples(bg.Observations(x, labels=labels)).sum() == pytest.approx(model.log_likelihood_, abs=1e-6)


def test_pairs_of_columns_that_no_row_has_both_of():
    x, weight = IRIS.copy(), np.ones(150)
    x[1:75, 0], x[75:, 1] = np.nan, np.nan
    assert never_together(Known(x)) == [] and never_together(Known(x[1:])) == [(0, 1)]
    weight[0] = 0
    assert never_together(Known(x, weight=weight)) == [(0, 1)]


@pytest.mark.slow
def test_covariances_that_no_row_tells_of_are_told():
    x, weight = IRIS.copy(), np.ones(150)
    x[1:75, 0], x[75:, 1], weight[0] = np.nan, np.nan, 0
    options = {"n_components": 1, "missing": "at_random", "random_state": 0}
    with pytest.warns(bg.FitWarning, match="No row has both of these columns: x0 and x1"):
        bg.GaussianMixture(**options).fit(x, sample_weight=weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bg.GaussianMixture(**options).fit(x)  # the first row has both
        bg.GaussianMixture(covariance_type="diag", **options).fit(x, sample_weight=weight)
        bg.BayesianGaussianMixture(**options).fit(x, sample_weight=weight)


def test_a_number_that_no_row_has_may_leave_with_a_warning():
    labels = np.full(150, -1)
    labels[:10], labels[50:60], labels[100:110] = 0, 2, 4
    with pytest.warns(bg.FitWarning, match="No row has the label 1, 3"):
        fit(bg.Observations(IRIS, labels=labels), model=bg.BayesianGaussianMixture, k=6)


def test_a_saved_model_still_knows(tmp_path):
    rows = bg.Observations(IRIS, labels=[word if i % 3 == 0 else None for i, word in enumerate(SPECIES)])
    fitted = fit(rows, k=3)
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(bg.load(tmp_path / "model").predict(rows), fitted.labels_)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: fit(x), "NaN at row 0, column 0"),
        (lambda x: fit(x), 'missing="at_random"'),
        (lambda x: fit(x, missing="random"), "missing must be one of 'error', 'at_random'"),
        (lambda x: bg.KMeans(2).fit(x), "NaN at row 0, column 0"),
        (lambda x: fit(np.column_stack([x, x[:, 0] * np.nan]), missing="at_random"), "no number at all in column 2"),
        (lambda x: bg.Observations(x, labels=[0] * 3), "labels must have shape"),
        (lambda x: bg.Observations(x, labels=[None] * len(x)), "labels says nothing"),
        (lambda x: bg.Observations(x, labels=[0.5] * len(x)), "whole numbers up to"),
        (lambda x: bg.Observations(x, allowed=np.zeros((len(x), 2))), "no component for row 0"),
        (lambda x: bg.Observations(x, allowed=np.ones(len(x))), "allowed must be True or False"),
        (lambda x: bg.Observations(x, labels=[0, 1] * (len(x) // 2), groups=[7, 7] + [-1] * (len(x) - 2)), "Rows 0, 1 .* are one group"),
        (lambda x: bg.Observations(x, error_covariance=[1.0]), "error_covariance must have shape"),
        (lambda x: bg.Observations(x, error_covariance=[1.0, -1.0]), "without negative variances"),
        (lambda x: bg.Observations(x, error_covariance="a"), "must be real numbers"),
        (lambda x: fit(bg.Observations(x, labels=[0, 1, 2, 3] * (len(x) // 4)), missing="at_random", k=2), "name 4 components"),
        (lambda x: bg.select(x, 2, criterion="held_out", missing="at_random"), "needs complete rows"),
        (lambda x: fit(x, missing="at_random").diagnose(x), "complete rows"),
        (lambda x: fit(FAITHFUL).predict(bg.Observations(FAITHFUL, labels=[5] + [-1] * 271)), "name 6 components, and the model has 2"),
        (lambda x: bg.Observations(x, labels=[np.inf] * len(x)), "whole numbers"),
        (lambda x: bg.Observations(np.empty((0, 2))), "with rows"),
        (lambda x: bg.KMeans(2).fit(bg.Observations(FAITHFUL)), "Observations are for mixtures"),
        (lambda x: fit(FAITHFUL).impute(FAITHFUL, n_draws=-1), "n_draws must be"),
    ],
)
def test_bad_input_is_told(make, words):
    x = holes(FAITHFUL, 0.2, 1)
    x[0] = np.nan, 70.0
    with pytest.raises(ValueError, match=words):
        make(x)


@pytest.mark.parametrize("kind", ["full", pytest.param("diag", marks=pytest.mark.slow), pytest.param("spherical", marks=pytest.mark.slow)])
def test_frozen_components_stay_and_the_others_are_found(kind):
    free = fit(FAITHFUL, kind)
    known = (free.means_[1:], free.covariances_[1:])
    model = fit(FAITHFUL, kind, frozen=known)
    np.testing.assert_allclose(model.means_[0], free.means_[1], rtol=1e-12)
    np.testing.assert_allclose(model.covariances_[0], free.covariances_[1], rtol=1e-10)
    np.testing.assert_allclose(model.means_[1], free.means_[0], rtol=1e-5)
    assert model.log_likelihood_ == pytest.approx(free.log_likelihood_, abs=1e-6)
    own = 2 + {"full": 3, "diag": 2, "spherical": 1}[kind]
    assert model.n_parameters_ == free.n_parameters_ - own
    gaps = holes(FAITHFUL, 0.2, 0)
    part = fit(gaps, kind, frozen=known, missing="at_random")
    np.testing.assert_allclose(part.means_[0], free.means_[1], rtol=1e-12)
    np.testing.assert_allclose(part.means_[1], free.means_[0], rtol=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frozen": 1}, "must be a pair"),
        ({"frozen": ([[1.0, 2.0]], [[1.0, 2.0]])}, "covariances in frozen must have shape"),
        ({"frozen": ([[1.0, 2.0]] * 3, [np.eye(2)] * 3)}, "3 components, more than"),
        ({"frozen": ([[1.0, 2.0]], [np.eye(2)]), "kind": "tied"}, "covariances of their own"),
        ({"frozen": ([[1.0, 2.0]], [-np.eye(2)])}, "positive definite"),
    ],
)
def test_bad_frozen_components_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        fit(FAITHFUL, **options)
