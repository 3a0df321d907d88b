"""The oracles check one another: every formula is reached by at least two independent routes."""

import itertools

import numpy as np
import pytest
from oracles import (
    _precision_expectations,
    conjugate_components,
    conjugate_weights,
    elbo_general,
    elbo_terms,
    enumerate_log_joint,
    gaussian_mixture_log_likelihood,
    log_concentration_moments,
    log_evidence_enumeration,
    log_evidence_one_component,
    log_evidence_sequential,
    log_marginal_given_labels,
    naive_stats,
    set_partitions,
    student_t_predictive,
)
from oracles_montecarlo import monte_carlo_elbo
from scipy import integrate, stats
from scipy.special import betaln, gammaln, logsumexp, xlogy

STRUCTURES = ["full", "diag", "spherical"]
TIED = [False, True]
WEIGHTS = {
    "dirichlet": dict(kind="dirichlet", alpha=np.array([0.7, 1.5, 2.2])),
    "sticks": dict(kind="sticks", gamma=1.7),
    "sticks_gamma": dict(kind="sticks", shape=1.3, rate=0.6),
}
every_structure = pytest.mark.parametrize("structure", STRUCTURES)
either_tied = pytest.mark.parametrize("tied", TIED)
every_weights = pytest.mark.parametrize("law", WEIGHTS)


def make_rows(n, d, seed=0):
    """Rows of two shifted, correlated groups, far from the origin's symmetry."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + np.where(np.arange(n) % 2, 1.5, -0.7)[:, None]


def make_prior(structure, d):
    """Component prior with no two constants alike."""
    rng = np.random.default_rng(99)
    root = rng.normal(size=(d, d))
    scales = {"full": root @ root.T + 0.5 * np.eye(d), "diag": rng.uniform(0.5, 2.0, d), "spherical": 1.3}
    return dict(m0=rng.normal(size=d), kappa0=0.3, nu0=d + 1.7, S0=scales[structure])


def enumeration_weights(law):
    """Prior of the weights in the form that the enumeration takes."""
    w = WEIGHTS[law]
    return {
        "dirichlet": lambda: ("dirichlet", w["alpha"]),
        "sticks": lambda: ("sticks", w["gamma"]),
        "sticks_gamma": lambda: ("sticks_gamma", w["shape"], w["rate"]),
    }[law]()


def conjugate(x, resp, structure, tied, law):
    """Return the optimal q of ``resp``, and its prior."""
    prior = make_prior(structure, x.shape[1])
    components = conjugate_components(x, resp, structure, tied, **prior)
    weights = conjugate_weights(resp.sum(axis=0), WEIGHTS[law])
    return dict(components=components, weights=weights), dict(components=prior, weights=WEIGHTS[law])


def perturb(q, rng):
    """Return a q that is optimal for nothing: positive parameters scaled, means moved."""
    c, w = dict(q["components"]), dict(q["weights"])
    for name in ("kappa", "nu", "S"):
        scale = rng.uniform(0.8, 1.25, len(c[name])) + (name == "nu") * 0.3
        c[name] = c[name] * scale.reshape((-1,) + (1,) * (c[name].ndim - 1))
    c["mean"] = c["mean"] + rng.normal(scale=0.2, size=c["mean"].shape)
    for name in {"alpha", "a", "b", "shape", "rate"} & set(w):
        w[name] = w[name] * rng.uniform(0.8, 1.25, np.shape(w[name]))
    return dict(components=c, weights=w)


@every_structure
@pytest.mark.parametrize("d", [1, 2, 4])
def test_one_component_is_the_product_of_predictives(structure, d):
    x, prior = make_rows(15, d), make_prior(structure, d)
    closed = log_evidence_one_component(x, structure, **prior)
    np.testing.assert_allclose(closed, log_evidence_sequential(x, structure, **prior), rtol=0, atol=1e-10)
    np.testing.assert_allclose(closed, log_evidence_one_component(x[::-1], structure, **prior), atol=1e-11)


def test_one_component_by_quadrature():
    """Integrate prior times likelihood over mu and lambda on a grid (log lambda, mu in posterior units)."""
    x, (m0, kappa0, nu0, S0) = np.array([0.4, 1.9, -0.3]), (0.2, 0.5, 2.5, 1.4)
    log_lam, units = np.arange(-18, 5, 0.02)[:, None], np.arange(-12, 12, 0.05)
    lam, center = np.exp(log_lam), (kappa0 * m0 + x.sum()) / (kappa0 + 3)
    mu = center + units / np.sqrt((kappa0 + 3) * lam)
    log_joint = stats.norm.logpdf(mu, m0, 1 / np.sqrt(kappa0 * lam)) + stats.gamma.logpdf(lam, nu0 / 2, scale=2 / S0)
    log_joint += sum(stats.norm.logpdf(row, mu, 1 / np.sqrt(lam)) for row in x)
    exact = logsumexp(log_joint + log_lam - np.log((kappa0 + 3) * lam) / 2) + np.log(0.02 * 0.05)
    for structure, scale in {"full": np.array([[S0]]), "diag": np.array([S0]), "spherical": S0}.items():
        closed = log_evidence_one_component(x[:, None], structure, np.array([m0]), kappa0, nu0, scale)
        np.testing.assert_allclose(closed, exact, atol=1e-11)


@every_structure
@either_tied
def test_labels_reduce_to_one_component(structure, tied):
    x, prior = make_rows(8, 2), make_prior(structure, 2)
    one = log_marginal_given_labels(x, np.zeros(8, int), 1, structure, tied, **prior)
    np.testing.assert_allclose(one, log_evidence_one_component(x, structure, **prior), atol=1e-10)
    empty = log_marginal_given_labels(x, np.full(8, 2), 4, structure, tied, **prior)
    np.testing.assert_allclose(empty, one, atol=1e-12)
    z = np.arange(8) % 3
    parts = sum(log_evidence_one_component(x[z == k], structure, **prior) for k in range(3))
    three = log_marginal_given_labels(x, z, 3, structure, tied, **prior)
    assert (abs(three - parts) > 0.01) if tied else (abs(three - parts) < 1e-10)


@every_structure
@either_tied
@pytest.mark.parametrize("law", ["dirichlet", "sticks"])
def test_elbo_of_hard_labels_is_the_exact_joint(structure, tied, law):
    x, z = make_rows(9, 2), np.array([0, 2, 0, 1, 0, 2, 2, 0, 0])
    q, prior = conjugate(x, np.eye(3)[z], structure, tied, law)
    counts, w = np.bincount(z, minlength=3), WEIGHTS[law]
    if law == "dirichlet":
        log_z = (gammaln(w["alpha"] + counts) - gammaln(w["alpha"])).sum()
        log_z += gammaln(w["alpha"].sum()) - gammaln(w["alpha"].sum() + 9)
    else:
        assert q["weights"]["order"].tolist() == [0, 2, 1]
        counts, tails = np.array([5, 3, 1]), np.array([4, 1, 0])
        log_z = (betaln(1 + counts, w["gamma"] + tails) - betaln(1, w["gamma"])).sum()
    exact = log_z + log_marginal_given_labels(x, z, 3, structure, tied, **prior["components"])
    np.testing.assert_allclose(elbo_general(x, np.eye(3)[z], q, prior), exact, atol=1e-10)


def urn(z, weights):
    """Log p(z) one label after another: Polya urn, or Chinese restaurant with tables in order of arrival."""
    total = 0.0
    for i, k in enumerate(z):
        mass = list(z[:i]).count(k)
        if weights[0] == "dirichlet":
            total += np.log((weights[1][k] + mass) / (np.sum(weights[1]) + i))
        else:
            total += np.log((mass or weights[1]) / (weights[1] + i))
    return total


@every_structure
@either_tied
@every_weights
def test_enumeration_is_a_plain_loop(structure, tied, law):
    x, prior, weights = make_rows(4, 2), make_prior(structure, 2), enumeration_weights(law)
    K = 3 if law == "dirichlet" else 4
    labels = list(itertools.product(range(K), repeat=4))
    if law != "dirichlet":  # one labelling a partition: tables in order of arrival
        labels = [z for z in labels if all(k <= max(z[:i], default=-1) + 1 for i, k in enumerate(z))]
    marginals = np.array([log_marginal_given_labels(x, z, K, structure, tied, **prior) for z in labels])

    def log_evidence(weights):
        return logsumexp(marginals + [urn(z, weights) for z in labels])

    if law == "sticks_gamma":
        level, law_of_gamma = log_evidence(("sticks", 1.0)), stats.gamma(weights[1], scale=1 / weights[2])

        def integrand(g):
            return np.exp(log_evidence(("sticks", g)) - level) * law_of_gamma.pdf(g)

        exact = level + np.log(integrate.quad(integrand, 0, 80, epsabs=0, epsrel=1e-10, limit=200)[0])
    else:
        exact = log_evidence(weights)
    value = log_evidence_enumeration(x, K, structure, tied, prior, weights)
    np.testing.assert_allclose(value, exact, atol=1e-10)


@pytest.mark.parametrize(("shape", "rate"), [(0.05, 0.3), (1.0, 1.0), (2.0, 1e-3), (400.0, 30.0)])
def test_concentration_moments(shape, rate):
    n, top = 6, (shape + 60 * np.sqrt(shape) + 60) / rate
    for k, value in enumerate(log_concentration_moments(n, shape, rate), start=1):

        def smooth(g, power, value=value):
            rising = np.log(g + np.arange(1, n)).sum()  # Gamma(g + n) = g Gamma(g) exp(rising)
            constant = shape * np.log(rate) - gammaln(shape) - value
            return np.exp(constant - rate * g - rising + xlogy(power, g))

        power = shape + k - 2
        low = integrate.quad(smooth, 0, 1, args=(0,), weight="alg", wvar=(power, 0), epsabs=1e-13)[0]
        edges = np.geomspace(1, max(top, 2), 12)
        high = sum(integrate.quad(smooth, a, b, args=(power,), epsabs=1e-13, limit=200)[0] for a, b in itertools.pairwise(edges))
        np.testing.assert_allclose(low + high, 1.0, rtol=1e-10)


def test_partitions_and_prior_of_labels():
    assert [len(set_partitions(n)) for n in (1, 2, 3, 4, 9)] == [1, 2, 5, 15, 21147]
    blank = np.zeros((7, 1))
    prior = make_prior("diag", 1)
    for law in WEIGHTS:
        labels, log_joint = enumerate_log_joint(blank, 3, "diag", False, prior, enumeration_weights(law))
        marginals = [log_marginal_given_labels(blank, z, 7, "diag", False, **prior) for z in labels]
        np.testing.assert_allclose(logsumexp(log_joint - marginals), 0.0, atol=1e-10)  # p(z) sums to one


@either_tied
def test_enumeration_of_nine_rows(tied):
    x, prior = make_rows(9, 2), make_prior("full", 2)
    for law in WEIGHTS:
        labels, log_joint = enumerate_log_joint(x, 3, "full", tied, prior, enumeration_weights(law))
        assert len(labels) == (3**9 if law == "dirichlet" else 21147)
        reverse = log_evidence_enumeration(x[::-1], 3, "full", tied, prior, enumeration_weights(law))
        np.testing.assert_allclose(logsumexp(log_joint), reverse, atol=1e-9)


@every_structure
@either_tied
@pytest.mark.parametrize("d", [1, 2])
def test_predictive_is_a_ratio_of_marginals(structure, tied, d):
    x, z, new, alpha = make_rows(9, d), np.arange(9) % 3 % 2, make_rows(2, d, seed=5), np.array([0.7, 2.0])
    prior = make_prior(structure, d)
    c = conjugate_components(x, np.eye(2)[z], structure, tied, **prior)
    weights = alpha + np.bincount(z)
    log_p = student_t_predictive(new, weights, c["mean"], c["kappa"], c["nu"], c["S"], structure)
    base = log_marginal_given_labels(x, z, 2, structure, tied, **prior)
    for row, value in zip(new, log_p, strict=True):
        rows = np.vstack([x, row])
        joint = [log_marginal_given_labels(rows, [*z, k], 2, structure, tied, **prior) for k in range(2)]
        ratio = logsumexp(joint, b=weights / weights.sum()) - base
        np.testing.assert_allclose(value, ratio, atol=1e-10)


def test_gaussian_mixture_log_likelihood():
    x, weights, means = make_rows(6, 2), np.array([0.3, 0.7]), np.array([[0.0, 1.0], [2.0, -1.0]])
    covariances = np.array([[[2.0, 0.3], [0.3, 1.0]], [[0.5, -0.2], [-0.2, 0.9]]])
    total = 0.0
    for row in x:
        density = 0.0
        for pi, m, C in zip(weights, means, covariances, strict=True):
            distance = (row - m) @ np.linalg.inv(C) @ (row - m)
            density += pi * np.exp(-distance / 2) / (2 * np.pi * np.sqrt(np.linalg.det(C)))
        total += np.log(density)
    value = gaussian_mixture_log_likelihood(x, weights, means, covariances)
    np.testing.assert_allclose(value, total, rtol=1e-13)


def test_naive_stats():
    rng, x = np.random.default_rng(3), make_rows(7, 3)
    resp, w = rng.dirichlet(np.ones(2), 7), rng.uniform(0.5, 2.0, 7)
    out, r = naive_stats(x, resp, w), resp * w[:, None]
    expected = dict(
        counts=r.sum(axis=0),
        sums=r.T @ x,
        full=np.einsum("ik,ia,ib->kab", r, x, x),
        diag=r.T @ x**2,
        spherical=r.T @ (x**2).sum(axis=1),
    )
    assert out.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(out[name], value, rtol=1e-13)


@every_structure
@either_tied
@every_weights
def test_elbo_is_its_monte_carlo_estimate(structure, tied, law):
    rng = np.random.default_rng(7)
    x, resp = make_rows(10, 2), rng.dirichlet([0.2, 1.5, 0.6], 10)
    best, prior = conjugate(x, resp, structure, tied, law)
    assert law == "dirichlet" or best["weights"]["order"].tolist() == [1, 2, 0]  # not its own inverse
    q = perturb(best, rng)
    estimate, error = monte_carlo_elbo(x, resp, q, prior, 10_000, rng)
    elbo = elbo_general(x, resp, q, prior)
    assert 0 < error < 0.1
    assert abs(estimate - elbo) < 4 * error
    assert elbo < elbo_general(x, resp, best, prior)  # the conjugate q is the best one
    estimate, error = monte_carlo_elbo(x, resp, best, prior, 100, rng)
    if law == "sticks_gamma":
        assert abs(estimate - elbo_general(x, resp, best, prior)) < 4 * error
    else:  # the integrand is constant: the estimate is exact
        assert error < 1e-10
        np.testing.assert_allclose(estimate, elbo_general(x, resp, best, prior), atol=1e-9)


@every_structure
@either_tied
@every_weights
def test_evidence_is_above_every_elbo(structure, tied, law):
    rng, x = np.random.default_rng(11), make_rows(6, 2)
    prior, weights = make_prior(structure, 2), enumeration_weights(law)
    labels, log_joint = enumerate_log_joint(x, 3, structure, tied, prior, weights)
    evidence = logsumexp(log_joint)
    few = labels.max(axis=1) < 3
    best = np.eye(3)[labels[few][np.argmax(log_joint[few])]]
    for resp in [best, 0.9 * best + 0.1 / 3, 0.5 * best + 0.5 / 3, *rng.dirichlet(np.ones(3), (20, 6))]:
        q, prior = conjugate(x, resp, structure, tied, law)
        assert elbo_general(x, resp, q, prior) < evidence


@every_structure
@either_tied
def test_evidence_is_the_elbo_of_one_component(structure, tied):
    x, prior = make_rows(12, 2), make_prior(structure, 2)
    resp, alpha = np.ones((12, 1)), dict(kind="dirichlet", alpha=np.array([0.8]))
    q = dict(
        components=conjugate_components(x, resp, structure, tied, **prior),
        weights=conjugate_weights(resp.sum(axis=0), alpha),
    )
    elbo = elbo_general(x, resp, q, dict(components=prior, weights=alpha))
    np.testing.assert_allclose(elbo, log_evidence_one_component(x, structure, **prior), atol=1e-10)


@every_structure
def test_entropies_are_those_of_scipy(structure):
    rng = np.random.default_rng(2)
    x, resp = make_rows(10, 3), rng.dirichlet(np.ones(3), 10)
    q, prior = conjugate(x, resp, structure, False, "dirichlet")
    terms, c = elbo_terms(x, resp, q, prior), q["components"]
    np.testing.assert_allclose(terms["log_q_pi"], -stats.dirichlet.entropy(q["weights"]["alpha"]), rtol=1e-11)
    np.testing.assert_allclose(terms["log_q_z"], -stats.entropy(resp, axis=1).sum(), rtol=1e-12)
    for nu, S in zip(c["nu"], c["S"], strict=True):
        minus_entropy = _precision_expectations(structure, nu, S, 3)[2](nu, S)
        if structure == "full":
            np.testing.assert_allclose(minus_entropy, -stats.wishart.entropy(nu, np.linalg.inv(S)), rtol=1e-11)
        else:
            entropies = stats.gamma.entropy(nu / 2, scale=2 / S)
            np.testing.assert_allclose(minus_entropy, -np.sum(entropies), rtol=1e-11)
    q, prior = conjugate(x, resp, structure, False, "sticks_gamma")
    w = q["weights"]
    sticks = stats.beta.entropy(w["a"], w["b"]).sum() + stats.gamma.entropy(w["shape"], scale=1 / w["rate"])
    np.testing.assert_allclose(elbo_terms(x, resp, q, prior)["log_q_pi"], -sticks, rtol=1e-10)
