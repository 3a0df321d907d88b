"""Laws of weights, one method at a time: against exact divergences, SciPy's densities, sums over sticks, and draws."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles_exact as oracle
import pytest
from scipy import stats
from scipy.special import betaln, gammaln, polygamma

from bayesgmm.core.linalg import NEVER
from bayesgmm.core.noise import NoiseShare
from bayesgmm.core.pytree import replace
from bayesgmm.core.weights import Dirichlet, FlatWeights, PointSticks, PointWeights, StickBreaking

pytestmark = pytest.mark.usefixtures("x64")
COUNTS = np.array([3.5, 20.0, 0.25, 7.0])
"""Of four components, in an order that sticks change."""

LAWS = {
    "dirichlet": lambda: Dirichlet(jnp.array([0.7, 1.5, 2.2, 0.1])),
    "missing": lambda: Dirichlet(jnp.array([0.7, 1.5, 0.0, 2.2])),
    "sticks": lambda: StickBreaking.prior(4, 1.7),
    "sticks_gamma": lambda: StickBreaking.prior(4, (1.3, 0.6)),
    "sticks_missing": lambda: StickBreaking.prior(4, (1.3, 0.6)).without(2),
}
each_law = pytest.mark.parametrize("name", LAWS)
whole_laws = pytest.mark.parametrize("name", [name for name in LAWS if "missing" not in name])


def alive(law):
    return np.asarray(law.alive())


@each_law
def test_updates_pay_what_the_evidence_says(name):
    """At the best law of the weights the bound of given labels is their evidence, or its bound where a concentration is learnt."""
    law = LAWS[name]()
    q = law.posterior(jnp.asarray(COUNTS))
    here = alive(law)
    bound = (np.where(here, COUNTS, 0) * q.expected_log()).sum() - law.penalty(q)
    assert float(law.log_marginal(jnp.asarray(COUNTS))) == pytest.approx(float(bound), rel=1e-12)
    assert alive(q).tolist() == here.tolist() and (np.asarray(q.expected_log())[~here] == NEVER).all()
    np.testing.assert_allclose(np.sum(q.mean()) + q.unseen(), 1, rtol=1e-13)
    assert q.n_components == 4 and (np.asarray(q.mean())[~here] == 0).all()


def test_what_laws_begin_with():
    """One pseudo-row for each component; a concentration of sticks is a number, or has a Gamma law of this mean."""
    assert Dirichlet.symmetric(2).concentration.tolist() == [1, 1]
    free = StickBreaking.prior(2)
    assert (float(free.shape), float(free.rate), free.learn) == (1, 1, True)
    for concentration, mean in (((2.0, 4.0), 0.5), (3.0, 3.0)):
        law = StickBreaking.prior(3, concentration)
        assert law.alpha.tolist() == [1] * 3 and law.beta.tolist() == [mean] * 3 and law.order.tolist() == [0, 1, 2]
    twice = replace(StickBreaking.prior(4, 3.4), rate=jnp.asarray(2.0))  # a fixed concentration is shape / rate
    q, same = (law.posterior(jnp.asarray(COUNTS)) for law in (twice, LAWS["sticks"]()))
    np.testing.assert_allclose(q.beta, same.beta, rtol=1e-14)
    point = same.mode()
    assert float(twice.log_density(point)) == pytest.approx(float(LAWS["sticks"]().log_density(point)), rel=1e-12)


def test_a_concentration_without_rows():
    """Gamma law (10, 1) and four sticks: its rate r is 1 + 4 r / 14, since each stick's expected log of what it leaves is - r / 14."""
    q = StickBreaking.prior(4, (10.0, 1.0)).posterior(jnp.zeros(4))
    assert float(q.rate) == pytest.approx(1.4, rel=1e-13)
    np.testing.assert_allclose(q.beta, 10, rtol=1e-13)


def test_evidence_of_labels():
    alpha, n = np.array([0.7, 1.5, 2.2, 0.1]), COUNTS.sum()
    exact = gammaln(alpha.sum()) - gammaln(alpha.sum() + n) + (gammaln(alpha + COUNTS) - gammaln(alpha)).sum()
    assert float(Dirichlet(jnp.asarray(alpha)).log_marginal(jnp.asarray(COUNTS))) == pytest.approx(exact, rel=1e-12)
    down = np.sort(COUNTS)[::-1]
    after = n - np.cumsum(down)
    exact = (betaln(1 + down, 1.7 + after) - betaln(1, 1.7)).sum()
    assert float(LAWS["sticks"]().log_marginal(jnp.asarray(COUNTS))) == pytest.approx(exact, rel=1e-12)


@whole_laws
def test_divergences_and_expectations_are_exact(name):
    law = LAWS[name]()
    q = law.posterior(jnp.asarray(COUNTS))
    if name != "dirichlet":  # optimal for nothing
        q = jax.tree.map(lambda a: a * 1.2 if a.dtype == float else a, q)
    assert float(law.penalty(q)) == pytest.approx(float(oracle.weights_divergence(law, q)), rel=1e-11)
    if name != "sticks_gamma":  # there the law of sticks depends on their concentration
        assert float(law.penalty(law)) == pytest.approx(0, abs=1e-13)
    np.testing.assert_allclose(q.expected_log(), np.array(oracle.expected_log_weights(q), float), rtol=1e-12)
    weights, left = oracle.mean_weights(q)
    np.testing.assert_allclose(q.mean(), np.array(weights, float), rtol=1e-12)
    assert float(q.unseen()) == pytest.approx(float(left), rel=1e-12)


def test_the_concentration_is_where_its_bound_is_highest():
    law = LAWS["sticks_gamma"]()
    q = law.posterior(jnp.asarray(COUNTS))

    def bound(scale):
        """Sticks and the rate of the concentration moved."""
        moved = jax.tree.map(lambda a: a, q)
        object.__setattr__(moved, "rate", q.rate * scale[0])
        object.__setattr__(moved, "beta", q.beta * scale[1:5])
        object.__setattr__(moved, "alpha", q.alpha * scale[5:])
        return (jnp.asarray(COUNTS) * moved.expected_log()).sum() - law.penalty(moved)

    np.testing.assert_allclose(jax.grad(bound)(jnp.ones(9)), 0, atol=1e-9)
    assert float(q.shape) == pytest.approx(1.3 + 4)
    np.testing.assert_array_equal(np.asarray(q.order), [1, 3, 0, 2])


def moments_of_logs(q):
    """Covariances of log weights by writing each as a sum of logs of sticks, whose Beta laws are independent of one another."""
    parts, order = [], np.asarray(q.order).tolist()
    total = np.zeros((len(order),) * 2)
    for place, k in enumerate(order):
        a, b = float(q.alpha[k]), float(q.beta[k])
        if a == 0:
            continue
        both = np.diag([polygamma(1, a), polygamma(1, b)]) - polygamma(1, a + b)
        rows = np.zeros((len(order), 2))
        rows[k, 0] = 1
        rows[[later for later in order[place + 1 :] if q.alpha[later] > 0], 1] = 1
        parts.append((rows, both))
    for rows, both in parts:
        total += rows @ both @ rows.T
    return total


@pytest.mark.parametrize("name", ["sticks", "sticks_missing"])
def test_covariances_of_log_weights_of_sticks(name):
    q = LAWS[name]().posterior(jnp.asarray(COUNTS))
    np.testing.assert_allclose(q.log_covariance() + q.log_common(), moments_of_logs(q), rtol=1e-12, atol=1e-14)


def test_a_stick_that_is_removed_leaves_the_covariances_of_the_others():
    """Wherever it stood among them."""
    q = LAWS["sticks_gamma"]().posterior(jnp.asarray(COUNTS))
    for k in range(4):
        others = np.delete(np.arange(4), k)
        found = np.asarray(q.without(k).log_covariance())
        np.testing.assert_allclose(found[np.ix_(others, others)], q.take(others).log_covariance(), rtol=1e-12)
        assert (found[k] == 0).all()


@pytest.mark.parametrize("name", ["dirichlet", "missing"])
def test_covariances_of_log_weights(name):
    """The curvature of the log normaliser, which for an exponential family is the covariance."""
    q = LAWS[name]().posterior(jnp.asarray(COUNTS))
    here = alive(q)
    grid = np.ix_(here, here)
    curved = jax.hessian(lambda a: Dirichlet(a).log_normaliser())(q.concentration[here])
    np.testing.assert_allclose((np.asarray(q.log_covariance()) + float(q.log_common()))[grid], curved, rtol=1e-10)
    assert (np.asarray(q.log_covariance())[~here] == 0).all()


@pytest.mark.parametrize("name", ["dirichlet", "sticks"])
def test_modes_are_where_densities_are_highest(name):
    """For sticks of the sticks themselves; each density is SciPy's."""
    rng = np.random.default_rng(0)
    q = LAWS[name]().posterior(jnp.asarray(COUNTS + 1))
    mode = q.mode()
    np.testing.assert_allclose(np.asarray(mode.mean()).sum() + mode.unseen(), 1, rtol=1e-12)
    if name == "dirichlet":
        law, alpha = stats.dirichlet(np.asarray(q.concentration)), np.asarray(q.concentration)
        np.testing.assert_allclose(mode.mean(), (alpha - 1) / (alpha - 1).sum(), rtol=1e-12)
        for point in rng.dirichlet(np.ones(4), 3):
            assert float(q.log_density(PointWeights(jnp.asarray(point)))) == pytest.approx(law.logpdf(point), rel=1e-11)
        return
    broken = (np.asarray(q.alpha) - 1) / (np.asarray(q.alpha) + np.asarray(q.beta) - 2)
    np.testing.assert_allclose(mode.broken, broken, rtol=1e-12)
    left, found = 1.0, np.zeros(4)
    for k in np.asarray(q.order):
        found[k], left = left * broken[k], left * (1 - broken[k])
    np.testing.assert_allclose(mode.weights, found, rtol=1e-12)
    prior = LAWS[name]()
    assert float(prior.log_density(mode)) == pytest.approx(stats.beta(1, 1.7).logpdf(broken).sum(), rel=1e-12)


def test_modes_at_the_edge_of_the_simplex():
    """A concentration of 1 without rows has no weight; sticks that are broken off whole leave nothing."""
    flat = Dirichlet(jnp.array([1.0, 3.0, 0.5]))
    np.testing.assert_allclose(flat.mode().weights, [0, 1, 0])
    assert float(Dirichlet(jnp.ones(3)).log_density(PointWeights(jnp.array([0.0, 0.5, 0.5])))) == pytest.approx(np.log(2))
    last = StickBreaking.prior(2, 1.0).posterior(jnp.array([3.0, 2.0])).mode()
    np.testing.assert_allclose(last.weights, [0.6, 0.4])
    np.testing.assert_allclose(last.broken, [0.6, 1])
    assert float(last.unseen()) == 0
    assert float(StickBreaking.prior(2, 1.0).log_density(last)) == 0
    none = StickBreaking.prior(2, 2.5).posterior(jnp.array([3.0, 0.0])).mode()
    np.testing.assert_allclose(none.broken, [3 / 4.5, 0])
    part = StickBreaking.prior(2, 2.5).posterior(jnp.array([3.0, 0.25])).mode()
    np.testing.assert_allclose(part.broken, [3 / 4.75, 0.25 / 1.75])
    none = StickBreaking.prior(2, 1.0).posterior(jnp.array([3.0, 0.0])).mode()
    assert none.broken.tolist() == [1, 0] and none.weights.tolist() == [1, 0]


def test_densities_without_a_component():
    """That of the others, which SciPy has; a concentration of 2 counts as any other."""
    law, point = Dirichlet(jnp.array([2.0, 0.0, 3.0])), np.array([0.4, 0.0, 0.6])
    assert float(law.log_density(PointWeights(jnp.asarray(point)))) == pytest.approx(stats.beta(2, 3).logpdf(0.4), rel=1e-12)
    np.testing.assert_allclose(law.mode().weights, [1 / 3, 0, 2 / 3], rtol=1e-14)
    sticks, broken = StickBreaking.prior(3, 2.0), np.array([0.5, 0.0, 0.25])
    exact = stats.beta(1, 2).logpdf(broken[[0, 2]]).sum()
    point = PointSticks(jnp.array([0.5, 0.0, 0.125]), jnp.asarray(broken))
    assert float(sticks.without(1).log_density(point)) == pytest.approx(exact, rel=1e-12)
    mode = sticks.posterior(jnp.asarray(COUNTS[:3])).without(1).mode()
    np.testing.assert_allclose(mode.broken, [3.5 / 4.75, 0, 0.25 / 1.25])
    np.testing.assert_allclose(mode.weights, [3.5 / 4.75, 0, 1.25 / 4.75 * 0.2])


@each_law
def test_components_taken_and_dropped(name):
    """What is left of sticks keeps its order."""
    q = LAWS[name]().posterior(jnp.asarray(COUNTS))
    some = q.take(np.array([3, 1]))
    dropped = q.without(0)
    assert some.n_components == 2 and dropped.n_components == 4
    assert alive(dropped).tolist() == [False, *alive(q)[1:].tolist()]
    mean = np.asarray(dropped.mean())
    if name.startswith("sticks"):
        np.testing.assert_allclose([some.alpha, some.beta], [np.asarray(q.alpha)[[3, 1]], np.asarray(q.beta)[[3, 1]]])
        np.testing.assert_array_equal(some.order, [1, 0])
        a, b = np.asarray(q.alpha), np.asarray(q.beta)
        share = a / (a + b)
        np.testing.assert_allclose(mean[[1, 3]], [share[1], (1 - share[1]) * share[3]], rtol=1e-12)
    else:
        np.testing.assert_allclose(some.mean(), np.asarray(q.mean())[[3, 1]] / np.asarray(q.mean())[[3, 1]].sum(), rtol=1e-12)
        np.testing.assert_allclose(mean, np.where(np.arange(4) == 0, 0, q.mean()) / (1 - q.mean()[0]), rtol=1e-12)


@pytest.mark.slow
@each_law
def test_draws(name):
    q = LAWS[name]().posterior(jnp.asarray(COUNTS))
    drawn = np.asarray(q.sample(jax.random.key(0), (2, 3000)))
    assert drawn.shape == (2, 3000, 4) and (drawn >= 0).all() and (drawn[..., ~alive(q)] == 0).all()
    np.testing.assert_allclose(drawn.mean((0, 1)), q.mean(), atol=0.006)
    logs, here = np.log(drawn[..., alive(q)]).reshape(6000, -1), np.ix_(alive(q), alive(q))
    exact = (np.asarray(q.log_covariance()) + float(q.log_common()))[here]
    np.testing.assert_allclose(np.cov(logs.T)[:2, :2], exact[:2, :2], rtol=0.15, atol=0.004)
    assert q.sample(jax.random.key(0)).shape == (4,)


@pytest.mark.parametrize("name", ["missing", "sticks_missing"])
def test_derivatives_are_numbers_where_components_are_missing(name):
    law = LAWS[name]()
    fields = ("concentration",) if name == "missing" else ("alpha", "beta", "shape", "rate")
    q = law.posterior(jnp.asarray(COUNTS))

    def answers(values):
        moved = replace(q, **values)
        logs = jnp.where(q.alive(), moved.expected_log(), 0).sum()
        size = moved.log_normaliser() if name == "missing" else moved._expected_log_concentration()[0]
        return logs + moved.log_covariance().sum() + moved.mean().sum() + law.penalty(moved) + size

    slopes = jax.grad(answers)({field: getattr(q, field) for field in fields})
    assert all(jnp.isfinite(slope).all() for slope in slopes.values())
    known = law if name == "missing" else StickBreaking.prior(4, 1.7).without(2)
    assert jnp.isfinite(jax.grad(known.log_marginal)(jnp.asarray(COUNTS))).all()


def test_laws_of_32_bits_answer_in_32_bits():
    """Where 64 are allowed, too."""
    law = StickBreaking.prior(3, 1.7)
    law = replace(law, **{name: getattr(law, name).astype(jnp.float32) for name in ("alpha", "beta", "shape", "rate")})
    q = law.posterior(jnp.asarray(COUNTS[:3], jnp.float32))
    answers = (q.expected_log(), q.mean(), q.unseen(), q.log_covariance(), q.log_common(), q.mode().weights)
    assert {a.dtype for a in answers} == {np.dtype("float32")}


def test_known_weights():
    w = jnp.array([0.5, 0.2, 0.3])
    known = PointWeights(w)
    np.testing.assert_allclose(known.without(0).weights, [0, 0.4, 0.6], rtol=1e-12)
    np.testing.assert_allclose(known.take(np.array([2, 0])).weights, [0.3, 0.5])
    np.testing.assert_allclose(known.expected_log(), np.log(w))
    assert float(known.unseen()) == 0 and known.mode() is known and known.sample(None, (2,)).shape == (2, 3)
    sticks = PointSticks(w, jnp.array([0.5, 0.4, 0.9]))
    taken = sticks.take(np.array([2, 0]))
    np.testing.assert_allclose([*taken.weights, *taken.broken], [0.3, 0.5, 0.9, 0.5])
    assert float(sticks.unseen()) == pytest.approx(0.5 * 0.6 * 0.1) and sticks.mode() is sticks and sticks.n_components == 3
    np.testing.assert_allclose(sticks.expected_log(), np.log(w))
    np.testing.assert_allclose(sticks.mean(), w)
    flat = FlatWeights(3)
    np.testing.assert_allclose(flat.posterior(jnp.array([1.0, 2.0, 5.0])).weights, [0.125, 0.25, 0.625])
    assert flat.posterior(jnp.zeros(3)).weights.tolist() == [0, 0, 0]
    assert float(flat.penalty(known)) == float(flat.log_density(known)) == 0 and flat.alive().all()
    assert flat.take(np.array([0, 2])).n_components == 2


def beside_noise():
    """With a Dirichlet law for the share whose first concentration is the sum of the others', all weights have one Dirichlet law."""
    alpha, noise, counts = jnp.array([0.7, 1.5, 2.2]), 0.4, jnp.array([3.5, 20.0, 0.25, 7.0])
    law, one = NoiseShare(Dirichlet(jnp.array([alpha.sum(), noise])), Dirichlet(alpha)), Dirichlet(jnp.append(alpha, noise))
    return law, one, counts, law.posterior(counts), one.posterior(counts)


def test_noise_takes_its_share_first():
    law, one, counts, q, whole = beside_noise()
    assert law.n_components == 4 and law.alive().tolist() == [True] * 4
    for ours, theirs in ((q.mean(), whole.mean()), (q.expected_log(), whole.expected_log())):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert float(law.penalty(q)) == pytest.approx(float(one.penalty(whole)), rel=1e-11)
    assert float(law.log_marginal(counts)) == pytest.approx(float(one.log_marginal(counts)), rel=1e-12)
    dropped, taken = q.without(1), q.take(np.array([2, 0, 3]))
    np.testing.assert_allclose(dropped.mean()[1], 0)
    assert float(dropped.mean()[3]) == pytest.approx(float(q.mean()[3]))
    np.testing.assert_allclose(taken.weights.concentration, q.weights.concentration[jnp.array([2, 0])])
    mode = law.posterior(counts + 1).mode()
    np.testing.assert_allclose(mode.mean()[3], float(mode.share.weights[1]), rtol=1e-12)
    parts = law.share.log_density(mode.share) + law.weights.log_density(mode.weights)
    assert float(law.log_density(mode)) == pytest.approx(float(parts))
    sticks = NoiseShare(Dirichlet(jnp.array([2.0, 1.0])), StickBreaking.prior(3, 1.7).posterior(counts[:3]))
    np.testing.assert_allclose(sticks.mean().sum() + sticks.unseen(), 1, rtol=1e-12)
    assert float(sticks.unseen()) == pytest.approx(float(sticks.share.mean()[0] * sticks.weights.unseen())) and sticks.unseen() > 0.001


def test_log_weights_beside_noise_covary_as_those_of_one_law():
    law, _, counts, q, whole = beside_noise()
    found, common = np.asarray(q.log_covariance()), float(q.share.log_common())
    np.testing.assert_allclose(found + common, np.asarray(whole.log_covariance()) + float(whole.log_common()), rtol=1e-10)
    missing = np.asarray(NoiseShare(law.share, Dirichlet(jnp.array([0.7, 0.0, 2.2]))).posterior(counts).log_covariance())
    assert (missing[1] == 0).all() and (missing[:, 1] == 0).all() and (np.diagonal(missing)[[0, 2, 3]] > 0).all()


def test_weights_beside_noise_are_drawn_from_both_laws():
    *_, q, whole = beside_noise()
    drawn = np.asarray(q.sample(jax.random.key(1), (4000,)))
    np.testing.assert_allclose(drawn.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(drawn.mean(0), whole.mean(), atol=0.01)
    assert q.sample(jax.random.key(1)).shape == (4,) and q.sample(jax.random.key(1), (2, 3)).shape == (2, 3, 4)


def test_laws_are_not_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Dirichlet.symmetric(3).concentration = jnp.ones(2)  # type: ignore[misc]
