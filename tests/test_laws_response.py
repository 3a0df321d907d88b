"""The linear response: its closed forms against derivatives of the pass itself, and the evidence that it corrects."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import log_evidence_one_component
from registry import Case, bayesian_cases, solve

import bayesgmm as bg
from bayesgmm.analysis.evidence import FLOOR, response
from bayesgmm.analysis.response import eigenvalues, n_coefficients
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.accelerate import DEPTH
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect

N, D, K = 60, 2, 3
WEIGHT = np.resize([1.0, 2.0, 1.0], N)
SETTINGS = {
    "n_components": 2,
    "prune": False,
    "weight_concentration_prior_type": "dirichlet_distribution",
    "n_init": 2,
    "random_state": 0,
}


def groups(separation: float = 2.5, n: int = N) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, D)) + separation * np.array([[0.0, 0.0], [1.0, 0.3], [0.2, 1.3]])[np.arange(n) % 3]


def flat(stats: Stats, structure):
    """Distinct entries of the statistics as one vector."""
    rows, columns = np.tril_indices(D)
    scatter = stats.scatter[:, rows, columns] if structure.rank == 2 else stats.scatter
    return jnp.concatenate([a.ravel() for a in (stats.counts, stats.sums, scatter)])


def unflat(vector, like: Stats, structure) -> Stats:
    n, sums = like.counts.size, like.sums.size
    scatter = vector[n + sums :]
    if structure.rank == 2:
        rows, columns = np.tril_indices(D)
        lower = scatter.reshape(len(like.scatter), -1)
        scatter = jnp.zeros(like.scatter.shape).at[:, rows, columns].set(lower).at[:, columns, rows].set(lower)
    return Stats(like.log_norm, vector[:n], vector[n : n + sums].reshape(like.sums.shape), scatter.reshape(like.scatter.shape))


CASES = [*bayesian_cases(("asymmetric",)), *bayesian_cases(("sticks",))[:1]]
KEPT = {"diag-free-asymmetric", "full-tied-sticks"}
"""Both laws of weights, components with matrices of their own and with one in common; the others are slow cases."""


def marked(case: Case):
    kept = f"{case.structure}-{'tied' if case.tied else 'free'}-{case.weights}" in KEPT
    return pytest.param(case, id=case.name, marks=() if kept else pytest.mark.slow)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_eigenvalues_are_those_of_the_pass(case: Case):
    """One less the eigenvalues of the derivative of T -> G(T), by automatic differentiation, 0 wherever it does nothing."""
    x, prior = groups(), case.prior(K, D)
    resp = np.random.default_rng(0).dirichlet(np.ones(K), N)
    q = solve(prior, x, WEIGHT, resp, 1e-14, 3000, DEPTH).posterior
    structure = prior.structure
    at = collect(q, jnp.asarray(x), WEIGHT)

    @jit
    def one_pass(vector):
        return flat(collect(prior.posterior(unflat(vector, at, structure)), jnp.asarray(x), WEIGHT), structure)

    rates = np.sort(np.linalg.eigvals(jax.jacfwd(one_pass)(flat(at, structure))).real)
    found = np.asarray(eigenvalues(q, jnp.asarray(x), jnp.asarray(WEIGHT), 7))
    assert len(found) == n_coefficients(q)
    assert (found > 0).all() and (found < 1 + 1e-9).all()
    expected = np.ones(max(len(found), len(rates)))
    expected[: len(rates)] -= rates[::-1]
    padded = np.concatenate([found, np.ones(len(expected) - len(found))])
    np.testing.assert_allclose(padded, expected, atol=2e-6)
    assert found[0] < 0.95, "the case is too easy to tell anything"


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_one_component_needs_no_correction(kind):
    x = groups()
    model = bg.BayesianGaussianMixture(covariance_type=kind, weight_concentration_prior_type="dirichlet_distribution").fit(x)
    evidence = model.log_evidence(x)
    assert (evidence.multiplicity, evidence.response, evidence.contraction) == (0.0, 0.0, 0.0)
    assert evidence.total == evidence.elbo == model.lower_bound_
    if kind == "full":
        exact = log_evidence_one_component(x, "full", x.mean(0), 0.01, D + 2, np.cov(x.T, bias=True))
        np.testing.assert_allclose(evidence.total, exact, rtol=1e-10)


def test_parts_add_up_and_overlap_costs_the_bound():
    """The farther two groups are apart, the less is missing; units and repeated rows make no difference."""
    parts = []
    for separation in (3.5, 5.0, 12.0):
        x = groups(separation, 90)[np.arange(90) % 3 < 2]
        evidence = bg.BayesianGaussianMixture(**SETTINGS).fit(x).log_evidence(x)
        np.testing.assert_allclose(evidence.total, evidence.elbo + evidence.multiplicity + evidence.response, rtol=1e-14)
        parts.append(evidence.response)
    assert parts[0] > parts[1] > parts[2] > 0
    assert parts[2] < 0.05
    x = groups(3.0)
    weight = np.resize([1, 3, 2], N)
    weighted = bg.BayesianGaussianMixture(**SETTINGS).fit(x, sample_weight=weight)
    repeated = bg.BayesianGaussianMixture(**SETTINGS).fit(np.repeat(x, weight, 0))
    one, other = weighted.log_evidence(x, sample_weight=weight), repeated.log_evidence(np.repeat(x, weight, 0))
    np.testing.assert_allclose(one, other, rtol=1e-7)
    moved = bg.BayesianGaussianMixture(**SETTINGS).fit(x * [1e3, 1e-3] + 5, sample_weight=weight)
    np.testing.assert_allclose(moved.log_evidence(x * [1e3, 1e-3] + 5, sample_weight=weight)[2], one.response, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_copies_of_a_component_earn_little():
    """Two components in one place: each direction adds at most half the logarithm of the floor."""
    case = Case("vb", "full", False, "conjugate", "dirichlet")
    x = jnp.asarray(groups(0.0))
    resp = np.random.default_rng(0).dirichlet(np.full(K, 100.0), N)
    q = solve(case.prior(K, D), x, np.ones(N), resp, 1e-3, 20).posterior
    added, contraction = response(q, x, jnp.ones(N))
    assert 0 < added <= n_coefficients(q) * -np.log(FLOOR) / 2
    assert 0.9 < contraction <= 1


def test_other_rows_than_those_of_the_fit_are_refused():
    x = groups()
    model = bg.BayesianGaussianMixture(**SETTINGS).fit(x)
    for rows, weight in ((x[:-1], None), (x + 0.1, None), (x, np.resize([1, 2], N))):
        with pytest.raises(ValueError, match="X and sample_weight must be those of the fit: the bound of these rows is -"):
            model.log_evidence(rows, sample_weight=weight)
    with pytest.raises(ValueError, match="X must be the 60 rows of the fit, in their order; these 59 rows are others"):
        model.summary(x[:-1])
    assert model.facts(x).evidence.total == model.log_evidence(x).total
    assert "the overlap of components" in model.summary(x)
