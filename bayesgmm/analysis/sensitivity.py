r"""How far another prior would move a fit, to first order, without fitting again.

The statistics T of a fit are a fixed point of the pass F: rows, scored under the posterior that prior and T make, give T back. Implicit
differentiation gives their derivative with respect to a hyperparameter h,

.. math:: \frac{dT}{dh} = \Bigl(I - \frac{\partial F}{\partial T}\Bigr)^{-1} \frac{\partial F}{\partial h},

and everything that follows from T and h is differentiated along it. The system is solved by GMRES, a pass and its derivative a step, so no
matrix is formed. Giordano, Broderick & Jordan (2018), JMLR 19(51), th. 2; Giordano, Liu, Jordan & Broderick (2023), Bayesian Analysis 18.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Stats
from bayesgmm.core.weights import StickBreaking
from bayesgmm.inference.cells import responsibilities
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect
from bayesgmm.inference.loop import lower_bound

STEPS, RESTARTS = 30, 20
"""Vectors that GMRES keeps, and times that it starts again."""

TOLERANCE = 1e-9
"""Relative size of the rest of the system."""

HYPERPARAMETERS = ("weight_concentration_prior", "mean_precision_prior", "degrees_of_freedom_prior", "covariance_prior")
"""What can be changed, each by a factor: the mean concentration, pseudo-rows, degrees of freedom beyond the least, and scale."""


class Answers(NamedTuple):
    """What a fit says, or its derivative.

    Attributes
    ----------
    bound : Array, shape ()
        Nats.
    weights : Array, shape (K,)
    means : Array, shape (K, D)
    covariances : Array, shape (K or 1, packed)
    occupied : Array, shape ()
        Expected number of components that have a row.
    resp : Array, shape (N, K)
    """

    bound: Any
    weights: Any
    means: Any
    covariances: Any
    occupied: Any
    resp: Any


def changed(prior: Mixture, change) -> Mixture:
    """The prior with each of `HYPERPARAMETERS` times the exponential of one of ``change[:4]``, and ``change[4:]`` added to its mean."""
    change = jnp.asarray(change)
    concentration, mean_precision, dof, scale = jnp.exp(change[:4])
    weights, law = prior.weights, prior.components
    if isinstance(weights, StickBreaking):
        weights = dataclasses.replace(weights, rate=weights.rate / concentration, beta=weights.beta * concentration)
    else:
        weights = dataclasses.replace(weights, concentration=weights.concentration * concentration)
    least = law.structure.blocks(law.n_features).size - 1
    law = dataclasses.replace(
        law,
        mean=law.mean + change[4:],
        mean_precision=law.mean_precision * mean_precision,
        dof=least + (law.dof - least) * dof,
        scale=law.scale * scale,
    )
    return Mixture(weights, law)


def _pass(prior: Mixture, stats: Stats, change, x, weight) -> Stats:
    """Statistics of the rows under the posterior of a changed prior; the normaliser, on which nothing depends, is left out."""
    return collect(changed(prior, change).posterior(stats), x, weight)._replace(log_norm=jnp.zeros(()))


def _answers(prior: Mixture, stats: Stats, change, x, weight) -> Answers:
    tilted = changed(prior, change)
    posterior = tilted.posterior(stats)
    resp = responsibilities(posterior, x)
    empty = jnp.exp((jnp.log1p(-jnp.minimum(resp, 1 - 1e-12)) * weight[:, None]).sum(0))
    mean, components = posterior.weights.mean(), posterior.components
    bound = lower_bound(tilted, posterior, collect(posterior, x, weight))
    return Answers(bound, mean / mean.sum(), components.mean, components.covariance, (1 - empty).sum(), resp)


@jit
def _fixed(posterior: Mixture, x, weight) -> Stats:
    return collect(posterior, x, weight)._replace(log_norm=jnp.zeros(()))


@jit
def _carried(prior: Mixture, stats: Stats, flat, x, weight):
    """Derivative of the pass along statistics, both as vectors."""
    start, shaped = jax.flatten_util.ravel_pytree(stats)
    still = jnp.zeros(len(HYPERPARAMETERS) + x.shape[1])
    return jax.jvp(lambda a: jax.flatten_util.ravel_pytree(_pass(prior, shaped(a), still, x, weight))[0], (start,), (flat,))[1]


@jit
def _pushed(prior: Mixture, stats: Stats, along, x, weight):
    """Derivative of the pass along a change of the prior (4 + D,), as a vector."""
    moved = jax.jvp(lambda change: _pass(prior, stats, change, x, weight), (jnp.zeros_like(along),), (along,))[1]
    return jax.flatten_util.ravel_pytree(moved)[0]


@jit
def _followed(prior: Mixture, stats: Stats, flat, along, x, weight) -> tuple[Answers, Answers]:
    """What a fit says, and its derivative along statistics and a change of the prior."""
    moved = jax.flatten_util.ravel_pytree(stats)[1](flat)
    return jax.jvp(lambda s, change: _answers(prior, s, change, x, weight), (stats, jnp.zeros_like(along)), (moved, along))


def derivatives(prior: Mixture, posterior: Mixture, x, weight, shifts: np.ndarray) -> tuple[Answers, Answers]:
    """What a fit says, and its derivatives by the log of each hyperparameter and along shifts of the prior mean (leading axis 4 + S).

    Parameters
    ----------
    prior, posterior : Mixture
        A converged fit, in the coordinates of the rows.
    x : Array, shape (N, D)
    weight : Array, shape (N,)
    shifts : array, shape (S, D)

    Raises
    ------
    ArithmeticError
        The system was not solved: components can hardly be told apart.
    """
    from scipy.sparse.linalg import LinearOperator, gmres

    stats, found = _fixed(posterior, x, weight), []
    logs = np.eye(len(HYPERPARAMETERS), len(HYPERPARAMETERS) + x.shape[1])
    for along in jnp.asarray(np.concatenate([logs, np.pad(shifts, ((0, 0), (len(HYPERPARAMETERS), 0)))])):
        right = np.asarray(_pushed(prior, stats, along, x, weight))
        rest = LinearOperator((len(right),) * 2, lambda v: v - np.asarray(_carried(prior, stats, jnp.asarray(v, float), x, weight)))
        moved, failed = gmres(rest, right, rtol=TOLERANCE, atol=0, restart=STEPS, maxiter=RESTARTS)
        if failed:
            raise ArithmeticError(f"GMRES did not reach {TOLERANCE} in {STEPS * RESTARTS} steps")
        now, slope = _followed(prior, stats, jnp.asarray(moved), along, x, weight)
        found.append(slope)
    return jax.tree.map(np.asarray, now), jax.tree.map(lambda *parts: np.stack(parts), *found)


def pair_derivatives(resp: np.ndarray, slopes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Derivatives (H, M, N) of the probability that each of M rows is in one component with each of N, labels of rows being independent."""
    found = np.einsum("hmk,nk->hmn", slopes[:, rows], resp) + np.einsum("mk,hnk->hmn", resp[rows], slopes)
    found[:, np.arange(len(rows)), rows] = 0
    return found
