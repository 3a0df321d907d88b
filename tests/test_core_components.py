"""Laws of components, one method at a time and on small arrays: against exact oracles, SciPy's densities, and draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracles_exact as oracle
import pytest
from registry import normal_wishart
from scipy import stats
from scipy.special import gammaln, logsumexp

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.coordinates import standardising
from bayesgmm.core.frozen import Frozen
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.noise import WithNoise, around, beneath, first, gaussians, tails, with_noise, without_noise
from bayesgmm.core.points import FlatGaussian, Gaussian
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Region, Stats, centred_scores
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.student import Student
from bayesgmm.core.weights import Dirichlet, StickBreaking

pytestmark = pytest.mark.usefixtures("x64")
slow = pytest.mark.slow
KEPT = (("full", False),)
every_case = pytest.mark.parametrize(
    ("name", "tied"),
    [pytest.param(name, tied, marks=() if (name, tied) in KEPT else slow) for name in STRUCTURES for tied in (False, True)],
)
D, K, N = 3, 3, 9
"""Not 2 columns: half of them would be 1, and factors of D / 2 not seen."""
X = np.random.default_rng(0).normal(size=(N, D)) * [1.0, 3.0, 2.0] + [0.5, -1.0, 0.3]
RESP = np.random.default_rng(1).dirichlet(np.ones(K), N)


def statistics(structure, tied, resp=RESP, x=X, **more) -> Stats:
    """Of rows and responsibilities, by sums."""
    scatter = structure.from_dense(jnp.asarray(np.einsum("nk,ni,nj->kij", resp, x, x)))
    scatter = scatter.sum(0, keepdims=True) if tied else scatter
    return Stats(jnp.zeros(()), jnp.asarray(resp.sum(0)), jnp.asarray(resp.T @ x), scatter, **more)


def conjugate(name, tied):
    """Prior, statistics and posterior."""
    prior = normal_wishart(name, tied, D)
    known = statistics(STRUCTURES[name], tied)
    return prior, known, prior.posterior(known)


def points(name, tied, lead=K, seed=3):
    """Known components and their dense covariances."""
    s, root = STRUCTURES[name], np.random.default_rng(seed).normal(size=(1 if tied else lead, D, D + 1))
    packed = s.from_dense(jnp.asarray(root @ root.swapaxes(-1, -2))) / (D if s.rank == 0 else 1)
    mean = jnp.asarray(np.random.default_rng(seed + 1).normal(size=(lead, D)))
    return Gaussian(mean, packed, s), np.broadcast_to(s.to_dense(packed, D), (lead, D, D))


@every_case
def test_posteriors_are_exact(name, tied):
    prior, known, q = conjugate(name, tied)
    exact = oracle.law_of(q, K)
    penalty = oracle.components_divergence(oracle.law_of(prior, K), exact)
    assert float(prior.penalty(q)) == pytest.approx(float(penalty), rel=1e-11)
    # the bound of given responsibilities, written in two ways
    natural = q.natural()
    expected = np.asarray(centred_scores(q.structure, natural, jnp.asarray(X)))
    truth = [[float(exact.expected_log_density(row, k)) for k in range(K)] for row in oracle.exact(X)]
    np.testing.assert_allclose(expected, truth, rtol=1e-11)
    assert float(prior.log_marginal(known)) == pytest.approx(float((RESP * expected).sum() - penalty), rel=1e-11)
    predictive = [[float(oracle.log_student(exact, k, row)) for k in range(K)] for row in oracle.exact(X)]
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(X)), predictive, rtol=1e-11)
    np.testing.assert_allclose(q.offset(), D / np.asarray(q.mean_precision))


@every_case
def test_one_component_has_its_evidence(name, tied):
    prior = normal_wishart(name, tied, D)
    one = statistics(STRUCTURES[name], tied, resp=np.ones((N, 1)))
    assert float(prior.log_marginal(one)) == pytest.approx(float(oracle.log_evidence_one(X, prior)), rel=1e-12)


@every_case
def test_points_of_posteriors(name, tied):
    """Means as SciPy has them, modes where the density is flat, and what the predictive density is nearest to."""
    _, _, q = conjugate(name, tied)
    s, count = q.structure, 1 if tied else K
    dof, size = np.asarray(q.dof), s.blocks(D).size
    wide = (slice(None),) + (None,) * s.rank
    if name == "full":
        mean = [stats.invwishart(v, np.asarray(c)).mean() for v, c in zip(dof, q.scale, strict=True)]
    else:
        mean = stats.invgamma(dof[wide] / 2, scale=np.asarray(q.scale) / 2).mean()
    np.testing.assert_allclose(q.covariance, mean, rtol=1e-11)
    np.testing.assert_allclose(q.point().covariance, mean, rtol=1e-11)
    np.testing.assert_allclose(q.point().mean, q.mean)
    mode = q.mode()
    slope = jax.grad(lambda c: q.log_density(Gaussian(q.mean, c, s)))(mode.covariance)
    np.testing.assert_allclose(slope, 0, atol=1e-9)
    kappa, rest = np.asarray(q.mean_precision), dof - size + 1
    assert q.predictive().covariance.shape == (K, *q.scale.shape[1:])
    for k in range(K):
        j = 0 if tied else k
        np.testing.assert_allclose(q.predictive().covariance[k], (kappa[k] + 1) / (kappa[k] * rest[j]) * q.scale[j], rtol=1e-12)
    vague = q.__class__(q.mean, q.mean_precision, jnp.full(count, size + 1.0), q.scale, s, tied)
    np.testing.assert_allclose(vague.covariance, q.scale / (2 * size + 2), rtol=1e-12)
    barely = replace(vague, dof=jnp.full(count, size + 1.5))
    np.testing.assert_allclose(barely.covariance, q.scale / 0.5, rtol=1e-12)


def test_the_mode_of_a_shared_matrix_counts_the_components():
    """Of which there are not as many as columns: at the mode the density is flat."""
    resp = np.random.default_rng(8).dirichlet(np.ones(2), N)
    q = normal_wishart("full", True, D).posterior(statistics(STRUCTURES["full"], True, resp))
    slope = jax.grad(lambda c: q.log_density(Gaussian(q.mean, c, q.structure)))(q.mode().covariance)
    np.testing.assert_allclose(slope, 0, atol=1e-9)


@every_case
def test_densities_of_parameters(name, tied):
    """Normal laws of the means given the covariances, whose own laws are inverse Wishart or inverse gamma."""
    _, _, q = conjugate(name, tied)
    point, dense = points(name, tied)
    dof, exact = np.asarray(q.dof), 0.0
    for j in range(1 if tied else K):
        scale, own = np.asarray(q.scale)[j], np.asarray(point.covariance)[j]
        law = stats.invwishart(dof[j], scale) if name == "full" else stats.invgamma(dof[j] / 2, scale=scale / 2)
        exact += np.sum(law.logpdf(own))
    for k in range(K):
        exact += stats.multivariate_normal(q.mean[k], dense[k] / float(q.mean_precision[k])).logpdf(point.mean[k])
    assert float(q.log_density(point)) == pytest.approx(exact, rel=1e-11)


@slow
@every_case
def test_draws_of_components(name, tied):
    _, _, q = conjugate(name, tied)
    s, n = q.structure, 4000
    drawn = q.sample(jax.random.key(0), (2, n // 2))
    means, covariances = (np.asarray(a).reshape(n, *a.shape[2:]) for a in (drawn.mean, drawn.covariance))
    assert means.shape == (n, K, D) and covariances.shape == (n, *q.scale.shape)
    precision = np.asarray(s.inverse(jax.vmap(jax.vmap(s.factor))(jnp.asarray(covariances))) if s.rank < 2 else np.linalg.inv(covariances))
    expected = np.asarray(s.inverse(s.factor(q.scale))) * np.asarray(q.dof).reshape((-1,) + (1,) * s.rank)
    spread = precision.std(0) / np.sqrt(n)
    np.testing.assert_allclose((precision.mean(0) - expected) / spread, 0, atol=4.5)
    np.testing.assert_allclose((means.mean(0) - q.mean) / (means.std(0) / np.sqrt(n)), 0, atol=4.5)
    whole = np.broadcast_to(np.asarray(s.to_dense(jnp.asarray(precision), D)), (n, K, D, D))
    away = means - np.asarray(q.mean)
    squares = np.einsum("nki,nkij,nkj->nk", away, whole, away) * np.asarray(q.mean_precision)
    np.testing.assert_allclose(squares.mean(0), D, rtol=0.12)  # a chi square of D degrees of freedom
    assert q.sample(jax.random.key(0)).mean.shape == (K, D)


@every_case
def test_known_components_are_gaussian(name, tied):
    law, dense = points(name, tied)
    exact = np.stack([stats.multivariate_normal(m, c).logpdf(X) for m, c in zip(law.mean, dense, strict=True)], 1)
    np.testing.assert_allclose(law.predictive_log_prob(jnp.asarray(X)), exact, rtol=1e-11)
    np.testing.assert_allclose(centred_scores(law.structure, law.natural(), jnp.asarray(X)), exact, rtol=1e-11)
    assert law.mapped(lambda a: a[None], lambda a: a[None]).n_features == D  # draws have axes in front
    some = law.take(np.array([2, 0]))
    assert some.tied == tied and law.n_features == D and not np.asarray(law.offset()).any()
    np.testing.assert_allclose(some.predictive_log_prob(jnp.asarray(X)), exact[:, [2, 0]], rtol=1e-11)
    shifted = law.mapped(lambda a: a + 1, lambda a: 4 * a)
    np.testing.assert_allclose(shifted.mean, law.mean + 1)
    np.testing.assert_allclose(shifted.covariance, 4 * law.covariance)
    assert law.mode() is law.point() is law.predictive() is law


@every_case
def test_likely_components_are_weighted_moments(name, tied):
    """One of the components has no rows, and rows count for the covariances in other numbers than for the means."""
    s = STRUCTURES[name]
    resp, behind = RESP * [1, 0, 1], np.array([2.0, 0.0, 5.0])
    known, flat = statistics(s, tied, resp), FlatGaussian(jnp.asarray(1e-9), s, tied)
    for rows in (None, behind):
        found, counted = flat.free(known, None if rows is None else jnp.asarray(rows))
        own = resp.sum(0) if rows is None else rows
        np.testing.assert_allclose(counted, own)
        mean = resp.T @ X / np.where(resp.sum(0) > 0, resp.sum(0), 1)[:, None]
        away = X[:, None] - mean
        spread = np.einsum("nk,nki,nkj->kij", resp, away, away)
        if tied:
            dense = np.broadcast_to(spread.sum(0) / own.sum(), (1, D, D))
        else:
            dense = np.where(own[:, None, None] > 0, spread / np.where(own > 0, own, 1)[:, None, None], np.eye(D))
        np.testing.assert_allclose(found.mean, mean, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(found.covariance, s.from_dense(jnp.asarray(dense)) / (D if s.rank == 0 else 1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(flat.posterior(known).covariance, flat.free(known)[0].covariance, rtol=1e-12)
    assert (np.asarray(s.smallest(FlatGaussian(jnp.asarray(9.0), s, tied).posterior(known).covariance)) > 8.999).all()
    trace = known._replace(counts=known.counts.at[1].set(1e-13), sums=known.sums.at[1].set(1e-9))  # a row that is nearly none
    none, counted = flat.free(trace)
    assert (np.asarray(none.mean)[1] == 0).all() and counted[1] == 0
    assert flat.fewest(D) == (0 if tied else {"full": 4, "diag": 2, "spherical": 2}[name])
    assert float(flat.penalty(found)) == float(flat.log_density(found)) == 0 and flat.take(0) is flat.mapped(0, 0) is flat
    assert FlatGaussian.flat and not hasattr(NormalWishart, "flat")


@every_case
def test_laws_taken_in_parts_and_moved(name, tied):
    prior, known, q = conjugate(name, tied)
    some, scale = q.take(np.array([2, 0])), 1 if tied else 2
    assert some.scale.shape[0] == some.dof.shape[0] == scale and some.mean.shape[0] == 2
    np.testing.assert_allclose(some.mean_precision, np.asarray(q.mean_precision)[[2, 0]])
    assert prior.take(np.array([2, 0])).mean.shape[0] == 1
    moved = q.mapped(lambda a: a - 1, lambda a: a / 4)
    np.testing.assert_allclose(moved.mean, q.mean - 1)
    np.testing.assert_allclose(moved.scale, q.scale / 4)
    fresh = prior.unseen(q)
    np.testing.assert_allclose(fresh.scale, q.scale if tied else prior.scale)
    np.testing.assert_allclose(fresh.dof, q.dof if tied else prior.dof)
    mode, divisor = prior.free(known)
    size, copies = q.structure.blocks(D).size, q.structure.blocks(D).copies
    np.testing.assert_allclose(divisor, np.asarray(q.dof) + size + 1 + copies * (K if tied else 1))
    np.testing.assert_allclose(mode.covariance, q.mode().covariance)
    assert prior.within(mode) is mode
    more = prior.posterior(known, jnp.asarray([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(more.dof, prior.dof + copies * np.array([6.0] if tied else [1.0, 2.0, 3.0]))
    np.testing.assert_allclose(more.scale, q.scale)


def mixtures():
    """A prior and its posterior, with weights that leave something to components not seen."""
    prior, known, q = conjugate("full", False)
    weights = StickBreaking.prior(K, 1.7)
    return Mixture(weights, prior), known, Mixture(weights.posterior(known.counts), q)


def test_a_mixture_adds_up_its_parts():
    prior, known, q = mixtures()
    again = prior.posterior(known)
    np.testing.assert_allclose(again.components.mean, q.components.mean)
    assert (q.n_components, q.tied, q.n_noise, q.n_known, q.searches) == (K, False, 0, 0, False)
    parts = prior.weights.penalty(q.weights) + prior.components.penalty(q.components)
    assert float(prior.penalty(q)) == pytest.approx(float(parts))
    parts = prior.weights.log_marginal(known.counts) + prior.components.log_marginal(known)
    assert float(prior.log_marginal(known)) == pytest.approx(float(parts))
    np.testing.assert_allclose(q.natural().level - q.components.natural().level, q.weights.expected_log(), rtol=1e-11)
    exact = np.array(oracle.log_predictive(prior, q, X), float)
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(X), prior), exact, rtol=1e-11)
    each = np.asarray(q.components.predictive_log_prob(jnp.asarray(X)))
    weights = np.asarray(q.weights.mean())
    np.testing.assert_allclose(q.predictive_log_prob(jnp.asarray(X)), logsumexp(each, axis=1, b=weights / weights.sum()), rtol=1e-11)
    mode = MAP(prior).posterior(known)
    density = prior.weights.log_density(mode.weights) + prior.components.log_density(mode.components)
    assert float(MAP(prior).penalty(mode)) == pytest.approx(-float(density))
    drawn = q.sample(jax.random.key(0), (5,))
    assert drawn.weights.shape == (5, K) and drawn.components.mean.shape == (5, K, D)
    assert float(q.without(1).weights.mean()[1]) == 0 and q.take(np.array([1])).n_components == 1
    moved = MAP(q.mapped(lambda a: a + 1, lambda a: a * 4))
    np.testing.assert_allclose(moved.components.mean, q.components.mean + 1)
    np.testing.assert_allclose(MAP(q).mapped(lambda a: a + 1, lambda a: a * 4).prior.components.scale, moved.components.scale)
    assert MAP(q).take(np.array([0, 2])).n_components == 2 and not MAP(q).searches and MAP(q).n_known == MAP(q).n_noise == 0
    assert MAP(q).weights is q.weights and MAP(q).structure is q.structure and MAP(q).n_components == K and not MAP(q).tied


@slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_frozen_components_stand_first(name):
    (known, dense), (prior, _, _) = points(name, False, lead=1), conjugate(name, False)
    law = Frozen(known, prior)
    data = statistics(STRUCTURES[name], False)
    q, x = law.posterior(data), jnp.asarray(X)
    rest = prior.posterior(law.parts(data)[1])
    own = stats.multivariate_normal(known.mean[0], dense[0]).logpdf(X)
    assert law.n_known == 1 and law.n_features == D and not law.flat and not law.tied
    np.testing.assert_allclose(q.predictive_log_prob(x), np.column_stack([own, rest.predictive_log_prob(x)]), rtol=1e-10)
    scores = centred_scores(law.structure, q.natural(), x)
    np.testing.assert_allclose(scores, np.column_stack([own, centred_scores(law.structure, rest.natural(), x)]), rtol=1e-10)
    assert float(law.log_marginal(data)) == pytest.approx(float(RESP[:, 0] @ own + prior.log_marginal(law.parts(data)[1])), rel=1e-10)
    np.testing.assert_allclose(q.mean, np.concatenate([known.mean, rest.mean]))
    np.testing.assert_allclose(q.covariance, np.concatenate([known.covariance, rest.covariance]))
    assert float(law.penalty(q)) == pytest.approx(float(prior.penalty(rest)))
    for found, other in ((q.mode(), rest.mode()), (q.point(), rest.point()), (q.predictive(), rest.predictive())):
        np.testing.assert_allclose(found.mean, q.mean)
        np.testing.assert_allclose(found.covariance, np.concatenate([known.covariance, other.covariance]))
        assert float(law.log_density(found)) == pytest.approx(float(prior.log_density(other)), rel=1e-10)
    drawn = q.sample(jax.random.key(0), (4,))
    assert drawn.mean.shape == (4, K, D) and (np.asarray(drawn.mean)[:, 0] == np.asarray(known.mean)[0]).all()
    for k in (1, 2):
        np.testing.assert_allclose(q.take(np.array([0, k])).law.mean, np.asarray(rest.mean)[[k - 1]])
    moved = q.mapped(lambda a: a + 1, lambda a: a * 4)
    np.testing.assert_allclose(moved.mean, q.mean + 1)
    np.testing.assert_allclose(moved.known.covariance, 4 * known.covariance)
    assert law.fixed(q).known is known and law.unseen(q).mean.shape[0] == 1


@pytest.mark.parametrize("name", STRUCTURES)
def test_coordinates_there_and_back(name):
    """Rows are centred and of unit spread within; densities differ by the determinant, and laws come back."""
    (inner, _), covariance = points(name, False), points(name, False, lead=1, seed=8)[0].covariance[0]
    mean, dense = jnp.array([1.0, -20.0, 300.0]), np.asarray(STRUCTURES[name].to_dense(covariance, D))
    change = standardising(STRUCTURES[name], mean, covariance)
    y = np.asarray(change.inward(jnp.asarray(X)))
    law = stats.multivariate_normal(mean, dense)
    np.testing.assert_allclose((y**2).sum(1), 2 * (law.logpdf(mean) - law.logpdf(X)), rtol=1e-10)
    np.testing.assert_allclose(change.outward(jnp.asarray(y)), X, rtol=1e-12)
    assert float(change.log_det) == pytest.approx(np.linalg.slogdet(dense)[1] / 2, rel=1e-12)
    outer = change.mixture_outward(inner)
    within, without = (np.asarray(law.predictive_log_prob(jnp.asarray(rows))) for law, rows in ((inner, y), (outer, X)))
    np.testing.assert_allclose(without, within - float(change.log_det), rtol=1e-10)
    again = change.mixture_inward(outer)
    np.testing.assert_allclose(again.mean, inner.mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(again.covariance, inner.covariance, rtol=1e-10, atol=1e-12)


REGION = Region(np.log(6.0), np.log([2.0, 3.0, 1.0]))


@every_case
def test_noise_is_one_more_component(name, tied):
    prior, _, _ = conjugate(name, tied)
    law, resp = WithNoise(prior, REGION), np.random.default_rng(5).dirichlet(np.ones(K + 1), N)
    data, x = statistics(STRUCTURES[name], False, resp), jnp.asarray(X)
    own = statistics(STRUCTURES[name], tied, resp[:, :K])
    q, plain = law.posterior(data), prior.posterior(own)
    np.testing.assert_allclose(q.law.scale, plain.scale, rtol=1e-12)
    assert float(law.log_marginal(data)) == pytest.approx(float(prior.log_marginal(own)) - resp[:, K].sum() * np.log(6), rel=1e-11)
    noise = np.full(N, -np.log(6))
    scores = centred_scores(law.structure, q.natural(), x)
    np.testing.assert_allclose(scores, np.column_stack([centred_scores(law.structure, plain.natural(), x), noise]), rtol=1e-11)
    np.testing.assert_allclose(q.predictive_log_prob(x), np.column_stack([plain.predictive_log_prob(x), noise]), rtol=1e-11)
    assert float(law.penalty(q)) == pytest.approx(float(prior.penalty(plain))) and law.n_noise == 1 and not law.tied and not law.flat
    assert not law.searches
    likely = WithNoise(FlatGaussian(jnp.asarray(1e-9), STRUCTURES[name], tied), REGION).posterior(data).law
    assert likely.tied == tied and likely.covariance.shape == plain.scale.shape
    heavy = WithNoise(Student(plain, jnp.full(K, 4.0), False, False), REGION)
    np.testing.assert_allclose(centred_scores(law.structure, heavy.natural(), x)[:, K], noise, rtol=1e-12)
    moved = law.mapped(lambda a: 3 * a, lambda a: 9 * a)
    assert float(moved.region.log_volume) == pytest.approx(np.log(6 * 27))
    np.testing.assert_allclose(q.take(np.array([2, 0, K])).law.mean, np.asarray(plain.mean)[[2, 0]])
    assert float(law.log_density(q.mode())) == pytest.approx(float(prior.log_density(plain.mode())))
    np.testing.assert_allclose([q.mean, q.point().mean], [plain.mean, plain.mean])
    assert q.sample(jax.random.key(0), (2,)).mean.shape == (2, K, D) and law.unseen(q).law.mean.shape[0] == 1


def test_components_not_seen_beside_noise():
    """Rows to come are of components seen, of noise, or of a component that no row has shown."""
    prior, _, _ = conjugate("full", False)
    resp, x = np.random.default_rng(5).dirichlet(np.ones(K + 1), N), jnp.asarray(X)
    data, share = statistics(STRUCTURES["full"], False, resp), Dirichlet(jnp.array([3.0, 1.0]))
    law = with_noise(Mixture(StickBreaking.prior(K, 1.7), prior), REGION, share)
    q = law.posterior(data)
    densities = np.exp(np.column_stack([q.components.predictive_log_prob(x), prior.predictive_log_prob(x)[:, 0]]))
    weights = np.append(q.weights.mean(), q.weights.unseen())
    assert weights.sum() == pytest.approx(1, rel=1e-12) and weights[-1] > 1e-3
    np.testing.assert_allclose(q.predictive_log_prob(x, law), np.log(densities @ weights), rtol=1e-11)
    alone = np.log(densities[:, :-1] @ weights[:-1]) - np.log1p(-weights[-1])
    np.testing.assert_allclose(q.predictive_log_prob(x), alone, rtol=1e-11)


def test_heavy_tails_of_a_posterior_take_the_expected_distance():
    """The Student density of a row at its expected squared distance, from the expected log determinant (Bishop 2006, eq. 2.162)."""
    _, _, q = conjugate("full", False)
    dof = np.array([3.0, 5.0, 40.0])
    plain, offset = q.natural(), D / np.asarray(q.mean_precision)
    away = X[:, None] - np.asarray(q.mean)
    distance = np.einsum("nki,kij,nkj->nk", away, plain.precision, away) + offset
    half_log_det = np.asarray(plain.level) + offset / 2 + D / 2 * np.log(2 * np.pi)
    constant = gammaln((dof + D) / 2) - gammaln(dof / 2) - D / 2 * np.log(dof * np.pi)
    exact = half_log_det + constant - (dof + D) / 2 * np.log1p(distance / dof)
    law = Student(q, jnp.asarray(dof), False, False)
    np.testing.assert_allclose(centred_scores(law.structure, law.natural(), jnp.asarray(X)), exact, rtol=1e-11)


def test_noise_and_tails_are_put_around_and_taken_off():
    prior, _, _ = conjugate("full", False)
    plain = Mixture(Dirichlet.symmetric(K, 2.0), prior)
    heavy = Mixture(plain.weights, Student(prior, jnp.array([4.0]), True, False))
    fresh = heavy.components.unseen(heavy.components)
    assert fresh.dof.tolist() == [4] and fresh.law.mean.tolist() == prior.mean.tolist()
    share = Dirichlet(jnp.array([3.0, 1.0]))
    both = with_noise(heavy, REGION, share)
    assert with_noise(MAP(plain), REGION, share).n_noise == 1 and both.n_components == K + 1
    assert gaussians(both.components) is prior and gaussians(prior) is prior
    assert tails(both.components) is heavy.components is tails(heavy.components) and tails(prior) is None
    assert without_noise(both).components is heavy.components and without_noise(plain) is plain
    np.testing.assert_allclose(without_noise(both).weights.concentration, plain.weights.concentration)
    u = jnp.asarray(np.random.default_rng(6).uniform(0.2, 1.5, (K + 1, 2)))
    resp = np.random.default_rng(5).dirichlet(np.ones(K + 1), N)
    data = statistics(STRUCTURES["full"], False, resp, tails=u)
    found, rows = beneath(both.components, data)
    np.testing.assert_allclose(found.counts, u[:K, 0])
    np.testing.assert_allclose(rows, resp.sum(0)[:K])
    np.testing.assert_allclose(found.sums, data.sums[:K])
    own = Stats(data.log_norm, *(a[:K] for a in data[1:4]), data.counts[:K, None] + u[:K])
    evidence = prior.log_marginal(own._replace(counts=own.tails[:, 0], tails=None), own.counts)
    assert float(heavy.components.log_marginal(own)) == pytest.approx(float(evidence), rel=1e-12)
    assert around(both.components, "law").law.law == "law" and around(prior, "law") == "law"
    assert first(both, 3).n_components == 3 and first(both, 3).n_noise == 1 and first(plain, 2).n_components == 2
    apart = replace(plain, weights=Dirichlet(jnp.array([1.0, 2.0, 3.0])))
    assert first(apart, 2).weights.concentration.tolist() == [1, 2]
