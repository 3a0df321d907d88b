"""Turns of programs that fits of other tests seldom take, each called by itself."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace as Made

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pictured
import pytest
from scipy.spatial import ConvexHull

import bayesgmm as bg
from bayesgmm.analysis import evidence, facts, importance, mixing, refits, weight_charts
from bayesgmm.core.latent import student_log_prob
from bayesgmm.core.linalg import _eigh
from bayesgmm.core.noise import NoiseShare
from bayesgmm.core.pytree import replace
from bayesgmm.core.structures import Full
from bayesgmm.core.weights import Dirichlet, StickBreaking
from bayesgmm.estimators import diagnosis, reporting, robust, uncertainty_bayes, uncertainty_ml
from bayesgmm.estimators.base import not_fitted
from bayesgmm.estimators.covariance_types import word_for
from bayesgmm.estimators.selection_options import _simplicity
from bayesgmm.estimators.uncertainty import MOST_ENTRIES, Uncertainty
from bayesgmm.inference import cache, compiling, gibbs, restarts, stream
from bayesgmm.inference.arrange import Known
from bayesgmm.inference.limits import within
from bayesgmm.inference.loop import Outcome
from bayesgmm.inference.sparse import sparse_rows
from bayesgmm.plots import plot_combination, plot_density, plot_ellipses, plot_pairs
from bayesgmm.plots import prior as priors
from bayesgmm.plots.components import _histogram
from bayesgmm.plots.kmeans import _borders
from bayesgmm.plots.views import plot_model
from bayesgmm.report import page, verdict
from bayesgmm.sources import Source
from bayesgmm.tables import read_table

X = bg.load_dataset("faithful").x


@pytest.fixture(scope="module")
def model():
    return bg.GaussianMixture(2, random_state=0, n_init=1).fit(X)


@pytest.mark.usefixtures("x64")
class TestCore:
    def test_eigenvalues_have_the_derivative_of_finite_differences(self):
        rng = np.random.default_rng(0)
        matrix, change = ((a + a.swapaxes(1, 2)) / 2 for a in rng.normal(size=(2, 3, 4, 4)))
        step = 1e-6
        (_, vectors), (slope, turned) = jax.jvp(_eigh, (jnp.asarray(matrix),), (jnp.asarray(change),))
        above, below = (np.linalg.eigh(matrix + sign * step * change) for sign in (1, -1))
        np.testing.assert_allclose(slope, (above[0] - below[0]) / (2 * step), atol=1e-8)
        above, below = (each * np.sign((each * np.asarray(vectors)).sum(1, keepdims=True)) for each in (above[1], below[1]))
        np.testing.assert_allclose(turned, (above - below) / (2 * step), atol=1e-7)

    def test_sticks_of_a_known_concentration_are_beta(self):
        """Beside draws: the first stick is Beta (1 + 5, 1.5 + 3), the second Beta (1 + 3, 1.5), of what is left."""
        keys, counts = jax.random.split(jax.random.key(0), 4000), jnp.array([5.0, 3.0])
        found, kept = jax.vmap(lambda key: gibbs._stick_weights(StickBreaking.prior(2, 1.5), counts, 1.5, key))(keys)
        first, second = np.exp(found).T
        assert (np.asarray(kept) == 1.5).all()
        assert first.mean() == pytest.approx(6 / 10.5, abs=0.01) and (second / (1 - first)).mean() == pytest.approx(4 / 5.5, abs=0.01)

    def test_columns_apart_are_students_of_one_column_each(self):
        mean, variance, dof = np.array([0.5, -1.0]), np.array([0.4, 2.0]), jnp.asarray(3.0)
        x, seen = jnp.asarray(X[:4]), jnp.array([True, True])
        shape = jnp.diag(jnp.asarray(variance))
        found = student_log_prob(jnp.asarray(mean), shape, dof, x, seen, True)
        each = [student_log_prob(jnp.asarray(mean), shape, dof, x, jnp.array([j == 0, j == 1]), False) for j in range(2)]
        np.testing.assert_allclose(found, each[0] + each[1], rtol=1e-12)


class TestRows:
    def test_batches_without_weight_tell_nothing_of_the_spread(self):
        nothing, rows = (X[:3], np.zeros(3)), (X[3:], np.ones(269))
        empty, full = stream._survey((0, 0), nothing), stream._survey((0, 1), rows)
        for found in (stream._together(empty, full), stream._together(full, empty)):
            assert found.total == 269 and found.n_rows == 272
            np.testing.assert_array_equal(found.mean, full.mean)

    @pytest.mark.parametrize("sizes", [{}, {(0, 0): (5, 5.0)}])
    def test_batches_of_another_size_have_changed(self, sizes):
        drawn = stream._Draw(np.array([0.5]), {(0, 0): (0, 0.0)}, sizes)
        with pytest.raises(ValueError, match="The rows changed while they were read"):
            drawn((0, 0), (X[:4], np.ones(4)))

    def test_rows_that_became_infinite_have_changed(self):
        changed = lambda work, together: work((0, 0), (np.full((272, 2), np.inf), np.ones(272)))  # noqa: E731
        with pytest.raises(ValueError, match="The rows changed while they were read"):
            stream.draw(changed, stream._survey((0, 0), (X, np.ones(272))), 10, np.random.default_rng(0))

    def test_sources_of_wrong_pieces_and_of_none(self):
        piece = Made(values=np.ones((2, 3)), place="piece 0")
        with pytest.raises(ValueError, match="piece 0 has 3 columns; the first rows of X have 2"):
            list(Source([lambda: iter([piece])], None, 2).batches())
        with pytest.raises(ValueError, match="X has no rows"):
            Source([lambda: iter(())], None, 2).over(lambda *_: None, lambda *_: None)

    def test_threads_are_not_used_where_there_are_none(self, monkeypatch):
        monkeypatch.setattr(stream, "possible", lambda: False)
        with stream.workers() as each:
            assert list(each(str, [1, 2])) == ["1", "2"] and each is map

    def test_groups_without_sets_are_averaged_only(self):
        known = Known(X[:3], group=np.array([0, 0, -1]))
        found = within(known, np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.array([3.0, 1.0, 1.0]), 2)
        np.testing.assert_allclose(found, [[0.75, 0.25], [0.75, 0.25], [0.0, 1.0]])

    def test_a_text_after_nothing_is_named(self, tmp_path):
        pd.DataFrame({"a": [None, "x"]}).to_parquet(tmp_path / "x.parquet")
        with pytest.raises(ValueError, match=r"row 1 \(counting from 0\) holds 'x'"):
            read_table(str(tmp_path / "x.parquet"))

    def test_the_sparse_part_of_few_rows(self):
        found = sparse_rows(np.r_[X, [[50.0, 500.0]]], np.r_[np.ones(272), 1.0])
        assert found[-1] > 0.9 and np.median(found) < 0.1


class TestPrograms:
    def test_where_programs_are_kept(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache._home() == tmp_path / "bayesgmm"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache._home() == Path.home() / ".cache" / "bayesgmm"

    def test_a_fit_that_goes_nowhere_is_not_polished(self, monkeypatch):
        fit = Made(outcome=Outcome.CONVERGED, n_steps=4, prior=None, result=Made(posterior=None), history=None)
        monkeypatch.setattr(restarts, "advance", lambda *_: Made(outcome=Outcome.NONFINITE))
        assert restarts.polish(fit, None, Made(strict=True, max_steps=100)) is fit

    def test_a_processor_that_the_system_does_not_tell(self, monkeypatch):
        monkeypatch.setattr(cache, "Path", lambda name: Made(read_text=lambda: open("/proc/none").read()))
        assert cache._abilities() == ""

    def test_options_that_this_xla_lacks_are_left_out(self):
        def compiled(compiler_options=None):
            if compiler_options:
                raise RuntimeError(f"No such compile option: {next(iter(compiler_options))}")
            return "plain"

        assert compiling._compile(Made(compile=compiled), {"xla_new": 1}) == "plain"
        with pytest.raises(RuntimeError, match="another"):
            compiling._compile(Made(compile=lambda **_: (_ for _ in ()).throw(RuntimeError("another"))), {"xla_new": 1})

    def test_older_jax_loads_lapack_by_a_program(self, monkeypatch):
        lowered = []
        monkeypatch.setitem(sys.modules, "jaxlib.lapack", None)
        monkeypatch.setattr(jax, "jit", lambda function: lowered.append(function) or Made(lower=lowered.append))
        cache._load_lapack.__wrapped__()
        assert lowered[0] is jax.lax.linalg.cholesky and lowered[1].shape == (1, 1)


class TestUncertainty:
    def test_one_chain_is_halved(self):
        chains = np.random.default_rng(0).normal(size=(1, 41))
        assert mixing.r_hat(chains) == mixing.r_hat(chains[:, :40].reshape(2, 20))

    def test_sets_that_collapsed_are_left_out(self):
        usable = np.arange(10) > 2
        found = refits.Refits(np.arange(10.0), usable)
        with pytest.warns(bg.FitWarning, match="In 3 of 10 sets a component collapsed"):
            np.testing.assert_array_equal(uncertainty_ml._kept(found), np.arange(3.0, 10.0))
        with pytest.raises(bg.FitError, match="In nearly all sets"):
            uncertainty_ml._kept(found._replace(usable=np.arange(10) > 8))

    def test_limits_of_size(self, model, monkeypatch):
        monkeypatch.setattr(uncertainty_ml, "MOST", 10)
        with pytest.raises(ValueError, match="Second derivatives of 11 free parameters, more than 10"):
            model.uncertainty(X, method="observed_information")
        with pytest.raises(ValueError, match=r"rows are 1e\+12 numbers, more than"):
            Uncertainty._check_size(Made(), int(1e12), "similarity: rows x rows are")
        assert MOST_ENTRIES < 1e12
        monkeypatch.setattr(evidence, "MOST", 10)
        assert np.isnan(evidence.response(replace_weights(model), X, np.ones(272))[1])

    def test_a_fit_short_of_its_maximum_has_no_curvature(self, model, monkeypatch):
        monkeypatch.setattr(uncertainty_ml.observed, "curvature", lambda *_: Made(information=np.diag([-0.5, 1.0])))
        with pytest.raises(bg.FitError, match=r"not at a maximum of the likelihood \(smallest eigenvalue -0.5 of the information"):
            model.uncertainty(X, method="observed_information")

    def test_frozen_components_and_methods_that_would_move_them(self, model):
        frozen = Made(**(vars(model) | {"frozen": ([[1.0]], [[[1.0]]]), "_check_fitted": lambda: None}))
        with pytest.raises(ValueError, match="moves every component, and some are frozen"):
            uncertainty_ml.uncertainty(frozen, X, None, "jackknife", 10, 0, None)

    def test_chains_that_do_not_agree(self, monkeypatch):
        monkeypatch.setattr(uncertainty_bayes, "responsibilities", lambda *_: np.ones((5, 2)))
        monkeypatch.setattr(uncertainty_bayes.ways, "gibbs", lambda *_, **__: Made(facts={"r_hat": 1.5}))
        with pytest.warns(bg.FitWarning, match=r"The chains do not agree \(r-hat 1.500, above"):
            uncertainty_bayes._gibbs(None, None, X[:5], np.ones(5), 400, 0, {"n_chains": 4, "n_burn": 1, "thin": 1}, lambda text: None)

    def test_number_of_clusters_beside_noise(self):
        labels = np.array([[0, 0, 1], [0, 0, 2], [2, 2, 2], [0, 1, 2]])
        made = Made(_points=Made(n_noise=1), draws={"weights": np.zeros((4, 2))}, labels=labels)
        assert Uncertainty.n_clusters.fget(made) == {0: 0.25, 1: 0.25, 2: 0.5}


def replace_weights(model):
    return replace(model.posterior_, weights=Dirichlet(jnp.ones(2)))


class TestAnalysis:
    def test_labellings_of_components_beside_noise(self):
        prior = NoiseShare(Dirichlet(jnp.ones(2)), Dirichlet(jnp.ones(3)))
        assert evidence.multiplicity(prior, [9.0, 5.0, 3.0, 2.0]) == pytest.approx(np.log(6))

    def test_a_concentration_that_is_not_learned_stays(self):
        prior = Dirichlet(jnp.ones(3))
        assert weight_charts.at_mean_concentration(prior, prior) is prior

    @pytest.mark.usefixtures("x64")
    def test_both_forms_of_scores_agree(self, model):
        structure, natural, x = Full(), model.posterior_.natural(), jnp.asarray(X)
        np.testing.assert_allclose(importance._differences(structure, natural)(x), importance._products(structure, natural)(x), rtol=1e-9)

    def test_facts_without_evidence(self, model, monkeypatch):
        def refuses(values):
            raise ValueError

        monkeypatch.setattr(facts, "n_coefficients", lambda posterior: 1)
        made = Made(_n_rows=9, _n_samples=9, posterior_=model.posterior_, log_evidence=refuses)
        assert facts._evidence(made, X) is None
        monkeypatch.setattr(facts, "n_coefficients", lambda posterior: 10**6)  # a matrix that would take hours
        made.log_evidence = lambda values: pytest.fail("it was asked for")
        assert facts._evidence(made, X) is None

    def test_the_tail_of_weights_of_many_parameters_is_not_known(self, model, monkeypatch):
        monkeypatch.setattr(diagnosis, "chart_of", lambda posterior: posterior)
        monkeypatch.setattr(diagnosis, "n_coordinates", lambda chart: diagnosis.MOST_COORDINATES + 1)
        assert np.isnan(diagnosis._k_hat(model, Made(values=X), 0))


class TestWords:
    def test_errors_of_scikit_learn_can_be_pickled(self):
        error = pickle.loads(pickle.dumps(not_fitted("no fit")))
        assert isinstance(error, type(not_fitted(""))) and str(error) == "no fit"

    def test_reports_of_fits_in_parts(self, model):
        made = Made(n_rows_seen_=10, _n_samples=5)
        assert reporting._check_weight(made, X, None) is None
        assert "# learnt in parts: model.partial_fit(rows)" in reporting._command(made, None)
        parts = reporting._Parts(True, None, False)
        assert parts.make("draws", lambda: 1, "rows are missing") is None
        assert parts.omitted == ["Not computed, because rows are missing: draws."]

    def test_draws_of_the_models_own_law_stand_in(self):
        def uncertainty(X, method=None, **_):
            if method is None:
                raise bg.FitError("no")
            return method

        assert reporting._uncertainty(Made(uncertainty=uncertainty, _bayesian=True), X, {}, 0) == "mean_field"
        with pytest.raises(bg.FitError):
            reporting._uncertainty(Made(uncertainty=uncertainty, _bayesian=False), X, {}, 0)

    def test_tables_without_a_judged_model(self, monkeypatch):
        monkeypatch.setattr(verdict, "chosen_row", lambda table, criterion: None)
        assert verdict.answer({}, "bic") == "No model could be judged by bic."

    def test_low_rank_words(self):
        kind = bg.estimators.covariance_types.kind_of("rank2")
        assert word_for(kind) == "rank2" and _simplicity("rank1") < _simplicity("rank2") < _simplicity("full")

    def test_volumes_of_hulls(self):
        assert robust._hull(X[:, :1]) == pytest.approx(np.log(np.ptp(X[:, 0])))
        assert robust._hull(X) == pytest.approx(np.log(ConvexHull(X).volume))


class TestPictures:
    @pytest.mark.parametrize(
        ("draw", "words"),
        [
            (lambda model: plot_pairs(model, X, [0]), "columns must name at least two; got 1"),
            (lambda model: plot_model(model, X, []), r"columns must name at least one of x0, x1; got none"),
            (lambda _: plot_ellipses(Made(draws={}, feature_names=["a"])), r"the fit has one \(a\)"),
            (
                lambda _: priors._check(Made(_bayesian=True, posterior_=Made(n_known=1)), "means"),
                "frozen components, which have no law",
            ),
            (lambda model: bg.combine(model, X, method="ridgeline"), "follows Gaussian densities"),
        ],
    )
    def test_what_cannot_be_drawn_is_told(self, model, draw, words, monkeypatch):
        monkeypatch.setattr(model, "student_t", 4.0 if "Gaussian" in words else None)
        with pytest.raises(ValueError, match=words):
            draw(model)

    def test_noise_in_one_column_is_a_line_below_the_mixture(self):
        made = Made(
            n_components_=1,
            posterior_=Made(n_noise=1),
            score_samples=lambda x: np.log(2 + x[:, 0]),
            predict_proba=lambda x: np.tile([0.75, 0.25], (len(x), 1)),
        )
        ax = plt.subplots()[1]
        _histogram(made, np.array([0.0, 1.0, 2.0]), ax)
        heights = {drawn.get_label(): drawn.get_ydata()[[0, -1]] for drawn in ax.lines}
        np.testing.assert_allclose(heights["noise"], [0.5, 1])
        np.testing.assert_allclose(heights["mixture"], heights["component 1"] + heights["noise"])

    def test_a_combination_without_a_threshold(self):
        found = pictured.combination("misclassification")
        found.threshold = None
        words = [text.get_text() for text in plot_combination(found).get_legend().get_texts()]
        assert words == ["merged", "left apart"]

    def test_a_density_without_rows_is_a_curve(self, model):
        ax = plot_density(model, columns=0)
        assert len(ax.lines) == 1 and not ax.patches

    def test_one_column_is_not_drawn_as_two(self, model):
        told = Made(facts=dataclasses.replace(model.facts(X), n_features=1), uncertainty=None, X=X[:, :1])
        assert not any("<img" in part for part in page.certainty(told))

    def test_one_centre_has_no_borders(self):
        assert _borders(np.ones((1, 2)), np.ones(2), None) is None
