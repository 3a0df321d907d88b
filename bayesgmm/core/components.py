r"""Conjugate law of the Gaussian components: Normal-Wishart, with the Normal-Gamma laws as its diagonal and spherical cases.

As prior a law answers ``posterior(stats)``, ``penalty(q)``, ``log_marginal(stats)``; as posterior ``natural()``,
``predictive_log_prob(x)``, ``sample(key, shape)``, ``mode()``, ``mean``, ``covariance``.
Prior and posterior are one type: a prior has leading axis 1 (shared by all components) or K.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bayesgmm.core.linalg import LOG_2, LOG_2PI, LOG_PI, gammaln_gain, multidigamma, multigammaln
from bayesgmm.core.points import Gaussian
from bayesgmm.core.pytree import pytree, replace, static
from bayesgmm.core.statistics import Natural, Stats
from bayesgmm.core.structures import Structure


@pytree
class NormalWishart:
    r"""Joint law of means and precisions, :math:`\mu_k|\Lambda_k \sim N(m_k, (\kappa_k\Lambda_k)^{-1})`.

    The precisions follow :math:`\Lambda_k \sim W(\nu_k, S_k^{-1})`.
    For `Diagonal` each precision is :math:`\mathrm{Gamma}(\nu/2, \mathrm{rate}\,S_j/2)`, for `Spherical` the single one is
    :math:`\mathrm{Gamma}(\nu/2, \mathrm{rate}\,S/2)`. With ``tied`` all components share one precision: ``dof`` and ``scale`` have
    leading axis 1 and the law of all means and that precision is joint.

    Parameters
    ----------
    mean : Array, shape (K, D) or (1, D)
        :math:`m_k`, in data units.
    mean_precision : Array, shape (K,) or (1,)
        :math:`\kappa_k`, in pseudo-rows.
    dof : Array, shape (K,) or (1,)
        :math:`\nu_k`, above ``size - 1`` of the structure's blocks.
    scale : Array, shape (K, packed) or (1, packed)
        :math:`S_k`, the inverse scale matrix, in squared data units.
    structure : Structure
    tied : bool

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eqs. 10.59-10.67, 10.81-10.82 (10.63 with ``dof_0 + N_k``; early
    printings have a misprint); DeGroot (1970), Optimal Statistical Decisions, ch. 9.
    """

    mean: jax.Array
    mean_precision: jax.Array
    dof: jax.Array
    scale: jax.Array
    structure: Structure = static()
    tied: bool = static()

    @property
    def n_features(self) -> int:
        return self.mean.shape[-1]

    @property
    def _blocks(self):
        return self.structure.blocks(self.n_features)

    def posterior(self, stats: Stats, rows: jax.Array | None = None) -> NormalWishart:
        r"""Conjugate update by expected statistics; ``rows`` (K,) are those behind the covariances where rows count more or less than once.

        .. math:: \kappa_k = \kappa_0 + N_k,\quad m_k = (\kappa_0 m_0 + s_k)/\kappa_k,\quad \nu_k = \nu_0 + N_k,\quad
            S_k = S_0 + \textstyle\sum_n r_{nk} x_n x_n^T + \kappa_0 m_0 m_0^T - \kappa_k m_k m_k^T
        """
        outer = self.structure.outer
        kappa = self.mean_precision + stats.counts
        mean = (self.mean_precision[:, None] * self.mean + stats.sums) / kappa[:, None]
        before = self._per_matrix(self.mean_precision) * outer(self.mean)
        change = before - self._per_matrix(kappa) * outer(mean)
        rows = stats.counts if rows is None else rows
        if self.tied:
            change, rows = change.sum(0, keepdims=True), rows.sum(keepdims=True)
        dof = self.dof + self._blocks.copies * rows
        return replace(self, mean=mean, mean_precision=kappa, dof=dof, scale=self.scale + stats.scatter + change)

    def _per_matrix(self, a):
        """Append axes so that one number per component multiplies packed matrices."""
        return a.reshape(a.shape + (1,) * self.structure.rank)

    def _factor(self):
        return self.structure.factor(self.scale)

    def natural(self) -> Natural:
        """Expected log density of a row under each component, as `Natural` (Bishop 10.64-10.65)."""
        count, size, copies = self._blocks
        factor = self._factor()
        log_det = count * (multidigamma(self.dof / 2, size) + size * LOG_2) - self.structure.log_det(factor)
        level = (copies * log_det - self.n_features * LOG_2PI - self.n_features / self.mean_precision) / 2
        return Natural(level, self.mean, self._per_matrix(self.dof) * self.structure.inverse(factor))

    def log_normaliser(self):
        r"""Integral of the unnormalised law over means and precisions, on the log scale, for each axis: (means, matrices)."""
        count, size, _ = self._blocks
        log_det = self.structure.log_det(self._factor())
        wishart = count * (self.dof * size / 2 * LOG_2 + multigammaln(self.dof / 2, size)) - self.dof / 2 * log_det
        return self.n_features / 2 * (LOG_2PI - jnp.log(self.mean_precision)), wishart

    def log_marginal(self, stats: Stats, rows: jax.Array | None = None):
        """Log density of the rows given hard labels; with soft ones, the components' part of the collapsed bound."""
        before, after = self.log_normaliser(), self.posterior(stats, rows).log_normaliser()
        gained = sum((a - b).sum() for a, b in zip(after, before, strict=True))
        return gained - stats.counts.sum() * self.n_features / 2 * LOG_2PI

    def penalty(self, q: NormalWishart):
        """Kullback-Leibler divergence from ``q`` to this prior, in nats (Bishop 10.74, 10.77)."""
        count, size, _ = self._blocks
        d = self.n_features
        factor = q._factor()
        inverse = self.structure.inverse(factor)
        log_dets = self.structure.log_det(factor) - self.structure.log_det(self._factor())
        trace = self.structure.inner(inverse, self.scale) - size * count
        gammas = multigammaln(self.dof / 2, size) - multigammaln(q.dof / 2, size)
        digammas = (q.dof - self.dof) / 2 * multidigamma(q.dof / 2, size)
        wishart = self.dof / 2 * log_dets + q.dof / 2 * trace + count * (gammas + digammas)
        ratio = self.mean_precision / q.mean_precision
        squares = self.structure.inner(self._per_matrix(q.dof) * inverse, self.structure.outer(q.mean - self.mean))
        normal = (d * (ratio - 1 - jnp.log(ratio)) + self.mean_precision * squares) / 2
        return wishart.sum() + normal.sum()

    @property
    def covariance(self):
        """Posterior mean of the covariances, packed; the mode where the mean does not exist (``dof <= size + 1``)."""
        size = self._blocks.size
        rest = self.dof - size - 1
        return self.scale / self._per_matrix(jnp.where(rest > 0, rest, self.dof + size + 1))

    def _divisor(self):
        """What ``scale`` is divided by at the mode of the covariances, (K,) or (1,)."""
        _, size, copies = self._blocks
        return self.dof + size + 1 + copies * (self.mean.shape[0] if self.tied else 1)

    def offset(self):
        """What not knowing the means adds to expected squared distances, (K,)."""
        return self.n_features / self.mean_precision

    def predictive(self) -> Gaussian:
        """Gaussians with the locations and the scale matrices of the predictive density of a row."""
        size, kappa = self._blocks.size, self.mean_precision
        return Gaussian(self.mean, self._per_matrix((kappa + 1) / kappa / (self.dof - size + 1)) * self.scale, self.structure)

    def point(self) -> Gaussian:
        """Posterior means of means and covariances."""
        return Gaussian(self.mean, self.covariance, self.structure)

    def unseen(self, q: NormalWishart) -> NormalWishart:
        """Law of a component that has no rows, given the posterior ``q`` of others, which share their matrix with it when tied."""
        return replace(self, dof=q.dof, scale=q.scale) if self.tied else self

    def mode(self) -> Gaussian:
        """Joint mode of means and covariances (Fraley & Raftery 2007, Journal of Classification 24, table 2)."""
        return Gaussian(self.mean, self.scale / self._per_matrix(self._divisor()), self.structure)

    def free(self, stats: Stats, rows: jax.Array | None = None) -> tuple[Gaussian, jax.Array]:
        """Mode of the posterior, and the rows (K,) that count as much for the covariances as prior and data together."""
        q = self.posterior(stats, rows)
        return q.mode(), q._divisor()

    def within(self, point: Gaussian) -> Gaussian:
        """Estimates as they are: the prior keeps covariances regular."""
        return point

    def log_density(self, point: Gaussian):
        """Log density of means and covariances (Normal-inverse-Wishart) at ``point``, summed over components."""
        count, size, copies = self._blocks
        factor = self.structure.factor(point.covariance)
        inverse, log_det = self.structure.inverse(factor), self.structure.log_det(factor)
        scale_log_det = self.structure.log_det(self._factor())
        wishart = (
            self.dof / 2 * scale_log_det
            - count * (self.dof * size / 2 * LOG_2 + multigammaln(self.dof / 2, size))
            - (self.dof + size + 1) / 2 * log_det
            - self.structure.inner(inverse, self.scale) / 2
        )
        squares = self.structure.inner(inverse, self.structure.outer(point.mean - self.mean))
        normal = self.n_features * (jnp.log(self.mean_precision) - LOG_2PI) - copies * log_det - self.mean_precision * squares
        return wishart.sum() + normal.sum() / 2

    def predictive_log_prob(self, x):
        r"""Log density of a new row under each component, (N, K): Student t with :math:`\nu_k - p + 1` degrees of freedom.

        ``p`` is the block size: multivariate t for full and spherical, product of univariate t for diagonal (Bishop 10.81-10.82;
        Murphy 2007, Conjugate Bayesian analysis of the Gaussian distribution, secs. 3 and 9).
        """
        count, size, copies = self._blocks
        k = self.mean.shape[0]
        dof = self.dof - size + 1
        ratio = self.mean_precision / (self.mean_precision + 1)
        factor = self._factor()
        width = size * copies
        level = count * (gammaln_gain(dof / 2, width / 2) - width / 2 * LOG_PI)
        level = level - copies / 2 * self.structure.log_det(factor) + self.n_features / 2 * jnp.log(ratio)

        def one(args):
            mean, matrix, ratio, dof, level = args
            squares = self.structure.quadratic(matrix, x - mean)
            return level - (dof + width) / 2 * jnp.log1p(ratio * squares).sum(-1)

        spread = (jnp.broadcast_to(a, (k, *a.shape[1:])) for a in (factor, ratio, dof, level))
        return jax.lax.map(one, (self.mean, *spread)).T

    def sample(self, key, shape=()) -> Gaussian:
        """Draw means (shape, K, D) and covariances (shape, K or 1, packed) by Bartlett's decomposition."""
        wishart_key, mean_key = jax.random.split(key)
        draws = jax.vmap(lambda k: self._bartlett(k))(jax.random.split(wishart_key, _product(shape)))
        noise = jax.random.normal(mean_key, (_product(shape), *self.mean.shape), self.mean.dtype)
        noise = noise / jnp.sqrt(self.mean_precision)[:, None]
        covariance, roots = draws
        roots = jnp.broadcast_to(roots, (*noise.shape[:2], *roots.shape[2:]))
        mean = self.mean + jax.vmap(jax.vmap(self.structure.apply))(roots, noise)
        reshape = lambda a: a.reshape((*shape, *a.shape[1:]))  # noqa: E731
        return Gaussian(reshape(mean), reshape(covariance), self.structure)

    def _bartlett(self, key):
        """One draw of the covariances and of a square root of each."""
        count, size, _ = self._blocks
        chi_key, normal_key = jax.random.split(key)
        k = self.dof.shape[0]
        dof = self.dof[:, None, None] - jnp.arange(size)
        chi = jnp.sqrt(jax.random.gamma(chi_key, jnp.broadcast_to(dof / 2, (k, count, size))) * 2)
        if self.structure.rank < 2:
            root = self._factor() / chi.reshape(self.scale.shape)
            return root**2, root
        lower = jnp.tril(jax.random.normal(normal_key, (k, size, size), self.mean.dtype), -1) + jax.vmap(jnp.diag)(chi[:, 0])
        upper = jnp.swapaxes(jnp.linalg.inv(lower), -1, -2)
        root = self._factor() @ upper
        return root @ jnp.swapaxes(root, -1, -2), root

    def take(self, index) -> NormalWishart:
        """Components ``index`` only; shared axes stay shared."""
        pick = lambda a: a if a.shape[0] == 1 else a[index]  # noqa: E731
        parts = {name: pick(getattr(self, name)) for name in ("mean", "mean_precision", "dof", "scale")}
        return replace(self, **parts)

    def mapped(self, vectors: Callable, matrices: Callable) -> NormalWishart:
        """The same law in other coordinates."""
        return replace(self, mean=vectors(self.mean), scale=matrices(self.scale))


def _product(shape) -> int:
    result = 1
    for n in shape:
        result *= n
    return result
