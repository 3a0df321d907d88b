r"""Anderson acceleration of the loop, in the space of statistics.

A pass maps statistics T to G(T): posterior, then E-step. Plain iteration goes on from G(T). Anderson's method goes on from the
affine combination of the last few G(T) whose residuals G(T) - T cancel best, which is exact for a linear map after as many passes
as it has directions. Every pass yields the exact bound of its posterior, so the loop takes a proposal only where the bound does not
fall, and the plain step otherwise.

Anderson (1965), Journal of the ACM 12; Walker & Ni (2011), SIAM J. Numerical Analysis 49, eqs. 2.1-2.3; for EM with a safeguard:
Henderson & Varadhan (2019), J. Computational and Graphical Statistics 28.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.linalg import cholesky, solve_lower
from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.statistics import Stats

DEPTH = 5
"""Passes kept by default."""

RIDGE = 1e-12
"""Added to the inner products of residual differences, relative to the largest of them."""

SLOWEST = 1e-3
"""Smallest contraction per pass that is believed when the gain still to come is estimated."""

GROWTH = 1.5
"""Factor by which an over-relaxed step is lengthened after each success (Salakhutdinov & Roweis 2003, ICML)."""

LONGEST_WAIT = 32
"""Most over-relaxed steps before Anderson's proposal is tried again."""


@pytree
class Memory:
    """The last few passes from statistics T to G(T), the latest first, and what was learnt of the kinds of steps.

    Statistics are held as vectors, free of units: counts, sums, scatter and, if there are any, those of tails, one after the other.

    Parameters
    ----------
    residuals, images : Array, shape (depth, P)
        G(T) - T, and G(T).
    known : Array of bool, shape (depth,)
    unit : Array, shape ()
        Root mean square of the rows, the unit of length.
    stretch : Array, shape ()
        Length of the next over-relaxed step; 1 is the plain step.
    wait, pause : Array of int, shape ()
        Steps left before Anderson's proposal is tried again, and how many there will be after its next failure.
    """

    residuals: jax.Array
    images: jax.Array
    known: jax.Array
    unit: jax.Array
    stretch: jax.Array
    wait: jax.Array
    pause: jax.Array


def _vector(stats: Stats, unit):
    more = [] if stats.tails is None else [stats.tails.ravel()]
    return jnp.concatenate([stats.counts, (stats.sums / unit).ravel(), (stats.scatter / unit**2).ravel(), *more])


def _stats(vector, unit, like: Stats) -> Stats:
    k = like.counts.size
    sums, scatter, tails = jnp.split(vector[k:], np.cumsum([like.sums.size, like.scatter.size]))
    found = Stats(like.log_norm, vector[:k], sums.reshape(like.sums.shape) * unit, scatter.reshape(like.scatter.shape) * unit**2)
    return found if like.tails is None else found._replace(tails=tails.reshape(like.tails.shape))


def empty(stats: Stats, depth: int) -> Memory:
    """Nothing known yet; ``stats`` tell shapes and the unit."""
    size = sum(a.size for a in jax.tree.leaves(stats[1:]))
    blank = jnp.zeros((depth, size), stats.counts.dtype)
    unit = jnp.sqrt(jnp.sqrt((stats.scatter.sum(0) ** 2).sum()) / stats.counts.sum())
    return Memory(blank, blank, jnp.zeros(depth, bool), unit, jnp.ones(()), jnp.zeros((), int), jnp.ones((), int))


def remember(memory: Memory, before: Stats, after: Stats) -> Memory:
    """Add the pass from ``before`` to ``after``, a success of the kind of step that was due; the oldest is forgotten."""
    image = _vector(after, memory.unit)
    residual = image - _vector(before, memory.unit)

    def push(past, new):
        return jnp.concatenate([new[None], past[:-1]])

    waiting = memory.wait > 0
    return replace(
        memory,
        residuals=push(memory.residuals, residual),
        images=push(memory.images, image),
        known=push(memory.known, jnp.ones((), bool)),
        stretch=jnp.where(waiting, memory.stretch * GROWTH, 1),
        wait=jnp.where(waiting, memory.wait - 1, 0),
        pause=jnp.where(waiting, memory.pause, 1),
    )


def refuse(memory: Memory) -> Memory:
    """What to do after a proposal that lowered the bound: wait with Anderson's, or shorten the over-relaxed step."""
    waiting = memory.wait > 0
    return replace(
        memory,
        stretch=jnp.ones(()),
        wait=jnp.where(waiting, memory.wait, memory.pause),
        pause=jnp.where(waiting, memory.pause, jnp.minimum(2 * memory.pause, LONGEST_WAIT)),
    )


def _differences(memory: Memory, of) -> jax.Array:
    """Earlier entries less the latest, (depth - 1, P); 0 where unknown."""
    return jnp.where(memory.known[1:, None], of[1:] - of[0], 0)


def _combined(memory: Memory) -> jax.Array:
    """Anderson's shares (depth - 1,) of the earlier passes."""
    changes = _differences(memory, memory.residuals)
    gram = changes @ changes.T
    factor = cholesky(gram + jnp.diag(jnp.where(memory.known[1:], RIDGE * jnp.diagonal(gram).max(), 1)))
    inverse = solve_lower(factor, jnp.eye(len(gram), dtype=gram.dtype))
    return -inverse.T @ (inverse @ (changes @ memory.residuals[0]))


def propose(memory: Memory, plain: Stats):
    """Statistics to go on from, and whether they are the plain step.

    Anderson's proposal; while that is waiting (near a saddle it points back to it) an over-relaxed step; the plain step where too little
    is known or a count would be negative.
    """
    share, waiting = _combined(memory), memory.wait > 0
    step = jnp.where(waiting, (memory.stretch - 1) * memory.residuals[0], share @ _differences(memory, memory.images))
    moved = _stats(step, memory.unit, plain)
    proposal = (plain + moved)._replace(log_norm=plain.log_norm)
    enough = jnp.where(waiting, memory.known[0] & (memory.stretch > 1), memory.known[:2].all())
    usable = enough & (proposal.counts >= 0).all() & jnp.isfinite(share).all()
    if proposal.tails is not None:
        usable = usable & (proposal.tails[:, 0] >= 0).all()
    return jax.tree.map(lambda a, b: jnp.where(usable, a, b), proposal, plain), ~usable


def slowness(memory: Memory):
    """Smallest share of an error that a pass was seen to remove; tiny where convergence is slow, 0 while nothing is known."""
    changes = _differences(memory, memory.residuals)
    moves = _differences(memory, memory.images) - changes
    before, after = (moves**2).sum(1), (changes**2).sum(1)
    seen = memory.known[1:] & (before > 0)
    rate = jnp.sqrt(jnp.where(seen, after / jnp.where(seen, before, 1), jnp.inf)).min()
    return jnp.where(seen.any(), jnp.clip(rate, SLOWEST, 1), 0)


def residual_norm(memory: Memory):
    """How much the latest pass changed the statistics, free of units."""
    return jnp.sqrt((memory.residuals[0] ** 2).sum())
