"""Fits to rows that are read as they are needed: the same as fits to rows in memory, whatever the way through the rows."""

from __future__ import annotations

import functools
import threading
import warnings

import jax
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.core.statistics import complete_log_prob
from bayesgmm.inference import incremental, kernel, stream

STRUCTURES = ("full", "tied", "diag", "spherical")
ESTIMATORS = (bg.GaussianMixture, bg.BayesianGaussianMixture)


@functools.cache
def rows(n=3000):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0, 0], [4, 4, 0], [0, 5, 3]])
    x = centres[rng.choice(3, n, p=[0.5, 0.3, 0.2])] + rng.standard_normal((n, 3)) @ np.diag([1, 1.5, 0.7]) + 1e3
    return x


def model(cls, structure="full", **options):
    return cls(n_components=3, covariance_type=structure, n_init=1, init_params="kmeans", random_state=0, **options)


@functools.cache
def in_memory(cls, structure):
    return model(cls, structure).fit(rows())


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Several batches, and a sample of a part of the rows."""
    monkeypatch.setattr(stream, "NUMBERS", 3 * 512)
    monkeypatch.setattr(stream, "FEWEST", 512)


def batches(x=None):
    x = rows() if x is None else x
    return [x[:7], x[7:1400], x[1400:]]


def assert_same(one, other):
    """Bound to 1e-9 of itself, parameters to 1e-6, components in the same order."""
    assert one.n_components_ == other.n_components_
    np.testing.assert_allclose(one.lower_bound_, other.lower_bound_, rtol=1e-9)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(one.log_likelihood_, other.log_likelihood_, rtol=1e-9)
    for name in ("bic", "aic", "icl"):
        np.testing.assert_allclose(one._criteria[name], other._criteria[name], rtol=1e-9)


def combinations(usual):
    """All combinations of estimators and structures; those that are not ``usual`` are slow ones."""
    every = [(cls, structure) for cls in ESTIMATORS for structure in STRUCTURES]
    return [pytest.param(*each, marks=() if usual(*each) else pytest.mark.slow) for each in every]


def halves(cls, structure):
    """Each structure once, each estimator twice."""
    return (cls is bg.GaussianMixture) == (structure in ("diag", "spherical"))


@pytest.mark.parametrize(("cls", "structure"), combinations(halves))
def test_streamed_is_in_memory(cls, structure):
    found = model(cls, structure).fit(bg.scan(batches(), sample=1000))
    assert found.converged_ and found._n_samples == 3000
    assert_same(found, in_memory(cls, structure))


@pytest.mark.parametrize(("cls", "structure"), combinations(halves))
def test_memoized_is_in_memory(cls, structure):
    found = model(cls, structure).fit(bg.scan(batches(), sample=1000), passes="memoized")
    assert_same(found, in_memory(cls, structure))


@pytest.mark.parametrize("structure", ["full", "tied", *(pytest.param(s, marks=pytest.mark.slow) for s in ("diag", "spherical"))])
def test_dask_is_in_memory(structure):
    dask = pytest.importorskip("dask.array")
    found = model(bg.BayesianGaussianMixture, structure).fit(dask.from_array(rows(), chunks=(700, 2)))
    assert_same(found, in_memory(bg.BayesianGaussianMixture, structure))


def test_float32_has_its_guard():
    """Rows so far out that float32 would lose them in a product are standardised before they are rounded."""
    found = model(bg.GaussianMixture, dtype="float32").fit(bg.scan(batches()))
    np.testing.assert_allclose(found.means_, in_memory(bg.GaussianMixture, "full").means_, atol=2e-3)


def test_weights_are_repeated_rows():
    times = np.random.default_rng(1).integers(0, 3, 3000)
    weighted = bg.scan([np.c_[part, w] for part, w in zip(batches(), np.split(times, [7, 1400]), strict=True)], weight=3)
    repeated = bg.scan([np.repeat(rows(), times, axis=0)])
    one, other = (model(bg.BayesianGaussianMixture).fit(source) for source in (weighted, repeated))
    np.testing.assert_allclose(one.lower_bound_, other.lower_bound_, rtol=1e-9)
    np.testing.assert_allclose(one.means_, other.means_, atol=1e-6)
    np.testing.assert_allclose(one.score(weighted), other.score(repeated), rtol=1e-9)
    assert one._n_samples == 3000 and other._n_samples == times.sum()


def test_what_is_asked_of_rows_is_answered_batch_by_batch(tmp_path):
    fitted, source = in_memory(bg.BayesianGaussianMixture, "full"), bg.scan(batches())
    for name in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_allclose(getattr(fitted, name)(source), getattr(fitted, name)(rows()), rtol=1e-9, atol=1e-12)
    for name in ("score", "bic", "aic", "icl"):
        np.testing.assert_allclose(getattr(fitted, name)(source), getattr(fitted, name)(rows()), rtol=1e-12)
    with pytest.raises(ValueError, match="X has 2 features"):
        fitted.predict(bg.scan([rows()[:, :2]]))
    streamed = model(bg.BayesianGaussianMixture)
    np.testing.assert_array_equal(streamed.fit_predict(source), fitted.labels_)
    with pytest.raises(AttributeError, match="not labelled by a fit; predict"):
        _ = streamed.labels_
    assert str(streamed.facts().rows) == str(np.bincount(fitted.labels_).tolist())


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_predictions_are_written(tmp_path, ending):
    import pandas

    fitted, path = in_memory(bg.BayesianGaussianMixture, "full"), tmp_path / f"found{ending}"
    assert fitted.write_predictions(path, bg.scan(batches())) == 3000
    table = pandas.read_csv(path) if ending == ".csv" else pandas.read_parquet(path)
    np.testing.assert_array_equal(table["component"], fitted.labels_)
    np.testing.assert_allclose(table["probability"], fitted.predict_proba(rows()).max(1))
    np.testing.assert_allclose(table["log_density"], fitted.score_samples(rows()))
    gap = rows().copy()
    gap[2999, 2] = np.nan
    with pytest.raises(ValueError, match="row 2999"):
        fitted.write_predictions(tmp_path / f"gap{ending}", bg.scan(gap))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(ValueError, match=r"files that end in \.csv or \.parquet"):
        fitted.write_predictions(tmp_path / "x.txt", rows())


def test_kmeans_is_that_of_rows_in_memory():
    one, other = (bg.KMeans(3, n_init=2, random_state=0).fit(data) for data in (rows(), bg.scan(batches())))
    np.testing.assert_allclose(other.cluster_centers_, one.cluster_centers_, rtol=1e-12)
    np.testing.assert_allclose(other.inertia_, one.inertia_, rtol=1e-10)
    np.testing.assert_array_equal(other.predict(bg.scan(batches())), one.labels_)


def test_select_compares_on_a_sample_and_fits_all():
    found = bg.select(bg.scan(batches(), sample=400), range(2, 5), "diag")
    assert found.best._n_samples == 3000 and found.n_components == 3
    assert "compared on a sample of 400 of the 3,000 rows" in found.verdict
    np.testing.assert_allclose(found.best.means_.sum(), in_memory(bg.BayesianGaussianMixture, "diag").means_.sum(), rtol=1e-4)


class TestMemoized:
    def test_bound_rises_from_renewal_to_renewal(self, monkeypatch):
        """It is the bound of the responsibilities kept, which every renewal raises."""
        said = []
        fitted = model(bg.BayesianGaussianMixture, "diag").fit(rows()[:600])
        with jax.enable_x64(True):
            source = bg.scan(rows()[::-1][:2400] + 0.3)
            known = stream.survey(source.over)
            inward = known.lay_out(fitted.posterior_.structure).inward
            coordinates = known.lay_out(fitted.posterior_.structure).coordinates
            prior, start = (coordinates.mixture_inward(law) for law in (fitted.prior_, fitted.posterior_))
            incremental.memoized(incremental.Rows(source.even, 5, known.total, inward, "float64"), prior, start, 0.0, said.append)
        bounds = np.array([float(line.split()[-1]) for line in said])
        assert len(bounds) > 3
        assert (np.diff(bounds) > -1e-9 * abs(bounds[0])).all() and bounds[-1] > bounds[0] + 1

    def test_scores_times_responsibilities_come_from_statistics(self, x64):
        fitted = in_memory(bg.BayesianGaussianMixture, "tied")
        known, x = fitted.posterior_.natural(), rows()
        scores = np.asarray(kernel.scores(fitted.posterior_.structure, known)(x))
        resp = np.exp(scores - np.logaddexp.reduce(scores, 1)[:, None])
        stats = kernel.from_responsibilities(fitted.posterior_.structure, True, x, resp, np.ones(len(x)))
        np.testing.assert_allclose(complete_log_prob(fitted.posterior_.structure, known, stats), (scores * resp).sum(), rtol=1e-7)


def test_stochastic_is_near_and_says_so():
    exact = in_memory(bg.BayesianGaussianMixture, "full")
    with pytest.warns(bg.FitWarning, match="stochastic passes end near an optimum"):
        found = model(bg.BayesianGaussianMixture).fit(bg.scan(batches(), sample=600), passes="stochastic")
    assert not found.converged_ and found.lower_bound_ < exact.lower_bound_
    assert found.lower_bound_ > exact.lower_bound_ - 20
    found.set_params(warm_start=True).fit(bg.scan(batches()))
    assert_same(found, exact)


@pytest.mark.parametrize(("cls", "structure"), combinations(lambda cls, structure: not halves(cls, structure)))
def test_learning_from_parts(cls, structure):
    """Nearly the fit to all rows; its bound is one of all rows, so not above the best one; the same rows twice count twice."""
    found = model(cls, structure)
    for part in np.split(rows(), 5):
        assert found.partial_fit(part) is found
    exact = in_memory(cls, structure)
    assert found.n_rows_seen_ == 3000 and len(found.labels_) == 600
    assert exact.lower_bound_ - 60 < found.lower_bound_ <= exact.lower_bound_ + 1e-6
    np.testing.assert_allclose(np.sort(found.means_[:, 0]), np.sort(exact.means_[:, 0]), atol=0.1)


def test_learning_from_no_more_is_the_fit():
    """Rows of a single component: the posterior of one part as the prior of the next is the posterior of both, exactly."""
    law = {"weight_concentration_prior_type": "dirichlet_distribution"}
    one = bg.BayesianGaussianMixture(**law).fit(rows()[:1000]).partial_fit(rows()[1000:])
    prior = one.prior_
    whole = bg.BayesianGaussianMixture(
        **law,
        mean_prior=prior.components.mean[0],
        mean_precision_prior=float(prior.components.mean_precision[0]),
        degrees_of_freedom_prior=float(prior.components.dof[0]),
        covariance_prior=prior.components.scale[0],
    ).fit(rows())
    np.testing.assert_allclose(one.means_, whole.means_, rtol=1e-12)
    np.testing.assert_allclose(one.covariances_, whole.covariances_, rtol=1e-9)
    np.testing.assert_allclose(one.lower_bound_, whole.lower_bound_, rtol=1e-9)


def test_an_interrupted_fit_is_the_best_so_far(monkeypatch):
    calls = iter(range(100))
    usual = stream.Passes.__call__

    def passes(self, trial):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return usual(self, trial)

    monkeypatch.setattr(stream.Passes, "__call__", passes)
    with pytest.warns(bg.FitWarning, match="interrupted; this is the best that was found so far"):
        found = model(bg.BayesianGaussianMixture).fit(bg.scan(batches(), sample=600))
    assert not found.converged_ and found.n_iter_ == 1
    assert found.lower_bounds_[-1] == pytest.approx(found.lower_bound_)


def test_progress_is_told(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(bg.GaussianMixture, verbose=1).fit(bg.scan(batches()))
    told = capsys.readouterr().err
    assert "reading all rows once" in told and "pass 1 over all rows, bound -" in told


def test_a_summary_says_that_rows_came_in_parts():
    found = model(bg.GaussianMixture).partial_fit(rows()[:1500]).partial_fit(rows()[1500:])
    assert "Learnt from 3,000 rows in parts (partial_fit), of which these are the last" in " ".join(found.summary().split())


@pytest.mark.parametrize("passes", ["exact", "memoized"])
def test_iterators_are_read_in_the_thread_of_the_caller(passes):
    """Connections to data bases belong to one thread."""
    seen = set()

    def read():
        for part in batches():
            seen.add(threading.get_ident())
            yield part

    model(bg.GaussianMixture).fit(bg.scan(read, sample=1000), passes=passes)
    assert seen == {threading.get_ident()}
