"""Draws of weights, means and covariances from a posterior, in four ways that differ in what they leave out.

Mean field: the fit itself, in which labels and parameters do not know of one another. Linear response: a Gaussian around the fit, in
coordinates where the fit is one too, as wide as the labels' uncertainty makes it; its marginals have the shapes of the fit's. Importance:
draws of a wider Student t, weighted by likelihood times prior, and drawn again. Gibbs: a Markov chain whose law is the posterior.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis import importance
from bayesgmm.analysis.alignment import confusions, permutations
from bayesgmm.analysis.coefficients import is_plain
from bayesgmm.analysis.coordinate_response import spread_of
from bayesgmm.analysis.importance import BATCH
from bayesgmm.analysis.mixing import effective_size, r_hat
from bayesgmm.analysis.pareto import smoothed
from bayesgmm.analysis.proposal import make_proposal
from bayesgmm.analysis.rows import row_scores
from bayesgmm.analysis.unconstrained import Chart, chart_of, n_coordinates, outward, skewed
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import WithNoise, around, gaussians
from bayesgmm.core.points import Gaussian
from bayesgmm.core.pytree import replace
from bayesgmm.core.student import Student
from bayesgmm.core.weights import PointWeights
from bayesgmm.inference import gibbs as sampler
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import in_part

SPARE = 4
"""Draws of the proposal for each one that is kept."""


class Draws(NamedTuple):
    """Draws of the parameters, inner coordinates, components in the places of the fit's.

    Attributes
    ----------
    points : Mixture
        Of `PointWeights` (S, K) and `Gaussian` (S, K, D), (S, K or 1, packed), as numpy arrays; with noise and tails around these as the
        fit has, weights of noise the last of (S, K + 1).
    labels : ndarray of int, shape (S, N), or None
        Components of the rows where the sampler drew them.
    facts : dict
        What the method tells of itself: ``contraction``, ``k_hat``, ``ess``, ``log_evidence``, ``r_hat``, ``n_chains``.
    """

    points: Mixture
    labels: np.ndarray | None
    facts: dict[str, Any]


def mean_field(posterior: Mixture, n: int, seed: int) -> Draws:
    """Independent draws of the fit."""
    points = _normalised(_sampled(posterior, jax.random.key(seed), n), posterior.n_noise)
    return Draws(dressed(points, posterior.components), None, {})


def linear_response(posterior: Mixture, x, weight, n: int, seed: int) -> Draws:
    r"""Draws whose covariance is that of linear response.

    Standard coordinates are Gaussian with that covariance (`coordinate_response`); each then gets the shape of its marginal law under
    the fit (`unconstrained.skewed`). One Gaussian component, for which the fit is exact, is drawn from it exactly. Degrees of freedom
    are those of the fit.

    References
    ----------
    Giordano, Broderick & Jordan (2015), NIPS, sec. 2.2.
    """
    chart = chart_of(posterior)
    size = n_coordinates(chart)
    noise = np.random.default_rng(seed).standard_normal((n, size))
    if is_plain(posterior) and posterior.n_components == 1 and not in_part(x):
        return Draws(points_at(chart, skewed(chart, noise)), None, {"contraction": 0.0})
    spread, contraction = spread_of(chart, x, weight, posterior)
    deviations = spread.deviations
    z = deviations * skewed(chart, spread.draw(noise) / deviations)
    points = dressed(points_at(chart, z, posterior.n_noise), posterior.components)
    return Draws(points, None, {"contraction": contraction})


def dressed(points: Mixture, like: Any) -> Mixture:
    """Draws of Gaussians with the noise and the tails of a law of components around them."""
    n = len(points.components.mean)
    wide = jax.tree.map(lambda a: np.broadcast_to(np.asarray(a), (n, *np.shape(a))), around(like, None))
    return Mixture(points.weights, around(wide, points.components))


def sampled_importance(prior: Mixture, posteriors: list[Mixture], x, weight, pivot: np.ndarray, n: int, seed: int) -> Draws:
    """Importance draws, then as many of them as asked for by systematic resampling.

    The labels of each are those nearest to the fit's. ``facts`` has the log evidence, its standard error, k-hat and the number of
    independent draws that the weighted ones are worth.
    """
    rng = np.random.default_rng(seed)
    proposal = make_proposal(prior, posteriors, x, weight)
    law, z = proposal.draw(-(-SPARE * n // BATCH) * BATCH, rng)
    ratio, pairs = importance.log_ratios(prior, proposal, x, weight, law, z, importance.score_form(posteriors, x))
    logs = np.asarray(ratio) + importance.own_labels(np.asarray(pairs), np.asarray(proposal.log_weight))
    found = importance.summarise(logs)
    logs = smoothed(np.where(np.isfinite(logs), logs, -np.inf))[0]
    share = np.cumsum(np.exp(logs - np.logaddexp.reduce(logs)))
    kept = np.minimum(np.searchsorted(share, (np.arange(n) + rng.random()) / n), len(logs) - 1)
    rng.shuffle(kept)
    points = _normalised(_from_laws(proposal.chart, law[kept], z[kept]))
    points = matched(points, x, pivot, weight)
    facts = {"k_hat": found.k_hat, "ess": min(found.ess, n), "log_evidence": found.log_evidence, "standard_error": found.standard_error}
    return Draws(points, None, facts)


def gibbs(
    prior: Mixture, resp: np.ndarray, x, n: int, seed: int, n_chains: int, n_burn: int, thin: int, notify: Callable[[int], None]
) -> Draws:
    """Several Markov chains from labels drawn from responsibilities (N, K); draws follow chain by chain.

    Labels are matched to the most probable ones; ``notify`` is told how many draws of each chain there are; ``facts`` has r-hat and the
    effective number of draws, the worst of all weights, means and the log-likelihood.
    """
    rng, k = np.random.default_rng(seed), prior.n_components
    starts = (rng.random((n_chains, len(resp), 1)) > np.cumsum(resp, 1)[None]).sum(2).clip(max=k - 1)
    keys = jax.random.split(jax.random.key(seed), n_chains)
    found = sampler.chains(prior, x, jnp.asarray(starts), keys, n_burn, thin, n_draws=-(-n // n_chains), notify=notify)
    flat = lambda a: np.asarray(a).reshape(-1, *a.shape[2:])  # noqa: E731
    points = _normalised(_known(np.exp(flat(found.log_weights)), flat(found.mean), flat(found.covariance), prior.structure))
    points, labels = aligned(points, flat(found.labels), resp.argmax(1), np.ones(len(resp)))
    by_chain = lambda a: a.reshape(n_chains, -1, int(np.prod(a.shape[1:])))  # noqa: E731
    watched = [by_chain(points.weights.weights), by_chain(points.components.mean), np.asarray(found.log_likelihood)[:, :, None]]
    series = np.moveaxis(np.concatenate(watched, 2), 2, 0)
    moving = series[np.ptp(series, axis=(1, 2)) > 0]
    facts = {"ess": min(map(effective_size, moving)), "r_hat": max(map(r_hat, moving)), "n_chains": n_chains}
    return Draws(points, labels.astype(np.min_scalar_type(k)), facts)


def aligned(points: Mixture, labels: np.ndarray, pivot: np.ndarray, weight: np.ndarray) -> tuple[Mixture, np.ndarray]:
    """Draws and their labels (S, N) with the components in the places of the pivot's (N,); noise, the last, has its own."""
    weights, law = points.weights.weights, gaussians(points.components)
    k, all_k = law.mean.shape[1], weights.shape[1]
    order = permutations(confusions(labels, pivot, weight, all_k)[:, :k, :k])
    everything = np.concatenate([order, np.broadcast_to(np.arange(k, all_k), (len(order), all_k - k))], 1)
    take = lambda a: np.take_along_axis(a, order.reshape(*order.shape, *(1,) * (a.ndim - 2)), 1)  # noqa: E731
    tied = law.covariance.shape[1] < k
    moved = replace(law, mean=take(law.mean), covariance=law.covariance if tied else take(law.covariance))
    renamed = np.take_along_axis(np.argsort(everything, 1), labels.astype(np.int64), 1)
    known = PointWeights(np.take_along_axis(weights, everything, 1))  # type: ignore[arg-type]
    return Mixture(known, around(_tails_taken(points.components, take), moved)), renamed


def _tails_taken(components: Any, take: Callable) -> Any:
    """Noise and tails of draws, with degrees of freedom in other places."""
    if isinstance(components, Student):
        return replace(components, dof=take(components.dof))
    return replace(components, law=_tails_taken(components.law, take)) if isinstance(components, WithNoise) else components


def _known(weights, mean, covariance, structure) -> Mixture:
    """Known parameters."""
    return Mixture(PointWeights(weights), Gaussian(mean, covariance, structure))


def best_labels(point: Mixture, x) -> np.ndarray:
    """Most probable component (N,) of every row under known parameters."""
    return np.asarray(_best_labels(jax.tree.map(lambda a: jnp.asarray(a)[None], point), x))[0]


def matched(points: Mixture, x, pivot: np.ndarray, weight) -> Mixture:
    """Draws with the components in the places of those that hold most of the same rows under the pivot's labels (N,)."""
    return aligned(points, np.asarray(_best_labels(points, x)), pivot, np.asarray(weight))[0]


@jit(static_argnames=("n",))
def _sampled(posterior: Mixture, key, n: int) -> Mixture:
    draws = posterior.sample(key, (n,))
    return Mixture(PointWeights(draws.weights), draws.components)


@jit
def _outward(chart: Chart, z) -> Mixture:
    return jax.lax.map(lambda place: outward(chart, place)[0], z, batch_size=BATCH)


@jit
def _from_laws(charts: Chart, law, z) -> Mixture:
    """Parameters at coordinates of one of several fits."""
    return jax.lax.map(lambda a: outward(jax.tree.map(lambda part: part[a[0]], charts), a[1])[0], (law, z), batch_size=BATCH)


def points_at(chart: Chart, z: np.ndarray, n_noise: int = 0) -> Mixture:
    """Parameters at coordinates (S, P) of a chart."""
    return _normalised(_outward(chart, z), n_noise)


def _normalised(points: Mixture, n_noise: int = 0) -> Mixture:
    """Numpy arrays, with weights that sum to 1 (those of sticks leave some to components without rows); that of noise stays."""
    points = jax.tree.map(np.asarray, points)
    weights = points.weights.weights
    own, noise = np.split(weights, [weights.shape[1] - n_noise], axis=1)
    own = own / own.sum(1, keepdims=True) * (1 - noise.sum(1, keepdims=True))
    return Mixture(PointWeights(np.concatenate([own, noise], 1)), points.components)  # type: ignore[arg-type]


@jit
def _best_labels(points: Mixture, x):
    """Most probable component (S, N) of every row."""
    return jax.lax.map(lambda point: row_scores(point.structure, point.natural(), x).argmax(1), points)
