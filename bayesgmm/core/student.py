r"""Components with heavy tails: Student t, as Gaussians whose precision differs from row to row.

A row of component k is Gaussian with precision :math:`u\Lambda_k`, where u follows :math:`\mathrm{Gamma}(\nu_k/2, \nu_k/2)`. With the
expected squared distance :math:`\Delta = E[(x - \mu_k)^T \Lambda_k (x - \mu_k)]` the u are integrated out exactly, so that the score is

.. math:: E\ln\pi_k + \tfrac12 E\ln|\Lambda_k| - \tfrac{d}{2}\ln 2\pi + \ln\Gamma\tfrac{\nu + d}{2} - \ln\Gamma\tfrac{\nu}{2}
          - \tfrac{d}{2}\ln\tfrac{\nu}{2} - \tfrac{\nu + d}{2}\ln(1 + \Delta/\nu),

and rows count for means and covariances as often as :math:`E[u] = (\nu + d)/(\nu + \Delta)` says, which is the exponential of a multiple
of the score. Far rows hardly count. Peel & McLachlan (2000), Statistics and Computing 10, secs. 3-4 (maximum likelihood); Svensen & Bishop
(2005), Neurocomputing 64, and Archambeau & Verleysen (2007), Neural Networks 20 (variational, u and labels together).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma

from bayesgmm.core.points import Gaussian, is_flat
from bayesgmm.core.pytree import pytree, replace, static
from bayesgmm.core.statistics import Natural, Stats, Tails, centred_scores, log_tail

LEAST, MOST = 1.0, 1000.0
"""Range of degrees of freedom that are learnt; with the greatest a component is Gaussian for all that rows can tell."""

FIRST = 5.0
"""Degrees of freedom to start from where they are learnt."""

HALVINGS = 50
"""Steps of the bisection for degrees of freedom: more than the range has digits."""


def by_weight(stats: Stats) -> Stats:
    """Statistics in which rows count as often as their weights u say, as they do in sums and scatter."""
    return stats._replace(counts=stats.counts if stats.tails is None else stats.tails[:, 0], tails=None)


@pytree
class Student:
    """A law of Gaussian components, and the degrees of freedom of their tails: Student t with matrices of scale in place of covariances.

    Learnt degrees of freedom are estimates: those with the highest bound (type-II maximum likelihood), so that the bound pays nothing for
    them.

    Parameters
    ----------
    law : NormalWishart, FlatGaussian, SharedGaussian or Gaussian
    dof : Array, shape (K,) or, in a prior, (1,)
        Fixed, or where learning starts.
    learn, shared : bool
        Whether they are learnt, and whether all components have the same.
    """

    law: Any
    dof: jax.Array
    learn: bool = static()
    shared: bool = static()

    tied = False
    """Scatter is kept for each component: weights of rows change that which components share."""

    @property
    def structure(self):
        return self.law.structure

    @property
    def n_features(self) -> int:
        return self.law.n_features

    @property
    def mean(self):
        """Centres (K, D)."""
        return self.law.mean

    @property
    def covariance(self):
        """Matrices of scale (K, packed), or (1, packed) when tied: the covariance is ``dof / (dof - 2)`` times as large."""
        return self.law.covariance

    @property
    def flat(self) -> bool:
        return is_flat(self.law)

    @property
    def searches(self) -> bool:
        return getattr(self.law, "searches", False)

    def _weighted(self, stats: Stats) -> Stats:
        """Statistics for the law of Gaussians: rows counted as often as their weights say."""
        counted = by_weight(stats)
        return counted._replace(scatter=counted.scatter.sum(0, keepdims=True)) if self.law.tied else counted

    def posterior(self, stats: Stats, last: Student | None = None) -> Student:
        more = () if last is None else (last.law,)
        law = self.law.posterior(self._weighted(stats), *more, rows=stats.counts)
        return replace(self, law=law, dof=self._learnt(stats))

    def _learnt(self, stats: Stats):
        r"""Degrees of freedom with :math:`\ln\frac\nu2 - \psi(\frac\nu2) + 1 = E[u - \ln u]` over all rows (Peel & McLachlan, sec. 4)."""
        k = len(stats.counts)
        if stats.tails is None or not self.learn:
            return jnp.broadcast_to(self.dof, (k,)).astype(stats.counts.dtype)
        counts, sums = stats.counts, stats.tails[:, 0] - stats.tails[:, 1]
        if self.shared:
            counts, sums = counts.sum(keepdims=True), sums.sum(keepdims=True)
        excess = sums / jnp.where(counts > 0, counts, 1) - 1

        def halved(_, ends):
            low, high = ends
            middle = (low + high) / 2
            half = jnp.exp(middle) / 2
            above = jnp.log(half) - digamma(half) > excess
            return jnp.where(above, middle, low), jnp.where(above, high, middle)

        ends = tuple(jnp.full_like(excess, np.log(end)) for end in (LEAST, MOST))
        found = jnp.exp(jax.lax.fori_loop(0, HALVINGS, halved, ends)[0])
        return jnp.broadcast_to(jnp.where(counts > 0, found, FIRST), (k,))

    def natural(self) -> Natural:
        """Level and precision of minus half the expected squared distance, and what becomes of it."""
        known, offset = self.law.natural(), self.law.offset()
        d, k = self.n_features, len(self.mean)
        dof = jnp.broadcast_to(self.dof, (k,))
        tails = Tails(known.level + offset / 2 + log_tail(dof, d), dof)
        wide = jnp.broadcast_to(known.precision, (k, *known.precision.shape[1:]))
        return Natural(jnp.broadcast_to(-offset / 2, (k,)), known.mean, wide, tails=tails)

    def log_marginal(self, stats: Stats):
        """As of Gaussians with the same weights of rows, for comparing merges."""
        return self.law.log_marginal(self._weighted(stats), rows=stats.counts)

    def penalty(self, q: Student):
        return self.law.penalty(q.law)

    def log_density(self, point: Student):
        return self.law.log_density(point.law)

    def predictive(self) -> Student:
        """Student t with known parameters: the scale matrix of the law's own predictive density, the tails of the components.

        Under a posterior law of means and matrices it is an approximation: the exact density, a mean over that law, has no closed form.
        """
        return replace(self, law=self.law.predictive())

    def predictive_log_prob(self, x):
        """Log density (N, K) of rows (N, D), see `predictive`."""
        return centred_scores(self.structure, self.predictive().natural(), x)

    def unseen(self, q: Student) -> Student:
        return replace(self, law=self.law.unseen(q.law))

    def mode(self) -> Student:
        return replace(self, law=self.law.mode())

    def point(self) -> Student:
        return replace(self, law=self.law.point())

    def take(self, index) -> Student:
        return replace(self, law=self.law.take(index), dof=self.dof if len(self.dof) == 1 else self.dof[index])

    def mapped(self, vectors: Callable, matrices: Callable) -> Student:
        """The same law in other coordinates."""
        return replace(self, law=self.law.mapped(vectors, matrices))

    def sample(self, key, shape=()) -> Gaussian:
        """Draws of centres and matrices of scale."""
        return self.law.sample(key, shape)
