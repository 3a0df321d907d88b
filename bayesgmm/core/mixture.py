"""A mixture: one law of weights and one of components. Prior and posterior are the same type; the prior decides the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.statistics import Natural, Stats


@pytree
class Mixture:
    """Weights and components.

    Parameters
    ----------
    weights : Dirichlet, StickBreaking, FlatWeights or PointWeights
    components : NormalWishart, FlatGaussian, SharedGaussian or Gaussian
        Or `Student` around one of these; with `NoiseShare` weights, `WithNoise` around that. `Frozen`: some are known.
    """

    weights: Any
    components: Any

    @property
    def n_components(self) -> int:
        return self.weights.n_components

    @property
    def structure(self):
        return self.components.structure

    @property
    def tied(self) -> bool:
        return self.components.tied

    @property
    def n_noise(self) -> int:
        """1 where the last component is noise, 0 otherwise."""
        return getattr(self.components, "n_noise", 0)

    @property
    def n_known(self) -> int:
        """How many components, the first ones, are known."""
        return getattr(self.components, "n_known", 0)

    @property
    def searches(self) -> bool:
        """Whether an update is a search, which may go on from the last posterior."""
        return getattr(self.components, "searches", False)

    def posterior(self, stats: Stats, last: Mixture | None = None) -> Mixture:
        """Prior plus statistics; ``last`` is where a search goes on from."""
        more = () if last is None else (last.components,)
        return Mixture(self.weights.posterior(stats.counts), self.components.posterior(stats, *more))

    def penalty(self, q: Mixture):
        """What the bound pays for ``q``, in nats: a Kullback-Leibler divergence, or 0 for flat laws."""
        return self.weights.penalty(q.weights) + self.components.penalty(q.components)

    def log_marginal(self, stats: Stats):
        """Log probability of rows and labels together (exact for hard labels); the collapsed bound without its entropy."""
        return self.weights.log_marginal(stats.counts) + self.components.log_marginal(stats)

    def mode(self) -> Mixture:
        return Mixture(self.weights.mode(), self.components.mode())

    def log_density(self, point: Mixture):
        return self.weights.log_density(point.weights) + self.components.log_density(point.components)

    def natural(self) -> Natural:
        """Scores of rows, expected log weights included."""
        return self.components.natural().raised(self.weights.expected_log())

    def predictive_log_prob(self, x, prior: Mixture | None = None):
        """Log density (N,) of new rows (N, D).

        Where the weights sum to less than 1 (stick breaking) the rest follows the prior's predictive density.
        """
        return self.mixed(lambda law: law.predictive_log_prob(x), prior)

    def mixed(self, predictive: Callable, prior: Mixture | None = None):
        """`predictive_log_prob`, given what answers log densities (N, K) of rows under a law of components."""
        weights = self.weights.mean()
        log_prob = predictive(self.components)
        value = logsumexp(log_prob, axis=1, b=weights)
        rest = self.weights.unseen()
        if prior is None:
            return value - jnp.log1p(-rest)
        fresh = predictive(prior.components.unseen(self.components))[:, 0]
        return logsumexp(jnp.stack([value, fresh], 1), axis=1, b=jnp.stack([jnp.ones_like(rest), rest]))

    def without(self, k) -> Mixture:
        """The mixture in which component ``k`` does not exist; shapes stay."""
        return replace(self, weights=self.weights.without(k))

    def take(self, index) -> Mixture:
        """Components ``index`` only."""
        return Mixture(self.weights.take(index), self.components.take(index))

    def mapped(self, vectors: Callable, matrices: Callable) -> Mixture:
        """The same law in other coordinates."""
        return replace(self, components=self.components.mapped(vectors, matrices))

    def sample(self, key, shape=()) -> Mixture:
        """Draw parameters: weights (shape, K) and `Gaussian` components with the same leading axes."""
        first, second = jax.random.split(key)
        return replace(self, weights=self.weights.sample(first, shape), components=self.components.sample(second, shape))


@pytree
class MAP:
    """Turn a conjugate prior into maximum a posteriori estimation: the update is the mode of the conjugate posterior.

    The density whose mode is taken is that of (weights, means, covariances). Concentrations must be at least 1.

    Parameters
    ----------
    prior : Mixture
    """

    prior: Mixture

    @property
    def n_components(self) -> int:
        return self.prior.n_components

    @property
    def structure(self):
        return self.prior.structure

    @property
    def tied(self) -> bool:
        return self.prior.tied

    @property
    def n_noise(self) -> int:
        return self.prior.n_noise

    @property
    def n_known(self) -> int:
        return self.prior.n_known

    @property
    def weights(self):
        return self.prior.weights

    @property
    def components(self):
        return self.prior.components

    def mapped(self, vectors: Callable, matrices: Callable) -> MAP:
        """The same prior in other coordinates."""
        return MAP(self.prior.mapped(vectors, matrices))

    def take(self, index) -> MAP:
        """Components ``index`` only."""
        return MAP(self.prior.take(index))

    @property
    def searches(self) -> bool:
        return self.prior.searches

    def posterior(self, stats: Stats, last: Mixture | None = None) -> Mixture:
        return self.prior.posterior(stats, last).mode()

    def penalty(self, q: Mixture):
        return -self.prior.log_density(q)
