r"""Rows that are known in part: what a Gaussian says about a whole row, given what was observed of it.

The score of a row y under a component is a Gaussian function of y, whichever law the parameters have: on the log scale it is
:math:`\text{mass}_k\, N(y | m_k, \Sigma_k)`. Where only some coordinates of y were seen, perhaps with errors of known covariance E, the
score is integrated over the rest, which is exact for maximum likelihood, maximum a posteriori and variational Bayes alike, and the
statistics are those that are expected of y. A coordinate that is missing and one measured with an error are one thing: knowledge of y that
is not complete.

Ghahramani & Jordan (1994), Supervised learning from incomplete data via an EM approach, NIPS 6 (missing values); Bovy, Hogg & Roweis
(2011), Extreme deconvolution, Annals of Applied Statistics 5 (errors).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesgmm.core.linalg import LOG_2PI, LOG_PI, cholesky, gammaln_gain, solve_lower
from bayesgmm.core.statistics import Natural, Tails, log_tail
from bayesgmm.core.structures import Structure


class Latent(NamedTuple):
    """Scores as Gaussian functions of whole rows.

    Attributes
    ----------
    log_mass : Array, shape (K,)
        Log of the integral of the exponential of the score.
    mean : Array, shape (K, D)
    covariance : Array, shape (K, D, D), or (1, D, D) when tied
    log_sides : Array, shape (D,), optional
        Where there is noise, which has the last of K + 1 masses: of the box that it is uniform over, in the user's units.
    offset, dof : Array, shape (K,), optional
        Where components are Student t: what is added to squared distances, and degrees of freedom; masses are those of Gaussians.
    """

    log_mass: jax.Array
    mean: jax.Array
    covariance: jax.Array
    log_sides: jax.Array | None = None
    offset: jax.Array | None = None
    dof: jax.Array | None = None

    def turned(self, turn: jax.Array) -> Latent:
        """The same of rows ``turn y``, with a dense matrix ``turn`` (D, D)."""
        return self._replace(mean=self.mean @ turn.T, covariance=turn @ self.covariance @ turn.T)


def latent(structure: Structure, natural: Natural) -> Latent:
    """Scores as Gaussian functions of whole rows."""
    if natural.region is not None:
        region, tails = natural.region, natural.tails
        level = natural.level if tails is None else tails.level
        others = Tails(tails.level[:-1], tails.dof[:-1]) if tails else None
        known = latent(structure, Natural(natural.level[:-1], natural.mean[:-1], natural.precision[:-1], tails=others))
        return known._replace(log_mass=jnp.append(known.log_mass, level[-1] + region.log_volume), log_sides=region.log_sides)
    d, copies = natural.mean.shape[-1], structure.blocks(natural.mean.shape[-1]).copies
    factor = structure.factor(natural.precision)
    log_mass = (d * LOG_2PI - copies * structure.log_det(factor)) / 2
    dense = structure.to_dense(structure.inverse(factor), d)
    if natural.tails is None:
        return Latent(natural.level + log_mass, natural.mean, dense)
    level, dof = natural.tails
    return Latent(level - log_tail(dof, d) + log_mass, natural.mean, dense, offset=-2 * natural.level, dof=dof)


class Completed(NamedTuple):
    """What one component says of rows that share a pattern.

    Attributes
    ----------
    log_prob : Array, shape (B,)
        Log density of what was observed of each row.
    mean : Array, shape (B, D)
        Expected whole rows.
    covariance : Array, shape (D, D)
        How far whole rows scatter about these: it is the same for all of them.
    squares : Array, shape (B,)
        Squared distances of what was observed.
    """

    log_prob: jax.Array
    mean: jax.Array
    covariance: jax.Array
    squares: jax.Array


def completed(mean: jax.Array, covariance: jax.Array, x: jax.Array, seen: jax.Array, error: jax.Array | None = None) -> Completed:
    """What a Gaussian with this mean (D,) and covariance (D, D) says of rows (B, D) of which the columns ``seen`` (D,) are known.

    Columns of ``x`` that were not seen may hold any finite number. ``error`` (D, D) is the covariance of the errors of the others.
    """
    known = seen.astype(x.dtype)
    both, hidden = known[:, None] * known, 1 - known
    spread = covariance if error is None else covariance + error
    root = cholesky(spread * both + jnp.diag(hidden))
    across = solve_lower(root, covariance * known[:, None])
    standard = solve_lower(root, ((x - mean) * known).T)
    level = -(known.sum() * LOG_2PI) / 2 - jnp.log(jnp.diagonal(root)).sum()
    whole, rest = mean + standard.T @ across, covariance - across.T @ across
    if error is None:  # what was seen is known to the last digit
        whole, rest = jnp.where(seen, x, whole), rest * hidden[:, None] * hidden
    squares = (standard**2).sum(0)
    return Completed(level - squares / 2, whole, rest, squares)


def student_log_prob(mean: jax.Array, shape: jax.Array, dof: jax.Array, x: jax.Array, seen: jax.Array, apart: bool) -> jax.Array:
    """Log density (B,) of the columns ``seen`` (D,) of rows (B, D) that follow a Student t law with this shape matrix (D, D).

    The marginal of a Student t law is one, of as many degrees of freedom. ``apart``: each column has a law of its own.
    """
    known = seen.astype(x.dtype)
    root = cholesky(shape * known[:, None] * known + jnp.diag(1 - known))
    squares = solve_lower(root, ((x - mean) * known).T) ** 2
    log_det = jnp.log(jnp.diagonal(root)).sum()
    width = jnp.ones((), x.dtype) if apart else known.sum()
    level = gammaln_gain(dof / 2, width / 2) - width / 2 * (LOG_PI + jnp.log(dof))
    if apart:
        return level * known.sum() - log_det - (dof + 1) / 2 * jnp.log1p(squares / dof).sum(0)
    return level - log_det - (dof + width) / 2 * jnp.log1p(squares.sum(0) / dof)
