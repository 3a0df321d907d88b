"""The bound is exact: closed forms, enumeration, Monte Carlo, and a stationary point at convergence."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from objectives import (
    component_gain,
    describe,
    describe_prior,
    free_energy,
    moves,
    objective,
    posterior_responsibilities,
    weight_gain,
    with_stick_order,
)
from oracles import (
    _weight_terms,
    conjugate_components,
    conjugate_weights,
    elbo_general,
    log_concentration_moments,
    log_evidence_enumeration,
    log_evidence_one_component,
    log_marginal_given_labels,
)
from oracles_montecarlo import monte_carlo_elbo
from registry import (
    CAPACITY,
    D,
    K,
    N,
    bayesian_cases,
    blobs,
    bound_of,
    cases,
    each,
    first_bound,
    main_cases,
    padded,
    responsibilities,
    solve,
    start,
)
from scipy.special import betaln, gammaln, xlogy

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, StickBreaking
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_labels, from_responsibilities
from bayesgmm.inference.loop import Outcome, lower_bound, run
from bayesgmm.inference.priors import default_components

pytestmark = pytest.mark.usefixtures("x64")
ONES = np.ones(N)


log_marginal = jit(lambda prior, stats: prior.log_marginal(stats), brief=True)
update = jit(lambda prior, stats: prior.posterior(stats), brief=True)


@jit(brief=True)
def collapsed(prior, x, weight, resp):
    """Bound right after an update, without the entropy of the responsibilities."""
    return prior.log_marginal(from_responsibilities(prior.structure, prior.tied, x, resp, weight))


def log_labels(counts, prior: dict) -> float:
    """Log p(z): Dirichlet-multinomial, or sticks in order of decreasing count, each a beta-binomial of its own."""
    counts = np.asarray(counts, float)
    if prior["kind"] == "dirichlet":
        alpha = prior["alpha"]
        rising = gammaln(alpha + counts) - gammaln(alpha)
        return rising.sum() + gammaln(alpha.sum()) - gammaln(alpha.sum() + counts.sum())
    counts = np.sort(counts)[::-1]
    tails = counts.sum() - np.cumsum(counts)
    return (betaln(1 + counts, prior["gamma"] + tails) - betaln(1, prior["gamma"])).sum()


@pytest.mark.parametrize("d", [1, 2, 5])
@each(cases(("vb",), ("conjugate",), ("asymmetric", "sticks")))
def test_one_component_is_the_log_evidence(case, d):
    """Closed form; one stick adds the log probability that it takes all rows, E[v^n] = B(1 + n, g) / B(1, g)."""
    x, prior = blobs(30, d), case.prior(1, d)
    bound, law = float(first_bound(prior, x, np.ones(30), np.ones((30, 1)))), describe_prior(prior)
    exact = log_evidence_one_component(x, case.structure, **law["components"])
    if case.weights == "sticks":
        exact += log_labels([30], law["weights"])
    np.testing.assert_allclose(bound, exact, rtol=1e-10)


@each(cases(("vb",), ("conjugate",), ("sticks_gamma",)))
def test_one_component_with_a_random_concentration(case):
    """E[g n! Gamma(g) / Gamma(g + n + 1)] is exact; two factors q(v) q(g) cannot follow the joint posterior."""
    x, prior = blobs(30), case.prior(1)
    bound, law = float(first_bound(prior, x, np.ones(30), np.ones((30, 1)))), describe_prior(prior)
    shape, rate = law["weights"]["shape"], law["weights"]["rate"]
    exact = log_evidence_one_component(x, case.structure, **law["components"])
    exact += gammaln(31) + log_concentration_moments(31, shape, rate)[0]
    assert exact - 0.5 < bound < exact


@pytest.mark.parametrize("d", [1, 3])
@each(cases(("ml",)))
def test_one_component_is_the_largest_likelihood(case, d):
    x = blobs(30, d)
    bound = float(first_bound(case.prior(1, d), x, np.ones(30), np.ones((30, 1))))
    moments = np.cov(x.T, bias=True).reshape(d, d)
    spread = {
        "full": np.linalg.slogdet(moments)[1],
        "diag": np.log(np.diagonal(moments)).sum(),
        "spherical": d * np.log(np.trace(moments) / d),
    }[case.structure]
    exact = -30 / 2 * (d * np.log(2 * np.pi) + spread + d)
    np.testing.assert_allclose(bound, exact, rtol=1e-11)


@pytest.mark.parametrize("seed", [0, 1])
@each(bayesian_cases())
def test_bound_is_below_the_exact_evidence(case, seed):
    """The sum over all labellings, or all partitions: 48 problems of 6 to 9 rows with the slow ones, half of them without clusters."""
    n = 6 + (seed + len(case.name)) % 4
    x = blobs(n, seed=seed) if seed == 0 else np.random.default_rng(seed).normal(size=(n, D))
    prior = case.prior(K, D, np.random.default_rng(seed))
    law = describe_prior(prior)
    weights = enumerable(law["weights"])
    exact = log_evidence_enumeration(x, K, case.structure, case.tied, law["components"], weights)
    starts = (padded(x, responsibilities(n, K, restart)) for restart in range(3))
    bounds = [float(solve(prior, *each_start, 1e-12, CAPACITY).lower_bound) for each_start in starts]
    assert max(bounds) <= exact + 1e-10 * abs(exact)
    assert max(bounds) > exact - 11


def enumerable(weights: dict):
    """Weight prior as the enumeration takes it."""
    if weights["kind"] == "dirichlet":
        return "dirichlet", weights["alpha"]
    return ("sticks", weights["gamma"]) if "gamma" in weights else ("sticks_gamma", weights["shape"], weights["rate"])


@each(bayesian_cases())
def test_collapsed_general_profile_and_monte_carlo_agree(case):
    x, resp = blobs(), responsibilities()
    prior = case.prior()
    law, q = describe_prior(prior), start(prior, x, ONES, resp)
    numbers = describe(q)
    value = float(collapsed(prior, x, ONES, resp)) - xlogy(resp, resp).sum()
    np.testing.assert_allclose(value, elbo_general(x, resp, numbers, law), rtol=1e-11)
    own = posterior_responsibilities(x, numbers)
    profile = float(bound_of(prior, q, x, ONES))
    np.testing.assert_allclose(profile, elbo_general(x, own, numbers, law), rtol=1e-11)
    estimate, error = monte_carlo_elbo(x, own, numbers, law, 2000, np.random.default_rng(1))
    assert 0 < error < 2
    assert abs(profile - estimate) < 4 * error


@each(bayesian_cases())
def test_update_is_the_oracle_update(case):
    """Conjugate posteriors, sorted sticks and the fixed point of the concentration."""
    x, resp, prior = blobs(), responsibilities(), case.prior()
    law, q = describe_prior(prior), describe(start(prior, x, ONES, resp))
    truth = conjugate_components(x, resp, case.structure, case.tied, **law["components"])
    for name in ("mean", "kappa", "nu", "S"):
        np.testing.assert_allclose(q["components"][name], truth[name], rtol=1e-11, atol=1e-12)
    for name, value in conjugate_weights(resp.sum(0), law["weights"]).items():
        if name != "kind":
            np.testing.assert_allclose(q["weights"][name], value, rtol=1e-11)


@each(bayesian_cases())
def test_hard_labels_give_the_exact_joint(case):
    """log_marginal(stats) = log p(X, z); with a random concentration it stays below."""
    x, labels, prior = blobs(12), np.array([0, 1, 2, 0, 0, 2, 2, 0, 2, 0, 2, 0]), case.prior()
    law, counts = describe_prior(prior), np.bincount(labels)
    value = float(collapsed(prior, *padded(x, np.eye(K)[labels])))
    exact = log_marginal_given_labels(x, labels, K, case.structure, case.tied, **law["components"])
    if case.weights != "sticks_gamma":
        np.testing.assert_allclose(value, exact + log_labels(counts, law["weights"]), rtol=1e-11)
        return
    shape, rate = law["weights"]["shape"], law["weights"]["rate"]
    steps = np.linspace(-12, 4, 4001)
    prior_density = shape * np.log(rate) - gammaln(shape) + shape * steps - rate * np.exp(steps)
    given = np.array([log_labels(counts, dict(kind="sticks", gamma=g)) for g in np.exp(steps)])
    averaged = np.logaddexp.reduce(given + prior_density) + np.log(steps[1] - steps[0])
    assert exact + averaged - 0.5 < value < exact + averaged


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("tied", [False, True])
def test_labels_are_hard_responsibilities(structure, tied):
    x, labels, weight = blobs(), np.arange(N) * 7 % 5 % K, np.arange(N) % 3.0
    hard = from_labels(STRUCTURES[structure], tied, x, labels, K, weight)
    soft = from_responsibilities(STRUCTURES[structure], tied, x, np.eye(K)[labels], weight)
    for ours, truth in zip(hard[:4], soft[:4], strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-13)


@pytest.mark.parametrize("learn", [False, True])
def test_no_order_of_the_sticks_beats_the_sorted_one(learn):
    rng = np.random.default_rng(7)
    law = StickBreaking.prior(6, (1.3, 0.6) if learn else 1.7)
    weights = dict(kind="sticks", shape=1.3, rate=0.6) if learn else dict(kind="sticks", gamma=1.7)
    for _ in range(20):
        counts = rng.gamma(0.5, 20.0, size=6) * (rng.uniform(size=6) < 0.8)
        best = float(log_marginal(law, counts))
        assert (np.diff(counts[np.asarray(update(law, counts).order)]) <= 0).all()
        for _ in range(10):
            q = conjugate_weights(counts, weights, order=rng.permutation(6))
            expected, log_p, log_q = _weight_terms(counts, q, weights)
            assert expected + log_p - log_q <= best + 1e-10 * abs(best)
        q = conjugate_weights(counts, weights)
        expected, log_p, log_q = _weight_terms(counts, q, weights)
        np.testing.assert_allclose(best, expected + log_p - log_q, rtol=1e-11)


@each(main_cases())
def test_update_is_the_best_at_fixed_responsibilities(case):
    """Every parameter of the posterior moved up and down lowers the bound; for MAP and ML this is the M-step."""
    x, resp, prior = blobs(), responsibilities(), case.prior()
    law = describe_prior(prior)
    q = with_stick_order(describe(start(prior, x, ONES, resp)), resp.sum(0))
    best = free_energy(x, resp, q, law)
    for name, _, up, down in moves(q, 1e-3):
        assert max(free_energy(x, resp, up, law), free_energy(x, resp, down, law)) <= best + 1e-12 * abs(best), name


@each(main_cases())
def test_gradient_is_zero_at_convergence(case):
    """Central differences of the text-book objective in every parameter of the posterior, in nats a row."""
    x, prior = blobs(seed=3), case.prior()
    result = polished(prior, x)
    law, q = (
        describe_prior(prior),
        with_stick_order(describe(result.posterior), np.asarray(result.stats.counts)),
    )
    slopes = {name: (objective(x, up, law) - objective(x, down, law)) / step for name, step, up, down in moves(q)}
    assert len(slopes) > K * D
    assert max(map(abs, slopes.values())) < 1e-6 * N, slopes


def polished(prior, x):
    """A fit beyond the rounding of the bound, where the loop no longer sees a gain."""
    result = solve(prior, x, ONES, responsibilities(), 0.0, CAPACITY)
    for _ in range(20):
        result = run(prior, result.posterior, x, ONES, 0.0, 1, max_steps=CAPACITY)
    return result


@pytest.mark.parametrize("structure", STRUCTURES)
def test_gradient_by_jax_is_zero_too(structure):
    """The library's own profile bound, differentiated backwards through the kernel."""
    (case,) = (case for case in bayesian_cases(("asymmetric",)) if case.structure == structure and not case.tied)
    x, prior = blobs(seed=3), case.prior()
    q = polished(prior, x).posterior
    slopes = jit(jax.grad(lambda q: lower_bound(prior, q, collect(q, x, ONES))))(q)
    for slope, value in zip(jax.tree.leaves(slopes), jax.tree.leaves(q), strict=True):
        assert np.abs(slope * np.maximum(np.abs(value), 1)).max() < 1e-6 * N


@each(main_cases())
def test_nan_stops_at_once(case):
    """NaN in one row of many: the bound is not finite and the loop does not go on."""
    x, prior = blobs(), case.prior()
    first = start(prior, x, ONES, responsibilities())
    bad = x.copy()
    bad[17, 1] = np.nan
    inside = run(prior, first, bad, ONES, 1e-9, CAPACITY, max_steps=CAPACITY)
    for result in (inside, solve(prior, bad, ONES, responsibilities())):
        assert int(result.outcome) == Outcome.NONFINITE
        assert int(result.n_steps) <= 1
        assert not np.isfinite(result.lower_bound)


@each(bayesian_cases())
def test_penalty_is_the_divergence_to_any_prior(case):
    """Between laws that have nothing to do with one another: the prior's own constants count, not those behind q."""
    other = case.prior(rng=np.random.default_rng(8))
    q = start(case.prior(), blobs(), ONES, responsibilities())
    law, numbers = describe_prior(other), describe(q)
    gains = (
        weight_gain(numbers["weights"], law["weights"]),
        component_gain(numbers["components"], law["components"]),
    )
    np.testing.assert_allclose(other.weights.penalty(q.weights), -gains[0], rtol=1e-11)
    np.testing.assert_allclose(other.components.penalty(q.components), -gains[1], rtol=1e-11)
    np.testing.assert_allclose(other.penalty(q), -sum(gains), rtol=1e-11)


def test_limits_of_the_priors():
    """Priors with one row a component equal shared ones; penalties of a law against itself are 0."""
    for name, structure in STRUCTURES.items():
        shared = default_components(structure, False, D)
        spread = NormalWishart(*(np.repeat(a, K, 0) for a in jax.tree.leaves(shared)), structure, False)
        stats = from_responsibilities(structure, False, blobs(), responsibilities(), ONES)
        q = shared.posterior(stats)
        np.testing.assert_allclose(shared.log_marginal(stats), spread.log_marginal(stats), rtol=1e-13, err_msg=name)
        np.testing.assert_allclose(shared.penalty(q), spread.penalty(q), rtol=1e-13, err_msg=name)
        np.testing.assert_allclose(q.penalty(q), 0, atol=1e-12)
    for law in (Dirichlet(np.array([0.4, 1.0, 2.5])), StickBreaking.prior(K, 1.7)):
        np.testing.assert_allclose(law.penalty(law), 0, atol=1e-12)


def test_stats_add():
    """Two records add up to that of both data sets; taking one away undoes it; scaling weighs rows."""
    structure, (x, resp) = STRUCTURES["full"], (blobs(), responsibilities())
    whole = from_responsibilities(structure, False, x, resp, ONES)
    first, last = (from_responsibilities(structure, False, x[s], resp[s], ONES[s]) for s in (slice(20), slice(20, N)))
    for ours, truth in ((first + last, whole), (whole - last, first), (whole.scaled(2.0), whole + whole)):
        assert isinstance(ours, Stats)
        for a, b in zip(ours[:4], truth[:4], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-11)
