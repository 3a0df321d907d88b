r"""Laws of the mixing weights, each usable as prior and as posterior.

As prior a law answers ``posterior(counts)``, ``penalty(q)`` (Kullback-Leibler divergence from q to the prior) and
``log_marginal(counts)``; as posterior ``expected_log()``, ``mean()``, ``unseen()`` (the mean weight of all components that have no
row), ``log_covariance()``, ``mode()`` and ``sample(key, shape)``.
``without(k)`` switches a component off, which leaves exactly the law of the remaining ones, so that one compiled program
serves every number of components.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, polygamma

from bayesgmm.core.linalg import NEVER, betaln, safe_log
from bayesgmm.core.pytree import pytree, replace, static


@pytree
class PointWeights:
    """Known weights.

    Parameters
    ----------
    weights : Array, shape (K,)
    """

    weights: jax.Array

    @property
    def n_components(self) -> int:
        return self.weights.shape[0]

    def expected_log(self):
        return safe_log(self.weights)

    def mean(self):
        return self.weights

    def unseen(self):
        return jnp.zeros(())

    def mode(self):
        return self

    def without(self, k):
        kept = jnp.asarray(self.weights).at[k].set(0)
        return PointWeights(kept / kept.sum())

    def take(self, index):
        return PointWeights(self.weights[index])

    def sample(self, key, shape=()):
        return jnp.broadcast_to(self.weights, (*shape, self.n_components))


@pytree
class FlatWeights:
    """No prior on the weights: maximum likelihood.

    Parameters
    ----------
    n_components : int
        Number of components K.
    """

    n_components: int = static()

    def alive(self):
        """Which components exist, (K,)."""
        return np.ones(self.n_components, bool)

    def take(self, index):
        return FlatWeights(len(index))

    def posterior(self, counts):
        return PointWeights(counts / jnp.maximum(counts.sum(), jnp.finfo(counts.dtype).tiny))  # where noise has all rows

    def penalty(self, q):
        return jnp.zeros(())

    def log_density(self, point):
        return jnp.zeros(())


@pytree
class Dirichlet:
    r"""Dirichlet law, symmetric or not. A concentration of exactly 0 means that the component does not exist.

    Parameters
    ----------
    concentration : Array, shape (K,)
        :math:`\alpha_k`, in pseudo-rows.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eqs. 10.57-10.58, 10.66, B.16-B.23.
    """

    concentration: jax.Array

    @classmethod
    def symmetric(cls, n_components: int, concentration: float = 1.0) -> Dirichlet:
        """Dirichlet law with the same concentration for each of K components."""
        return cls(np.full(n_components, float(concentration)))  # type: ignore[arg-type]  # of 64 bits wherever it is called

    @property
    def n_components(self) -> int:
        return self.concentration.shape[0]

    def alive(self):
        """Which components exist, (K,)."""
        return self.concentration > 0

    @property
    def _safe(self):
        return jnp.where(self.alive(), self.concentration, 1)

    def posterior(self, counts):
        return Dirichlet(jnp.where(self.alive(), self.concentration + counts, 0))

    def log_normaliser(self):
        """Logarithm of the multivariate beta function of the concentrations."""
        terms = jnp.where(self.alive(), gammaln(self._safe), 0)
        return terms.sum() - gammaln(self.concentration.sum())

    def log_marginal(self, counts):
        return self.posterior(counts).log_normaliser() - self.log_normaliser()

    def penalty(self, q):
        gained = (q.concentration - self.concentration) * q.expected_log()
        return gained.sum() - q.log_normaliser() + self.log_normaliser()

    def expected_log(self):
        value = digamma(self._safe) - digamma(self.concentration.sum())
        return jnp.where(self.alive(), value, NEVER)

    def log_covariance(self):
        """Covariance (K, K) of the log weights, less what all of them share (which no row can tell); 0 for missing components."""
        return jnp.diag(jnp.where(self.alive(), polygamma(1, self._safe), 0))

    def log_common(self):
        """What `log_covariance` leaves out of the covariance of any two log weights."""
        return -polygamma(1, self.concentration.sum())

    def mean(self):
        return self.concentration / self.concentration.sum()

    def unseen(self):
        return jnp.zeros(())

    def mode(self):
        """Mode of the density on the simplex; needs concentrations of at least 1 (or 0 for a missing component)."""
        rest = jnp.maximum(self.concentration - 1, 0)
        return PointWeights(rest / rest.sum())

    def log_density(self, point):
        power = jnp.where(self.alive(), self.concentration - 1, 0)
        return (power * point.expected_log()).sum() - self.log_normaliser()

    def without(self, k):
        return Dirichlet(jnp.asarray(self.concentration).at[k].set(0))

    def take(self, index):
        return Dirichlet(self.concentration[index])

    def sample(self, key, shape=()):
        return jax.random.dirichlet(key, self.concentration, shape)


def _fresh_sticks(n_components: int, shape, rate) -> Any:
    """Alpha, beta, order of sticks before any data, and the hyperprior of their concentration, as arrays of 64 bits."""
    ones = np.ones(n_components)
    shape, rate = np.asarray(shape, float), np.asarray(rate, float)
    return ones, ones * shape / rate, np.arange(n_components), shape, rate


def so_far(values):
    """Sum of what comes before each value, which keeps its digits beside a large value: no difference of sums."""
    return jnp.concatenate([jnp.zeros_like(values[:1]), jnp.cumsum(values[:-1])])


def before(values, order):
    """Sum of ``values`` over the sticks that come before each component's, where the i-th stick is that of ``order[i]``."""
    return jnp.zeros_like(values).at[order].set(so_far(values[order]))


@pytree
class StickBreaking:
    r"""Dirichlet process in stick-breaking form, nested truncation, sticks sorted by decreasing count.

    The model has infinitely many components; the posterior gives rows to the first K only, so the bound is comparable
    over K and an empty last stick costs nothing. :math:`v_j \sim \mathrm{Beta}(1, \gamma)`, and
    :math:`\pi_{o_j} = v_j \prod_{i<j} (1 - v_i)` with ``order`` :math:`o`. At fixed responsibilities the descending order is
    the best of all K! orders.

    Parameters
    ----------
    alpha, beta : Array, shape (K,)
        Beta parameters of the stick of each component (component order, not stick order); ``alpha`` 0: switched off.
    order : Array of int, shape (K,)
        Component at each place of the stick.
    shape, rate : Array, shape ()
        Gamma law of the concentration :math:`\gamma`; when it is fixed, ``shape / rate`` is its value.
    learn : bool
        Whether the concentration has a Gamma hyperprior.

    References
    ----------
    Blei & Jordan (2006), Bayesian Analysis 1, sec. 3 and the appendix on the concentration; Kurihara, Welling & Vlassis (2006)
    for the nested truncation; Kurihara, Welling & Teh (2007) for sorting.
    """

    alpha: jax.Array
    beta: jax.Array
    order: jax.Array
    shape: jax.Array
    rate: jax.Array
    learn: bool = static()

    @classmethod
    def prior(cls, n_components: int, concentration: float | tuple[float, float] = (1.0, 1.0)) -> StickBreaking:
        """Prior with K sticks; ``concentration`` is a number, or (shape, rate) of its Gamma hyperprior."""
        learn = isinstance(concentration, tuple)
        shape, rate = concentration if learn else (concentration, 1.0)
        alpha, beta, order, shape, rate = _fresh_sticks(n_components, shape, rate)
        return cls(alpha, beta, order, shape, rate, learn)

    @property
    def n_components(self) -> int:
        return self.alpha.shape[0]

    def alive(self):
        """Which components exist, (K,)."""
        return self.alpha > 0

    def _masked(self, values):
        return jnp.where(self.alive(), values, 0)

    def _stick_logs(self):
        """Expected log v_k and log (1 - v_k), 0 for sticks that are off."""
        alpha = jnp.where(self.alive(), self.alpha, 1)
        total = digamma(alpha + self.beta)
        return self._masked(digamma(alpha) - total), self._masked(digamma(self.beta) - total)

    def posterior(self, counts):
        counts = self._masked(counts)
        order = jnp.argsort(jnp.where(self.alive(), -counts, jnp.inf))
        ordered = counts[order]
        tail = jnp.zeros_like(counts).at[order].set(so_far(ordered[::-1])[::-1])
        sticks = replace(self, alpha=self._masked(self.alpha + counts), beta=tail + self.shape / self.rate, order=order)
        if not self.learn:
            return sticks
        shape = self.shape + self.alive().sum()

        def refined(state):
            rate, _, steps = state
            trial = replace(sticks, beta=tail + shape / rate)
            new = self.rate - trial._stick_logs()[1].sum()
            return new, jnp.abs(new - rate) / rate, steps + 1

        tolerance = 4 * jnp.finfo(counts.dtype).eps
        start = (jnp.asarray(self.rate + shape, counts.dtype), jnp.asarray(1.0, counts.dtype), 0)
        rate, *_ = jax.lax.while_loop(lambda s: (s[1] > tolerance) & (s[2] < 500), refined, start)
        return replace(sticks, beta=tail + shape / rate, shape=shape, rate=rate)

    def _expected_log_concentration(self):
        mean = self.shape / self.rate
        return (digamma(self.shape) - jnp.log(self.rate) if self.learn else jnp.log(mean)), mean

    def _concentration_penalty(self, q):
        if not self.learn:
            return jnp.zeros(())
        return (
            (q.shape - self.shape) * digamma(q.shape)
            - gammaln(q.shape)
            + gammaln(self.shape)
            + self.shape * (jnp.log(q.rate) - jnp.log(self.rate))
            + q.shape * (self.rate - q.rate) / q.rate
        )

    def penalty(self, q):
        log_gamma, gamma = (q if self.learn else self)._expected_log_concentration()
        log_v, log_rest = q._stick_logs()
        alpha = jnp.where(q.alive(), q.alpha, 1)
        entropy = (alpha - 1) * log_v + (q.beta - 1) * log_rest - betaln(alpha, q.beta)
        return q._masked(entropy - log_gamma - (gamma - 1) * log_rest).sum() + self._concentration_penalty(q)

    def log_marginal(self, counts):
        """Weights part of the collapsed bound; exact marginal of the counts when the concentration is fixed."""
        q = self.posterior(counts)
        sticks = q._masked(betaln(jnp.where(q.alive(), q.alpha, 1), q.beta) + q._expected_log_concentration()[0])
        return sticks.sum() - self._concentration_penalty(q)

    def expected_log(self):
        log_v, log_rest = self._stick_logs()
        return jnp.where(self.alive(), log_v + before(log_rest, self.order), NEVER)

    def log_covariance(self):
        """Covariance (K, K) of the log weights at the mean concentration."""
        alpha = jnp.where(self.alive(), self.alpha, 1)
        shared = polygamma(1, alpha + self.beta)
        taken, left = polygamma(1, alpha) - shared, self._masked(polygamma(1, self.beta) - shared)
        place = jnp.argsort(self.order)
        later = (place[:, None] > place[None]).astype(alpha.dtype)
        own = jnp.eye(self.n_components, dtype=alpha.dtype)
        cross = later * shared
        full = own * taken + (later * left) @ later.T - cross - cross.T
        return full * self.alive() * self.alive()[:, None]

    def log_common(self):
        """What `log_covariance` leaves out: nothing."""
        return jnp.zeros_like(self.alpha[0])

    def mean(self):
        """Expected weights (K,); they sum to less than 1, the rest belongs to components never seen."""
        return self._masked(self.alpha / (self.alpha + self.beta)) * jnp.exp(before(self._log_left(), self.order))

    def _log_left(self):
        """Log of the expected share that each stick leaves, (K,)."""
        return self._masked(jnp.log(self.beta / (self.alpha + self.beta)))

    def unseen(self):
        return jnp.exp(self._log_left().sum())

    def mode(self):
        """Weights at the mode of the sticks; needs a fixed concentration of at least 1."""
        top = jnp.maximum(self.alpha - 1, 0)
        rest = jnp.maximum(self.beta - 1, 0)
        broken = top / jnp.where(top > 0, top + rest, 1)
        return PointSticks(broken * jnp.exp(before(safe_log(1 - broken), self.order)), broken)

    def log_density(self, point):
        """Log density of the sticks ``point.broken`` under Beta(1, concentration)."""
        gamma = self.shape / self.rate
        return self._masked(jnp.log(gamma) + (gamma - 1) * safe_log(1 - point.broken)).sum()

    def without(self, k):
        return replace(self, alpha=jnp.asarray(self.alpha).at[k].set(0))

    def take(self, index):
        place = jnp.zeros_like(self.order).at[self.order].set(jnp.arange(self.n_components))
        return replace(self, alpha=self.alpha[index], beta=self.beta[index], order=jnp.argsort(place[index]))

    def sample(self, key, shape=()):
        broken = self._masked(jax.random.beta(key, jnp.where(self.alive(), self.alpha, 1), self.beta, (*shape, self.n_components)))
        left = jnp.cumprod(1 - broken[..., self.order], -1)
        before = jnp.concatenate([jnp.ones_like(left[..., :1]), left[..., :-1]], -1)
        return broken * jnp.zeros_like(broken).at[..., self.order].set(before)


@pytree
class PointSticks:
    """Known weights that came from sticks: they may sum to less than 1.

    Parameters
    ----------
    weights, broken : Array, shape (K,)
        Weights, and the share of the remaining stick that each component takes.
    """

    weights: jax.Array
    broken: jax.Array

    @property
    def n_components(self) -> int:
        return self.weights.shape[0]

    def expected_log(self):
        return safe_log(self.weights)

    def mean(self):
        return self.weights

    def unseen(self):
        return jnp.prod(1 - self.broken)

    def mode(self):
        return self

    def take(self, index):
        return PointSticks(self.weights[index], self.broken[index])
