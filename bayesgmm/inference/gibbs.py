r"""Draws from the posterior itself by blocked Gibbs sampling, under the priors of the variational fits.

In turn: weights and components given the labels, which is a draw from ``prior.posterior(statistics)`` with whole rows in each component;
then all labels at once given those. Nothing is approximated; what is left is Monte Carlo error, and chains that stay near one mode.

Ishwaran & James (2001), JASA 96, sec. 5.2, for truncated sticks; Papaspiliopoulos & Roberts (2008), Biometrika 95, sec. 3.4, for the
exchange of two sticks' components; Escobar & West (1995), JASA 90, for the concentration, here given the sticks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.statistics import Stats
from bayesgmm.core.weights import Dirichlet, StickBreaking, so_far
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.halves import in_halves
from bayesgmm.inference.kernel import from_labels, scores

BLOCK = 50
"""Draws of a chain made by one call of the compiled program."""


class Chains(NamedTuple):
    """Draws of several chains, in the coordinates of the rows.

    Attributes
    ----------
    log_weights : Array, shape (C, S, K)
        Under sticks the weights sum to less than 1.
    mean : Array, shape (C, S, K, D)
    covariance : Array, shape (C, S, K, packed), or (C, S, 1, packed) when tied
    labels : Array of int, shape (C, S, N)
    log_likelihood : Array, shape (C, S)
        Of all rows given weights and components, labels summed out, in nats.
    concentration : Array, shape (C, S)
        Of the Dirichlet process; 0 for Dirichlet weights.
    """

    log_weights: jax.Array
    mean: jax.Array
    covariance: jax.Array
    labels: jax.Array
    log_likelihood: jax.Array
    concentration: jax.Array


class _State(NamedTuple):
    stats: Stats
    labels: jax.Array
    concentration: jax.Array


def _dirichlet_weights(law: Dirichlet, counts, key):
    """Log weights (K,) given the rows in each component; log gamma draws keep tiny weights exact."""
    logs = jnp.where(law.alive(), jax.random.loggamma(key, jnp.where(law.alive(), law.concentration + counts, 1)), -jnp.inf)
    return logs - logsumexp(logs)


def _stick_weights(law: StickBreaking, counts, concentration, key):
    """Log weights (K,) given the rows in each component, sticks in the order of components, and a new concentration."""
    taken_key, left_key, next_key = jax.random.split(key, 3)
    tail = so_far(counts[::-1])[::-1]
    taken, left = jax.random.loggamma(taken_key, 1 + counts), jax.random.loggamma(left_key, tail + concentration)
    both = jnp.logaddexp(taken, left)
    log_left = left - both
    log_weights = taken - both + so_far(log_left)
    if not law.learn:
        return log_weights, concentration
    return log_weights, jax.random.gamma(next_key, law.shape + len(counts)) / (law.rate - log_left.sum())


def _exchanged(components: Gaussian, log_weights, counts, key) -> Gaussian:
    """Components of two sticks exchanged, or not: labels along a stick have an order, and one row at a time would hardly change it."""
    pair_key, accept_key = jax.random.split(key)
    k = len(log_weights)
    a, b = jax.random.choice(pair_key, k, (2,), replace=False) if k > 1 else (0, 0)
    gain = (counts[b] - counts[a]) * (log_weights[a] - log_weights[b])
    accepted = jnp.log(jax.random.uniform(accept_key)) < gain
    order = jnp.arange(k)
    order = jnp.where(accepted, order.at[a].set(b).at[b].set(a), order)
    return components.take(order)


def _sweep(prior: Mixture, x, state: _State, key) -> tuple[_State, tuple]:
    """New weights, components and labels; also the former two and the likelihood under them."""
    structure, counts = prior.structure, state.stats.counts
    weight_key, law_key, swap_key, label_key = jax.random.split(key, 4)
    components = prior.components.posterior(state.stats).sample(law_key)
    concentration = state.concentration
    if isinstance(prior.weights, StickBreaking):
        log_weights, concentration = _stick_weights(prior.weights, counts, concentration, weight_key)
        components = _exchanged(components, log_weights, counts, swap_key)
    else:
        log_weights = _dirichlet_weights(prior.weights, counts, weight_key)
    natural = components.natural()
    values = scores(structure, natural._replace(level=natural.level + log_weights))(x)
    labels = jax.random.categorical(label_key, values, axis=1)
    stats = from_labels(structure, prior.tied, x, labels, prior.n_components, jnp.ones(len(x), x.dtype))
    return _State(stats, labels, concentration), (log_weights, components.mean, components.covariance, logsumexp(values, axis=1).sum())


def _swept(prior: Mixture, x, state: _State, key, n_sweeps) -> tuple[_State, tuple]:
    """Several sweeps, and what the last one saw."""
    seen = jax.eval_shape(lambda: _sweep(prior, x, state, key)[1])
    blank = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), seen)
    return jax.lax.fori_loop(0, n_sweeps, lambda i, s: _sweep(prior, x, s[0], jax.random.fold_in(key, i)), (state, blank))


@jit
def _started(prior: Mixture, x, labels) -> _State:
    """Chains at labels (C, N)."""
    sticks = isinstance(prior.weights, StickBreaking)
    first = jnp.asarray(prior.weights.shape / prior.weights.rate if sticks else 0, x.dtype)
    weight = jnp.ones(len(x), x.dtype)
    return jax.vmap(lambda one: _State(from_labels(prior.structure, prior.tied, x, one, prior.n_components, weight), one, first))(labels)


@jit
def _block(prior: Mixture, x, states: _State, keys, n_sweeps) -> tuple[_State, Chains]:
    """A draw of each chain for each of its keys (C, B), after so many sweeps (B,), and where the chains are then."""

    def kept(state, given):
        key, n = given
        state, (log_weights, mean, covariance, log_likelihood) = _swept(prior, x, state, key, n)
        return state, Chains(log_weights, mean, covariance, state.labels, log_likelihood, state.concentration)

    return jax.vmap(lambda state, some: jax.lax.scan(kept, state, (some, n_sweeps)))(states, keys)


@jit(static_argnames=("n",), brief=True)
def _split(keys, n: int):
    """Keys (C, n) of the draws of each chain."""
    return jax.vmap(lambda key: jax.random.split(key, n))(keys)


def _nothing(done: int) -> None:
    """Tell nobody."""


def chains(prior: Mixture, x, labels, keys, n_burn, thin, *, n_draws: int, notify: Callable[[int], None] = _nothing) -> Chains:
    """Run several chains at once.

    Parameters
    ----------
    prior : Mixture
        Dirichlet or stick-breaking weights and a Normal-Wishart law, in the coordinates of the rows.
    x : Array, shape (N, D)
    labels : Array of int, shape (C, N)
        Where each chain starts.
    keys : jax.Array, shape (C,)
        A random key for each chain.
    n_burn : int
        Sweeps before the first draw.
    thin : int
        Sweeps from one draw to the next.
    n_draws : int
        Draws kept of each chain.
    notify : callable
        Told how many draws of each chain are there.

    Returns
    -------
    Chains
        Labels of a draw are those drawn given its weights and components. They are drawn `BLOCK` at a time, so that one compiled program
        serves any number of draws; the last block is cut.
    """
    n_blocks = -(-n_draws // BLOCK)
    states, keys = _started(prior, x, jnp.asarray(labels)), _split(keys, n_blocks * BLOCK)
    n_sweeps = jnp.full(n_blocks * BLOCK, thin).at[0].add(n_burn)
    parts = []
    for i in range(n_blocks):
        some = slice(i * BLOCK, (i + 1) * BLOCK)
        states, found = in_halves(partial(_block, prior, x, n_sweeps=n_sweeps[some]), states, keys[:, some])
        parts.append(found)
        notify(min((i + 1) * BLOCK, n_draws))
    return jax.tree.map(lambda *blocks: jnp.concatenate(blocks, 1)[:, :n_draws], *parts)
