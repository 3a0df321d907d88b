"""Covariances with parts in common, few factors, heavy tails and rows known in part: each function by itself, on small arrays."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from registry import scattered
from scipy import stats
from scipy.linalg import expm
from scipy.special import digamma

from bayesgmm.core.latent import Latent, completed, latent, student_log_prob
from bayesgmm.core.low_rank import LowRank
from bayesgmm.core.points import FlatGaussian, Gaussian
from bayesgmm.core.pytree import replace
from bayesgmm.core.shared import SharedGaussian
from bayesgmm.core.sharing import LEAST as LEAST_SHARE
from bayesgmm.core.sharing import Sharing, of_one_shape, of_one_volume
from bayesgmm.core.statistics import Natural, Region, Stats, Tails, centred_scores, log_tail
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.student import FIRST, LEAST, MOST, Student, by_weight
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, SHARINGS

pytestmark = pytest.mark.usefixtures("x64")
K, D = 3, 2
ROWS = np.array([5.0, 11.0, 20.0])


def deviance(covariances, own, rows=ROWS) -> float:
    """Twice the negative log-likelihood, up to a constant."""
    return float(rows @ (np.linalg.slogdet(covariances)[1] + np.trace(np.linalg.solve(covariances, own), axis1=1, axis2=2)))


def moved(covariances, sharing, diagonal: bool, rng, h: float) -> np.ndarray:
    """Other covariances of the family, as far as h away: volumes, shapes and axes moved, together where they are shared."""
    d, found = covariances.shape[1], []
    draws = [rng.normal(size=(K, n)) for n in (1, d, d * d)]
    for one, drawn in zip((sharing.volume, sharing.shape, sharing.axes), draws, strict=True):
        drawn[:] = drawn[0] if one else drawn
    for k, (a, volume, shape, turn) in enumerate(zip(covariances, *draws, strict=True)):
        basis = np.eye(d) if diagonal else np.linalg.eigh(covariances[0] if sharing.axes else covariances[k])[1]
        values = np.diagonal(basis.T @ a @ basis) * np.exp(h * (volume + shape - shape.mean()))
        turn = np.eye(d) if diagonal else expm(h * (turn.reshape(d, d) - turn.reshape(d, d).T))
        found.append(turn @ (basis * values) @ basis.T @ turn.T)
    return np.array(found)


@pytest.mark.parametrize("word", [pytest.param(w, marks=() if w in ("VEI", "EVI") else pytest.mark.slow) for w in SHARINGS])
def test_no_neighbour_in_the_family_is_more_likely(word):
    structure, sharing, own = COVARIANCE_TYPES[word][0], SHARINGS[word], scattered(d=3)
    if not isinstance(sharing, Sharing):
        pytest.skip("of few factors")
    packed = structure.from_dense(jnp.asarray(own))
    found = sharing.covariances(structure, packed, jnp.asarray(ROWS))
    dense, rng = np.asarray(structure.to_dense(found, 3)), np.random.default_rng(1)
    own = np.asarray(structure.to_dense(packed, 3))
    np.testing.assert_allclose(moved(dense, sharing, structure.rank == 1, rng, 0.0), dense, rtol=1e-7, atol=1e-9)  # of the family
    best = deviance(dense, own)
    for _ in range(6):
        ups = [deviance(moved(dense, sharing, structure.rank == 1, np.random.default_rng(_), h), own) - best for h in (1e-3, -1e-3)]
        assert min(ups) > 0 and abs(ups[0] - ups[1]) < 0.1 * sum(ups)  # a flat top
    assert (np.trace(np.linalg.solve(dense, own), axis1=1, axis2=2) @ ROWS) == pytest.approx(3 * ROWS.sum(), rel=1e-9)


@pytest.mark.parametrize("name", ["full", "diag"])
def test_one_shape_with_an_empty_component(name):
    structure, rows = STRUCTURES[name], np.array([5.0, 0.0, 0.5])
    own = structure.from_dense(jnp.asarray(scattered(seed=4)))
    found = of_one_shape(structure, own, jnp.asarray(rows))
    dense, plain = (np.asarray(structure.to_dense(a, D)) for a in (found, own))
    shapes = dense / np.trace(dense, axis1=1, axis2=2)[:, None, None]
    np.testing.assert_allclose(shapes, np.broadcast_to(shapes[:1], shapes.shape), rtol=1e-9, atol=1e-12)
    traces = np.trace(np.linalg.solve(dense, plain), axis1=1, axis2=2)
    np.testing.assert_allclose(traces[[0, 2]], D, rtol=1e-10)
    volumes = np.linalg.slogdet(dense)[1] / D  # without rows it is as large as the others are, by their rows
    assert volumes[1] == pytest.approx((rows / rows.sum()) @ np.where(rows > 0, volumes, 0), abs=1e-9)


@pytest.mark.parametrize("name", ["full", "diag"])
def test_common_parts_of_covariances_without_spread(name):
    """A direction in which no row of any component, or of one, is apart from its mean has the least variance there is."""
    structure, flat = STRUCTURES[name], np.ones((2, 2)) if name == "full" else np.diag([0.0, 1.0])
    own = structure.from_dense(jnp.asarray(flat * np.array([1.0, 4.0, 2.0])[:, None, None]))
    axis = np.array([1.0, -1.0]) / np.sqrt(2) if name == "full" else np.array([1.0, 0.0])
    found = np.asarray(structure.to_dense(of_one_shape(structure, own, jnp.asarray(ROWS)), D))
    shape = axis @ found @ axis / np.trace(found, axis1=1, axis2=2)
    np.testing.assert_allclose(shape, shape[0], rtol=1e-3)  # of a variance at the end of its digits
    assert 0.1 * LEAST_SHARE < shape[0] < 10 * LEAST_SHARE
    one = structure.from_dense(jnp.asarray(np.where(np.arange(K)[:, None, None] == 0, flat, scattered())))
    found = np.asarray(structure.to_dense(of_one_volume(structure, one, jnp.asarray(ROWS)), D))
    np.testing.assert_allclose(np.linalg.det(found), np.linalg.det(found[2]), rtol=1e-3)


@pytest.mark.parametrize("name", STRUCTURES)
def test_covariances_of_32_bits_stay_so(name):
    """Where 64 are allowed, too."""
    s, single = STRUCTURES[name], lambda a: jnp.asarray(a, jnp.float32)
    packed = single(s.from_dense(jnp.asarray(scattered())))
    data = Stats(single(0), single(ROWS), single(np.ones((K, D))), packed * 30)
    found = [s.to_dense(packed, D), FlatGaussian(single(1e-6), s, False).posterior(data).covariance]
    found += [of_one_shape(s, packed, single(ROWS)), of_one_volume(s, packed, single(ROWS))] if s.rank else []
    assert {a.dtype for a in found} == {np.dtype("float32")}


@pytest.mark.parametrize("name", ["full", "diag"])
def test_five_steps_find_the_best_shape_whatever_the_volumes(name, monkeypatch):
    """Newton's near the optimum, where each component has D of its own variances, and others on the way there."""
    monkeypatch.setattr("bayesgmm.core.sharing.STEPS", 5)
    structure, volumes = STRUCTURES[name], np.array([1e-3, 1.0, 1e4])[:, None, None]
    for seed in (0, 4):
        own = structure.from_dense(jnp.asarray(scattered(d=3, seed=seed) * volumes))
        found, plain = (np.asarray(structure.to_dense(a, 3)) for a in (of_one_shape(structure, own, jnp.asarray(ROWS)), own))
        np.testing.assert_allclose(np.trace(np.linalg.solve(found, plain), axis1=1, axis2=2), 3, rtol=1e-8)


def test_numbers_of_parameters_and_rows():
    full, diag = STRUCTURES["full"], STRUCTURES["diag"]
    for volume, shape, turn in np.ndindex(2, 2, 2):
        sharing = Sharing(bool(volume), bool(shape), bool(turn))
        own = 1 if volume else K
        parts = own + (3 if shape else 3 * K) + (6 if turn else 6 * K)
        assert sharing.n_parameters(full, K, 4) == parts
        assert sharing.affine == (shape == turn)
        assert sharing.n_parameters(diag, K, 4) == own + (3 if shape else 3 * K)
        assert sharing.fewest(4) == (0 if volume and shape else 2 if shape or turn else 5)
    few = LowRank(2)
    assert (
        few.n_parameters(full, K, 5) == K * (5 * 2 - 1 + 1)
        and LowRank(3).n_parameters(full, 1, 5) == 13
        and few.fewest(5) == 4
        and not few.affine
        and not few.axes
    )


@pytest.mark.parametrize("q", [1, 2])
def test_few_factors_keep_the_longest_axes(q):
    own = scattered(2, 4)
    found = np.asarray(LowRank(q).covariances(STRUCTURES["full"], jnp.asarray(own), None))
    before, after = np.linalg.eigvalsh(own), np.linalg.eigvalsh(found)
    np.testing.assert_allclose(after[:, 4 - q :], before[:, 4 - q :], rtol=1e-11)
    np.testing.assert_allclose(after[:, : 4 - q], np.repeat(before[:, : 4 - q].mean(1, keepdims=True), 4 - q, 1), rtol=1e-11)
    vectors = np.linalg.eigh(own)[1][:, :, -1:]
    np.testing.assert_allclose(found @ vectors, before[:, -1:, None] * vectors, rtol=1e-9)


@pytest.mark.parametrize("word", ["EEV", *(pytest.param(w, marks=pytest.mark.slow) for w in ("VVE", "VEI"))])
def test_families_in_other_units(word):
    """Where orientations are measured in units of the sphere, a change of all units changes nothing."""
    structure, sharing = COVARIANCE_TYPES[word][0], SHARINGS[word]
    own, factor = jnp.asarray(scattered(seed=7)), jnp.asarray([[1.5, 0.0], [0.6, 0.7]])
    factor = factor if structure.rank == 2 else jnp.diagonal(factor)
    law = SharedGaussian(FlatGaussian(1e-12, structure, False), structure.identity(D).astype(float), sharing)
    plain = Gaussian(jnp.zeros((K, D)), structure.from_dense(own), structure)
    change = lambda a: structure.transform(factor, a)  # noqa: E731
    here, there = law.restricted(plain, jnp.asarray(ROWS)), law.mapped(lambda a: a, change)
    found = there.restricted(plain.mapped(lambda a: a, change), jnp.asarray(ROWS))
    np.testing.assert_allclose(found.covariance, change(here.covariance), rtol=1e-6)
    assert law.searches == (word == "VVE") and law.flat and law.fewest(D) == sharing.fewest(D) and law.take(0).sharing is sharing
    assert float(law.log_density(found)) == 0
    high = replace(law, law=FlatGaussian(9.0, structure, False)).restricted(plain, jnp.asarray(ROWS))
    np.testing.assert_allclose(np.min(structure.smallest(high.covariance)), 9, rtol=1e-9)


@pytest.mark.parametrize("word", ["EEV", pytest.param("VVE", marks=pytest.mark.slow)])
def test_families_of_small_variances(word):
    """Covariances in units a thousand times as small are a millionth."""
    structure, sharing = COVARIANCE_TYPES[word][0], SHARINGS[word]
    for d in (3, 10) if word == "EEV" else (3,):
        own, found = jnp.asarray(scattered(d=d)), []
        for unit in (1.0, 1e-6):
            law = SharedGaussian(FlatGaussian(1e-30, structure, False), unit * structure.identity(d).astype(float), sharing)
            found.append(law.restricted(Gaussian(jnp.zeros((K, d)), unit * own, structure), jnp.asarray(ROWS)).covariance / unit)
        np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-9)


def heavy(name="full", dof=(3.5, 8.0, 40.0), learn=True, shared=False):
    s = STRUCTURES[name]
    packed = s.from_dense(jnp.asarray(scattered())) / (D if s.rank == 0 else 1)
    return Student(Gaussian(jnp.asarray(np.random.default_rng(5).normal(size=(K, D))), packed, s), jnp.asarray(dof), learn, shared)


@pytest.mark.parametrize("name", STRUCTURES)
def test_components_with_heavy_tails_are_student_t(name):
    law, x = heavy(name), np.random.default_rng(6).normal(size=(5, D))
    dense = np.asarray(law.structure.to_dense(law.covariance, D))
    exact = [stats.multivariate_t(m, c, v).logpdf(x) for m, c, v in zip(law.mean, dense, np.asarray(law.dof), strict=True)]
    np.testing.assert_allclose(law.predictive_log_prob(jnp.asarray(x)), np.stack(exact, 1), rtol=1e-10)
    np.testing.assert_allclose(centred_scores(law.structure, law.natural(), jnp.asarray(x)), np.stack(exact, 1), rtol=1e-10)
    some = law.take(np.array([2, 0]))
    np.testing.assert_allclose(some.dof, [40, 3.5])
    np.testing.assert_allclose(some.mean, np.asarray(law.mean)[[2, 0]])
    assert some.take(np.array([1, 0])).dof.tolist() == [3.5, 40]
    assert replace(law, dof=jnp.array([4.0])).take(np.array([2, 0])).dof.tolist() == [4]
    assert law.mapped(lambda a: a, lambda a: 4 * a).covariance.shape == law.covariance.shape and not law.flat and not law.searches
    assert law.mode().law is law.point().law is law.law and law.n_features == D


@pytest.mark.parametrize("shared", [False, True])
def test_degrees_of_freedom_are_most_likely(shared):
    """The equation of Peel & McLachlan, within its range; a component without rows has those to start from."""
    counts = np.array([4.0, 0.5, 0.0])
    tails = counts[:, None] * np.array([[0.9, -0.5], [1.0, -0.1], [1.0, -1.0]])
    known = Stats(jnp.zeros(()), jnp.asarray(counts), jnp.zeros((K, D)), jnp.zeros((K, D, D)), jnp.asarray(tails))
    dof = np.asarray(heavy(shared=shared)._learnt(known))
    mean = (tails[:, 0] - tails[:, 1])[:2] / counts[:2]
    mean = np.full(2, (mean * counts[:2]).sum() / counts[:2].sum()) if shared else mean
    np.testing.assert_allclose(np.log(dof[:2] / 2) - digamma(dof[:2] / 2) + 1, mean, rtol=1e-10)
    assert dof[2] == (dof[0] if shared else FIRST)
    extreme = np.asarray(heavy()._learnt(known._replace(tails=jnp.asarray(counts[:, None] * [[1.0, -1e-9], [1.0, -50.0], [1.0, 0.0]]))))
    np.testing.assert_allclose(extreme[:2], [MOST, LEAST], rtol=1e-9)
    np.testing.assert_allclose(heavy(learn=False)._learnt(known), [3.5, 8, 40])
    assert heavy(learn=False)._learnt(known._replace(counts=known.counts.astype(jnp.float32))).dtype == jnp.float32
    np.testing.assert_allclose(by_weight(known).counts, tails[:, 0])
    assert by_weight(known._replace(tails=None)).counts is known.counts


def test_an_update_counts_rows_by_their_weights():
    """Means and scatter by weight, what is divided by from rows; and what all components share is summed."""
    counts, tails = np.array([4.0, 9.0, 6.0]), np.array([[3.0, -2.0], [8.0, -1.0], [5.0, -3.0]])
    sums, spread = np.random.default_rng(1).normal(size=(K, D)), scattered(seed=2) * 9
    squares = spread + np.einsum("ki,kj->kij", sums, sums) / tails[:, :1, None]
    known = Stats(jnp.zeros(()), *(jnp.asarray(a) for a in (counts, sums, squares, tails)))
    for tied in (False, True):
        prior = Student(FlatGaussian(jnp.asarray(1e-9), STRUCTURES["full"], tied), jnp.array([4.0]), False, False)
        q = prior.posterior(known)
        own = spread.sum(0, keepdims=True) / counts.sum() if tied else spread / counts[:, None, None]
        np.testing.assert_allclose(q.mean, sums / tails[:, :1], rtol=1e-12)
        np.testing.assert_allclose(q.covariance, own, rtol=1e-9)
        assert q.dof.tolist() == [4, 4, 4] and prior.flat and not prior.tied and float(prior.penalty(q)) == 0
    assert MOST == 1000 and LEAST == 1 and not SharedGaussian.tied


SEEN = np.array([True, False, True, False])
COV = scattered(1, 4, seed=8)[0]
MEAN, X4 = np.array([0.5, -1.0, 2.0, 0.0]), np.random.default_rng(9).normal(size=(3, 4))


@pytest.mark.parametrize("errors", [False, True])
def test_rows_known_in_part_are_conditional_gaussians(errors):
    """What is not seen may hold any number; with errors no column is known to the last digit."""
    error = np.diag([0.3, 7.0, 0.1, 9.0]) + 0.05 if errors else None
    x = np.where(SEEN, X4, 99.0)
    done = completed(jnp.asarray(MEAN), jnp.asarray(COV), jnp.asarray(x), jnp.asarray(SEEN), None if error is None else jnp.asarray(error))
    seen = np.ix_(SEEN, SEEN)
    spread = COV[seen] + (error[seen] if errors else 0)
    gain = COV[:, SEEN] @ np.linalg.inv(spread)
    np.testing.assert_allclose(done.log_prob, stats.multivariate_normal(MEAN[SEEN], spread).logpdf(X4[:, SEEN]), rtol=1e-11)
    np.testing.assert_allclose(done.mean, MEAN + (X4 - MEAN)[:, SEEN] @ gain.T, rtol=1e-10)
    np.testing.assert_allclose(done.covariance, COV - gain @ COV[SEEN], atol=1e-12)
    away = (X4 - MEAN)[:, SEEN]
    np.testing.assert_allclose(done.squares, np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away), rtol=1e-10)
    if not errors:
        assert (np.asarray(done.mean)[:, SEEN] == X4[:, SEEN]).all() and (np.asarray(done.covariance)[SEEN] == 0).all()


def test_marginals_of_student_t():
    args = (jnp.asarray(MEAN), jnp.asarray(COV), jnp.asarray(3.5), jnp.asarray(np.where(SEEN, X4, 99.0)), jnp.asarray(SEEN))
    exact = stats.multivariate_t(MEAN[SEEN], COV[np.ix_(SEEN, SEEN)], 3.5).logpdf(X4[:, SEEN])
    np.testing.assert_allclose(student_log_prob(*args, False), exact, rtol=1e-11)
    single = [a.astype(jnp.float32) for a in args[:4]]
    assert student_log_prob(*single, args[4], False).dtype == jnp.float32
    width = np.sqrt(np.diag(COV))
    args = (args[0], jnp.asarray(np.diag(np.diag(COV))), *args[2:])
    exact = sum(stats.t(3.5, MEAN[j], width[j]).logpdf(X4[:, j]) for j in np.flatnonzero(SEEN))
    np.testing.assert_allclose(student_log_prob(*args, True), exact, rtol=1e-11)


@pytest.mark.parametrize("name", STRUCTURES)
def test_scores_as_gaussian_functions_of_rows(name):
    """Mass times density is the exponential of the score; with noise and with tails, and in other coordinates."""
    s, rng = STRUCTURES[name], np.random.default_rng(10)
    packed = s.from_dense(jnp.asarray(scattered())) / (D if s.rank == 0 else 1)
    x, level, mean = rng.normal(size=(4, D)), jnp.asarray(rng.normal(size=K)), jnp.asarray(rng.normal(size=(K, D)))
    plain = Natural(level, mean, packed)
    found = latent(s, plain)
    laws = [stats.multivariate_normal(m, c) for m, c in zip(found.mean, np.asarray(found.covariance), strict=True)]
    scores = np.stack([law.logpdf(x) for law in laws], 1) + np.asarray(found.log_mass)
    np.testing.assert_allclose(scores, centred_scores(s, plain, jnp.asarray(x)), rtol=1e-10)
    assert isinstance(found, Latent) and found.offset is None and found.log_sides is None
    turn = np.array([[0.6, 0.8], [-0.3, 1.1]])
    other = found.turned(jnp.asarray(turn))
    np.testing.assert_allclose(other.mean, np.asarray(mean) @ turn.T, rtol=1e-12)
    np.testing.assert_allclose(other.covariance, turn @ np.asarray(found.covariance) @ turn.T, rtol=1e-11)
    tails = Tails(level, jnp.array([2.0, 5.0, 9.0]))
    heavy = latent(s, Natural(jnp.array([-0.1, -0.2, -0.3]), mean, packed, tails=tails))
    tops = np.asarray(heavy.log_mass) + np.array([law.logpdf(m) for law, m in zip(laws, np.asarray(mean), strict=True)])
    np.testing.assert_allclose(tops + np.asarray(log_tail(tails.dof, D)), level, rtol=1e-9)
    np.testing.assert_allclose([*heavy.offset, *heavy.dof], [0.2, 0.4, 0.6, 2, 5, 9])
    region = Region(jnp.asarray(1.7), jnp.asarray([0.7, 1.0]))
    wide = [jnp.concatenate([a, jnp.zeros_like(a[:1])]) for a in (mean, packed)]
    noisy = latent(s, Natural(jnp.append(level, -1.0), *wide, region))
    np.testing.assert_allclose(noisy.log_mass, [*found.log_mass, 0.7], rtol=1e-12)
    np.testing.assert_allclose(noisy.log_sides, [0.7, 1.0])
    np.testing.assert_array_equal(noisy.mean, found.mean)
    np.testing.assert_array_equal(noisy.covariance, found.covariance)
    both = latent(s, Natural(jnp.array([-0.1, -0.2, -0.3, 0.0]), *wide, region, Tails(jnp.append(level, -1.0), jnp.append(tails.dof, 1.0))))
    np.testing.assert_allclose(both.log_mass, [*heavy.log_mass, 0.7], rtol=1e-12)
    np.testing.assert_allclose([*both.offset, *both.dof], [*heavy.offset, *heavy.dof])


@pytest.mark.parametrize("name", STRUCTURES)
def test_heavy_tails_in_three_columns(name):
    """In two, what heavy tails change at the mean is 0; the densities are SciPy's."""
    s, rng = STRUCTURES[name], np.random.default_rng(11)
    mean, log_mass, dof = rng.normal(size=(2, 3)), np.array([-0.5, -1.0]), np.array([2.5, 7.0])
    precision = jnp.stack([s.identity(3) * 0.7, s.identity(3) * 1.9])
    laws = [stats.multivariate_t(m, np.eye(3) / p, df=nu) for m, p, nu in zip(mean, (0.7, 1.9), dof, strict=True)]
    level = jnp.asarray(log_mass + np.array([law.logpdf(m) for law, m in zip(laws, mean, strict=True)]))
    found = latent(s, Natural(jnp.zeros(2), jnp.asarray(mean), precision, tails=Tails(level, jnp.asarray(dof))))
    np.testing.assert_allclose(found.log_mass, log_mass, rtol=1e-10)
