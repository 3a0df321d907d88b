"""Rare turns of estimators and of what they call, each called by itself; those of other programs are in `test_corners.py`."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace as Made

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.analysis import bootstrap, sensitivity
from bayesgmm.analysis.rows import log_predictive
from bayesgmm.bridges import arviz
from bayesgmm.cli import main
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.structures import Diagonal, Full
from bayesgmm.core.student import MOST, Student
from bayesgmm.core.weights import Dirichlet
from bayesgmm.estimators import combining, course, freezing, gaussian, map_prior, robust, selection, uncertainty_bayes, uncertainty_ml
from bayesgmm.estimators import sensitivity as of_priors
from bayesgmm.estimators.data import FromSource
from bayesgmm.inference import compiling, incremental, sparse
from bayesgmm.inference.arrange import Arranged, Known
from bayesgmm.inference.loop import Outcome
from bayesgmm.inference.problem import prepare
from bayesgmm.inference.sweep import Sweep
from bayesgmm.plots import plot_intervals
from bayesgmm.storage import archives
from bayesgmm.tables import _first_text

X = bg.load_dataset("faithful").x


def law(k: int = 2, tied: bool = False) -> bg.NormalWishart:
    ones = np.ones(1 if tied else k)
    return bg.NormalWishart(np.zeros((k, 2)), np.ones(k), 4 * ones, np.eye(2)[None] * ones[:, None, None], Full(), tied)


PRIOR = Mixture(Dirichlet(np.ones(2)), law())


@pytest.fixture(scope="module")
def model():
    return bg.GaussianMixture(2, random_state=0, n_init=1).fit(X)


class TestPriors:
    @pytest.mark.parametrize(
        ("components", "words"),
        [
            (bg.FlatGaussian(np.float64(1e-6), Full(), False), "must be a NormalWishart law; got FlatGaussian"),
            (law(tied=True), "has structure Full, tied=True, which is not covariance_type='full'"),
        ],
    )
    def test_laws_that_no_map_fit_has(self, components, words):
        with pytest.raises(ValueError, match=words):
            map_prior.check_map_prior(Mixture(Dirichlet(np.ones(2)), components), "full", 2, 2)

    def test_around_maximum_a_posteriori(self):
        heavy = robust.with_tails(MAP(PRIOR), 4.0)
        assert isinstance(heavy, MAP) and isinstance(heavy.components, Student)
        known = Gaussian(jnp.zeros((1, 2)), jnp.eye(2)[None], Full())
        found = freezing._around(MAP(PRIOR), known)
        assert isinstance(found, MAP) and found.n_known == 1 and len(found.prior.components.law.mean) == 1

    def test_concentrations_of_dirichlet_weights_times_a_factor(self):
        made = Made(prior_=PRIOR, weight_concentration_prior=None)
        assert of_priors._times(made, "weight_concentration_prior", 2.0) == 2.0
        made.weight_concentration_prior = [1.0, 3.0]
        np.testing.assert_array_equal(of_priors._times(made, "weight_concentration_prior", 2.0), [2.0, 6.0])
        moved = sensitivity.changed(PRIOR, np.array([np.log(2), 0, 0, 0, 0, 0]))
        np.testing.assert_allclose(moved.weights.concentration, [2, 2], rtol=1e-6)

    def test_derivatives_that_are_not_found(self, monkeypatch):
        for name in ("_fixed", "_pushed", "_carried"):
            monkeypatch.setattr(sensitivity, name, lambda *_: np.ones(3))
        monkeypatch.setattr("scipy.sparse.linalg.gmres", lambda rest, right, **_: (right, 1))
        with pytest.raises(ArithmeticError, match="GMRES did not reach"):
            sensitivity.derivatives(PRIOR, PRIOR, X, np.ones(272), np.zeros((0, 2)))


class TestSources:
    def test_a_fit_that_failed_on_the_sample_ends_there(self):
        found = Made(bound=np.nan)
        assert course.Course.run(Made(checkpoint=None), lambda: found) is found

    def test_a_fit_of_which_two_components_became_one_goes_on(self, monkeypatch):
        calls, merged = [], iter([True, False])
        monkeypatch.setattr(course, "compact", lambda fit: fit)
        told = Made(
            checkpoint=None,
            _begun=lambda found: {"limits": Made(settle=np.inf)},
            _passed=lambda known: calls.append("passes"),
            _converged=lambda known: True,
            _merged=lambda known: next(merged),
            _settled=lambda known: calls.append("settled"),
            _fit=lambda known: "fit",
        )
        assert course.Course.run(told, lambda: Made(bound=1.0)) == "fit" and calls == ["passes", "passes", "settled"]

    def test_a_sample_of_all_rows_needs_no_word(self):
        best = Made(_n_samples=10, fit=lambda source: best)
        best.set_params = lambda **_: best
        for sample, n_notes in ((10, 0), (9, 1)):
            found = Made(best=best, restart_agreement=1.0, notes=[])
            assert len(selection._on_all_rows(found, Made(sample=sample), None).notes) == n_notes

    @pytest.mark.parametrize(("bounds", "merged"), [([5.0, 12.0], True), ([5.0, 6.0], False), ([12.0], True)])
    def test_two_components_become_one_where_the_bound_gains(self, monkeypatch, bounds, merged):
        """A first trial that gains still has a second one."""
        state = lambda bound: Made(bound=bound, outcome=Outcome.MAX_STEPS, gain=10.0, _replace=lambda outcome: outcome)  # noqa: E731
        states, tried = iter(map(state, bounds)), []

        def driven(prior, begun, limits, after):
            tried.append(int(limits.limit))
            return next(states)

        limits = Made(_replace=lambda limit: Made(limit=limit, _replace=lambda limit: Made(limit=limit)))
        known = {"limits": limits, "state": None}
        made = Made(_fit=lambda known: Made(bound=10.0, history="history"), moves=True, told=lambda text: None)
        made.settings, made._first, made._driven = Made(max_steps=10**6), lambda *_: None, driven
        monkeypatch.setattr(course, "merges", lambda fit, least: [("prior", "start")])
        assert course.Course._merged(made, known) is merged
        assert tried == [course.PROBE, course.TRIAL][: len(bounds)]
        if merged:
            assert known["prior"] == "prior" and known["history"] == "history" and int(known["state"]) == Outcome.RUNNING

    def test_rows_that_were_fewer_in_the_last_reading(self):
        class Told(contextlib.nullcontext):
            def __call__(self, text):
                pass

        source = Made(over=lambda look, together: Made(counts=np.array([3.0])))
        with pytest.raises(ValueError, match="The rows changed while they were read"):
            FromSource.seen(Made(told=Told(), n_rows=4, source=source), Made(together=None))

    def test_batches_without_weight_move_nothing(self, monkeypatch):
        monkeypatch.setattr(incremental, "_both", lambda start: (start, None))
        rows = Made(batches=lambda: iter([(X, np.zeros(272))]), total=1.0)
        told = []
        assert incremental.stochastic(rows, None, "start", 2, told.append) == "start"
        assert told == ["stochastic epoch 1 of 2", "stochastic epoch 2 of 2"]

    def test_a_search_for_sparse_rows_that_does_not_settle(self, monkeypatch):
        monkeypatch.setattr(sparse, "STEPS", 1)
        found = sparse.sparse_rows(np.r_[X, [[50.0, 500.0]]], np.ones(273))
        assert found.argmax() == 272


class TestRows:
    def test_pairs_of_columns_that_no_row_has(self):
        x = np.where(np.arange(10)[:, None] % 5 == np.arange(5), X[:10, :1], np.nan)
        made = Made(n_features_in_=5)
        with pytest.warns(bg.FitWarning, match="these columns: x0 and x1; x0 and x2; x0 and x3 and 7 more pairs. The likelihood"):
            gaussian._tell_of_pairs(made, Made(known=Known(x, weight=np.ones(10)), structure=Full()))

    def test_rows_known_in_part(self, model):
        known = Known(X[:3], error=np.eye(2))
        assert np.isnan(known.exact).all() and Known(X[:3]).exact is not known.exact
        with pytest.raises(ValueError, match="measured with errors has no closed form"):
            log_predictive(model.posterior_, PRIOR, model._coordinates, known)
        y = Arranged(None, np.zeros(5), np.array([4, 0, 1]))
        assert len(y) == 3
        np.testing.assert_array_equal(y.spread(np.array([[1.0, 2.0, 3.0]])), [[2, 3, 0, 0, 1]])
        with pytest.raises(ValueError, match=r"needs complete rows of which nothing else is known; use 'a' or 'b'"):
            uncertainty_bayes.check_complete(y, "gibbs", ("a", "b"))

    def test_starts_agree_with_labels_beside_noise(self):
        known = Known(X[:2], allowed=np.array([[True, False], [True, True]]))
        made = Made(known=known, n_noise=0, weight=np.ones(2), _beside=lambda own, noise: own)
        found = Sweep._limited(made, np.array([[0.2, 0.8], [0.3, 0.7]]), 2)
        np.testing.assert_allclose(found[0], [1, 0])

    def test_the_first_text_after_nothing(self):
        assert _first_text(pd.DataFrame({"a": pd.Series([None, "x"], dtype=object)})) == 1

    def test_few_rows_are_their_own_sample(self):
        problem = prepare(X, np.ones(272), Full())
        assert len(problem.sampled(jax.random.key(0)).x) == len(problem.x)

    def test_columns_of_spherical_models_are_as_they_are(self):
        np.testing.assert_array_equal(bootstrap._unit(Made(structure=Diagonal(), n_features=3)), np.eye(3))

    def test_files_that_must_not_be_read(self, model, tmp_path, monkeypatch):
        model.save(tmp_path / "model.npz")

        def refused(name):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(archives, "Archive", refused)
        with pytest.raises(PermissionError):
            bg.load(tmp_path / "model.npz")


class TestKMeans:
    def test_centres_that_are_given_and_names_that_are_not(self):
        frame = pd.DataFrame(X, columns=["a", "b"])
        found = bg.KMeans(2, init=[[2.0, 55.0], [4.3, 80.0]]).fit(frame)
        assert list(found.feature_names_in_) == ["a", "b"] and found.fit(X).inertia_ == pytest.approx(bg.KMeans(2).fit(X).inertia_)
        assert not hasattr(found, "feature_names_in_") and found.set_output() is found and not hasattr(found, "_sklearn_output_config")

    def test_the_command_line_predicts_by_mixtures(self, tmp_path, capsys):
        bg.KMeans(2).fit(X).save(tmp_path / "model.npz")
        pd.DataFrame(X).to_csv(tmp_path / "x.csv", index=False)
        assert main(["predict", str(tmp_path / "model.npz"), str(tmp_path / "x.csv"), "--out", str(tmp_path / "y.csv")]) == 2
        assert "holds a KMeans; predict needs a mixture" in capsys.readouterr().err


class TestCombining:
    def test_the_elbow_may_be_named(self, model):
        values, weight = combining._check(model, X, "entropy", "elbow", None, None)
        assert values.shape == X.shape and (weight == 1).all()


class TestUncertainty:
    def test_degrees_of_freedom_at_an_end_of_their_range(self):
        components = Student(law(), np.array([4.0, MOST]), True, False)
        made = Made(posterior_=Made(components=components))
        with pytest.raises(ValueError, match="needs degrees of freedom inside their range, 1 to 1000; those of component"):
            uncertainty_ml._check_tails(made, "jackknife")
        components = Student(law(), np.array([4.0, 5.0]), True, False)
        assert uncertainty_ml._check_tails(Made(posterior_=Made(components=components)), "jackknife") is None
        points = Made(components=components, n_noise=0)
        np.testing.assert_array_equal(uncertainty_bayes._more(Made(_bayesian=False), points)["degrees_of_freedom"], [4, 5])

    @pytest.mark.usefixtures("x64")
    def test_the_box_of_noise_in_inner_coordinates(self, model):
        box = np.array([[1.0, 40.0], [6.0, 100.0]])
        corner, edges = uncertainty_ml._box_of_noise(Made(_noise_box=box, _coordinates=model._coordinates))
        inward = [uncertainty_ml.rows_inward(model._coordinates, a[None])[0] for a in box]
        np.testing.assert_allclose([corner, corner + edges.sum(0)], inward, rtol=1e-12)

    def test_responses_of_too_many_coefficients(self, monkeypatch):
        monkeypatch.setattr(uncertainty_bayes, "is_plain", lambda posterior: False)
        monkeypatch.setattr(uncertainty_bayes, "n_coefficients", lambda posterior: 10**6)
        with pytest.raises(ValueError, match="this one has 1000000: use"):
            uncertainty_bayes._linear_response(None, X, np.ones(272), 10, 0)

    def test_rows_of_heavy_tails_and_noise(self):
        """Half of the rows are noise in a box, and those of the component have the quartiles of a Student t of 1 degree of freedom."""
        weights, means, box = np.array([[0.5]]), np.zeros((1, 1, 1)), np.array([[1000.0], [1001.0]])
        (x,) = arviz.predict(weights, means, np.ones((1, 1, 1, 1)), 4000, 0, np.array([[1.0]]), box)
        noise = (x >= box[0]) & (x <= box[1])
        assert noise.mean() == pytest.approx(0.5, abs=0.03)
        np.testing.assert_allclose(np.quantile(x[~noise], [0.25, 0.5, 0.75]), [-1, 0, 1], atol=0.12)

    def test_other_answers_of_another_structure(self):
        def answer(k):
            found = {"standard_deviations": Made(mean=np.ones((k, 2)))}
            return Made(method="gibbs", feature_names=["a", "b"], draws={"means": np.zeros((5, 2, 2))}, intervals=lambda prob: found)

        with pytest.raises(ValueError, match="as many standard deviations as uncertainty: one structure of covariances"):
            plot_intervals(answer(2), "standard_deviations", others={"other": answer(1)})


class TestPrograms:
    def test_programs_of_other_devices_and_of_many_processes_are_not_kept(self, monkeypatch):
        program, key = compiling.jit(lambda x: x), (None, [((2,), np.dtype(float), False)], (), ())
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        assert program._known(key) == (None, compiling.QUICKER)
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        assert program._known(key) == (None, None)
        compiling._all.remove(program)
