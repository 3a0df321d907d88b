r"""Noise: rows that belong to no component, uniform over a region of known volume (Banfield & Raftery 1993, Biometrics 49).

Noise is one more component, the last, whose scores are constant: as `Natural` it has a level and precision 0, so that passes over rows need
not know of it. Its statistics but for the count say nothing. Weights are broken in two: first noise takes its share, then the law of the
weights divides what is left, as it would by itself. A Dirichlet law on all of them is of this kind, and sorted sticks remain so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import is_flat
from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.statistics import Natural, Region, Stats, Tails
from bayesgmm.core.student import Student, by_weight


def but_noise(stats: Stats) -> Stats:
    """Statistics without those of the last component."""
    return jax.tree.map(lambda a: a[:-1], stats._replace(log_norm=None))


@pytree
class WithNoise:
    """A law of K components, and noise as component K + 1.

    Parameters
    ----------
    law : Student, NormalWishart, FlatGaussian, SharedGaussian or Gaussian
        Of the others.
    region : Region
        Where noise is.
    """

    law: Any
    region: Region

    tied = False
    """Scatter is kept for each component: noise takes rows away from that which the others share."""

    n_noise = 1

    @property
    def structure(self):
        return self.law.structure

    @property
    def n_features(self) -> int:
        return self.law.n_features

    @property
    def mean(self):
        """Means (K, D) of the components that have one."""
        return self.law.mean

    @property
    def covariance(self):
        """Covariances (K, packed), or (1, packed) when tied, of the components that have one."""
        return self.law.covariance

    @property
    def flat(self) -> bool:
        return is_flat(self.law)

    @property
    def searches(self) -> bool:
        return getattr(self.law, "searches", False)

    def _others(self, stats: Stats) -> Stats:
        """Statistics without those of noise."""
        proper = but_noise(stats)
        return proper._replace(scatter=proper.scatter.sum(0, keepdims=True)) if self.law.tied else proper

    def posterior(self, stats: Stats, last: WithNoise | None = None) -> WithNoise:
        more = () if last is None else (last.law,)
        return replace(self, law=self.law.posterior(self._others(stats), *more))

    def natural(self) -> Natural:
        """As of the law, with a row of constant scores."""
        known = self.law.natural()
        wide = jnp.broadcast_to(known.precision, (len(known.mean), *known.precision.shape[1:]))
        level, tails = -self.region.log_volume, known.tails
        if tails is not None:
            level, tails = 0.0, Tails(jnp.append(tails.level, level), jnp.append(tails.dof, 1.0))
        mean, precision = (jnp.concatenate([a, jnp.zeros_like(a[:1])]) for a in (known.mean, wide))
        return Natural(jnp.append(known.level, level), mean, precision, self.region, tails)

    def log_marginal(self, stats: Stats):
        return self.law.log_marginal(self._others(stats)) - stats.counts[-1] * self.region.log_volume

    def penalty(self, q: WithNoise):
        return self.law.penalty(q.law)

    def log_density(self, point: WithNoise):
        return self.law.log_density(point.law)

    def predictive_log_prob(self, x):
        """Log density (N, K + 1)."""
        known = self.law.predictive_log_prob(x)
        return jnp.concatenate([known, jnp.full_like(known[:, :1], -self.region.log_volume)], 1)

    def unseen(self, q: WithNoise) -> WithNoise:
        return replace(self, law=self.law.unseen(q.law))

    def mode(self) -> WithNoise:
        return replace(self, law=self.law.mode())

    def point(self) -> WithNoise:
        return replace(self, law=self.law.point())

    def take(self, index) -> WithNoise:
        """Components ``index``, of which the last is noise."""
        return replace(self, law=self.law.take(index[:-1]))

    def mapped(self, vectors: Callable, matrices: Callable) -> WithNoise:
        """The same law in other coordinates; the volume changes as a unit cube does."""
        d = len(self.region.log_sides)
        cube = self.structure.factor(matrices(self.structure.identity(d).astype(float)))
        change = self.structure.blocks(d).copies * self.structure.log_det(cube) / 2
        region = self.region._replace(log_volume=self.region.log_volume + change)
        return replace(self, law=self.law.mapped(vectors, matrices), region=region)

    def sample(self, key, shape=()):
        """Draws of the parameters of the others."""
        return self.law.sample(key, shape)


@pytree
class NoiseShare:
    """Law of K + 1 weights: ``share`` of two, of all components and of noise; ``weights`` of how components divide theirs.

    Parameters
    ----------
    share : Dirichlet, FlatWeights or PointWeights
        Of 2 weights.
    weights : Dirichlet, StickBreaking, FlatWeights, PointWeights or PointSticks
        Of K.
    """

    share: Any
    weights: Any

    @property
    def n_components(self) -> int:
        return self.weights.n_components + 1

    def alive(self):
        return jnp.append(self.weights.alive(), True)

    def _each(self, name: str, *counts):
        """What both laws answer of their counts, if any."""
        two = [jnp.stack([a[:-1].sum(), a[-1]]) for a in counts]
        return getattr(self.share, name)(*two), getattr(self.weights, name)(*(a[:-1] for a in counts))

    def posterior(self, counts) -> NoiseShare:
        return NoiseShare(*self._each("posterior", counts))

    def log_marginal(self, counts):
        return sum(self._each("log_marginal", counts))

    def penalty(self, q: NoiseShare):
        return self.share.penalty(q.share) + self.weights.penalty(q.weights)

    def expected_log(self):
        among, own = self._each("expected_log")
        return jnp.append(own + among[0], among[1])

    def log_covariance(self):
        """Covariance (K + 1, K + 1) of the log weights, less what all of them share; 0 for missing components."""
        among, alive = self.share.log_covariance(), self.weights.alive()
        own = self.weights.log_covariance() + self.weights.log_common() + among[0, 0]
        own, across = jnp.where(alive[:, None] & alive, own, 0), jnp.where(alive, among[0, 1], 0)[:, None]
        return jnp.block([[own, across], [across.T, among[1:, 1:]]])

    def sample(self, key, shape=()):
        first, second = jax.random.split(key)
        among, own = self.share.sample(first, shape), self.weights.sample(second, shape)
        return jnp.concatenate([own * among[..., :1], among[..., 1:]], -1)

    def mean(self):
        among, own = self._each("mean")
        return jnp.append(own * among[0], among[1])

    def unseen(self):
        return self.share.mean()[0] * self.weights.unseen()

    def mode(self) -> NoiseShare:
        return NoiseShare(*self._each("mode"))

    def log_density(self, point: NoiseShare):
        return self.share.log_density(point.share) + self.weights.log_density(point.weights)

    def without(self, k) -> NoiseShare:
        """Component ``k``, not noise, does not exist."""
        return replace(self, weights=self.weights.without(k))

    def take(self, index) -> NoiseShare:
        """Components ``index``, of which the last is noise."""
        return replace(self, weights=self.weights.take(index[:-1]))


def with_noise(prior: Any, region: Region, share: Any) -> Any:
    """A `Mixture` or `MAP` with noise; ``share`` is the law of two weights, of all components and of noise."""
    if isinstance(prior, MAP):
        return MAP(with_noise(prior.prior, region, share))
    return Mixture(NoiseShare(share, prior.weights), WithNoise(prior.components, region))


def without_noise(mixture: Mixture) -> Mixture:
    """Components alone, their weights as shares of what is not noise; a mixture without noise as it is."""
    return Mixture(among(mixture), mixture.components.law) if mixture.n_noise else mixture


def among(mixture: Mixture) -> Any:
    """Law of how components divide what is not noise."""
    return mixture.weights.weights if mixture.n_noise else mixture.weights


def gaussians(components: Any) -> Any:
    """The law of Gaussians that noise or tails were added to."""
    return gaussians(components.law) if isinstance(components, (WithNoise, Student)) else components


def tails(components: Any) -> Student | None:
    """The law of heavy tails among components."""
    law = components.law if isinstance(components, WithNoise) else components
    return law if isinstance(law, Student) else None


def beneath(components: Any, stats: Stats) -> tuple[Stats, Any]:
    """Statistics for the law of Gaussians that noise or tails were added to, with a scatter each, and the rows (K,) behind them."""
    if isinstance(components, WithNoise):
        return beneath(components.law, but_noise(stats))
    return (by_weight(stats) if isinstance(components, Student) else stats), stats.counts


def around(components: Any, law: Any) -> Any:
    """The same noise and tails around another law of Gaussians."""
    return replace(components, law=around(components.law, law)) if isinstance(components, (WithNoise, Student)) else law


def first(prior: Any, n_components: int) -> Any:
    """The first components of a prior, noise, if there is any, among them as the last."""
    return prior.take(np.arange(n_components))
