"""`select` with noise and Student t components: the same search, so that all that holds of Gaussian models holds of these."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from test_robust import DATA, MCLUST, TRUE, heavy, matched

import bayesgmm as bg
from bayesgmm.cli import main

SMALL = np.random.default_rng(1).normal(size=(60, 2)) * [1.0, 2.0] + np.repeat([[0, 0], [7, 3]], 30, axis=0)


@functools.cache
def noisy(criterion: str = "evidence") -> bg.Selection:
    return bg.select(DATA, range(1, 5), "full", criterion, noise="box")


def test_the_number_of_groups_among_noise():
    """Without noise every criterion of this set counts one more: tests/test_robust.py."""
    found = noisy()
    assert found.n_components == found.best.n_components_ == 3
    assert {name: int(found.table["n_components"][found.table.best(name)]) for name in ("bic", "icl")} == {"bic": 3, "icl": 3}
    assert matched(found.best.predict(DATA), TRUE) > 0.85
    assert found.best.noise == "box" and found.best.noise_weight_ > 0.05


def test_the_best_model_is_the_row_chosen():
    found = noisy()
    table, row = found.table, found.row
    assert found.best.lower_bound_ == pytest.approx(table["elbo"][row], abs=1e-3)
    again = bg.BayesianGaussianMixture(**found.best.get_params()).fit(DATA)
    assert again.lower_bound_ == pytest.approx(found.best.lower_bound_, abs=1e-4)
    assert table["evidence"][row] == pytest.approx(
        table["elbo"][row] - table["price"][row] + table["multiplicity"][row] + table["response"][row]
    )
    assert np.isnan(table["icl_exact"]).all()
    assert "3 components" in found.verdict
    assert "Every model has noise besides, uniform over a volume of 315.077." in found.verdict


def test_likelihoods_are_at_least_mclusts():
    found = noisy()
    row = list(found.table["n_components"]).index(3)
    assert found.table["n_parameters"][row] == 3 + 3 * 5 + 1
    assert found.table["bic"][row] < -MCLUST["bic"]["VVV"][2] + 0.02


@pytest.mark.slow
def test_maximum_likelihood():
    found = noisy("bic")
    assert found.n_components == 3
    assert found.best.bic(DATA) == pytest.approx(found.table["bic"][found.row], abs=1e-3)
    assert found.best.icl(DATA) == pytest.approx(found.table["icl"][found.row], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("prior", "name"), [("fixed", "tied"), ("hierarchical", "full"), ("hierarchical", "tied_diag")])
def test_endless_tails_and_noise_over_an_endless_volume_are_no_others(prior, name):
    """The bound then pays for the share of noise alone, 1 / (N + 1) under its uniform law; the likelihood pays nothing."""
    plain = bg.select(SMALL, [1, 2], name, prior=prior).table
    other = bg.select(SMALL, [1, 2], name, prior=prior, noise=1e300, student_t=1e9).table
    np.testing.assert_array_equal(other["n_parameters"], plain["n_parameters"] + 2)
    near = plain["evidence"] > plain["evidence"].max() - 15  # others stop earlier
    np.testing.assert_allclose(other["elbo"][near], plain["elbo"][near] - np.log(len(SMALL) + 1), atol=0.02)
    np.testing.assert_allclose(other["price"][near], plain["price"][near], atol=0.02)
    np.testing.assert_allclose(other["log_likelihood"][near], plain["log_likelihood"][near], atol=0.02)


def test_heavy_tails_are_no_components():
    x = heavy()
    found = bg.select(x, range(1, 5), "spherical", "bic", student_t="shared")
    assert found.n_components == 3
    assert found.best.bic(x) == pytest.approx(found.table["bic"][found.row], abs=0.01)
    assert found.table["n_parameters"].tolist() == [4, 8, 12, 16]


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["held_out", "elbo"])
def test_other_criteria_of_variational_fits(criterion):
    found = bg.select(DATA, [2, 3, 4], ("full", "tied"), criterion, noise="box", n_folds=3)
    assert found.n_components == 3
    assert np.isfinite(found.table[criterion]).all()


@pytest.mark.slow
def test_rows_known_in_part():
    x = DATA.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    found = bg.select(x, [2, 3, 4], "full", "bic", noise="box", missing="at_random")
    assert found.n_components == 3
    assert found.best.bic(x) == pytest.approx(found.table["bic"][found.row], abs=0.01)


@pytest.mark.slow
def test_structures_that_share_parts():
    found = bg.select(DATA, [2, 3, 4], "mclust", "bic", noise="box")
    assert (found.covariance_type, found.n_components) == ("EEV", MCLUST["best"]["G"])
    assert found.table["bic"][found.row] < -MCLUST["best"]["bic"] + 0.02


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": "ball"}, "noise must be None, 'box', 'hull', or a volume"),
        ({"noise": -1.0}, "a finite number above 0; got -1.0"),
        ({"student_t": "learnt"}, "student_t must be None, 'learn', 'shared', or degrees of freedom"),
        ({"noise": "box", "criterion": "icl_exact"}, "for Gaussian components without noise"),
    ],
)
def test_refused_before_any_fit(options, said, monkeypatch):
    monkeypatch.setattr("bayesgmm.estimators.selection.Search", None)
    with pytest.raises(ValueError, match=said):
        bg.select(SMALL, [1, 2], "full", **options)


def test_errors_of_measurement_have_no_tails():
    rows = bg.Observations(SMALL, error_covariance=np.eye(2))
    with pytest.raises(ValueError, match="without errors of measurement"):
        bg.select(rows, [1, 2], "full", "bic", student_t=4.0)


def test_the_command_line(monkeypatch, capsys):
    asked = []

    def recorded(*args, **options):
        asked.append(options)
        raise ValueError("enough")

    monkeypatch.setattr("bayesgmm.estimators.select", recorded)
    assert main(["select", "faithful", "--noise", "box", "--student-t", "shared"]) == 2
    assert main(["fit", "faithful", "--noise", "12.5", "--student-t", "4"]) == 2
    assert [(options["noise"], options["student_t"]) for options in asked] == [("box", "shared"), (12.5, 4.0)]
    assert main(["fit", "faithful", "--covariance", "full", "--noise", "ball"]) == 2
    assert "noise must be None, 'box', 'hull', or a volume" in capsys.readouterr().err


@pytest.mark.slow
def test_old_faithful_with_wrong_rows():
    """Figures of docs/how-to/outliers-and-heavy-tails.md."""
    geyser, rng = bg.load_dataset("faithful"), np.random.default_rng(0)
    wrong = np.column_stack([rng.choice(geyser.x[:, 0], 20), rng.uniform(0, 180, 20)])
    x = np.concatenate([geyser.x, wrong])
    plain, other = (bg.select(x, range(1, 5), "full", criterion="bic", noise=noise) for noise in (None, "box"))
    assert (plain.n_components, other.n_components) == (3, 2)
    assert plain.best.bic(x) - other.best.bic(x) == pytest.approx(33, abs=0.5)
