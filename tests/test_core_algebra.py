"""The functions that laws are made of, one at a time and on small arrays: against dense linear algebra, SciPy and differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy.stats import multivariate_t

from bayesgmm.core import linalg
from bayesgmm.core.coordinates import Coordinates, standardising
from bayesgmm.core.statistics import Natural, Region, Stats, Tails, centred_scores, complete_log_prob, log_tail, product_form
from bayesgmm.core.structures import STRUCTURES

pytestmark = pytest.mark.usefixtures("x64")
every_structure = pytest.mark.parametrize("name", STRUCTURES)
D, K = 3, 2


def positive(*lead, d=D, seed=0):
    """Symmetric positive definite matrices (lead, D, D), with no two numbers alike."""
    root = np.random.default_rng(seed).normal(size=(*lead, d, d + 2))
    return root @ root.swapaxes(-1, -2) / d + 0.2 * np.eye(d)


def family(name, *lead, d=D, seed=0):
    """Packed matrices of a structure, and the same dense."""
    dense = positive(*lead, d=d, seed=seed)
    if name == "full":
        return jnp.asarray(dense), dense
    values = np.diagonal(dense, axis1=-2, axis2=-1)
    if name == "diag":
        return jnp.asarray(values), values[..., None] * np.eye(d)
    return jnp.asarray(values[..., 0]), values[..., :1, None] * np.eye(d)


def test_special_functions():
    a = np.array([1.6, 2.5, 7.0, 15.9, 16.0, 16.1, 400.0])
    for p in (1, 2, 3):
        np.testing.assert_allclose(linalg.multigammaln(jnp.asarray(a), p), [special.multigammaln(v, p) for v in a], rtol=1e-13)
        exact = sum(special.digamma(a - i / 2) for i in range(p))
        np.testing.assert_allclose(linalg.multidigamma(jnp.asarray(a), p), exact, rtol=1e-13)
        assert float(linalg.multigammaln(jnp.asarray(2.5), p)) == pytest.approx(special.multigammaln(2.5, p), rel=1e-13)
        assert float(linalg.multidigamma(jnp.asarray(2.5), p)) == pytest.approx(exact[1], rel=1e-13)
    for step in (1e-3, 0.5, 1.0, 30.0):
        exact = special.gammaln(a + step) - special.gammaln(a)
        np.testing.assert_allclose(linalg.gammaln_gain(jnp.asarray(a), step), exact, rtol=1e-10)
        np.testing.assert_allclose(linalg.betaln(jnp.asarray(a), jnp.asarray(step)), special.betaln(a, step), rtol=1e-10)
        np.testing.assert_allclose(linalg.betaln(jnp.asarray(step), jnp.asarray(a)), special.betaln(a, step), rtol=1e-10)
    np.testing.assert_allclose(np.exp([linalg.LOG_2PI, linalg.LOG_2, linalg.LOG_PI]), [2 * np.pi, 2, np.pi], rtol=1e-15)


def test_derivatives_where_numbers_are_equal():
    """Of log B(a, b) at a = b = 1, digamma(1) - digamma(2); of eigenvectors, backwards."""
    assert float(jax.grad(linalg.betaln, 0)(1.0, 1.0)) == float(jax.grad(linalg.betaln, 1)(1.0, 1.0)) == pytest.approx(-1, rel=1e-12)
    slope = jax.grad(lambda a: linalg._eigh(a)[1][0, 1])(jnp.array([[1.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(np.abs(slope + slope.T), [[0, 1], [1, 0]], atol=1e-12)


def test_the_series_has_all_digits_where_it_begins():
    """At a and a step of 1 the gain is ln a, at 17 and a step of 2 it is ln 17 + ln 18: terms to 1e-15 are seen."""
    found = [linalg.gammaln_gain(jnp.asarray(a), step) for a, step in ((16.0, 1.0), (17.0, 2.0), (16.0, 16.0), (1e10, 1.0))]
    exact = [np.log(16), np.log(17 * 18), np.log(np.arange(16.0, 32.0)).sum(), np.log(1e10)]
    np.testing.assert_allclose(found, exact, rtol=2e-15)


@pytest.mark.parametrize("d", [1, 2, 4, 5])
def test_factors_and_triangular_systems(d):
    """Both ways of JAX and ours, with axes in front that are broadcast; a matrix that is not positive definite has no factor."""
    dense = positive(2, d=d)
    exact = np.linalg.cholesky(dense)
    b = np.random.default_rng(1).normal(size=(3, 1, d, 2))
    for factor in (linalg.cholesky, linalg._cholesky_by_columns):
        np.testing.assert_allclose(factor(jnp.asarray(dense)), exact, atol=1e-13)
        assert np.isnan(factor(jnp.asarray(dense - 9 * np.eye(d)))).any((1, 2)).all()
        more = positive(2, 3, d=d, seed=4)
        np.testing.assert_allclose(factor(jnp.asarray(more)), np.linalg.cholesky(more), atol=1e-13)
    truth = np.linalg.solve(exact, np.broadcast_to(b, (3, 2, d, 2)))
    np.testing.assert_allclose(linalg.solve_lower(jnp.asarray(exact), jnp.asarray(b)), truth, rtol=1e-10, atol=1e-13)
    wide = jnp.broadcast_to(exact, (3, 2, d, d)), jnp.broadcast_to(b, (3, 2, d, 2))
    for solve in (linalg._solve_by_lapack, linalg._solve_by_rows):
        np.testing.assert_allclose(solve(*wide), truth, rtol=1e-10, atol=1e-13)
    garbage = jnp.asarray(exact + np.triu(np.ones((d, d)), 1))  # what is above the diagonal does not count
    np.testing.assert_allclose(linalg._solve_by_rows(garbage, wide[1][0]), truth[0], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("lead", [(), (1, 2)])
def test_a_matrix_of_more_than_two_blocks(lead):
    """What blocks are filled up with is cut off again."""
    d = linalg.MANY + 2
    dense, b = positive(*lead, d=d), np.random.default_rng(1).normal(size=(*lead, d, 2))
    exact = np.linalg.cholesky(dense)
    np.testing.assert_allclose(linalg._cholesky_by_columns(jnp.asarray(dense)), exact, atol=1e-12)
    found = np.asarray(linalg._solve_by_rows(jnp.asarray(exact), jnp.asarray(b)))
    np.testing.assert_allclose(exact @ found, b, atol=1e-11)


def test_eigenvalues_and_their_derivatives():
    dense, moved = positive(2, 2), np.tril(np.random.default_rng(5).normal(size=(2, 2, D, D)))
    moved, h = moved + moved.swapaxes(-1, -2), 1e-6
    for eigh in (linalg.eigh, linalg._eigh, jax.vmap(linalg._eigh)):
        values, vectors = eigh(jnp.asarray(dense))
        np.testing.assert_allclose(values, np.linalg.eigvalsh(dense), rtol=1e-12)
        np.testing.assert_allclose((vectors * values[..., None, :]) @ jnp.swapaxes(vectors, -1, -2), dense, atol=1e-12)
    tangent = jax.jvp(linalg._eigh, (jnp.asarray(dense),), (jnp.asarray(moved),))[1]
    up, down = (np.linalg.eigh(dense + s * h * moved) for s in (1, -1))
    np.testing.assert_allclose(tangent[0], (up[0] - down[0]) / (2 * h), atol=1e-7)
    _, vectors = linalg._eigh(jnp.asarray(dense))
    signs = [np.sign((v[1] * vectors).sum(-2, keepdims=True)) for v in (up, down)]
    np.testing.assert_allclose(tangent[1], (up[1] * signs[0] - down[1] * signs[1]) / (2 * h), atol=1e-6)
    equal = jax.jvp(linalg._eigh, (jnp.eye(2),), (jnp.array([[1.0, 0.0], [0.0, 3.0]]),))[1]
    np.testing.assert_allclose(equal[0], [1, 3])
    np.testing.assert_allclose(equal[1], 0)


def test_rare_cases_and_logarithms_of_nothing():
    assert linalg.anywhere(jnp.array([False, True])) and not linalg.anywhere(jnp.array([False, False]))
    found = jax.vmap(linalg.anywhere)(jnp.array([[False, False], [False, True]]))
    assert found.tolist() == [True, True]
    values, slopes = jax.vmap(jax.value_and_grad(linalg.safe_log))(jnp.array([0.0, -1.0, 0.5]))
    np.testing.assert_allclose(values, [linalg.NEVER, linalg.NEVER, np.log(0.5)])
    np.testing.assert_allclose(slopes, [0, 0, 2])
    assert np.exp(np.float32(linalg.NEVER)) == 0 and np.isfinite(np.float32(linalg.NEVER) * 100)


@every_structure
@pytest.mark.parametrize("d", [1, D])
def test_a_structure_is_the_algebra_of_its_matrices(name, d):
    s = STRUCTURES[name]
    packed, dense = family(name, 2, d=d)
    other, dense_other = family(name, 2, d=d, seed=7)
    a = np.random.default_rng(2).normal(size=(2, 4, d))
    blocks, whole = s.blocks(d), lambda m: np.asarray(s.to_dense(jnp.asarray(m), d))
    assert packed.ndim - 1 == s.rank and blocks.count * blocks.size * blocks.copies == d
    np.testing.assert_allclose(whole(packed), dense)
    np.testing.assert_allclose(whole(s.identity(d)), np.eye(d))
    np.testing.assert_allclose(s.from_dense(jnp.asarray(dense)) / (d if s.rank == 0 else 1), packed)
    outer = np.einsum("kni,knj->knij", a, a)
    np.testing.assert_allclose(s.outer(jnp.asarray(a)), s.from_dense(jnp.asarray(outer)), rtol=1e-12)
    factor = s.factor(packed)
    root = np.linalg.cholesky(dense)
    np.testing.assert_allclose(whole(factor), root, atol=1e-13)
    np.testing.assert_allclose(blocks.copies * s.log_det(factor), np.linalg.slogdet(dense)[1], rtol=1e-12)
    np.testing.assert_allclose(whole(s.inverse(factor)), np.linalg.inv(dense), atol=1e-12)
    np.testing.assert_allclose(blocks.copies * s.inner(packed, other), np.trace(dense @ dense_other, axis1=1, axis2=2), rtol=1e-12)
    np.testing.assert_allclose(s.multiply(packed, jnp.asarray(a[:, 0])), np.einsum("kij,kj->ki", dense, a[:, 0]), atol=1e-13)
    np.testing.assert_allclose(s.smallest(packed), np.linalg.eigvalsh(dense)[:, 0], rtol=1e-12)
    one, x = factor[0], jnp.asarray(a)
    squares = np.einsum("kni,ij,knj->kn", a, np.linalg.inv(dense[0]), a)
    assert s.quadratic(one, x).shape == (2, 4, blocks.count)
    np.testing.assert_allclose(s.quadratic(one, x).sum(-1), squares, rtol=1e-10)
    np.testing.assert_allclose(s.apply(one, x), a @ root[0].T, atol=1e-13)
    np.testing.assert_allclose(s.solve(one, x), np.linalg.solve(root[0], a.swapaxes(-1, -2)).swapaxes(-1, -2), rtol=1e-10)
    inverse = np.linalg.inv(root[0])
    np.testing.assert_allclose(whole(s.transform(one, other)), root[0] @ dense_other @ root[0].T, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(whole(s.untransform(one, other)), inverse @ dense_other @ inverse.T, rtol=1e-9, atol=1e-12)
    assert s.n_parameters(d) == {"full": d * (d + 1) // 2, "diag": d, "spherical": 1}[name]


@every_structure
def test_features_are_products_of_columns(name):
    s, x = STRUCTURES[name], np.random.default_rng(3).normal(size=(5, D))
    packed, dense = family(name, 2)
    features = np.asarray(s.features(jnp.asarray(x.T)))
    np.testing.assert_allclose(features[: D + 1], np.vstack([np.ones(5), x.T]))
    np.testing.assert_allclose(s.coefficients(packed) @ features[D + 1 :], np.einsum("ni,kij,nj->kn", x, dense, x), rtol=1e-12)
    weight = np.random.default_rng(4).uniform(size=(2, 5))
    moments = s.from_moments(jnp.asarray(weight @ features[D + 1 :].T), D)
    np.testing.assert_allclose(moments, s.from_dense(jnp.asarray(np.einsum("kn,ni,nj->kij", weight, x, x))), rtol=1e-12)


@every_structure
def test_a_floor_clips_eigenvalues_and_nothing_else(name):
    """Those at the floor, too; a matrix above it stays as it is to the last digit, and one beside it."""
    s = STRUCTURES[name]
    packed, dense = family(name, 3)
    values, vectors = np.linalg.eigh(dense)
    low, high = 0.99 / (1 / values).sum(-1).max(), np.sort(values.ravel())[4] * 1.01
    np.testing.assert_array_equal(s.floored(packed, low), packed)
    clipped = (vectors * np.maximum(values, high)[..., None, :]) @ vectors.swapaxes(-1, -2)
    np.testing.assert_allclose(s.to_dense(s.floored(packed, high), D), clipped, atol=1e-12)
    both = jnp.stack([packed[0] * 1e-3, packed[1] * 1e3])
    np.testing.assert_array_equal(s.floored(both, 0.1)[1], both[1])
    np.testing.assert_allclose(s.smallest(s.floored(both, 0.1))[0], 0.1, rtol=1e-10)
    thin = s.from_dense(jnp.diag(jnp.array([1.0, 100.0, 100.0]))[None])  # the bound that spares decomposition is 0.98
    np.testing.assert_allclose(s.smallest(s.floored(thin, 1.5)), s.smallest(thin) if name == "spherical" else 1.5, rtol=1e-12)


def natural(name, tied, tails=False, seed=0):
    """Scores with no two numbers alike."""
    rng = np.random.default_rng(seed)
    precision, dense = family(name, 1 if tied else K, seed=seed)
    level, mean = jnp.asarray(rng.normal(size=K)), jnp.asarray(rng.normal(size=(K, D)))
    if not tails:
        return Natural(level, mean, precision), np.broadcast_to(dense, (K, D, D))
    heavy = Tails(level, jnp.array([1.7, 8.0]))
    return Natural(jnp.zeros(K), mean, precision, tails=heavy), np.broadcast_to(dense, (K, D, D))


@every_structure
@pytest.mark.parametrize("tied", [False, True])
def test_scores_are_quadratic_functions(name, tied):
    """By products of features, by differences, and summed from statistics alone."""
    s, (n, dense) = STRUCTURES[name], natural(name, tied)
    x = np.random.default_rng(6).normal(size=(7, D))
    away = x[:, None] - np.asarray(n.mean)
    exact = np.asarray(n.level) - np.einsum("nki,kij,nkj->nk", away, dense, away) / 2
    np.testing.assert_allclose(centred_scores(s, n, jnp.asarray(x)), exact, rtol=1e-11)
    np.testing.assert_allclose(product_form(s, n)(s.features(jnp.asarray(x.T))), exact.T, rtol=1e-10)
    resp = np.random.default_rng(7).uniform(size=(7, K))
    scatter = s.from_dense(jnp.asarray(np.einsum("nk,ni,nj->kij", resp, x, x)))
    stats = Stats(jnp.zeros(()), jnp.asarray(resp.sum(0)), jnp.asarray(resp.T @ x), scatter.sum(0, keepdims=True) if tied else scatter)
    np.testing.assert_allclose(complete_log_prob(s, n, stats), (resp * exact).sum(), rtol=1e-10)
    raised = n.raised(jnp.array([1.0, -2.0]))
    np.testing.assert_allclose(centred_scores(s, raised, jnp.asarray(x)), exact + [1, -2], rtol=1e-10)


@every_structure
def test_heavy_tails_are_student_t(name):
    s, (n, dense) = STRUCTURES[name], natural(name, False, tails=True)
    x = np.random.default_rng(8).normal(size=(7, D))
    dof = np.asarray(n.tails.dof)
    laws = [multivariate_t(m, np.linalg.inv(p), v) for m, p, v in zip(np.asarray(n.mean), dense, dof, strict=True)]
    tops = np.array([law.logpdf(m) for law, m in zip(laws, np.asarray(n.mean), strict=True)])
    exact = np.stack([law.logpdf(x) for law in laws], 1) - tops + np.asarray(n.tails.level)
    for scores in (centred_scores(s, n, jnp.asarray(x)), product_form(s, n)(s.features(jnp.asarray(x.T))).T):
        np.testing.assert_allclose(scores, exact, rtol=1e-9)
    np.testing.assert_allclose(centred_scores(s, n.raised(jnp.array([3.0, 1.0])), jnp.asarray(x)), exact + [3, 1], rtol=1e-9)
    gaussian = -D / 2 * np.log(2 * np.pi) + np.linalg.slogdet(dense)[1] / 2
    np.testing.assert_allclose(gaussian + log_tail(jnp.asarray(dof), D), tops, rtol=1e-12)
    away = x[:, None] - np.asarray(n.mean)
    squares = np.einsum("nki,kij,nkj->kn", away, dense, away)
    mean, log = n.tails.weights(jnp.asarray(exact.T), D)
    shape, rate = (dof[:, None] + D) / 2, (dof[:, None] + squares) / 2  # of the Gamma law of the weight of a row
    np.testing.assert_allclose(mean, shape / rate, rtol=1e-9)
    np.testing.assert_allclose(log, special.digamma(shape) - np.log(rate), rtol=1e-9, atol=1e-9)
    assert np.isfinite(n.tails.scores(jnp.full((K, 1), 1e-30), D)).all()  # rounding may leave a distance below 0


def test_statistics_add_up():
    one = Stats(*(jnp.asarray(a) for a in (1.0, [2.0, 3.0], [[1.0], [4.0]], [[5.0], [6.0]])))
    for a, b, c, d in zip(one, one + one, one.scaled(3.0), one.scaled(3.0) - one, strict=True):
        if a is None:
            assert b is c is d is None
        else:
            np.testing.assert_array_equal(np.stack([b, c, d]), np.stack([2 * a, 3 * a, 2 * a]))
    assert Region(jnp.zeros(()), jnp.zeros(2)).log_sides.shape == (2,)


@every_structure
def test_coordinates_are_an_affine_map(name):
    s, (packed, dense) = STRUCTURES[name], family(name)
    shift, x = np.array([1.0, -2.0, 0.5]), np.random.default_rng(9).normal(size=(4, D))
    place = standardising(s, jnp.asarray(shift), packed)
    assert isinstance(place, Coordinates)
    root = np.linalg.cholesky(dense)
    np.testing.assert_allclose(place.outward(jnp.asarray(x)), shift + x @ root.T, rtol=1e-12)
    np.testing.assert_allclose(place.inward(place.outward(jnp.asarray(x))), x, rtol=1e-10)
    np.testing.assert_allclose(place.log_det, np.linalg.slogdet(root)[1], rtol=1e-12)
