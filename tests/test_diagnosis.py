"""What speaks for and against a fit: each check against its own oracle, and the page on data with one thing wrong."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl

mpl.use("Agg")
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.analysis import influence, predictive_checks, ridgeline
from bayesgmm.analysis.importance import own_labelling
from bayesgmm.analysis.point import Point, draw, whitened
from bayesgmm.estimators.diagnosis import Search
from bayesgmm.estimators.evidence import rows_of_fit
from bayesgmm.plots import plot_predictive_check

TWO = Point(np.array([0.6, 0.4]), np.array([[0.0, 0.0], [6.0, 1.0]]), np.array([np.eye(2), [[2.0, 0.9], [0.9, 0.7]]]))
FAITHFUL = bg.load_dataset("faithful")


def verdicts(found) -> dict[str, str]:
    return {check.name: check.verdict for check in found.checks}


def text(found, name: str) -> str:
    return next(check.text for check in found.checks if check.name == name)


@pytest.fixture(scope="module")
def faithful():
    model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(FAITHFUL)
    return model, model.diagnose(FAITHFUL)


class TestPredictiveChecks:
    def test_distances_are_kolmogorovs(self):
        x = draw(TWO, 1, 60, np.random.default_rng(0))[0]
        cdf = lambda j: lambda v: stats.norm.cdf((v[:, None] - TWO.means[:, j]) / np.sqrt(TWO.covariances[:, j, j])) @ TWO.weights  # noqa: E731
        expected = [stats.kstest(x[:, j], cdf(j)).statistic for j in range(2)]
        np.testing.assert_allclose(predictive_checks.distances(TWO, x, np.ones(60)), expected, rtol=1e-12)
        weight = np.random.default_rng(1).integers(1, 4, 60)
        repeated = predictive_checks.distances(TWO, np.repeat(x, weight, 0), np.ones(weight.sum()))
        np.testing.assert_allclose(predictive_checks.distances(TWO, x, weight.astype(float)), repeated, rtol=1e-9)

    def test_p_values_are_uniform_where_the_parameters_are_known(self):
        """That of the least likely row exactly for one component; where others lie beside it, it is an upper limit."""
        found = [predictive_checks.check([TWO] * 99, draw(TWO, 1, 50, np.random.default_rng(s))[0], np.ones(50), s) for s in range(80)]
        one = Point(np.ones(1), TWO.means[1:], TWO.covariances[1:])
        single = [predictive_checks.outlying([one], draw(one, 1, 50, np.random.default_rng(s))[0], 50).min() for s in range(80)]
        for p in ([f.column_p.min() for f in found], [f.density_p for f in found], single):
            assert stats.kstest(p, "uniform").pvalue > 1e-3
        assert stats.kstest([f.outlier_p for f in found], "uniform", alternative="greater").pvalue > 0.05

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda x: x + np.array([0.0, 0.5]), "columns"),
            (lambda x: np.where(np.arange(len(x))[:, None] == 7, 30.0, x), "outliers"),
            (lambda x: 0.7 * (x - TWO.means[(x[:, 0] > 3).astype(int)]) + TWO.means[(x[:, 0] > 3).astype(int)], "density"),
        ],
    )
    def test_what_is_wrong_is_found(self, change, said):
        x = change(draw(TWO, 1, 300, np.random.default_rng(3))[0])
        found = predictive_checks.check([TWO] * 199, x, np.ones(300))
        if said == "columns":
            assert found.columns.tolist() == [1]
        elif said == "outliers":
            assert found.outlier_p < 1e-6 and found.outliers.tolist() == [7]
        else:
            assert found.density_p <= 0.01 and found.density > 0

    def test_only_as_many_rows_are_used_as_can_be_afforded(self, monkeypatch):
        monkeypatch.setattr(predictive_checks, "MOST_NUMBERS", 20 * 2 * 6 * 120.0)
        x = np.concatenate([draw(TWO, 1, 5000, np.random.default_rng(0))[0], np.full((1000, 2), 50.0)])
        found = predictive_checks.check([TWO] * 20, x, np.ones(len(x)))
        assert found.n_rows == 120
        np.testing.assert_array_equal(np.sort(found.outliers), np.arange(5000, 6000))
        assert predictive_checks.check([TWO] * 20, x[:100], np.ones(100)).n_rows == 100

    def test_whole_numbers_are_copies(self):
        """Rounded rows and how often each occurs: the verdicts are those of the rows written out."""
        x = np.round(draw(TWO, 1, 400, np.random.default_rng(5))[0], 0)
        rows, counts = np.unique(x, axis=0, return_counts=True)
        whole = predictive_checks.check([TWO] * 99, np.repeat(rows, counts, 0), np.ones(400))
        found = predictive_checks.check([TWO] * 99, rows, counts.astype(float))
        assert found.n_rows == 400 and found.outlier_p > 0.05 and found.outlier_p == pytest.approx(whole.outlier_p)
        np.testing.assert_allclose(found.column_p, whole.column_p)
        np.testing.assert_allclose(found.density_p, whole.density_p)


def test_probability_of_one_mode_is_the_share_of_draws_below_two_standard_deviations():
    """Two equal Gaussians in one column have one mode exactly when they are at most two standard deviations apart."""
    rng = np.random.default_rng(0)
    gaps = rng.uniform(1.5, 2.5, 50)
    gaps = gaps[np.abs(gaps - 2) > 1e-3]
    draws = [Point(np.ones(2) / 2, np.array([[0.0], [gap]]), np.ones((2, 1, 1))) for gap in gaps]
    found = ridgeline.one_mode(draws[0], draws)
    np.testing.assert_allclose(found, [[1, (gaps < 2).mean()], [(gaps < 2).mean(), 1]])


@pytest.mark.parametrize(("spread", "expected"), [(1e-4, 0.0), (0.02, 0.0), (1.0, 1.0)])
def test_a_spike_beside_a_wide_component_is_a_mode_of_its_own(spread, expected):
    wide = Point(np.array([0.7, 0.3]), np.array([[0.0] * 5, [1.5] + [0.0] * 4]), np.stack([np.eye(5), spread**2 * np.eye(5)]))
    assert ridgeline.one_mode(wide, [wide])[0, 1] == expected


class TestInfluence:
    def test_rows_left_out_are_fits_of_the_other_rows(self):
        """The estimates without the row are those of a fit to the rest, started from the same place."""
        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(size=(40, 2)), rng.normal(size=(20, 2)) + [5, 0], [[5.0, 7.0]]])
        model = bg.GaussianMixture(2, random_state=0, tol=1e-13).fit(x)
        found = model.diagnose(x, n_draws=100)
        assert found.influence.rows[0] == 60 and verdicts(found)["single rows"] == "attention"
        start = {"weights_init": model.weights_, "means_init": model.means_, "precisions_init": model.precisions_}
        other = bg.GaussianMixture(2, tol=1e-13, **start).fit(x[:60])
        order = np.argsort(-other.means_ @ [1, 0])[np.argsort(np.argsort(-model.means_ @ [1, 0]))]
        parts = [
            influence.estimates(m.weights_[None], m.means_[None], influence.deviations(m.covariances_)[None])[0] for m in (model, other)
        ]
        sure = found.uncertainty
        errors = influence.estimates(sure.draws["weights"], sure.draws["means"], influence.deviations(sure.dense_covariances)).std(0)
        np.testing.assert_allclose(found.influence.moved[0], (parts[1][order] - parts[0]) / errors, atol=2e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("bayesian", [True, False])
    def test_no_row_that_was_not_tried_matters_more(self, bayesian, monkeypatch):
        x = bg.load_dataset("acidity").x
        settings = {"covariance_type": "full", "random_state": 0}
        model = (
            bg.BayesianGaussianMixture(n_components=2, prune=False, **settings) if bayesian else bg.GaussianMixture(2, **settings)
        ).fit(x)
        monkeypatch.setattr(influence, "BY_COMPONENT", len(x))
        monkeypatch.setattr(influence, "MOST", 10**6)
        every = model.diagnose(x, n_draws=100).influence
        assert len(every.rows) == len(x)
        monkeypatch.undo()
        tried = influence.candidates(model.predict_proba(x), np.stack([(y**2).sum(1) for y in _inner(model, x)], 1), np.ones(len(x)))
        assert every.rows[0] in tried and set(every.driving) <= set(tried)


def _inner(model, x):
    return whitened(Point(model.weights_, model.means_, model.covariances_), x)[0]


@pytest.mark.usefixtures("x64")
class TestOneLabelling:
    """Importance weights around one fit have the mean they must have, so their tail is that of the posterior."""

    @pytest.mark.parametrize("concentration", [(1.0, 1.0), pytest.param(2.0, marks=pytest.mark.slow)])
    def test_sticks_of_one_component(self, concentration):
        """The bound is the evidence; with a Gamma law of the concentration, of the model with its mean under the fit."""
        x = np.random.default_rng(0).normal(size=(30, 2))
        model = bg.BayesianGaussianMixture(weight_concentration_prior=concentration).fit(x)
        prior, posterior, y, weight = rows_of_fit(model, x, None)
        found = own_labelling(prior, posterior, y, jnp.asarray(weight), 4000, 0)
        law = posterior.weights
        mean = float(law.shape / law.rate) if law.learn else concentration
        fixed = bg.BayesianGaussianMixture(weight_concentration_prior=mean).fit(x)
        exact = fixed.lower_bound_ + len(x) * float(model._coordinates.log_det)
        assert found.log_evidence == pytest.approx(exact, abs=4 * found.standard_error) and found.k_hat < 0.5

    @pytest.mark.slow
    def test_separate_components(self):
        """Two clear groups: sticks in one order have the bound and its response; for Dirichlet weights the copies are 2!."""
        x = np.concatenate([draw(TWO, 1, 60, np.random.default_rng(2))[0], [[6.0, 1.0]]])
        for law in ("dirichlet_process", "dirichlet_distribution"):
            options = {"weight_concentration_prior_type": law, "weight_concentration_prior": 1.0, "prune": False, "random_state": 0}
            model = bg.BayesianGaussianMixture(n_components=2, covariance_type="diag", **options).fit(x)
            prior, posterior, y, weight = rows_of_fit(model, x, None)
            found = own_labelling(prior, posterior, y, jnp.asarray(weight), 4000, 0)
            expected = model.log_evidence(x)
            own = expected.elbo + expected.response + (expected.multiplicity - np.log(2) if law == "dirichlet_distribution" else 0)
            assert found.log_evidence - len(x) * float(model._coordinates.log_det) == pytest.approx(own, abs=0.1)


class TestPage:
    def test_a_fit_that_is_fine(self, faithful):
        model, found = faithful
        assert [check.name for check in found.concerns] == ["shape"] and "Component 2 (skewed" in str(found)
        assert found.contraction == pytest.approx(model.log_evidence(FAITHFUL).contraction, abs=1e-9)
        assert found.k_hat < 0.5 and found.search.n_components == 2 and abs(found.search.gain) < 0.1
        assert str(found).startswith("2 components, full covariances, 272 rows, 2 columns: 1 of 9 checks calls for attention (shape).")
        assert max(map(len, str(found).splitlines())) <= 110

    @pytest.mark.slow
    def test_one_cluster_of_two_components(self):
        model = bg.GaussianMixture(3, covariance_type="tied", random_state=0).fit(FAITHFUL)
        found = model.diagnose(FAITHFUL)
        assert verdicts(found)["clusters"] == "attention" and found.groups == ((0, 2), (1,))
        assert found.one_mode[0, 2] > 0.8 and found.one_mode[0, 1] == 0 and np.isnan(found.k_hat)
        assert "1 and 3 (probability 0." in text(found, "clusters") and "2 clusters: 1 + 3, 2" in text(found, "clusters")

    def test_one_component_for_two_groups(self):
        found = bg.GaussianMixture(1).fit(FAITHFUL).diagnose(FAITHFUL)
        assert {check.name for check in found.concerns} == {"shape", "prediction"}
        assert "eruptions (p = 0.005" in text(found, "prediction") and set(verdicts(found)) >= {"size", "single rows"}

    def test_rows_and_columns_keep_their_names(self):
        """An outlier in row 50, after rows without weight, in a frame."""
        rng = np.random.default_rng(1)
        x = pd.DataFrame(rng.normal(size=(120, 2)), columns=["height", "width"])
        weight = np.where(np.arange(120) < 20, 0.0, 1.0)
        x.iloc[50] = [9.0, -7.0]
        model = bg.BayesianGaussianMixture(weight_concentration_prior_type="dirichlet_distribution").fit(x, sample_weight=weight)
        found = model.diagnose(x, sample_weight=weight)
        assert found.predictive.outliers.tolist() == [50] and "Row 50 is less likely" in text(found, "prediction")
        assert found.influence.driving[0] == 50 and "row 50 the standard deviation of height" in text(found, "single rows")

    @pytest.mark.slow
    def test_starts_that_lead_elsewhere(self):
        """Eight components where there are two: components are one, and another search ends elsewhere."""
        model = bg.GaussianMixture(8, random_state=0, n_init=2).fit(FAITHFUL)
        found = model.diagnose(FAITHFUL, n_draws=100)
        assert {"contraction", "clusters"} <= {check.name for check in found.concerns} and found.search is not None
        for k, gain, verdict in (
            (8, 0.05, "fine"),
            (8, -1.9, "fine"),
            (8, -2.1, "attention"),
            (8, 0.5, "attention"),
            (7, 0.0, "attention"),
        ):
            other = dataclasses.replace(found, search=Search(k, gain))
            assert verdicts(other)["starts"] == verdict
        assert "ends 0.0 nats lower with 7 components: the answer depends on the starts" in text(other, "starts")

    @pytest.mark.slow
    def test_what_is_not_known_is_said(self):
        x = FAITHFUL.x
        model = bg.GaussianMixture(2, prior="default", random_state=0).fit(x)
        found = model.diagnose(x)
        assert found.uncertainty is None and found.influence is None and np.isnan(found.contraction)
        assert verdicts(found)["contraction"] == verdicts(found)["single rows"] == "unknown"
        given = bg.GaussianMixture(2, init_params=(x[:, 0] > 3).astype(int)).fit(x).diagnose(x)
        assert given.search is None and verdicts(given)["starts"] == "unknown"

    @pytest.mark.slow
    def test_copies_of_rows_are_left_out_one_by_one(self):
        """Counts and the rows written out have the same single rows; and the smallest component counts weights."""
        rng = np.random.default_rng(4)
        x = np.round(np.concatenate([rng.normal(size=(200, 1)), rng.normal(size=(80, 1)) + 8]), 0)
        rows, counts = np.unique(x, axis=0, return_counts=True)
        model = bg.GaussianMixture(2, random_state=0).fit(rows, sample_weight=counts)
        found = model.diagnose(rows, sample_weight=counts, n_draws=100)
        written = bg.GaussianMixture(2, random_state=0).fit(x).diagnose(x, n_draws=100)
        assert found.influence.largest[0] == pytest.approx(written.influence.largest[0], rel=0.2) and found.influence.largest[0] < 2
        assert "smallest has 80" in text(found, "size") and "smallest has 80" in text(written, "size")

    def test_what_depends_on_other_columns_is_not_judged(self):
        x = np.random.default_rng(0).normal(size=(80, 2))
        with pytest.warns(bg.FitWarning):
            model = bg.GaussianMixture(1).fit(np.column_stack([x, x.sum(1)]))
        found = model.diagnose(np.column_stack([x, x.sum(1)]))
        assert verdicts(found)["shape"] == verdicts(found)["prediction"] == "unknown" and verdicts(found)["convergence"] == "attention"

    @pytest.mark.slow
    def test_few_rows_are_not_blamed_for_being_few(self):
        calls = []
        for seed in range(6):
            x = np.random.default_rng(seed).normal(size=(8, 1))
            calls.append(verdicts(bg.GaussianMixture(1).fit(x).diagnose(x, n_draws=100))["single rows"])
        assert calls.count("attention") == 0

    def test_wrong_rows_and_options(self, faithful):
        model, _ = faithful
        with pytest.raises(ValueError, match="X and sample_weight must be those of the fit"):
            model.diagnose(FAITHFUL.x[::-1] + 1)
        with pytest.raises(ValueError, match="n_draws"):
            model.diagnose(FAITHFUL, n_draws=10)
        with pytest.raises(ValueError, match="fit"):
            bg.GaussianMixture(2).diagnose(FAITHFUL)


class TestPlot:
    def test_histogram_band_and_densities(self, faithful):
        _, found = faithful
        ax = found.plot("waiting")
        assert ax.get_xlabel() == "waiting" and ax.get_title() == f"p = {found.predictive.column_p[1]:.3f}"
        assert [t.get_text() for t in ax.get_legend().get_texts()][-2:] == ["component 1", "component 2"]
        total = ax.lines[0].get_ydata()
        assert np.trapezoid(total, ax.lines[0].get_xdata()) == pytest.approx(1, abs=0.02)
        assert plot_predictive_check(found, 0, ax) is ax

    def test_columns_that_do_not_exist(self, faithful):
        _, found = faithful
        with pytest.raises(ValueError, match="'height'"):
            found.plot("height")
        with pytest.raises(ValueError, match="column"):
            found.plot(2)
