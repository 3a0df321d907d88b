"""Components that are known, first in order, and a law of the others: a fit finds the weights of all, and everything else of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bayesgmm.core.points import Gaussian, is_flat
from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.statistics import Natural, Stats, complete_log_prob


@pytree
class Frozen:
    """F known components, and a law of those after them.

    As prior and as posterior of a variational fit; where the law of the others answers points (maximum likelihood or a posteriori), so
    does this one. What is known costs nothing: the bound is that of the limit of ever narrower laws around it.

    Parameters
    ----------
    known : Gaussian
        The F components.
    law : NormalWishart or FlatGaussian
        Of the other K - F, with a matrix for each.
    """

    known: Gaussian
    law: Any

    tied = False

    @property
    def n_known(self) -> int:
        return len(self.known.mean)

    @property
    def structure(self):
        return self.known.structure

    @property
    def n_features(self) -> int:
        return self.known.n_features

    @property
    def flat(self) -> bool:
        return is_flat(self.law)

    @property
    def mean(self):
        """Means (K, D)."""
        return jnp.concatenate([self.known.mean, self.law.mean])

    @property
    def covariance(self):
        """Covariances (K, packed)."""
        return jnp.concatenate([self.known.covariance, self.law.covariance])

    def parts(self, stats: Stats) -> tuple[Stats, Stats]:
        """Statistics of the known components, and of the others."""
        n, sums = self.n_known, stats._replace(log_norm=None)
        return jax.tree.map(lambda a: a[:n], sums), jax.tree.map(lambda a: a[n:], sums)

    def _joined(self, others: Any) -> Any:
        """Known components and others: points, if those are."""
        if not isinstance(others, Gaussian):
            return replace(self, law=others)
        both = jax.tree.map(lambda *pair: jnp.concatenate(pair), self.known, others)
        return Gaussian(both.mean, both.covariance, self.structure)

    def others(self, q: Frozen | Gaussian) -> Any:
        """What ``q``, a posterior or points, says of the others."""
        if isinstance(q, Frozen):
            return q.law
        return replace(q, mean=q.mean[self.n_known :], covariance=q.covariance[self.n_known :])

    def fixed(self, q: Frozen | Gaussian) -> Any:
        """A posterior, or points, with these known components in their places."""
        return self._joined(self.others(q))

    def posterior(self, stats: Stats) -> Any:
        return self._joined(self.law.posterior(self.parts(stats)[1]))

    def penalty(self, q: Frozen | Gaussian):
        return self.law.penalty(self.others(q))

    def log_density(self, point: Gaussian):
        return self.law.log_density(self.others(point))

    def log_marginal(self, stats: Stats):
        """As of the law; rows of known components have their plain density."""
        known, others = self.parts(stats)
        return complete_log_prob(self.structure, self.known.natural(), known) + self.law.log_marginal(others)

    def natural(self) -> Natural:
        """Expected log densities: those of known components are their log densities."""
        pairs = zip(self.known.natural()[:3], self.law.natural()[:3], strict=True)
        level, mean, precision = (jnp.concatenate(pair) for pair in pairs)
        return Natural(level, mean, precision)

    def predictive_log_prob(self, x):
        """Log density (N, K) of rows (N, D)."""
        return jnp.concatenate([self.known.predictive_log_prob(x), self.law.predictive_log_prob(x)], 1)

    def unseen(self, q: Frozen) -> Any:
        """Law of a component that has no rows: it is none of the known ones."""
        return self.law.unseen(q.law)

    def mode(self) -> Any:
        return self._joined(self.law.mode())

    def point(self) -> Any:
        return self._joined(self.law.point())

    def predictive(self) -> Any:
        """Gaussians with the locations and the scale matrices of the predictive density of a row."""
        return self._joined(self.law.predictive())

    def sample(self, key, shape=()) -> Gaussian:
        """Draws of means (shape, K, D) and covariances (shape, K, packed)."""
        wide = lambda a: jnp.broadcast_to(a, (*shape, *a.shape))  # noqa: E731
        known, others, axis = jax.tree.map(wide, self.known), self.law.sample(key, shape), len(shape)
        return jax.tree.map(lambda *pair: jnp.concatenate(pair, axis), known, others)

    def take(self, index) -> Frozen:
        """Components ``index`` only, the known ones among them first, as they were."""
        return replace(self, law=self.law.take(index[self.n_known :] - self.n_known))

    def mapped(self, vectors: Callable, matrices: Callable) -> Frozen:
        """The same law in other coordinates."""
        return Frozen(self.known.mapped(vectors, matrices), self.law.mapped(vectors, matrices))
