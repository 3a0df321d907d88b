"""Simulation-based calibration of the Gibbs sampler: parameters drawn from the prior rank evenly among the draws of their posteriors.

Cook, Gelman & Rubin (2006), Journal of Computational and Graphical Statistics 15; Talts et al. (2018), arXiv 1804.06788.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp
from registry import normal_wishart
from scipy import stats

from bayesgmm.analysis.bootstrap import draw
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.weights import Dirichlet, PointWeights
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.gibbs import chains
from bayesgmm.inference.kernel import from_labels

pytestmark = pytest.mark.usefixtures("x64")

REPLICATES, ROWS, DRAWS, K = 200, 12, 39, 2
LEAST_P = 1e-4


def summaries(point: Mixture, x):
    """Numbers that do not depend on labels: likelihood, largest weight, mean of all, and the spread of the heavier component."""
    weights, components = point.weights.weights, point.components
    scores = components.predictive_log_prob(x) + jnp.log(weights)
    width = components.structure.log_det(components.structure.factor(components.covariance))
    heavier = jnp.broadcast_to(width, (K,))[weights.argmax()]
    return jnp.stack([logsumexp(scores, axis=1).sum(), weights.max(), weights @ components.mean[:, 0], heavier])


OTHERS = [pytest.param(*kind, marks=pytest.mark.slow) for kind in (("full", True), ("diag", False), ("spherical", False))]


@pytest.mark.parametrize(("structure", "tied"), [("full", False), *OTHERS])
def test_ranks_are_even(structure, tied):
    law = normal_wishart(structure, tied, 2)
    prior = Mixture(Dirichlet.symmetric(K, 1.3), law)
    nobody = from_labels(law.structure, tied, jnp.zeros((1, 2)), jnp.zeros(1, int), K, jnp.zeros(1))

    @jit
    @jax.vmap
    def rank(key):
        truth_key, row_key, start_key, chain_key = jax.random.split(key, 4)
        sampled = prior.posterior(nobody).sample(truth_key)
        truth = Mixture(PointWeights(sampled.weights), sampled.components)
        x = draw(row_key, truth, ROWS)
        start = jax.random.randint(start_key, (1, ROWS), 0, K)
        found = chains(prior, x, start, chain_key[None], 60, 12, n_draws=DRAWS)

        def one(log_weights, mean, covariance):
            return summaries(Mixture(PointWeights(jnp.exp(log_weights)), Gaussian(mean, covariance, law.structure)), x)

        drawn = jax.vmap(one)(found.log_weights[0], found.mean[0], found.covariance[0])
        return (drawn < summaries(truth, x)).sum(0)

    ranks = np.asarray(rank(jax.random.split(jax.random.key(7), REPLICATES)))
    assert ranks.shape == (REPLICATES, 4)
    for each in ranks.T:
        counts = np.bincount(each // 4, minlength=(DRAWS + 1) // 4)
        assert stats.chisquare(counts).pvalue > LEAST_P, counts
