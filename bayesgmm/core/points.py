"""Components with known parameters, and the absence of a prior on them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bayesgmm.core.linalg import LOG_2PI
from bayesgmm.core.pytree import pytree, replace, static
from bayesgmm.core.statistics import Natural, Stats
from bayesgmm.core.structures import Structure

EMPTY = 1e-12
"""A component with fewer expected rows than this has no estimate of its own."""


@pytree
class Gaussian:
    """Gaussian components with known means and covariances.

    Parameters
    ----------
    mean : Array, shape (K, D)
    covariance : Array, shape (K, packed), or (1, packed) when tied
    structure : Structure
    """

    mean: jax.Array
    covariance: jax.Array
    structure: Structure = static()

    @property
    def n_features(self) -> int:
        return self.mean.shape[-1]

    @property
    def tied(self) -> bool:
        return self.covariance.shape[0] == 1

    def natural(self) -> Natural:
        """Log density of a row under each component, as `Natural`."""
        copies = self.structure.blocks(self.n_features).copies
        factor = self.structure.factor(self.covariance)
        level = -(self.n_features * LOG_2PI + copies * self.structure.log_det(factor)) / 2
        return Natural(jnp.broadcast_to(level, self.mean.shape[:1]), self.mean, self.structure.inverse(factor))

    def predictive_log_prob(self, x):
        """Log density (N, K) of rows (N, D)."""
        natural = self.natural()
        factor = self.structure.factor(self.covariance)
        factor = jnp.broadcast_to(factor, (len(self.mean), *factor.shape[1:]))

        def one(args):
            level, mean, root = args
            return level - self.structure.quadratic(root, x - mean).sum(-1) / 2

        return jax.lax.map(one, (natural.level, self.mean, factor)).T

    def mode(self) -> Gaussian:
        return self

    def point(self) -> Gaussian:
        return self

    def predictive(self) -> Gaussian:
        return self

    def offset(self):
        """What not knowing the means adds to squared distances, (K,): nothing."""
        return jnp.zeros_like(self.mean[:, 0])

    def take(self, index) -> Gaussian:
        """Components ``index`` only; a shared covariance stays shared."""
        return replace(self, mean=self.mean[index], covariance=self.covariance if self.tied else self.covariance[index])

    def mapped(self, vectors: Callable, matrices: Callable) -> Gaussian:
        """The same components in other coordinates."""
        return replace(self, mean=vectors(self.mean), covariance=matrices(self.covariance))


def is_flat(law) -> bool:
    """Whether a law of components is the absence of one, so that estimates may collapse."""
    return getattr(law, "flat", False)


@pytree
class FlatGaussian:
    r"""No prior on the components: maximum likelihood, with a smallest allowed eigenvalue of the covariances.

    Without that floor the likelihood is unbounded (a component may shrink onto one row). Clipping the eigenvalues is the exact
    maximiser under the constraint, so the likelihood never decreases, and away from the floor nothing changes.

    Parameters
    ----------
    structure : Structure
    tied : bool
    floor : float
        Smallest eigenvalue, in squared units of the coordinates of the fit.

    References
    ----------
    Hathaway (1985), Annals of Statistics 13, for constrained maximum likelihood.
    """

    floor: jax.Array | float
    structure: Structure = static()
    tied: bool = static()

    flat = True

    def posterior(self, stats: Stats, rows: jax.Array | None = None) -> Gaussian:
        return self.within(self.free(stats, rows)[0])

    def free(self, stats: Stats, rows: jax.Array | None = None) -> tuple[Gaussian, jax.Array]:
        """Estimates without the floor, and the rows (K,) behind each; a component without rows has the identity as covariance.

        ``rows`` (K,) are those behind the covariances where rows count more or less than once.
        """
        rows = stats.counts if rows is None else rows
        n_features = stats.sums.shape[-1]
        copies = self.structure.blocks(n_features).copies
        empty = stats.counts <= EMPTY
        counts = jnp.where(empty, 1, stats.counts)
        mean = jnp.where(empty[:, None], 0, stats.sums / counts[:, None])
        wide = lambda a: a.reshape(a.shape + (1,) * self.structure.rank)  # noqa: E731
        squares = wide(stats.counts) * self.structure.outer(mean)
        if self.tied:
            covariance = (stats.scatter - squares.sum(0)) / (copies * rows.sum())
        else:
            identity = self.structure.identity(n_features).astype(mean.dtype)
            covariance = jnp.where(wide(empty), identity, (stats.scatter - squares) / wide(copies * jnp.where(empty, 1, rows)))
        return Gaussian(mean, covariance, self.structure), jnp.where(empty, 0, rows)

    def within(self, point: Gaussian) -> Gaussian:
        """Estimates with no eigenvalue below the floor."""
        return replace(point, covariance=self.structure.floored(point.covariance, self.floor))

    def fewest(self, n_features: int) -> int:
        """Rows that a component needs for a covariance of its own."""
        return 0 if self.tied else self.structure.blocks(n_features).size + 1

    def penalty(self, q):
        return jnp.zeros(())

    def log_density(self, point):
        return jnp.zeros(())

    def take(self, index) -> FlatGaussian:
        return self

    def mapped(self, vectors: Callable, matrices: Callable) -> FlatGaussian:
        """No prior is no prior in any coordinates."""
        return self
