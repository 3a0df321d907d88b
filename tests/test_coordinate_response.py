"""The closed form of linear response in coordinates: its parts beside draws of the fit, and the whole beside automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import WEIGHTS, normal_wishart

from bayesgmm.analysis import response
from bayesgmm.analysis.coordinate_response import spread_of, with_coefficients
from bayesgmm.analysis.proposal import surroundings
from bayesgmm.analysis.response import component_root, features, own_root
from bayesgmm.analysis.unconstrained import chart_of, inward
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import centred_scores
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import PointWeights
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import from_responsibilities

pytestmark = pytest.mark.usefixtures("x64")
K, D = 3, 2
U = np.array([0.5, 0.4, 0.3])
KINDS = [(name, tied) for name in STRUCTURES for tied in (False, True)]


SLOW = [(name, tied, law) for law in ("asymmetric", "sticks") for name, tied in KINDS]
CASES = [("full", False, "sticks"), ("full", True, "asymmetric"), ("diag", False, "asymmetric"), ("spherical", True, "asymmetric")]
CASES += [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in CASES]


def posterior_of(structure: str, tied: bool, law: str, n: int) -> Mixture:
    """A posterior with no two numbers alike, of so many rows."""
    rng = np.random.default_rng(2)
    x, resp = rng.normal(size=(n, D)), rng.dirichlet([1.0, 0.7, 0.4], n)
    x += resp @ np.array([[0, 0], [2.0, 1.0], [-1.0, 2.0]])
    prior = Mixture(WEIGHTS[law](K, U, 0.5), normal_wishart(structure, tied, D))
    return prior.posterior(from_responsibilities(prior.structure, tied, x, resp, np.ones(n)))


def covariance_of(spread) -> np.ndarray:
    root = spread.draw(np.eye(len(spread.vectors)))
    np.testing.assert_allclose(np.sqrt(np.diag(root @ root.T)), spread.deviations, rtol=1e-9)
    return root @ root.T


@pytest.mark.parametrize(("structure", "tied"), [("full", False), ("diag", True)])
def test_without_a_matrix_the_response_is_the_same(structure, tied, monkeypatch):
    """A block Lanczos method, a pass over the rows a step, beside all eigenvalues of the matrix."""
    chart = chart_of(posterior_of(structure, tied, "dirichlet", 200))
    x, weight = jnp.asarray(np.random.default_rng(2).normal(size=(40, D))), jnp.linspace(1.0, 3.0, 40)
    whole, contraction = spread_of(chart, x, weight)
    monkeypatch.setattr(response, "DENSE", 0)
    monkeypatch.setattr(response, "BLOCK", 3)
    found, same = spread_of(chart, x, weight)
    assert same == pytest.approx(contraction, abs=1e-9)
    np.testing.assert_allclose(covariance_of(found), covariance_of(whole), atol=1e-8)


def test_groups_far_apart_leave_little_to_find(monkeypatch):
    """Labels hide three rows between the groups and nothing else: what is found must not be counted twice."""
    rng, k, d = np.random.default_rng(0), 3, 4
    means = 8 * np.eye(k, d)
    labels = np.arange(60) % k
    x = np.concatenate([means[labels] + rng.normal(size=(60, d)), (means[[0, 1, 2]] + means[[1, 2, 0]]) / 2])
    resp = np.concatenate([np.eye(k)[labels], (np.eye(k)[[0, 1, 2]] + np.eye(k)[[1, 2, 0]]) / 2])
    prior = Mixture(WEIGHTS["dirichlet"](k, U, 0.5), normal_wishart("full", False, d))
    weight = jnp.where(jnp.arange(63) < 60, 1.0, 0.02)
    chart = chart_of(prior.posterior(from_responsibilities(prior.structure, False, x, resp, weight)))
    whole, contraction = spread_of(chart, jnp.asarray(x), weight)
    monkeypatch.setattr(response, "DENSE", 0)
    monkeypatch.setattr(response, "BLOCK", 12)
    found, same = spread_of(chart, jnp.asarray(x), weight)
    assert 0.01 < contraction < 0.9 and same == pytest.approx(contraction, abs=1e-9)
    np.testing.assert_allclose(covariance_of(found), covariance_of(whole), atol=1e-7)


@pytest.mark.parametrize(("structure", "tied", "law"), CASES)
def test_coordinates_covary_with_scores_as_draws_of_the_fit_do(structure, tied, law):
    """Cov(z, score differences of rows) = B times the features, within five standard errors of 40,000 draws."""
    q = posterior_of(structure, tied, law, 14)
    chart = chart_of(q)
    rows = jnp.array([[0.3, -0.2], [1.5, 2.0]])

    @jit
    def drawn(key):
        found = q.sample(key, (40_000,))
        points = Mixture(PointWeights(found.weights), found.components)
        z = jax.vmap(lambda point: inward(chart, point)[0])(points)
        return z, jax.vmap(lambda point: centred_scores(point.structure, point.natural(), rows))(points)

    z, scores = (np.asarray(part) for part in drawn(jax.random.key(0)))
    own = np.asarray(jit(features)(q, rows))
    b = with_coefficients(chart)
    b = b if tied else b.toarray()
    if tied:
        b = b @ np.asarray(component_root(q)[0]).T
    b = b.reshape(len(b), K, -1).copy()
    if not tied:
        b[:, :, 0] = b[:, :, 0] @ np.asarray(own_root(q)).T
    parts = np.einsum("pkq,nkq->pnk", b, np.broadcast_to(own, (len(rows), K, own.shape[-1])))
    covary(z, scores[:, :, :-1] - scores[:, :, -1:], parts[:, :, :-1] - parts[:, :, -1:])
    if tied:
        covary(z, scores[:, 0] - scores[:, 1], along_rows(chart, rows))


def covary(z, scores, expected):
    """Whether draws of coordinates (S, P) and of scores (S, ...) have these covariances (P, ...)."""
    products = (z - z.mean(0))[:, :, None] * (scores - scores.mean(0)).reshape(len(z), 1, -1)
    error = products.std(0) / np.sqrt(len(z))
    expected = expected.reshape(len(z[0]), -1)
    assert (np.abs(products.mean(0) - expected) < 5 * error + 1e-3).all()
    assert np.abs(expected).max() > 0.3


def along_rows(chart, rows) -> np.ndarray:
    """Covariances (P, K) with how much more the first of two rows scores; what components share counts, as with rows known in part."""
    q = chart.posterior
    root = component_root(q, products=True)[0]
    b = with_coefficients(chart, part=True) @ np.asarray(root).T
    structure, size = q.structure, 1 + D
    place = structure.solve(structure.factor(q.components.scale)[0], rows - q.components.mean[:1])
    values = np.asarray(structure.features(place.T))
    more = values[:, 0] - values[:, 1]
    return b[:, : K * size].reshape(len(b), K, size) @ more[:size] + (b[:, K * size :] @ more[size:])[:, None]


@pytest.mark.parametrize(("structure", "tied"), [("full", False), *(pytest.param(*kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_many_rows_give_the_response_by_automatic_differentiation(structure, tied):
    """Where the fit is sharp, that of the scores of a row along the coordinates: the difference falls as 1 / rows."""
    error = []
    for n in (300, 3000):
        q = posterior_of(structure, tied, "dirichlet", n)
        x = jnp.asarray(np.random.default_rng(2).normal(size=(40, D)))
        weight = jnp.full(40, n / 800)
        chart = chart_of(q)
        prior = Mixture(WEIGHTS["dirichlet"](K, U, 0.5), normal_wishart(structure, tied, D))
        hidden = np.asarray(surroundings(prior, chart, x, weight)[1])
        covariance = covariance_of(spread_of(chart, x, weight)[0])
        plugged = np.linalg.inv(np.eye(len(hidden)) - hidden)
        error.append(np.abs(covariance - plugged).max() / np.abs(plugged - np.eye(len(hidden))).max())
    assert error[1] < 0.02 and error[1] < error[0] / 4
