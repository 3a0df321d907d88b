"""Laws of single parameters, before the data and after them: what a picture of prior and posterior shows."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import NoiseShare, gaussians, without_noise
from bayesgmm.core.pytree import replace
from bayesgmm.core.weights import Dirichlet, StickBreaking

QUANTITIES = ("weights", "means", "standard_deviations")

N_DRAWS = 8000
"""Draws of weights whose laws have no closed form."""

MOST, TAIL, INNER = 512, 1e-3, 0.2
"""Points of a grid; probability outside it at each end, under the posterior and under the prior."""


class Marginals(NamedTuple):
    """Densities of one parameter of each component.

    Attributes
    ----------
    grid : ndarray, shape (G,)
        Values, in units of the data.
    prior, posterior : ndarray, shape (K, G)
    """

    grid: np.ndarray
    prior: np.ndarray
    posterior: np.ndarray


def marginals(prior: Mixture, posterior: Mixture, quantity: str, column: int = 0) -> Marginals:
    """Marginal laws of weights, or of the means or standard deviations of one column.

    Exact for means (Student t), standard deviations (roots of inverse Gammas) and Dirichlet weights (Beta); weights from
    sticks, and beside noise, by draws. For Student t components standard deviations are of the matrices of scale.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, B.20-B.33 and 10.61-10.63; Ishwaran & James (2001), JASA 96, for sticks.
    """
    if quantity == "weights" and isinstance(without_noise(posterior).weights, StickBreaking):
        order = without_noise(posterior).weights.order  # sticks are given to components by their counts
        prior = replace(prior, weights=_ordered(prior.weights, order))
    law = {"weights": _weights, "means": _means, "standard_deviations": _deviations}[quantity]
    before, after = (law(each, column, posterior.n_components - posterior.n_noise) for each in (prior, posterior))
    grid = _grid(before, after, quantity)
    return Marginals(grid, *(np.stack([one.pdf(grid) for one in each]) for each in (before, after)))


def _grid(before: list[Any], after: list[Any], quantity: str) -> np.ndarray:
    """Values that hold nearly all of the posteriors and the middle of the priors, as far as that is not much wider."""
    ends = [np.array([[one.ppf(p), one.ppf(1 - p)] for one in each]) for each, p in ((after, TAIL), (before, INNER))]
    (low, high), (wide_low, wide_high) = ((end[:, 0].min(), end[:, 1].max()) for end in ends)
    reach = high - low
    low, high = min(low, max(wide_low, low - reach)), max(high, min(wide_high, high + reach))
    margin = 0.03 * (high - low)
    low, high = low - margin, high + margin
    if quantity != "means":
        low = max(low, 1e-4 * high)
    return np.linspace(low, min(high, 1 - 1e-4) if quantity == "weights" else high, MOST)


class _Drawn:
    """Law of a share between 0 and 1 of which there are draws (S,): a density of kernels of their log odds."""

    def __init__(self, draws: np.ndarray):
        from scipy.special import logit
        from scipy.stats import gaussian_kde

        self.draws = np.clip(draws, 1e-9, 1 - 1e-9)
        odds = logit(self.draws)
        low, high = np.quantile(odds, [0.25, 0.75])
        width = min(1.0, (high - low) / 1.349 / odds.std())  # long tails must not widen the kernels
        self.kernels = gaussian_kde(odds, 0.7 * width * len(odds) ** -0.2)

    def ppf(self, p: float) -> float:
        return float(np.quantile(self.draws, p))

    def pdf(self, grid: np.ndarray) -> np.ndarray:
        from scipy.special import logit

        return self.kernels(logit(grid)) / (grid * (1 - grid))


class _Root:
    """Law of the square root of what follows another law."""

    def __init__(self, law: Any):
        self.law = law

    def ppf(self, p: float) -> float:
        return float(np.sqrt(self.law.ppf(p)))

    def pdf(self, grid: np.ndarray) -> np.ndarray:
        return 2 * grid * self.law.pdf(grid**2)


def _weights(mixture: Mixture, column: int, k: int) -> list[Any]:
    """Of each component's share of all rows, those of noise included."""
    from scipy.stats import beta

    rng, law = np.random.default_rng(0), without_noise(mixture).weights
    if isinstance(law, Dirichlet):
        alpha = np.asarray(law.concentration)
        if not mixture.n_noise:
            return [beta(a, alpha.sum() - a) for a in alpha]
        draws = rng.dirichlet(alpha, N_DRAWS)
    else:
        draws = _sticks(law, rng)
    if mixture.n_noise:
        draws = draws * rng.dirichlet(np.asarray(mixture.weights.share.concentration), N_DRAWS)[:, :1]
    return [_Drawn(some) for some in draws.T]


def _ordered(law: StickBreaking | NoiseShare, order: Any) -> Any:
    """The same law of weights, components on its sticks in this order."""
    return replace(law, weights=_ordered(law.weights, order)) if isinstance(law, NoiseShare) else replace(law, order=order)


def _sticks(law: StickBreaking, rng: np.random.Generator) -> np.ndarray:
    """Draws (S, K) of weights; before any data those of one draw share a concentration, if that has a law."""
    alpha, beta, order = np.asarray(law.alpha), np.asarray(law.beta), np.asarray(law.order)
    if law.learn and (alpha == 1).all():
        beta = rng.gamma(float(law.shape), 1 / float(law.rate), (N_DRAWS, 1))
    broken = rng.beta(alpha, beta, (N_DRAWS, len(alpha)))
    left = np.cumprod(1 - broken[:, order], 1)
    before = np.concatenate([np.ones((N_DRAWS, 1)), left[:, :-1]], 1)
    return broken * before[:, np.argsort(order)]


def _scales(mixture: Mixture, j: int, k: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """The law of the Gaussians, degrees of freedom (K,) of the marginal law of a variance, and its entry of the matrix of scale."""
    law = gaussians(mixture.components)
    d = law.n_features
    spread = np.asarray(law.structure.to_dense(jnp.asarray(law.scale), d))[:, j, j]
    dof = np.asarray(law.dof) - law.structure.blocks(d).size + 1
    return law, np.broadcast_to(dof, k), np.broadcast_to(spread, k)


def _means(mixture: Mixture, j: int, k: int) -> list[Any]:
    from scipy.stats import t

    law, dof, spread = _scales(mixture, j, k)
    centre = np.broadcast_to(np.asarray(law.mean)[:, j], k)
    width = np.sqrt(spread / dof / np.broadcast_to(np.asarray(law.mean_precision), k))
    return [t(*each) for each in zip(dof, centre, width, strict=True)]


def _deviations(mixture: Mixture, j: int, k: int) -> list[Any]:
    from scipy.stats import invgamma

    _, dof, spread = _scales(mixture, j, k)
    return [_Root(invgamma(nu / 2, scale=s / 2)) for nu, s in zip(dof, spread, strict=True)]
