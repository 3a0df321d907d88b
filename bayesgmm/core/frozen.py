"""A prior under which some components are known: a fit changes their weights only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.statistics import Stats


@pytree
class Frozen:
    """What ``prior`` says of a mixture of points, but for the first F components, which are known.

    Parameters
    ----------
    prior : Mixture or MAP
        Maximum likelihood or maximum a posteriori, each component with a covariance of its own.
    known : Gaussian
        The F components.
    """

    prior: Any
    known: Gaussian

    searches, n_noise = False, 0

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
    def weights(self):
        return self.prior.weights

    @property
    def components(self):
        return self.prior.components

    def posterior(self, stats: Stats) -> Mixture:
        """The prior's update, with the known components as they are."""
        return self.fixed(self.prior.posterior(stats))

    def fixed(self, q: Mixture) -> Mixture:
        """A mixture of points with the known components in their places."""
        n, own = len(self.known.mean), q.components
        mean, covariance = own.mean.at[:n].set(self.known.mean), own.covariance.at[:n].set(self.known.covariance)
        return replace(q, components=replace(own, mean=mean, covariance=covariance))

    def penalty(self, q: Mixture):
        return self.prior.penalty(q)

    def take(self, index) -> Frozen:
        """Components ``index`` only, the known ones among them first, as they were."""
        return replace(self, prior=self.prior.take(index))

    def mapped(self, vectors: Callable, matrices: Callable) -> Frozen:
        """The same prior in other coordinates."""
        return Frozen(self.prior.mapped(vectors, matrices), self.known.mapped(vectors, matrices))
