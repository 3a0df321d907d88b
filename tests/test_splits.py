"""Ways to divide a component: each finds the parts it is made for, and none breaks on odd rows."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.inference.splits import WAYS, along, flattest, flattest_axis, outer, parts


def agreement(part: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows on the side of their group, whichever side that is."""
    right = float((part == labels.astype(bool)).mean())
    return max(right, 1 - right)


def groups(n: int = 600, d: int = 6, apart: float = 5.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of one covariance, apart along the shortest axis."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    rows = rng.normal(size=(n, d)) * np.geomspace(20, 1, d)
    rows[:, -1] += apart * labels
    return rows @ np.linalg.qr(rng.normal(size=(d, d)))[0], labels


@pytest.mark.parametrize("seed", range(5))
def test_the_flattest_axis_finds_groups_that_long_axes_hide(seed):
    rows, labels = groups(seed=seed)
    assert agreement(flattest(np.ones(len(rows)), rows), labels) > 0.95
    assert agreement(along(np.ones(len(rows)), rows), labels) < 0.65


def test_no_axis_has_a_lower_kurtosis():
    """Beside the best of 20,000 random axes of three-dimensional uniform and normal columns."""
    rng = np.random.default_rng(1)
    white = np.column_stack([rng.uniform(-1, 1, 3000), rng.normal(size=(3000, 2))])
    white = np.linalg.solve(np.linalg.cholesky(np.cov(white.T, bias=True)), (white - white.mean(0)).T).T
    axis = flattest_axis(white, np.ones(3000))
    np.testing.assert_allclose(np.linalg.norm(axis), 1)
    random = rng.normal(size=(3, 20_000))
    random /= np.linalg.norm(random, axis=0)
    kurtosis = lambda v: ((white @ v) ** 4).mean(0)  # noqa: E731
    assert kurtosis(axis) <= kurtosis(random).min() + 1e-3


def test_shares_count_as_copies():
    rows, _ = groups(n=200)
    share = np.random.default_rng(2).integers(0, 3, 200).astype(float)
    repeated = np.repeat(rows, share.astype(int), axis=0)
    for way in (along, flattest):
        one, copies = way(share, rows)[share > 0], way(np.ones(len(repeated)), repeated)
        assert agreement(np.repeat(one, share[share > 0].astype(int)), copies) == 1


def test_the_outer_half_is_the_wider_group():
    rng = np.random.default_rng(3)
    labels = rng.integers(2, size=800)
    rows = rng.normal(size=(800, 4)) * np.where(labels, 6.0, 1.0)[:, None]
    part = outer(np.ones(800), rows)
    assert part.mean() == pytest.approx(0.5, abs=0.01)
    assert agreement(part, labels) > 0.9


@pytest.mark.parametrize(
    "rows",
    [np.zeros((5, 2)), np.ones((4, 1)), np.eye(3), np.repeat(np.eye(2), 10, axis=0), np.arange(12.0)[:, None] * [1, 2, 1e-9]],
    ids=["zeros", "constant", "few", "repeated", "collinear"],
)
def test_odd_rows(rows):
    with np.errstate(all="raise", under="ignore"):
        for part in parts(np.ones(len(rows)), rows, WAYS):
            assert part.dtype == bool and part.shape == (len(rows),)


def test_the_same_parts_come_once():
    """In one dimension the longest axis is the flattest."""
    rows = np.random.default_rng(4).normal(size=(50, 1))
    assert len(list(parts(np.ones(50), rows, WAYS))) == 2
    assert not list(parts(np.full(50, 0.01), rows, WAYS))
