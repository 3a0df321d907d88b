r"""The log evidence by importance sampling: the mean of likelihood times prior over proposal, at draws around a fit."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, logsumexp

from bayesgmm.analysis.pareto import smoothed
from bayesgmm.analysis.proposal import Proposal, make_proposal, student, student_around, student_noise, surroundings
from bayesgmm.analysis.relabelling import MOST, log_share, pair_densities
from bayesgmm.analysis.unconstrained import Chart, chart_of, outward
from bayesgmm.analysis.weight_charts import at_mean_concentration
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import centred_scores, product_form
from bayesgmm.core.weights import Dirichlet
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import LOSS, accumulate

BATCH, ENTRIES = 64, 2**19
"""Draws evaluated together, and scores held at a time."""

TRUSTED = 0.7
"""k-hat up to which the estimate is trusted (Vehtari et al. 2024, sec. 3)."""


class Importance(NamedTuple):
    """Log evidence by importance sampling.

    Attributes
    ----------
    log_evidence : float
        Nats, all relabelled copies included.
    standard_error : float
        Of ``log_evidence``.
    k_hat : float
        Shape of the tail of the weights; above 0.7 neither number is to be trusted.
    ess : float
        Number of equally weighted draws of the posterior that would be worth as much.
    n_draws : int
    """

    log_evidence: float
    standard_error: float
    k_hat: float
    ess: float
    n_draws: int


def check_exchangeable(prior: Mixture) -> None:
    """Raise a ValueError unless all components have the same prior, a Dirichlet law, and are few enough."""
    if not isinstance(prior.weights, Dirichlet) or np.ptp(np.asarray(prior.weights.concentration)) > 0:
        raise ValueError(
            "Importance sampling needs Dirichlet weights with one concentration for all components; fit with "
            'weight_concentration_prior_type="dirichlet_distribution" and a single number as weight_concentration_prior.'
        )
    law = prior.components
    if any(len(part) > 1 and np.ptp(np.asarray(part), axis=0).any() for part in (law.mean, law.mean_precision, law.dof, law.scale)):
        raise ValueError("Importance sampling needs the same prior for all components.")
    if prior.n_components > MOST:
        raise ValueError(f"Importance sampling sums over relabellings of at most {MOST} components; the fit has {prior.n_components}.")


def importance_evidence(prior: Mixture, posteriors: list[Mixture], x, weight=None, n_draws: int = 2000, seed: int = 0) -> Importance:
    r"""Estimate :math:`\ln p(X) = \ln \int p(X \mid \theta) p(\theta) d\theta`, labels summed out.

    Draws come from `Proposal`: a Student t around each fit. The integrand is the same at all K! relabellings of a draw; the proposal
    covers those near the fits, so each draw counts K! times the share of its own labelling (`relabelling`), which keeps the mean exact.
    Memory is O(batch of draws x chunk of rows x K).

    Parameters
    ----------
    prior : Mixture
        Symmetric Dirichlet weights and a Normal-Wishart law, the same for all components.
    posteriors : list of Mixture
        Fits of this model, in the same coordinates: one, or several distinct optima.
    x : Array, shape (N, D)
        Rows, in the same coordinates.
    weight : Array, shape (N,), optional
        Powers of the likelihoods of rows; whole numbers count copies.
    n_draws : int
    seed : int

    Returns
    -------
    Importance
        The standard error is that of a mean of the smoothed weights, divided by it.

    Raises
    ------
    ValueError
        Components are not exchangeable, or more than 12.

    References
    ----------
    Geweke (1989), Econometrica 57; Vehtari et al. (2024), JMLR 25(72), for smoothing and k-hat; Fruehwirth-Schnatter (2004), Econometrics
    Journal 7, for relabelled copies.
    """
    check_exchangeable(prior)
    x = jnp.asarray(x)
    weight = jnp.ones(len(x), x.dtype) if weight is None else jnp.asarray(weight, x.dtype)
    proposal = make_proposal(prior, posteriors, x, weight)
    law, z = proposal.draw(n_draws, np.random.default_rng(seed))
    law, z = (np.concatenate([part, part[: -n_draws % BATCH]]) for part in (law, z))
    ratio, pairs = (np.asarray(part)[:n_draws] for part in log_ratios(prior, proposal, x, weight, law, z, score_form(posteriors, x)))
    return summarise(ratio + own_labels(pairs, np.asarray(proposal.log_weight)))


def own_labels(pairs: np.ndarray, log_weight: np.ndarray) -> np.ndarray:
    """Log of K! times the share (S,) of each draw's own labelling; see `relabelling.log_share`."""
    pairs = np.nan_to_num(pairs, nan=-np.inf)
    return log_share(pairs, log_weight) + float(gammaln(pairs.shape[-1] + 1))


def summarise(log_weights: np.ndarray) -> Importance:
    """Smooth importance weights (S,) on the log scale and average them; a weight that is not a number counts as 0."""
    n = len(log_weights)
    logs, k_hat = smoothed(np.where(np.isfinite(log_weights), log_weights, -np.inf))
    total = np.logaddexp.reduce(logs)
    ess = float(np.exp(2 * total - np.logaddexp.reduce(2 * logs)))
    return Importance(float(total - np.log(n)), float(np.sqrt(max(1 / ess - 1 / n, 0))), k_hat, ess, n)


def score_form(posteriors: list[Mixture], x):
    """The form of the scores that keeps enough digits near the fits: products of features, or differences to each mean."""
    return _products if max(float(_reach(q, x)) for q in posteriors) <= LOSS[x.dtype.itemsize] else _differences


def _products(structure, natural):
    known = product_form(structure, natural)
    return lambda x: known(structure.features(x.T)).T


def _differences(structure, natural):
    return lambda x: centred_scores(structure, natural, x)


@jit
def _reach(posterior: Mixture, x):
    """Largest squared distance of a row from the origin, in units of the narrowest component."""
    structure = posterior.structure
    precision = structure.inner(posterior.natural().precision, structure.identity(x.shape[1])).max()
    return (x**2).sum(1).max() * precision * (x.shape[1] if structure.rank == 0 else 1)


def _log_likelihood(point: Mixture, x, weight, form, chunk: int):
    """Log likelihood of the rows, labels summed out."""
    scores = form(point.structure, point.natural())

    def one(rows, weights):
        return weights @ logsumexp(scores(rows), axis=1)

    return accumulate(one, x, weight, chunk)


@jit(static_argnames=("form",))
def log_ratios(prior: Mixture, proposal: Proposal, x, weight, law, z, form):
    """Log of integrand over proposal (S,) at draws, and their densities (S, M, K, K) in the places of each fit's components."""
    chunk = max(ENTRIES // (BATCH * prior.n_components), 128)

    def one(args):
        own, place = args
        point, _ = outward(jax.tree.map(lambda part: part[own], proposal.chart), place)
        joint = _log_likelihood(point, x, weight, form, chunk) + prior.log_density(point)
        pairs = jax.vmap(lambda fit: pair_densities(fit, point))(proposal.chart.posterior)
        return joint - proposal.log_density(point), pairs

    return jax.lax.map(one, (law, z), batch_size=BATCH)


def own_labelling(prior: Mixture, posterior: Mixture, x, weight, n_draws: int, seed: int) -> Importance:
    """Estimate the evidence around one fit, relabelled copies left aside: for every law of the weights and any number of components.

    Where components overlap so much that a draw may be a relabelled one, leaving the copies aside makes k-hat larger. Weights by sticks:
    in the order of the fit, rows in its components only, as in its bound, and the concentration at its mean under the fit.
    """
    prior = Mixture(at_mean_concentration(prior.weights, posterior.weights), prior.components)
    chart = chart_of(posterior)
    root, dof = student_around(chart, surroundings(prior, chart, x, weight)[1])
    z = student_noise(n_draws + -n_draws % BATCH, len(root), dof, np.random.default_rng(seed)) @ root.T
    logs = np.asarray(_own_log_ratios(prior, chart, jnp.asarray(root), jnp.asarray(dof), z, x, weight, score_form([posterior], x)))
    return summarise(logs)


@jit(static_argnames=("form",))
def _own_log_ratios(prior: Mixture, chart: Chart, root, dof, z, x, weight, form):
    """Log of integrand over proposal (S,) at coordinates (S, P)."""
    chunk = max(ENTRIES // (BATCH * prior.n_components), 128)

    def one(place):
        point, volume = outward(chart, place)
        density = chart.weights.log_prior(prior.weights, point.weights.expected_log()) + prior.components.log_density(point.components)  # type: ignore[union-attr]
        return _log_likelihood(point, x, weight, form, chunk) + density + volume - student(place, root, dof)

    return jax.lax.map(one, z, batch_size=BATCH)
