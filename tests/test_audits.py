"""Numerical audits: what the package answers in hard cases, beside the same formulas in 60 digits."""

from __future__ import annotations

import audits
import jax
import jax.numpy as jnp
import numpy as np
import oracles_exact as oracle
import pytest
from jax.scipy.special import digamma, gammaln
from mpmath import mp, mpf

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.linalg import betaln, gammaln_gain, multidigamma, multigammaln
from bayesgmm.core.structures import STRUCTURES

pytestmark = pytest.mark.usefixtures("x64")


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


@pytest.mark.parametrize("step", audits.STEPS)
def test_differences_of_log_gammas_keep_their_digits(step):
    """Taken one from the other they lose them with a ln a."""
    a = audits.ARGUMENTS
    truth = [audits.exact_gain(x, step) for x in a.tolist()]
    assert audits.mixed(gammaln_gain(jnp.asarray(a), step), truth) < 1e-14
    beta = [mp.loggamma(mpf(step)) - gain for gain in truth]
    assert audits.mixed(betaln(jnp.asarray(a), jnp.asarray(step)), beta) < 1e-14
    assert audits.mixed(betaln(jnp.asarray(step), jnp.asarray(a)), beta) < 1e-14
    if 0.5 <= step <= 100:
        far = jnp.array([1e9, 1e12])
        assert audits.mixed(gammaln(far + step) - gammaln(far), [audits.exact_gain(x, step) for x in far.tolist()]) > 1e-7


def test_derivatives_of_log_beta_at_equal_arguments():
    """Two ways to the same function meet there."""
    for a in (3.0, 40.0):
        at = jnp.array([a, a])
        first, second = jax.grad(lambda v: betaln(*v))(at), jax.hessian(lambda v: betaln(*v))(at)
        common, own = float(mp.psi(1, 2 * mpf(a))), float(mp.psi(1, mpf(a)))
        np.testing.assert_allclose(first, float(mp.digamma(a) - mp.digamma(2 * mpf(a))), rtol=1e-13)
        np.testing.assert_allclose(second, [[own - common, -common], [-common, own - common]], rtol=1e-12)


@pytest.mark.parametrize("rows", [1e3, 1e6, 1e9])
def test_predictive_densities_after_many_rows(rows):
    """With plain log gammas the density after 1e9 rows had an error of 1e-7."""
    for kind, scale in (("full", np.eye(2)), ("diag", np.ones(2)), ("spherical", 1.0)):
        packed = jnp.asarray(scale)[None] * rows
        law = NormalWishart(jnp.zeros((1, 2)), jnp.array([rows]), jnp.array([rows + 4]), packed, STRUCTURES[kind], False)
        x = np.array([[0.0, 0.0], [3.0, -4.0], [30.0, 1e3]])
        exact = oracle.law_of(law, 1)
        truth = [oracle.log_student(exact, 0, row) for row in oracle.exact(x)]
        assert audits.mixed(law.predictive_log_prob(jnp.asarray(x))[:, 0], truth) < 1e-14
