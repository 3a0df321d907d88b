"""Partitions against definitions written as loops and against all partitions of a few rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.analysis.partitions import compact, distance


def every_partition(n: int):
    """All partitions of n rows as restricted growth strings; Bell(n) of them."""
    strings = [[0]]
    for _ in range(n - 1):
        strings = [[*s, k] for s in strings for k in range(max(s) + 2)]
    return np.array(strings)


def vi_by_entropies(a, b) -> float:
    n, found = len(a), 0.0
    for k, m in itertools.product(np.unique(a), np.unique(b)):
        both, first, second = np.mean((a == k) & (b == m)), np.mean(a == k), np.mean(b == m)
        if both > 0:
            found -= both * (np.log(both / first) + np.log(both / second))
    return found if n else 0.0


def binder_by_pairs(a, b) -> float:
    pairs = list(itertools.combinations(range(len(a)), 2))
    return sum((a[i] == a[j]) != (b[i] == b[j]) for i, j in pairs) / len(pairs)


DISTANCES = {"vi": vi_by_entropies, "binder": binder_by_pairs}


def draws_of(n: int, seed: int, size: int = 25) -> np.ndarray:
    """Draws around two clusters with some rows in doubt, labels permuted at random."""
    rng = np.random.default_rng(seed)
    doubt = rng.uniform(0, 0.5, n)
    base = np.arange(n) % 2 + (np.arange(n) % 5 == 0)
    noisy = np.where(rng.uniform(size=(size, n)) < doubt, rng.integers(0, 4, (size, n)), base)
    return rng.permutation(7)[noisy]


@pytest.mark.parametrize("loss", DISTANCES)
def test_distances_are_their_definitions(loss):
    draws = draws_of(9, 0)
    for a, b in zip(draws[:12], draws[12:24], strict=True):
        assert distance(compact(a), compact(b), loss) == pytest.approx(DISTANCES[loss](a, b), abs=1e-12)


def test_bounds_of_the_variation_of_information():
    singles, one = np.arange(7), np.zeros(7, int)
    assert bg.variation_of_information(singles, one) == pytest.approx(np.log(7))
    assert bg.variation_of_information(["x", "y", "x"], [5, 2, 5]) == 0


def test_many_small_clusters_need_no_table_of_all_intersections():
    a = np.arange(200_000)
    assert bg.variation_of_information(a, a[::-1]) == 0 and bg.adjusted_rand_index(a, a[::-1]) == 1
    assert bg.variation_of_information(a, a // 2) == pytest.approx(np.log(2))


def test_words_may_be_python_objects():
    assert bg.variation_of_information(np.array(["a", "b", "a"], object), [2**70, 1, 2**70]) == 0


def test_equal_partitions_have_distance_zero():
    for seed in range(50):
        labels = np.random.default_rng(seed).integers(40, size=500)
        assert bg.variation_of_information(labels, labels * 7 + 1) == 0


def test_adjusted_rand_index():
    """Against scikit-learn's values for these labels, and the trivial cases."""
    assert bg.adjusted_rand_index([0, 0, 1, 2], [0, 0, 1, 1]) == pytest.approx(0.5714285714285714)
    assert bg.adjusted_rand_index([0, 0, 1, 1], [1, 0, 1, 0]) == pytest.approx(-0.5)
    assert bg.adjusted_rand_index([0, 0, 0], [4, 4, 4]) == 1.0


def test_similarity_is_a_count_of_pairs():
    draws = draws_of(11, 1)
    by_pairs = (draws[:, :, None] == draws[:, None, :]).mean(0)
    np.testing.assert_allclose(bg.similarity_matrix(draws), by_pairs, atol=1e-7)
    np.testing.assert_allclose(bg.similarity_matrix(draws, rows=[3, 0]), by_pairs[[3, 0]], atol=1e-7)


@pytest.mark.parametrize("loss", DISTANCES)
@pytest.mark.parametrize(("n", "seed"), [(5, 2), (6, 3), (7, 4), (8, 5)])
def test_point_estimate_is_the_best_of_all_partitions(loss, n, seed):
    draws = draws_of(n, seed)
    every = every_partition(n)
    canonical = [compact(one) for one in draws]
    losses = np.array([np.mean([distance(one, draw, loss) for draw in canonical]) for one in every])
    found = bg.point_partition(draws, loss, max_clusters=n)
    assert found.expected_loss == pytest.approx(losses.min(), abs=1e-12)
    assert found.n_clusters == found.labels.max() + 1 and (np.diff(np.bincount(found.labels)) <= 0).all()


@pytest.mark.parametrize("loss", DISTANCES)
def test_the_credible_ball_by_hand(loss):
    draws = draws_of(8, 7)
    centre = bg.point_partition(draws, loss)
    ball = bg.credible_ball(draws, centre, prob=0.8, loss=loss)
    away = np.array([DISTANCES[loss](centre.labels, draw) for draw in draws])
    radius = min(r for r in away if np.mean(away <= r + 1e-12) >= 0.8)
    inside = away <= radius + 1e-12
    assert ball.radius == pytest.approx(radius) and ball.share == inside.mean()
    sizes = np.array([len(np.unique(draw)) for draw in draws])
    for some, of in ((ball.upper, sizes[inside].min()), (ball.lower, sizes[inside].max()), (ball.horizontal, None)):
        chosen = inside if of is None else inside & (sizes == of)
        farthest = {tuple(compact(draw)) for draw in draws[chosen & (away >= away[chosen].max() - 1e-12)]}
        assert {tuple(row) for row in some} == farthest
    assert f"{inside.mean():.1%}" in str(ball)


def test_numbers_of_clusters():
    assert bg.n_clusters_probability([[0, 0, 1], [5, 5, 5], [1, 2, 3], [2, 9, 2]]) == {1: 0.25, 2: 0.5, 3: 0.25}


def test_renaming_and_reordering_change_nothing():
    draws = draws_of(30, 8)
    order = np.random.default_rng(0).permutation(30)
    one, other = bg.point_partition(draws), bg.point_partition(draws[:, order] * 10 - 3)
    assert one.expected_loss == pytest.approx(other.expected_loss, abs=1e-12)
    assert bg.variation_of_information(one.labels[order], other.labels) < 1e-12


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bg.point_partition([0, 1, 2]), r"draws must be labels of shape \(draws, rows\); got shape \(3,\)"),
        (lambda: bg.point_partition([[0, 1], [0, np.nan]]), r"draws has a label that is nan, at \[1, 1\]"),
        (lambda: bg.point_partition([[0.5, 1]]), "draws must hold labels, whole numbers or words, not float64"),
        (lambda: bg.point_partition([[0, 1], [0]]), "draws must have as many labels in each draw"),
        (lambda: bg.similarity_matrix(np.ma.masked_equal([[0, 1]], 1)), "draws is a masked array"),
        (lambda: bg.point_partition(np.tile(np.arange(1500), (500, 1)), n_runs=1), "need more than 4 GB"),
        (lambda: bg.point_partition([[0, 1]], loss="VI"), "Did you mean 'vi'"),
        (lambda: bg.variation_of_information([0, 1], [0]), "a has 2 labels, b has 1"),
        (lambda: bg.credible_ball([[0, 1]], [0, 1, 1]), "centre has 3 labels, draws have 2 rows"),
        (lambda: bg.credible_ball([[0, 1]], prob=0), "prob must be a number above 0"),
        (lambda: bg.similarity_matrix([[0, 1]], rows=[2]), "rows must be whole numbers from 0 to 1"),
        (lambda: bg.similarity_matrix(np.zeros((1, 40_000), int)), "need more than 8 GB"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said):
        call()
