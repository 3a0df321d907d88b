"""Pictures of prior and posterior, of ellipses of draws and of all criteria show the numbers behind them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")
import jax
import numpy as np
import pandas as pd
import pictured
import pytest

import bayesgmm as bg
from bayesgmm.analysis.marginals import marginals
from bayesgmm.analysis.regions import draws_region
from bayesgmm.analysis.selection import CRITERIA, chosen_row
from bayesgmm.core.noise import NoiseShare, WithNoise
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Region
from bayesgmm.plots import plot_criteria, plot_ellipses, plot_prior_posterior

X = bg.load_dataset("faithful").x
FRAME = pd.DataFrame(X, columns=["eruptions (min)", "waiting (min)"])
DIRICHLET = {"weight_concentration_prior_type": "dirichlet_distribution", "prune": False}


def laws(kind: str, tied: bool, sticks: bool) -> tuple[bg.Mixture, bg.Mixture]:
    """Prior and posterior of two components in two columns; no fit is needed to have them."""
    structure = {"full": bg.Full(), "diag": bg.Diagonal(), "spherical": bg.Spherical()}[kind]
    matrix = {"full": np.array([[0.4, 0.3], [0.3, 2.0]]), "diag": np.array([0.4, 2.0]), "spherical": np.array(1.5)}[kind]
    lead = 1 if tied else 2
    scale = np.stack([matrix * (1 + k) for k in range(lead)])
    before = bg.NormalWishart(np.array([[3.0, 70.0]]), np.array([0.3]), np.array([5.0]), scale[:1], structure, tied)
    means, dof = np.array([[4.0, 80.0], [2.0, 55.0]]), 25.0 + 5 * np.arange(lead)
    after = bg.NormalWishart(means, np.array([20.3, 15.3]), dof, 9 * scale, structure, tied)
    before = replace(before, mean=np.repeat(before.mean, 2, 0), mean_precision=np.full(2, 0.3))
    before = before if tied else replace(before, dof=np.full(2, 5.0), scale=np.repeat(before.scale, 2, 0))
    if not sticks:
        return bg.Mixture(bg.Dirichlet(np.array([0.7, 0.7])), before), bg.Mixture(bg.Dirichlet(np.array([20.7, 15.7])), after)
    weights = bg.StickBreaking.prior(2, 1.5)
    return bg.Mixture(weights, before), bg.Mixture(weights.posterior(np.array([15.0, 20.0])), after)


@pytest.fixture(scope="module")
def model():
    return bg.BayesianGaussianMixture(n_components=2, covariance_type="tied", n_init=1, random_state=0, **DIRICHLET).fit(FRAME)


@pytest.fixture(scope="module")
def sure(model):
    return model.uncertainty(FRAME, "mean_field", n_draws=300)


@pytest.fixture(scope="module")
def selection():
    return pictured.selection()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def law_draws(law, quantity: str, n: int = 20_000) -> np.ndarray:
    """Draws (n, K) of weights, or of means or standard deviations of the second column, by the law's own way of drawing."""
    with jax.enable_x64(True):
        drawn = law.sample(jax.random.key(1), (n,))
        if quantity == "weights":
            return np.asarray(drawn.weights)
        components = drawn.components
        if quantity == "means":
            return np.asarray(components.mean)[..., 1]
        return np.sqrt(np.asarray(components.structure.to_dense(components.covariance, 2))[..., 1, 1])


@pytest.mark.parametrize("quantity", ["weights", "means", "standard_deviations"])
@pytest.mark.parametrize(
    "kind, tied, sticks", [("full", False, True), ("full", True, False), ("diag", False, False), ("spherical", False, True)]
)
def test_marginal_laws_are_those_of_draws(kind, tied, sticks, quantity):
    """Densities have the mass of draws in each tenth of the grid; sticks of the prior are given to components as those of the posterior."""
    with jax.enable_x64(True):
        prior, posterior = laws(kind, tied, sticks)
        found = marginals(prior, posterior, quantity, 1)
        if sticks:
            prior = replace(prior, weights=replace(prior.weights, order=posterior.weights.order))
    edges = np.linspace(0, len(found.grid) - 1, 11).astype(int)[1:-1]  # at the ends densities may be infinite
    for densities, law in ((found.posterior, posterior), (found.prior, prior)):
        drawn = law_draws(law, quantity)
        for k, density in enumerate(densities):
            mine = drawn[:, k % drawn.shape[1]]
            for low, high in itertools.pairwise(edges):
                mass = np.trapezoid(density[low : high + 1], found.grid[low : high + 1])
                share = np.mean((mine > found.grid[low]) & (mine <= found.grid[high]))
                assert mass == pytest.approx(share, abs=0.02)


def test_weights_beside_noise_are_shares_of_all_rows():
    """Those of components are what noise leaves, divided by the Dirichlet law."""
    share, own, region = bg.Dirichlet(np.array([30.0, 6.0])), bg.Dirichlet(np.array([8.0, 4.0])), Region(0.0, np.zeros(2))
    _, after = laws("full", False, False)
    law = bg.Mixture(NoiseShare(share, own), WithNoise(after.components, region))
    found = marginals(law, law, "weights")
    for density, mean in zip(found.posterior, 30 / 36 * np.array([8, 4]) / 12, strict=True):
        assert np.trapezoid(density, found.grid) == pytest.approx(1, abs=0.01)
        assert np.trapezoid(density * found.grid, found.grid) == pytest.approx(mean, abs=0.005)


def test_weights_before_data_share_the_concentration():
    """Sticks with a Gamma concentration: the first weight is Beta (1, gamma), averaged over gamma."""
    with jax.enable_x64(True):
        law = bg.StickBreaking.prior(2, (1.0, 1.0))
        components = laws("full", False, True)
        found = marginals(
            bg.Mixture(law, components[0].components), bg.Mixture(law.posterior(np.array([20.0, 5])), components[1].components), "weights"
        )
    rng = np.random.default_rng(5)
    first = rng.beta(1, rng.gamma(1, 1, 200_000))
    inner = slice(50, -50)  # at its ends the density is infinite
    expected = np.mean((first > found.grid[inner][0]) & (first < found.grid[inner][-1]))
    assert np.trapezoid(found.prior[0][inner], found.grid[inner]) == pytest.approx(expected, abs=0.02) and expected > 0.3


def test_strips_of_prior_and_posterior(model):
    ax = plot_prior_posterior(model, "means", "waiting (min)")
    with jax.enable_x64(True):
        found = marginals(model.prior_, model.posterior_, "means", 1)
    curves = [line for line in ax.lines if len(line.get_xdata()) == len(found.grid)]
    assert len(curves) == 4 and ax.get_xlabel() == "mean of waiting (min)"
    for k in range(2):
        peak = found.grid[np.argmin(curves[2 * k].get_ydata())]
        assert peak == pytest.approx(model.means_[k, 1], abs=np.diff(found.grid)[0])
        assert k - curves[2 * k].get_ydata().min() == pytest.approx(0.85)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["component 1", "component 2"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["prior", "posterior"]


def test_tails_and_noise_have_laws_too():
    """Standard deviations are then of the matrices of scale; weights are shares of all rows."""
    heavy = bg.BayesianGaussianMixture(n_components=2, student_t=5.0, noise="box", n_init=1, random_state=0).fit(X)
    assert plot_prior_posterior(heavy, "standard_deviations").get_xlabel() == "scale of x0"
    ax = plot_prior_posterior(heavy, "weights")
    for k in range(2):
        curve = ax.lines[3 * k + 1]
        assert curve.get_xdata()[curve.get_ydata().argmin()] == pytest.approx(heavy.weights_[k], abs=0.02)


def test_ellipses_are_those_of_the_draws(sure):
    ax = plot_ellipses(sure, columns=("waiting (min)", 0), n_draws=7, prob=0.5)
    thin = [each for each in ax.patches if not each.get_fill()]
    filled = [each for each in ax.patches if each.get_fill()]
    assert len(thin) == 14 and len(filled) == 2
    drawn = [i for i in range(300) if np.allclose(thin[-2].center, sure.draws["means"][i, 0][::-1])]
    assert drawn == [299]
    spread = np.sqrt(np.linalg.eigvalsh(sure.dense_covariances[299, 0]))
    np.testing.assert_allclose([thin[-1].height / 4, thin[-1].width / 4], spread)
    for k, each in enumerate(filled):
        means = sure.draws["means"][:, k][:, ::-1]
        np.testing.assert_allclose(each.center, means.mean(0))
        away = np.linalg.solve(np.linalg.cholesky(draws_region(means, 0.5)[1]), (means - means.mean(0)).T)
        assert np.mean(np.linalg.norm(away, axis=0) <= 2) == pytest.approx(0.5, abs=0.08)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("waiting (min)", "eruptions (min)")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), X[:, ::-1])


def test_every_criterion_has_a_panel(selection):
    panels = plot_criteria(selection)
    known = [name for name in CRITERIA if np.isfinite(selection.table[name]).any()]
    assert len(panels) == len(known) > 6 and "held_out" not in known
    for ax, name in zip(panels, known, strict=True):
        row = chosen_row(selection.table, name)
        ring = next(line for line in ax.lines if line.get_label() == "choice of the criterion")
        assert ring.get_xydata().tolist() == [[selection.table["n_components"][row], selection.table[name][row]]]
        (stripe,) = ax.patches
        assert stripe.get_x() + stripe.get_width() / 2 == pytest.approx(selection.n_components)
    given = plt.subplots(1, 3)[1]
    two = plot_criteria(selection, ["bic", "icl"], given)
    assert [ax.get_title() for ax in two] == ["BIC: 3 full", "ICL: 2 full"] and not given[2].get_visible()


def test_titles_and_labels_of_criteria_do_not_overlap(selection):
    panels = plot_criteria(selection)
    figure = panels[0].figure
    figure.canvas.draw()
    texts = [text for ax in panels for text in (ax.title, ax.xaxis.label, ax.yaxis.label)] + figure.legends[0].get_texts()
    boxes = [text.get_window_extent() for text in texts]
    for i, one in enumerate(boxes):
        assert not [j for j, other in enumerate(boxes[:i]) if one.overlaps(other)], texts[i].get_text()


WRONG = [
    (plot_prior_posterior, "model", {"quantity": "mean"}, "quantity must be one of"),
    (plot_prior_posterior, "model", {"quantity": "weights", "column": 0}, "weights have none"),
    (plot_prior_posterior, "model", {"column": "waiting"}, "column must be one of"),
    (plot_ellipses, "sure", {"columns": (0,)}, "columns must be two of"),
    (plot_ellipses, "sure", {"columns": (0, "waits")}, "column must be one of"),
    (plot_ellipses, "sure", {"n_draws": 0}, "n_draws must be"),
    (plot_ellipses, "sure", {"prob": 1}, "prob must be"),
    (plot_ellipses, "sure", {"X": X[:, :1]}, "must have the 2 columns"),
    (plot_criteria, "selection", {"criteria": ["held_out"]}, "criteria must be among those computed, evidence.*got held_out"),
    (plot_criteria, "selection", {"criteria": ["gap"]}, "criteria must be one of"),
    (plot_criteria, "selection", {"criteria": []}, "got none"),
    (plot_criteria, "selection", {"axes": []}, "axes must be as many as criteria"),
]


@pytest.mark.parametrize("function, what, options, message", WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_a_wrong_option_is_named(function, what, options, message, request):
    given, before = request.getfixturevalue(what), plt.get_fignums()
    with pytest.raises(ValueError, match=message):
        function(given, **options)
    assert plt.get_fignums() == before


def test_models_without_a_law_are_named():
    likely = bg.GaussianMixture(2, n_init=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="a GaussianMixture has no posterior law"):
        plot_prior_posterior(likely)
    one = SimpleNamespace(_bayesian=True, posterior_=SimpleNamespace(n_known=0, n_components=1), n_features_in_=1)
    with pytest.raises(ValueError, match="whose weight is 1"):
        plot_prior_posterior(one, "weights")
