"""Mixing weights as real numbers, each nearly standard Gaussian under the law of a fit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.linalg import solve_lower
from bayesgmm.core.noise import NoiseShare
from bayesgmm.core.pytree import pytree
from bayesgmm.core.weights import Dirichlet, PointSticks, PointWeights, StickBreaking, before


@pytree
class Ratios:
    """Whitened log ratios of Dirichlet weights to the last one.

    Parameters
    ----------
    mean, root : Array, shapes (K - 1,) and (K - 1, K - 1)
        Mean of the log ratios, and lower factor of their covariance, under the fit.
    variance : Array, shape (K,)
        Variances of the logs of the gamma numbers whose shares the weights are.
    """

    mean: jax.Array
    root: jax.Array
    variance: jax.Array

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    def log_weights(self, z):
        """Log weights (K,) at coordinates (K - 1,)."""
        return jax.nn.log_softmax(jnp.append(self.mean + self.root @ z, 0.0))

    def coordinates(self, log_weights):
        """The inverse of `log_weights`."""
        return solve_lower(self.root, (log_weights[:-1] - log_weights[-1] - self.mean)[:, None])[:, 0]

    def log_volume(self, log_weights):
        """Log of the volume of all weights but the last in a unit volume of coordinates."""
        return log_weights.sum() + jnp.log(jnp.diagonal(self.root)).sum()

    def log_prior(self, prior: Dirichlet, log_weights):
        """Log density of weights under a prior, with respect to the volume that `log_volume` speaks of."""
        return prior.log_density(PointWeights(jnp.exp(log_weights)))

    def log_covariance(self) -> np.ndarray:
        """Covariance (K - 1, K) of the coordinates with the log weights, under the fit."""
        variance = np.asarray(self.variance)
        ratios = np.concatenate([np.diag(variance[:-1]), np.full((self.size, 1), -variance[-1])], 1)
        return np.linalg.solve(np.asarray(self.root), ratios)

    def skewed(self, z: np.ndarray) -> np.ndarray:
        """Coordinates (S, K - 1) of standard Gaussian ones: the same, since log ratios are nearly Gaussian together."""
        return z


@pytree
class Sticks:
    """Standardised log odds of stick-breaking shares.

    Parameters
    ----------
    alpha, beta : Array, shape (K,)
        Beta law of the share that each component takes.
    centre, width : Array, shape (K,)
        Mean and standard deviation of its log odds under that law.
    order : Array of int, shape (K,)
        Component at each place of the stick.
    """

    alpha: jax.Array
    beta: jax.Array
    centre: jax.Array
    width: jax.Array
    order: jax.Array

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.centre)

    def log_weights(self, z):
        """Log weights (K,) at coordinates (K,); the weights sum to less than 1."""
        odds = self.centre + self.width * z
        return jax.nn.log_sigmoid(odds) + before(jax.nn.log_sigmoid(-odds), self.order)

    def _log_odds(self, log_weights):
        weights = jnp.exp(log_weights)
        return log_weights - jnp.log(1 - before(weights, self.order) - weights)

    def coordinates(self, log_weights):
        """The inverse of `log_weights`."""
        return (self._log_odds(log_weights) - self.centre) / self.width

    def log_volume(self, log_weights):
        """Log of the volume of weights in a unit volume of coordinates."""
        return (log_weights + jax.nn.log_sigmoid(-self._log_odds(log_weights)) + jnp.log(self.width)).sum()

    def log_prior(self, prior: StickBreaking, log_weights):
        """Log density of weights under a prior, with respect to the volume that `log_volume` speaks of."""
        log_broken = jax.nn.log_sigmoid(self._log_odds(log_weights))
        sticks = PointSticks(jnp.exp(log_weights), jnp.exp(log_broken))
        return prior.log_density(sticks) + (log_broken - log_weights).sum()

    def log_covariance(self) -> np.ndarray:
        """Covariance (K, K) of the coordinates with the log weights, under the fit."""
        from scipy.special import polygamma

        place = np.argsort(np.asarray(self.order))
        earlier = (place[:, None] < place[None]).astype(float)
        taken, left = (polygamma(1, np.asarray(part)) / np.asarray(self.width) for part in (self.alpha, self.beta))
        return np.diag(taken) - left[:, None] * earlier

    def skewed(self, z: np.ndarray) -> np.ndarray:
        """Coordinates (S, K) whose shares have their Beta laws, from standard Gaussian ones."""
        from scipy.special import betaincinv, ndtr

        alpha, beta = (np.asarray(part)[None] for part in (self.alpha, self.beta))
        low, high = betaincinv(alpha, beta, ndtr(np.minimum(z, 0))), betaincinv(beta, alpha, ndtr(-np.maximum(z, 0)))
        odds = np.where(z < 0, np.log(low) - np.log1p(-low), np.log1p(-high) - np.log(high))
        return (odds - np.asarray(self.centre)) / np.asarray(self.width)


@pytree
class Shares:
    """Weights of which noise has the last: how the others divide theirs, and one stick for what is not noise.

    Parameters
    ----------
    weights : Ratios or Sticks
    share : Sticks
    """

    weights: Ratios | Sticks
    share: Sticks

    @property
    def size(self) -> int:
        """Number of coordinates, the last of noise."""
        return self.weights.size + 1

    def log_weights(self, z):
        """Log weights (K + 1,) at coordinates."""
        odds = self.share.centre + self.share.width * z[-1:]
        return jnp.concatenate([self.weights.log_weights(z[:-1]) + jax.nn.log_sigmoid(odds), jax.nn.log_sigmoid(-odds)])

    def _apart(self, log_weights):
        """Log of the share that is not noise (1,), and of how components divide it (K,)."""
        share = jnp.log1p(-jnp.exp(log_weights[-1:]))
        return share, log_weights[:-1] - share

    def coordinates(self, log_weights):
        """The inverse of `log_weights`."""
        share, own = self._apart(log_weights)
        return jnp.concatenate([self.weights.coordinates(own), self.share.coordinates(share)])

    def log_volume(self, log_weights):
        """Log of the volume of free weights in a unit volume of coordinates."""
        share, own = self._apart(log_weights)
        return self.weights.log_volume(own) + self.share.log_volume(share) + self.weights.size * share[0]

    def log_covariance(self) -> np.ndarray:
        """Covariance (., K + 1) of the coordinates with the log weights, under the fit."""
        from scipy.special import polygamma

        own, width = self.weights.log_covariance(), np.asarray(self.share.width)[0]
        rest, noise = (float(polygamma(1, np.asarray(part)[0])) / width for part in (self.share.alpha, self.share.beta))
        return np.block([[own, np.zeros((len(own), 1))], [np.full((1, own.shape[1]), rest), np.full((1, 1), -noise)]])

    def skewed(self, z: np.ndarray) -> np.ndarray:
        """Coordinates of standard Gaussian ones; the share of noise has its Beta law."""
        return np.concatenate([self.weights.skewed(z[:, :-1]), self.share.skewed(z[:, -1:])], 1)


def _ratios(law: Dirichlet) -> Ratios:
    from scipy.special import digamma, polygamma

    alpha = np.asarray(law.concentration)
    variance = polygamma(1, alpha)
    covariance = np.diag(variance[:-1]) + variance[-1]
    parts = (digamma(alpha[:-1]) - digamma(alpha[-1]), np.linalg.cholesky(covariance), variance)
    return Ratios(*(jnp.asarray(part) for part in parts))


def _sticks(law: StickBreaking) -> Sticks:
    from scipy.special import digamma, polygamma

    alpha, beta = np.asarray(law.alpha), np.asarray(law.beta)
    centre, width = digamma(alpha) - digamma(beta), np.sqrt(polygamma(1, alpha) + polygamma(1, beta))
    return Sticks(*(jnp.asarray(part) for part in (alpha, beta, centre, width, law.order)))


def _shares(law: NoiseShare) -> Shares:
    both, order = np.asarray(law.share.concentration), jnp.zeros(1, int)
    share = StickBreaking(jnp.asarray(both[:1]), jnp.asarray(both[1:]), order, jnp.ones(()), jnp.ones(()), False)
    return Shares(CHARTS[type(law.weights)](law.weights), _sticks(share))


CHARTS = {Dirichlet: _ratios, StickBreaking: _sticks, NoiseShare: _shares}
"""Coordinates by law of the weights; derivatives of gammaln are computed on the host, where they need no compiling."""


def weight_chart(law: Dirichlet | StickBreaking | NoiseShare) -> Ratios | Sticks | Shares:
    """The coordinates that belong to the weights of a fit."""
    return CHARTS[type(law)](law)


def at_mean_concentration(prior: Dirichlet | StickBreaking, posterior: Dirichlet | StickBreaking) -> Dirichlet | StickBreaking:
    """The prior of the weights, with a concentration that is learned fixed at its mean under the fit."""
    if not getattr(prior, "learn", False):
        return prior
    return StickBreaking.prior(prior.n_components, float(posterior.shape / posterior.rate))  # type: ignore[union-attr]
