"""A fit pass by pass: the passes are those of the fit, and the animation shows them."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Ellipse
from pictured import X as ROWS
from pictured import learner
from PIL import Image

import bayesgmm as bg
from bayesgmm.plots import animate_fit
from bayesgmm.plots.animation import shown_passes

X = bg.load_dataset("faithful").x
FRAME = pd.DataFrame(X, columns=["eruptions (min)", "waiting (min)"])
HALVES = (X[:, 1] > 70).astype(int)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_passes_lead_to_the_fit():
    likely = bg.GaussianMixture(2, init_params=HALVES, tol=1e-12)
    found = likely.trace(FRAME, 1000, tol=1e-13)
    assert not hasattr(likely, "n_features_in_")  # it stays as it is
    likely.fit(FRAME)
    assert found.lower_bounds[-1] == pytest.approx(likely.lower_bound_, abs=1e-6) and found.objective == "log-likelihood"
    order = np.argsort(-found.weights[-1])
    np.testing.assert_allclose(found.means[-1][order], likely.means_, rtol=1e-5)
    np.testing.assert_allclose(found.covariances[-1][order], likely.covariances_, rtol=1e-4)
    np.testing.assert_array_equal(np.argsort(order)[found.labels[-1]], likely.labels_)
    assert (np.diff(found.lower_bounds) >= 0).all() and found.feature_names == list(FRAME.columns)
    first = [X[HALVES == k] for k in (0, 1)]
    np.testing.assert_allclose(found.means[0], [rows.mean(0) for rows in first])
    np.testing.assert_allclose(found.counts.sum(1), len(X))


def test_components_lose_their_rows_and_keep_their_numbers():
    prior = {"weight_concentration_prior": 0.01, "weight_concentration_prior_type": "dirichlet_distribution"}
    some = bg.BayesianGaussianMixture(n_components=6, init_params="random_from_data", random_state=0, **prior)
    found = some.trace(X, 60)
    assert found.n_components[0] > found.n_components[-1] >= 2 and found.objective == "evidence lower bound"
    assert (np.diff(found.n_components) <= 0).all() and (np.diff(found.lower_bounds) > 0).all()
    assert found.n_passes == len(found.means) - 1 <= 60
    again = some.trace(X, 60)
    np.testing.assert_array_equal(again.lower_bounds, found.lower_bounds)


def test_noise_tails_and_weights_of_rows_are_traced():
    weight = np.where(np.arange(len(X)) % 2, 2.0, 1.0)
    start = np.where(np.arange(len(X)) == 5, -1, HALVES)
    found = bg.GaussianMixture(2, init_params=start, noise="box", student_t=4.0).trace(X, 3, sample_weight=weight)
    assert found.weights.shape == (4, 2) and (found.degrees_of_freedom == 4).all()
    assert (found.counts.sum(1) < weight.sum()).all() and set(np.unique(found.labels)) <= {-1, 0, 1}


def test_every_pass_is_a_picture():
    animation = animate_fit(learner(), ROWS)
    assert list(animation.new_frame_seq()) == [0, 1, 2, 3]
    for i, ellipses in ((0, 4), (3, 3)):
        animation._func(i)
        ax = animation._fig.axes[0]
        assert sum(isinstance(each, Ellipse) for each in ax.patches) == ellipses
    assert animation._fig.get_suptitle() == "pass 3 of 3: 3 of 4 components hold rows"
    assert animation.to_jshtml().count("data:image/png") == 4


def test_a_file_has_all_pictures(tmp_path):
    animation = animate_fit(learner(), ROWS, "b")
    animation.save(tmp_path / "fit.gif", writer="pillow", dpi=30)
    with Image.open(tmp_path / "fit.gif") as picture:
        assert picture.n_frames == 4 and picture.size == (300, 150)


def test_later_passes_are_shown_less_often():
    shown = shown_passes(200)
    assert shown[:26] == list(range(26)) and shown[-1] == 200 and 35 < len(shown) < 50
    assert (np.diff(np.diff(shown[26:-1])) >= -1).all()
    assert shown_passes(3) == [0, 1, 2, 3]


WRONG = [
    ({"columns": "waits"}, "column must be one of"),
    ({"columns": (0, 1, 0)}, "columns must be one or two; got 3"),
    ({"n_passes": 0}, "n_passes must be"),
    ({"interval": 0}, "interval must be"),
]


@pytest.mark.parametrize("options, said", WRONG)
def test_a_wrong_option_is_named(options, said):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match=said):
        animate_fit(bg.GaussianMixture(2, init_params=HALVES), FRAME, **{"n_passes": 2, **options})
    assert plt.get_fignums() == before


def test_a_source_cannot_be_traced(tmp_path):
    np.save(tmp_path / "rows.npy", X)
    with pytest.raises(ValueError, match="trace takes rows in memory"):
        bg.GaussianMixture(2).trace(bg.scan(tmp_path / "rows.npy"))
