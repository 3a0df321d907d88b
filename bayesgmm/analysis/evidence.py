"""From the bound of one labelling to the evidence: what the relabelled copies of a solution add."""

from __future__ import annotations

from math import lgamma

import jax
import numpy as np

from bayesgmm.core.weights import Dirichlet, StickBreaking

OCCUPIED = 0.5
"""Expected rows from which a component counts as occupied."""


def multiplicity(prior, counts) -> float:
    r"""Nats that equivalent labellings add to the bound of one of them.

    Exchangeable Dirichlet weights: :math:`\ln K! / (K - K_+)!` with :math:`K_+` occupied components (Bishop 2006, sec. 10.2.4). Sticks: the
    difference between the exchangeable partition probability of the counts, summed over all stick orders, and the one stick
    order of the bound (Pitman 2006, Combinatorial Stochastic Processes, sec. 3.2). Other laws of the weights: 0.
    """
    counts = np.asarray(counts, float)
    if isinstance(prior, StickBreaking):
        return _log_partition(prior, counts[counts > OCCUPIED]) - float(_log_marginal(prior, counts))
    if isinstance(prior, Dirichlet) and np.ptp(np.asarray(prior.concentration)) == 0:
        k, occupied = len(counts), int((counts > OCCUPIED).sum())
        return lgamma(k + 1) - lgamma(k - occupied + 1)
    return 0.0


@jax.jit
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
