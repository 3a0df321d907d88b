"""From the bound of one labelling to the evidence: what its relabelled copies add, and what the overlap of components hides."""

from __future__ import annotations

from math import lgamma
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.coefficients import is_plain
from bayesgmm.analysis.response import MOST, eigenvalues, n_coefficients
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import NoiseShare
from bayesgmm.core.weights import Dirichlet, StickBreaking
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, in_part
from bayesgmm.inference.loop import lower_bound

OCCUPIED = 0.5
"""Expected rows from which a component counts as occupied."""

FLOOR = 0.3
"""Smallest eigenvalue that counts in full when numbers of components are compared: near-copies of a component, for which the expansion
fails, would earn without limit."""

TRUSTED = 0.04
"""The same for the evidence of one model: where a contraction of 0.96 ends the trust in the expansion."""


class Evidence(NamedTuple):
    """Log evidence of a fit, in nats, and its parts.

    Attributes
    ----------
    elbo : float
        Evidence lower bound of the fit.
    multiplicity : float
        What equivalent labellings add, see `multiplicity`.
    response : float
        What the overlap of components adds, see `response`.
    total : float
        Their sum.
    contraction : float
        Share of an error that one plain pass leaves, between 0 and 1; above 0.96 or so the response is not to be trusted. NaN where it was
        not computed.
    """

    elbo: float
    multiplicity: float
    response: float
    total: float
    contraction: float


def response(posterior: Mixture, x, weight, floor: float = FLOOR) -> tuple[float, float]:
    r"""What the bound misses because mean field holds labels and parameters apart, and the contraction of the passes.

    :math:`-\tfrac12\sum_j\ln\max(e_j, \text{floor})` over the eigenvalues of the linear response: a second-order expansion about the
    optimum, exact in the limit of many rows, with each direction limited: to 0.6 nats by a floor of 0.3. One Gaussian component of
    complete rows: 0. More than 3,000 coefficients: 0, and a contraction of NaN. Degrees of freedom are held fixed.

    Parameters
    ----------
    posterior : Mixture
        At its optimum, in the coordinates of the rows.
    x : Array, shape (N, D)
    weight : Array, shape (N,)
    floor : float
        Smallest eigenvalue that counts in full.
    """
    if is_plain(posterior) and np.sum(np.asarray(posterior.weights.alive())) == 1 and not in_part(x):
        return 0.0, 0.0
    if n_coefficients(posterior) > MOST:
        return 0.0, float("nan")
    values = np.append(np.asarray(eigenvalues(posterior, x, weight)), 1.0)
    return float(-np.log(np.maximum(values, floor)).sum() / 2), float(np.clip(1 - values[0], 0, 1))


@jit
def bound_of(prior: Mixture, posterior: Mixture, x, weight):
    """Exact bound of a posterior for rows in the same coordinates."""
    return lower_bound(prior, posterior, collect(posterior, x, weight))


def evidence(prior: Mixture, posterior: Mixture, elbo: float, counts, x, weight, n_named: int = 0) -> Evidence:
    """Bound, multiplicity and response together; ``prior`` and ``posterior`` in the coordinates of the rows, ``elbo`` in any."""
    copies = multiplicity(prior.weights, counts, n_named)
    occupied = np.flatnonzero((np.asarray(counts) > OCCUPIED) | (np.arange(len(counts)) >= len(counts) - posterior.n_noise))
    overlap, contraction = response(posterior.take(occupied), jax.device_put(x), jnp.asarray(weight), TRUSTED)
    return Evidence(elbo, copies, overlap, elbo + copies + overlap, contraction)


def multiplicity(prior, counts, n_named: int = 0) -> float:
    r"""Nats that equivalent labellings add to the bound of one of them.

    Exchangeable Dirichlet weights: :math:`\ln K! / (K - K_+)!` with :math:`K_+` occupied components (Bishop 2006, sec. 10.2.4). Sticks: the
    difference between the exchangeable partition probability of the counts, summed over all stick orders, and the one stick
    order of the bound (Pitman 2006, Combinatorial Stochastic Processes, sec. 3.2). Other laws of the weights: 0. Components that labels
    of rows name, the first ``n_named``, cannot be relabelled; with sticks the others are then taken not to be either. Nor can noise.
    """
    counts = np.asarray(counts, float)
    if isinstance(prior, NoiseShare):
        return multiplicity(prior.weights, counts[:-1], n_named)
    if isinstance(prior, StickBreaking) and not n_named:
        return _log_partition(prior, counts[counts > OCCUPIED]) - float(_log_marginal(prior, counts))
    if isinstance(prior, Dirichlet) and np.ptp(np.asarray(prior.concentration)) == 0:
        k, occupied = len(counts) - n_named, int((counts[n_named:] > OCCUPIED).sum())
        return lgamma(k + 1) - lgamma(k - occupied + 1)
    return 0.0


@jit(brief=True)
def _log_marginal(prior, counts):
    return prior.log_marginal(counts)


def _log_partition(prior: StickBreaking, counts: np.ndarray) -> float:
    """Log probability of a partition with these block sizes under a Dirichlet process, its concentration integrated out."""
    from scipy.special import gammaln, logsumexp

    n, blocks = counts.sum(), gammaln(counts).sum()
    shape, rate = float(prior.shape), float(prior.rate)

    def given(gamma):
        return len(counts) * np.log(gamma) + gammaln(gamma) - gammaln(gamma + n)

    if not prior.learn:
        return float(blocks + given(shape / rate))
    logs = np.linspace(-25, 25, 4001) + np.log(shape / rate)
    gamma = np.exp(logs)
    density = shape * np.log(rate) - gammaln(shape) + shape * logs - rate * gamma
    return float(blocks + logsumexp(given(gamma) + density) + np.log(logs[1] - logs[0]))
