"""Components whose covariances share volume, shape or orientation: estimated, by maximum likelihood or a posteriori."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.low_rank import LowRank
from bayesgmm.core.points import FlatGaussian, Gaussian, is_flat
from bayesgmm.core.pytree import pytree, replace, static
from bayesgmm.core.sharing import Sharing
from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import Structure


@pytree
class SharedGaussian:
    """A law of components, restricted to covariances that have something in common.

    Over `FlatGaussian` the estimate is the maximum of the likelihood among such covariances, and then kept from the floor, which changes
    nothing away from it. Over a `NormalWishart` with a matrix for each component, within `MAP`, it is the mode of the posterior among them:
    the prior density is that of `NormalWishart` wherever the restriction holds, and 0 elsewhere. It is not normalised again, so that the
    objective is known up to a constant; and there is no conjugate posterior law, hence no variational fit.

    Parameters
    ----------
    law : FlatGaussian or NormalWishart
        Not tied; full or diagonal.
    sphere : Array, shape (packed,)
        What is round in the units that orientations are measured in, for a `Sharing` those of the data: there the identity, elsewhere not.
    sharing : Sharing or LowRank

    References
    ----------
    Celeux & Govaert (1995), Pattern Recognition 28; Fraley & Raftery (2007), Journal of Classification 24, for modes.
    """

    law: FlatGaussian | NormalWishart
    sphere: jax.Array
    sharing: Sharing | LowRank = static()

    tied = False

    @property
    def structure(self) -> Structure:
        return self.law.structure

    @property
    def flat(self) -> bool:
        """Whether there is no prior besides the restriction."""
        return is_flat(self.law)

    @property
    def searches(self) -> bool:
        """Whether an update is a search, which may go on from the last estimates."""
        return self.structure.rank == 2 and self.sharing.axes and not self.sharing.affine

    def posterior(self, stats: Stats, last: Gaussian | None = None, rows: jax.Array | None = None) -> Gaussian:
        """Estimates: points, for want of a law."""
        return self.restricted(*self.law.free(stats, rows), last)

    def restricted(self, point: Gaussian, rows, last: Gaussian | None = None) -> Gaussian:
        """The most likely covariances of the family for rows (K,) whose own covariances are those of ``point``; above the floor."""
        structure, own = self.structure, point.covariance
        if structure.rank == 1 or self.sharing.affine:
            covariance = self.sharing.covariances(structure, own, rows)
        else:  # where ``sphere`` is round
            root = structure.factor(self.sphere)
            root = root / jnp.exp(structure.log_det(root) / (2 * len(root)))
            known = None if last is None else structure.untransform(root, last.covariance)
            found = self.sharing.covariances(structure, structure.untransform(root, own), rows, known)
            covariance = structure.transform(root, found)
        return self.law.within(replace(point, covariance=covariance))

    def fewest(self, n_features: int) -> int:
        """Rows that a component needs for a covariance of its own."""
        return self.sharing.fewest(n_features)

    def penalty(self, q):
        return self.law.penalty(q)

    def log_density(self, point: Gaussian):
        """Of the law without the restriction."""
        return self.law.log_density(point)

    def take(self, index) -> SharedGaussian:
        return replace(self, law=self.law.take(index))

    def mapped(self, vectors: Callable, matrices: Callable) -> SharedGaussian:
        """The same restriction in other coordinates."""
        return replace(self, law=self.law.mapped(vectors, matrices), sphere=matrices(self.sphere))
