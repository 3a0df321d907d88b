"""Numerical audits: what the package answers in hard cases, beside the same formulas in 60 digits."""

from __future__ import annotations

from itertools import product

import audits
import jax
import jax.numpy as jnp
import numpy as np
import oracles_exact as oracle
import pytest
from jax.scipy.special import digamma, gammaln
from mpmath import mp, mpf

import bayesgmm as bg
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.linalg import betaln, gammaln_gain, multidigamma, multigammaln
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, PointWeights, StickBreaking
from bayesgmm.estimators.base import FitWarning
from bayesgmm.inference.problem import column_moments

pytestmark = pytest.mark.usefixtures("x64")

EPS = 2.3e-16
"""Of float64."""

KINDS = [pytest.param(kind, marks=pytest.mark.slow if kind in ("tied", "spherical") else ()) for kind in audits.KINDS]


@jax.jit
def predictive(law, x):
    return law.predictive_log_prob(x)


@jax.jit
def penalty(prior, q):
    return prior.penalty(q)


def test_log_gammas_and_digammas_from_1e_minus_300_to_1e15():
    """Relative to 1 + their size: near their zeros it is the absolute error that a bound sees."""
    a = audits.ARGUMENTS
    for ours, truth in ((gammaln, mp.loggamma), (digamma, mp.digamma)):
        assert audits.mixed(ours(jnp.asarray(a)), [truth(mpf(x)) for x in a.tolist()]) < 4e-15


def test_multivariate_log_gammas_down_to_their_pole():
    """Of a size of 3 the least argument is 1."""
    a = np.concatenate([1 + np.geomspace(1e-12, 1, 13), np.geomspace(3, 1e12, 13)])
    shifts = [mpf(i) / 2 for i in range(3)]
    gammas = [sum(mp.loggamma(mpf(x) - s) for s in shifts) + mp.log(mp.pi) * 3 / 2 for x in a.tolist()]
    digammas = [sum(mp.digamma(mpf(x) - s) for s in shifts) for x in a.tolist()]
    assert audits.mixed(multigammaln(jnp.asarray(a), 3), gammas) < 1e-14
    assert audits.mixed(multidigamma(jnp.asarray(a), 3), digammas) < 1e-14


def test_differences_of_log_gammas_keep_their_digits():
    """Taken one from the other they lose them with a ln a."""
    a, far = audits.ARGUMENTS, jnp.array([1e9, 1e12])
    for step in audits.STEPS:
        truth = [audits.exact_gain(x, step) for x in a.tolist()]
        assert audits.mixed(gammaln_gain(jnp.asarray(a), step), truth) < 1e-14
        beta = [mp.loggamma(mpf(step)) - gain for gain in truth]
        assert audits.mixed(betaln(jnp.asarray(a), jnp.asarray(step)), beta) < 1e-14
        assert audits.mixed(betaln(jnp.asarray(step), jnp.asarray(a)), beta) < 1e-14
        if 0.5 <= step <= 100:
            assert audits.mixed(gammaln(far + step) - gammaln(far), [audits.exact_gain(x, step) for x in far.tolist()]) > 1e-7


def test_derivatives_of_log_beta_at_equal_arguments():
    """Two ways to the same function meet there."""
    derivatives = jax.jit(lambda v: (jax.grad(lambda u: betaln(*u))(v), jax.hessian(lambda u: betaln(*u))(v)))
    for a in (3.0, 40.0):
        first, second = derivatives(jnp.array([a, a]))
        common, own = float(mp.psi(1, 2 * mpf(a))), float(mp.psi(1, mpf(a)))
        np.testing.assert_allclose(first, float(mp.digamma(a) - mp.digamma(2 * mpf(a))), rtol=1e-13)
        np.testing.assert_allclose(second, [[own - common, -common], [-common, own - common]], rtol=1e-12)


def test_predictive_densities_after_many_rows():
    """With plain log gammas the density after 1e9 rows had an error of 3e-7 to 1e-6."""
    x = np.array([[0.0, 0.0], [3.0, -4.0], [30.0, 1e3]])
    for rows, (kind, scale) in product((1e3, 1e6, 1e9), (("full", np.eye(2)), ("diag", np.ones(2)), ("spherical", 1.0))):
        packed = jnp.asarray(scale)[None] * rows
        law = NormalWishart(jnp.zeros((1, 2)), jnp.array([rows]), jnp.array([rows + 4]), packed, STRUCTURES[kind], False)
        exact = oracle.law_of(law, 1)
        truth = [oracle.log_student(exact, 0, row) for row in oracle.exact(x)]
        assert audits.mixed(predictive(law, jnp.asarray(x))[:, 0], truth) < 1e-14


@pytest.mark.parametrize("kind", [*KINDS, "rank1"])
def test_condition_numbers_units_and_origins(kind):
    """Turned axes cost what they must: numbers of 16 digits hold the small axis to ``EPS`` times the condition number.

    Units cost nothing. Far from 0 what is evaluated loses nothing either, and the bound what rounding takes from the means returned.
    """
    one = kind == "full"
    for condition in (1.0, 1e4, 1e8, 1e12):
        errors = audits.errors_by_condition(condition, kind, one=one)
        allowed = 1e-12 + (EPS * condition if kind in ("full", "tied", "rank1") else 0)
        assert max(errors.values()) < allowed, (condition, errors)
    for shift in (1e3, 1e7, 1e12):
        errors = audits.errors_by_condition(1.0, kind, shift=shift, one=one)
        of_bound = [errors.pop(name, 0.0) for name in ("lower_bound_", "log evidence, K = 1")]
        assert max(of_bound) < 1e-12 + EPS * shift and max(errors.values()) < 1e-12, (shift, of_bound, errors)
    assert max(audits.errors_by_condition(1e12, kind, turned=False, one=one).values()) < (1e-8 if kind == "rank1" else 1e-12)
    for unit in (1e-60, 1e60, np.array([1e-60, 1.0, 1e60])) if kind in audits.KINDS[:3] else (1e-60, 1e60):
        x = audits.conditioned(1.0) * unit
        errors = audits.errors_of_likely(audits.likely(x, kind), x, kind)
        if kind in audits.KINDS:
            errors |= audits.errors_of_bayes(audits.bayes(x, kind), x)
        assert max(errors.values()) < 1e-11, (unit, errors)  # of 16,000 nats


def test_the_mean_is_found_in_two_goes():
    """One sum of numbers about 1e12 leaves it, and the spread about it, without digits."""
    x = audits.conditioned(1.0, n=3000, shift=1e12)
    truth = [sum(column) / len(x) for column in zip(*oracle.exact(x), strict=True)]
    mean, scale = column_moments(x, np.ones(len(x)))
    assert audits.worst(mean, truth) <= 1e12 * EPS
    squares = [sum((a - m) ** 2 for a in column) for column, m in zip(zip(*oracle.exact(x), strict=True), truth, strict=True)]
    assert audits.worst(scale, [mp.sqrt(s / len(x)) for s in squares], relative=True) < 1e-8
    assert not np.isclose((x**2).mean(0) - x.mean(0) ** 2, scale**2, rtol=1).any()


@pytest.mark.parametrize(("dtype", "near", "last", "first"), [("float64", 1e-14, 500, 1e3), ("float32", 2e-6, 10, 30)])
def test_the_pass_leaves_the_matrix_product_where_that_loses_digits(dtype, near, last, first):
    """Reach is the distance from the origin in widths of a component: the product loses its square, differences to the mean nothing."""
    for kind in audits.KINDS:
        below, above = audits.errors_of_forms(last, kind, dtype), audits.errors_of_forms(first, kind, dtype)
        assert 2 * near < below[1] < (1e-9 if dtype == "float64" else 1e-3)
        assert above[1] < near and above[0] > 10 * near
        of_product, ours, changed = audits.errors_of_forms(1e7, kind, dtype)
        assert changed and ours < near and of_product > (1e-3 if dtype == "float64" else 1e5)


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_groups_far_apart(kind):
    """Densities and bounds are those of the parameters returned; covariances lose digits as the square of the reach."""
    for reach in (10.0, 1e3, 1e5, 1e7):
        errors = audits.likely_by_reach(reach, kind) | audits.bayes_by_reach(reach, kind)
        assert errors.pop("covariances_ (relative)") < 1e-13 + 10 * EPS * reach**2
        assert errors.pop("lower_bound_") < 1e-11 + EPS * reach**2 / 50
        assert errors.pop("penalty") < 1e-12 + EPS * reach**2 / 50
        assert errors.pop("score_samples (Bayesian)") < 1e-12 + EPS * reach**2 / 500
        assert max(errors.values()) < 1e-12 + 20 * EPS * reach


@pytest.mark.parametrize(("dtype", "fine", "vague"), [("float64", 1e5, 3e7), ("float32", 10.0, 1e3)])
def test_a_fit_says_when_rounding_takes_the_covariances(dtype, fine, vague):
    def fitted(reach):
        x, labels = audits.groups(reach)
        return bg.GaussianMixture(n_components=2, covariance_type="diag", init_params=labels, reg_covar=0, dtype=dtype).fit(x)

    fitted(fine)  # warnings are errors
    with pytest.warns(FitWarning, match="Rounding leaves an error of .* in the covariance of component"):
        fitted(vague)
    assert audits.error_of_covariances(vague, "diag", dtype=dtype) > 0.05


def test_float32_is_right_to_its_digits():
    """Rows and responsibilities are rounded, so that the bound is; what is asked of the fit is computed in float64."""
    for condition in (1.0, 1e12):
        errors = audits.errors_by_condition(condition, "spherical", dtype="float32", one=False)
        assert errors.pop("lower_bound_") < 1e-4 and max(errors.values()) < 1e-12


def test_duplicates():
    """Every row four times: counts and sums grow, nothing else."""
    x = np.repeat(audits.conditioned(1e4, n=10), 4, 0)
    assert max(audits.errors_of_bayes(audits.bayes(x, "full"), x).values()) < 1e-9
    assert max(audits.errors_of_likely(audits.likely(x, "diag"), x, "diag").values()) < 1e-12


def test_components_that_nearly_coincide_and_weights_near_0():
    means = np.array([[0.0, 1.0], [1e-9, 1.0], [50.0, -3.0], [0.0, 1.0 + 1e-15]])
    weights = np.array([1.0 - 1e-12, 1e-12, 1e-300, 1e-150])
    covariances = np.array([[[1.0, 0.5], [0.5, 2.0]]] * 4) * np.array([1.0, 1.0 + 1e-13, 1e-6, 1e6])[:, None, None]
    law = Mixture(PointWeights(jnp.asarray(weights)), Gaussian(jnp.asarray(means), jnp.asarray(covariances), STRUCTURES["full"]))
    x = np.array([[0.3, -1.0], [50.0, -3.0], [-2e3, 1e3], [50.001, -3.0]])
    density, resp = oracle.log_mixture(x, weights, means, covariances)
    assert audits.mixed(predictive(law, jnp.asarray(x)), density) < 1e-14
    scores = np.asarray(audits.kernel.responsibilities(STRUCTURES["full"], law.natural())(jnp.asarray(x)))
    assert audits.worst(scores, resp) < 1e-10


def test_penalties_of_weights_at_extreme_counts():
    """Relative to the largest of their terms: ``most ln most``, 1e10 for a concentration of 1e9, 1e6 for one of 1e-6."""
    priors = [StickBreaking.prior(4, concentration) for concentration in (1e-6, 1.0, (1.0, 1.0), (1e-3, 1e3))]
    for most in (1e2, 1e6, 1e10):
        counts = jnp.array([most, 3.5, 1e-9, most / 7])
        for law, more in [(Dirichlet(jnp.array([1e-9, 0.01, 1e9, 1.0])), 2e10), *((law, 1e6) for law in priors)]:
            q = law.posterior(counts)
            error = audits.worst(penalty(law, q), oracle.weights_divergence(law, q))
            assert error < 4 * EPS * (most * np.log(most) + more)
            assert audits.mixed(q.expected_log(), oracle.expected_log_weights(q)) < 1e-14


def test_penalties_of_components_in_tiny_and_huge_units():
    """The squares just fit into float64; `fit` asks for units within 1e70."""
    matrices = {"full": np.array([[2.0, -0.9], [-0.9, 1.0]]), "diag": np.array([2.0, 1.0]), "spherical": 1.5}
    for unit, (kind, scale) in product((1e-150, 1.0, 1e150), matrices.items()):
        x = np.array([[0.1, 0.2], [3.0, -2.0]]) * unit
        own = jnp.asarray(np.stack([scale, 0.01 * np.asarray(scale)]) * unit**2)
        prior = NormalWishart(jnp.zeros((1, 2)), jnp.array([1e-9]), jnp.array([2.5]), own[:1], STRUCTURES[kind], False)
        kappa, dof = jnp.array([3.0, 1e6]), jnp.array([5.0, 1e6])
        q = NormalWishart(jnp.array([[1.0, 2.0], [-1.0, 0.5]]) * unit, kappa, dof, own, STRUCTURES[kind], False)
        exact = oracle.law_of(q, 2)
        assert audits.mixed([penalty(prior, q)], [oracle.components_divergence(oracle.law_of(prior, 2), exact)]) < 1e-11
        truth = [oracle.log_student(exact, k, row) for row in oracle.exact(x) for k in range(2)]
        assert audits.mixed(predictive(q, jnp.asarray(x)), truth) < 1e-14
