r"""A proposal for sampling the parameters of a mixture: one multivariate Student t for each fit it is given.

In the coordinates of `unconstrained` the fit is a standard Gaussian, nearly. Mean field leaves out that labels are not known; with the
derivatives J of the scores of a row and its responsibilities r, what the labels hide is :math:`G = \sum_n w_n \mathrm{Cov}_{r_n}(J_n)`
(Louis 1982), and :math:`(I - G)^{-1}` is the covariance of linear response (Giordano, Broderick & Jordan 2015). Each t has its
centre at the fit and that covariance, a little larger.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from bayesgmm.analysis.evidence import multiplicity
from bayesgmm.analysis.unconstrained import Chart, chart_of, inward, n_coordinates, outward
from bayesgmm.core.linalg import solve_lower
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import centred_scores
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import accumulate, centred_form, collect, from_labels, soft
from bayesgmm.inference.loop import lower_bound

FLOOR = 0.02
"""Smallest eigenvalue of I - G: no direction is proposed wider than its inverse."""

FEW, LIGHT = 40, 8.0
"""Coordinates up to which tails are heavy, and their degrees of freedom."""

STEEP = 30.0
"""Degrees of freedom with more coordinates, where heavy tails would take most draws far from the centre."""

WIDER = 1.2
"""Factor on the covariance."""

ENTRIES = 2**21
"""Numbers held per chunk of derivatives."""

LEAST, NOTHING = 0.03, 1e-4
"""Smallest share of draws of a Student t, and the share of the evidence below which it is left out."""


class Proposal(NamedTuple):
    """A mixture of M Student t laws.

    Attributes
    ----------
    chart : Chart
        The coordinates of each law, of M fits, stacked along a leading axis.
    root : Array, shape (M, P, P)
        Lower factors of the scale matrices.
    log_weight : Array, shape (M,)
        Shares of the draws.
    dof : Array, shape ()
    """

    chart: Chart
    root: jax.Array
    log_weight: jax.Array
    dof: jax.Array

    @property
    def n_laws(self) -> int:
        """Number of laws M."""
        return len(self.log_weight)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Law (n,) and coordinates (n, P) of n draws; numbers by law are fixed, not drawn."""
        edges = np.round(np.cumsum(np.exp(np.asarray(self.log_weight))) * n).astype(int)
        law = np.searchsorted(edges[:-1], np.arange(n), side="right")
        dof, size = float(self.dof), self.root.shape[1]
        noise = student_noise(n, size, dof, rng)
        return law, np.einsum("nij,nj->ni", np.asarray(self.root)[law], noise) if self.n_laws > 1 else noise @ np.asarray(self.root[0]).T

    def log_density(self, point: Mixture) -> jax.Array:
        """Log density () of parameters, with respect to the volume that `outward` speaks of."""

        def one(chart, root):
            z, volume = inward(chart, point)
            return student(z, root, self.dof) - volume

        return jax.scipy.special.logsumexp(jax.vmap(one)(self.chart, self.root) + self.log_weight)


def student_noise(n: int, size: int, dof: float, rng: np.random.Generator) -> np.ndarray:
    """Draws (n, P) of a Student t with centre 0 and the identity as its scale matrix."""
    return rng.standard_normal((n, size)) * np.sqrt(dof / rng.chisquare(dof, (n, 1)))


def student(z, root, dof):
    """Log density of a multivariate Student t at z (P,) with centre 0 and scale ``root root^T``."""
    size = z.shape[0]
    squares = (solve_lower(root, z[:, None]) ** 2).sum()
    level = gammaln((dof + size) / 2) - gammaln(dof / 2) - size / 2 * jnp.log(dof * jnp.pi)
    return level - jnp.log(jnp.diagonal(root)).sum() - (dof + size) / 2 * jnp.log1p(squares / dof)


@jit
def surroundings(prior: Mixture, chart: Chart, x, weight):
    """The bound of a fit, and what the labels hide about the coordinates there, G (P, P)."""
    posterior = chart.posterior
    structure, natural = posterior.structure, posterior.natural()
    size, k = n_coordinates(chart), posterior.n_components

    def one(rows, weights):
        slopes = jax.jacfwd(lambda z: centred_scores(structure, outward(chart, z)[0].natural(), rows))(jnp.zeros(size))
        resp = soft(centred_scores(structure, natural, rows))[1]
        mean = jnp.einsum("nk,nkp->np", resp, slopes)
        spread = ((slopes - mean[:, None]) * jnp.sqrt(resp * weights[:, None])[:, :, None]).reshape(-1, size)
        return spread.T @ spread

    hidden = accumulate(one, x, weight, max(ENTRIES // (size * k), 8))
    return lower_bound(prior, posterior, collect(posterior, x, weight, form=centred_form)), hidden


@jit
def all_in_one(prior: Mixture, x, weight) -> Mixture:
    """Posterior when all rows are in the first component."""
    return prior.posterior(from_labels(prior.structure, prior.tied, x, jnp.zeros(len(x), int), prior.n_components, weight))


def make_proposal(prior: Mixture, posteriors: list[Mixture], x, weight) -> Proposal:
    """A Student t around every fit, drawn from in proportion to the evidence found there.

    One more stands where all rows are in one component; it counts where the data are few.
    """
    charts = [chart_of(fit) for fit in posteriors]
    if prior.n_components > 1:
        charts.append(chart_of(all_in_one(prior, x, weight)))
    found = [surroundings(prior, chart, x, weight) for chart in charts]
    logs = [_log_evidence(prior, chart.posterior, *each) for chart, each in zip(charts, found, strict=True)]
    share = np.exp(np.array(logs) - max(logs))
    kept = np.flatnonzero(share / share.sum() >= NOTHING)
    share = np.maximum(share[kept] / share[kept].sum(), LEAST)
    roots, dofs = zip(*(student_around(charts[i], found[i][1]) for i in kept), strict=True)
    chart = jax.tree.map(lambda *parts: jnp.stack(parts), *(charts[i] for i in kept))
    return Proposal(chart, jnp.asarray(np.stack(roots)), jnp.log(jnp.asarray(share / share.sum())), jnp.asarray(dofs[0]))


def _response(hidden) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, not too small, and eigenvectors of I - G."""
    values, vectors = np.linalg.eigh(np.eye(len(hidden)) - np.asarray(hidden))
    return np.maximum(values, FLOOR), vectors


def _log_evidence(prior: Mixture, posterior: Mixture, bound, hidden) -> float:
    """The log evidence found at a fit, roughly."""
    counts = np.asarray(posterior.weights.concentration - prior.weights.concentration)
    return float(bound) + multiplicity(prior.weights, counts) - np.log(_response(hidden)[0]).sum() / 2


def student_around(chart: Chart, hidden) -> tuple[np.ndarray, float]:
    """Lower factor (P, P) of the scale matrix of the Student t around a fit, and its degrees of freedom."""
    values, vectors = _response(hidden)
    dof = LIGHT if n_coordinates(chart) <= FEW else STEEP
    return np.linalg.cholesky((vectors / values) @ vectors.T) * np.sqrt(WIDER * (dof - 2) / dof), dof
