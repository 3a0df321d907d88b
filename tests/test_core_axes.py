"""Axes that covariances have in common, on small arrays: against all angles, by hand, and from several starts."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from registry import scattered

from bayesgmm.core import axes
from bayesgmm.core.sharing import LEAST, Sharing
from bayesgmm.core.structures import STRUCTURES

pytestmark = pytest.mark.usefixtures("x64")
K = 3
ROWS = np.array([5.0, 11.0, 20.0])


def even(values):
    return jnp.log(values).sum()


def logs(values):
    return jnp.log(values).sum(1) @ jnp.asarray(ROWS)


@pytest.mark.parametrize("volume", [False, True])
def test_the_height_of_axes_is_that_of_the_best_variances_along_them(volume):
    """Twice the negative log-likelihood, but for a constant, by the update itself; an empty component has no say, part of a row has."""
    sharing, rows, rng = Sharing(volume, False, True), np.array([5.0, 0.5, 0.0]), np.random.default_rng(4)

    def height(scatter):
        own = jnp.asarray(scatter / np.where(rows > 0, rows, 1)[:, None])
        found = np.asarray(sharing._parted(STRUCTURES["diag"], own, jnp.asarray(rows)))[:2]
        return (rows[:2] @ np.log(found)).sum() + (scatter[:2] / found).sum()

    def found(scatter):
        return float(sharing._height(jnp.asarray(scatter), jnp.asarray(rows)))

    scatter = [1e-6 * rng.uniform(0.5, 9, (3, 4)) * (rows > 0)[:, None] for _ in range(2)]
    one, other = (found(each) - height(each) for each in scatter)
    assert one == pytest.approx(other, rel=1e-10)
    for k in range(2):  # without spread along an axis: the least variance there is
        none, least = (scatter[0] * np.where(np.arange(12).reshape(3, 4) == 4 * k, 0, 1) for _ in range(2))
        least[k, 0] = LEAST * rows[k]
        assert found(none) == pytest.approx(found(least), rel=1e-12)
        assert found(least * np.where(none == 0, 2, 1)) > found(none) + 1e-3


def turned(angle):
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_the_best_angle_of_a_plane_is_the_best_of_all():
    """Every angle of a quarter turn tried in steps of 1e-4."""
    angles = np.arange(0, np.pi / 2, 1e-4)
    for seed in range(3):
        own = scattered(seed=seed)
        heights = [float(ROWS @ np.log(np.diagonal(turned(t) @ own @ turned(t).T, axis1=1, axis2=2)).sum(1)) for t in angles]
        angle = float(axes._best_angle(jnp.asarray(own), 0, 1, logs))
        assert -np.pi / 4 <= angle <= np.pi / 4
        away = (angle - angles[np.argmin(heights)]) / (np.pi / 2)
        assert abs(away - round(away)) < 1e-4
        found = axes._rotated(axes._rotated(jnp.asarray(own), 0, 1, angle).swapaxes(-1, -2), 0, 1, angle)
        assert float(logs(jnp.diagonal(found, axis1=1, axis2=2))) <= min(heights) + 1e-9
        np.testing.assert_allclose(np.linalg.eigvalsh(found), np.linalg.eigvalsh(own), rtol=1e-10)


def test_axes_are_turned_until_no_plane_has_a_better_angle():
    """Or for as many passes as are allowed: one pass is each plane in turn."""
    own, start = jnp.asarray(scattered(d=3, seed=3)), jnp.asarray(np.linalg.eigh(scattered(1, 3, seed=9)[0])[1])
    planes = [(0, 1), (0, 2), (1, 2)]
    found, height = axes._from_axes(own, logs, start, 60)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-12)
    turned = found.T @ own @ found
    assert float(height) == pytest.approx(float(logs(jnp.diagonal(turned, axis1=1, axis2=2))), rel=1e-12)
    np.testing.assert_allclose([float(axes._best_angle(turned, p, q, logs)) for p, q in planes], 0, atol=1e-8)
    turned, by_hand = start.T @ own @ start, start
    for p, q in planes:
        angle = axes._best_angle(turned, p, q, logs)
        assert abs(float(angle)) > 1e-3
        by_hand = axes._rotated(by_hand, p, q, angle)
        turned = by_hand.T @ own @ by_hand
    np.testing.assert_allclose(axes._from_axes(own, logs, start, 1)[0], by_hand, atol=1e-9)


@pytest.mark.slow
def test_axes_that_are_common_are_found():
    """From any start, and from known ones; one column has one axis."""
    basis, values = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0], np.random.default_rng(3).uniform(0.1, 4, (K, 3))
    own = jnp.asarray((basis * values[:, None]) @ basis.T)
    for known in (None, own):
        found = np.asarray(axes.common_axes(own, logs, known))
        np.testing.assert_allclose(np.sort(np.abs(found.T @ basis), axis=0), [[0] * 3, [0] * 3, [1] * 3], atol=1e-7)
    assert axes.common_axes(jnp.ones((2, 1, 1)), logs).tolist() == [[1]]


def test_axes_are_the_best_of_those_that_several_starts_lead_to(monkeypatch):
    """Starts are the axes of the sum and of each matrix, or known ones; where a search fails its height is no number."""
    own, tried = scattered(d=3, seed=9), []

    def nowhere(matrices, criterion, start, most):
        tried.append(most)
        height = criterion(jnp.diagonal(start.T @ matrices @ start, axis1=-2, axis2=-1))
        return start, jnp.where(height < lost, jnp.nan, height)

    monkeypatch.setattr(axes, "_from_axes", nowhere)
    starts = [np.linalg.eigh(a)[1] for a in (own.sum(0), *own)]
    heights = np.array([float(logs(np.diagonal(u.T @ own @ u, axis1=1, axis2=2))) for u in starts])
    for place in range(4):  # the lowest; the next, where that search fails; and so on
        best, lost = np.argsort(heights)[place], np.append(-np.inf, np.sort(heights) + 1e-9)[place]
        found = np.asarray(axes.common_axes(jnp.asarray(own), logs))
        np.testing.assert_allclose(np.abs(found.T @ starts[best]), np.eye(3), atol=1e-12)
    lost, known = -np.inf, own[1:2] * np.array([[[1.0]], [[5.0]]])
    found = np.asarray(axes.common_axes(jnp.asarray(own), logs, jnp.asarray(known)))
    np.testing.assert_allclose(np.abs(found.T @ starts[2]), np.eye(3), atol=1e-12)
    assert tried == [axes.SWEEPS] * 4 + [axes.FEW]
    for other in (own[:2], own[1::-1]):  # as many as columns or not
        starts = [np.linalg.eigh(a)[1] for a in (other.sum(0), *other)]
        best = np.argmin([float(even(np.diagonal(u.T @ other @ u, axis1=1, axis2=2))) for u in starts])
        found = np.asarray(axes.common_axes(jnp.asarray(other), even))
        np.testing.assert_allclose(np.abs(found.T @ starts[best]), np.eye(3), atol=1e-12)
