"""Passes over rows of which something is unknown, or something more is known than their numbers.

Rows lie in blocks of one pattern each: the same columns were seen, with the same errors. What each component says of a block is one small
factorization (`bayesgmm.core.latent`); after that, rows are scored and summed up as complete ones are, with expected rows and their scatter
in place of the rows. Labels known beforehand limit the components that a row may belong to, and rows known to belong together share one set
of responsibilities: the bound is then one on the log probability of the rows and of what is known of their labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, logsumexp

from bayesgmm.core.components import NormalWishart
from bayesgmm.core.frozen import Frozen
from bayesgmm.core.latent import Completed, Latent, completed, latent, student_log_prob
from bayesgmm.core.linalg import NEVER, solve_lower
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import WithNoise
from bayesgmm.core.pytree import pytree, replace
from bayesgmm.core.statistics import Natural, Stats, log_tail
from bayesgmm.core.student import Student
from bayesgmm.inference.kernel import accumulate, soft

NUMBERS = 2**17
"""About how many numbers are held at a time."""


@pytree
class Partial:
    """Rows in blocks, in coordinates where every column has unit spread; N' = M B, filled up with rows of weight 0.

    Parameters
    ----------
    x : Array, shape (M, B, D)
        Rows; any finite number where a column was not seen.
    seen : Array of bool, shape (M, D)
    log_scale : Array, shape (M,)
        Log of the product of the units of the columns seen: densities are in the user's units.
    error : Array, shape (M, D, D), or None
        Covariance of the errors of the numbers seen.
    allowed : Array of bool, shape (M, B, C + 1), or None
        Which of the first C components each row may belong to, and whether to any other.
    group : Array of int, shape (M, B), or None
        Rows of the same number belong to the same component: N' and the place of the first of them; the place itself for a row of no group.
    turn : Array, shape (D, D), or None
        Takes the coordinates of a fit to these.
    """

    x: Any
    seen: Any
    log_scale: Any
    error: Any = None
    allowed: Any = None
    group: Any = None
    turn: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        m, b, d = self.x.shape
        return m * b, d

    @property
    def dtype(self) -> Any:
        return self.x.dtype

    def _latent(self, structure, natural: Natural) -> Latent:
        return self._turned(latent(structure, jax.tree.map(lambda a: a.astype(self.dtype), natural)))

    def _turned(self, known: Latent) -> Latent:
        """Scores as functions of rows in these coordinates."""
        return known if self.turn is None else known.turned(self.turn.astype(self.dtype))

    def _blocks(self) -> dict[str, jax.Array]:
        """What differs from block to block."""
        fields = {name: getattr(self, name) for name in ("x", "seen", "log_scale", "error", "allowed")}
        return {name: value for name, value in fields.items() if value is not None}

    def _at_a_time(self, n_components: int) -> int:
        """Blocks worked on together."""
        _, b, d = self.x.shape
        return int(np.clip(NUMBERS // (n_components * d * (3 * d + 2 * b)), 1, len(self.x)))

    def scores(self, structure, natural: Natural, weight):
        """Scores (K, N') of all rows, in the user's units; rows of a group share theirs, and its log density is divided among them."""
        scores = self._scores(self._latent(structure, natural))
        if self.group is None:
            return scores
        shared, joint, total = self._shared(scores, weight)
        norm = logsumexp(shared, axis=0)
        return shared + jnp.where(joint, norm / jnp.where(total > 0, total, 1) - norm, 0)

    def _scores(self, known: Latent):
        k = len(known.log_mass)
        found = jax.lax.map(lambda block: _scored(known, block)[0], self._blocks(), batch_size=self._at_a_time(k))
        return jnp.moveaxis(found, 1, 0).reshape(k, -1)

    def log_norm(self, known: Latent, weight):
        """Sum over rows of the log of their scores' exponentials' sum, of scores as functions of whole rows in the coordinates of a fit."""
        scores = self._scores(self._turned(known))
        return self._together(scores, weight, soft)[0] if self.group is not None else weight @ logsumexp(scores, axis=0)

    def predictive_log_prob(self, law: NormalWishart | Student | Frozen | WithNoise):
        """Log density (N', K) of the numbers seen under each component, in the user's units: Student t (Bishop 10.81-10.82)."""
        if isinstance(law, WithNoise):
            noise = -jnp.repeat((self.seen * law.region.log_sides).sum(1), self.x.shape[1])
            return jnp.concatenate([self.predictive_log_prob(law.law), noise[:, None]], 1)
        if isinstance(law, Frozen):
            known = replace(self, allowed=None)._scores(self._latent(law.structure, law.known.natural())).T
            return jnp.concatenate([known, self.predictive_log_prob(law.law)], 1) if len(law.law.mean) else known
        structure, d, k = law.structure, law.n_features, len(law.mean)
        count, size, _ = structure.blocks(d)
        heavy = isinstance(law, Student)
        known, dof, apart = law.predictive(), law.dof if heavy else law.dof - size + 1, count > 1 and not heavy
        dof, mean = jnp.broadcast_to(dof, (k,)), known.mean
        shape = jnp.broadcast_to(structure.to_dense(known.covariance, d), (k, d, d))
        if self.turn is not None:
            mean, shape = mean @ self.turn.T, self.turn @ shape @ self.turn.T

        def one(block):
            say = lambda m, s, n: student_log_prob(m, s, n, block["x"], block["seen"], apart)  # noqa: E731
            return jax.vmap(say)(mean, shape, dof) - block["log_scale"]

        found = jax.lax.map(one, self._blocks(), batch_size=self._at_a_time(k))
        return jnp.moveaxis(found, 1, 2).reshape(-1, k)

    def completions(self, structure, natural: Natural) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Scores (M, K, B), and what each component expects of whole rows: means (M, K, B, D), covariances (M, K, D, D)."""
        known, size = self._latent(structure, natural), self._at_a_time(len(natural.level))

        def one(block):
            scores, found = _scored(known, block)
            return scores, found.mean, found.covariance

        return jax.lax.map(one, self._blocks(), batch_size=size)

    def collect(self, posterior: Mixture, weight, assign: Callable = soft, chunk_size: int | None = None) -> Stats:
        """E-step and statistics, as `bayesgmm.inference.kernel.collect` of complete rows, so many at a time; ``weight`` (N',)."""
        natural = posterior.natural()
        known, structure = self._latent(posterior.structure, natural), posterior.structure
        shape, kept = self.x.shape[:2], natural.level.dtype
        given = None if self.group is None else self._together(self._scores(known), weight, assign)

        def one(blocks, others):
            sums = jax.vmap(lambda block, weights, resp: _summed(known, block, weights, resp, assign))(blocks, *others)
            return jax.tree.map(lambda a: a.sum(0).astype(kept), sums)

        resp = None if given is None else jnp.moveaxis(given[1].reshape(-1, *shape), 0, 1)
        others = weight.astype(self.dtype).reshape(shape), resp
        size = max(chunk_size // shape[1], 1) if chunk_size else self._at_a_time(len(natural.level))
        stats = Stats(*accumulate(one, self._blocks(), others, size))
        stats = stats if given is None else stats._replace(log_norm=given[0].astype(kept))
        return self._inward(structure, posterior.tied, stats)

    def _shared(self, scores, weight):
        """Scores (K, N') of which rows of a group have the same, whether each row is of a group, and the weight of its group.

        Such rows count in the score of the group as often as their weight says.
        """
        group, n = self.group.reshape(-1), len(weight)
        joint = group >= n
        parts = jnp.concatenate([scores * jnp.where(joint, weight, 1), weight[None]])
        found = jax.ops.segment_sum(parts.T, group, 2 * n)[group].T
        return found[:-1], joint, found[-1]

    def _together(self, scores, weight, assign: Callable):
        """Sum of the normalisers, one for each group, and responsibilities (K, N')."""
        shared, joint, _ = self._shared(scores, weight)
        norm, resp = assign(shared, 0)
        n = len(weight)
        first = self.group.reshape(-1) == n + jnp.arange(n)
        return jnp.where(joint, jnp.where(first, norm, 0), weight * norm).sum(), resp

    def _inward(self, structure, tied: bool, stats: Stats) -> Stats:
        """Dense statistics of rows in these coordinates as those of a fit."""
        sums, scatter = stats.sums, stats.scatter
        if self.turn is not None:
            back = solve_lower(self.turn, jnp.eye(len(self.turn))).astype(sums.dtype)
            sums, scatter = sums @ back.T, back @ scatter @ back.T
        packed = structure.from_dense(scatter)
        return stats._replace(sums=sums, scatter=packed.sum(0, keepdims=True) if tied else packed)


def _scored(known: Latent, block: dict) -> tuple[jax.Array, Completed]:
    """Scores (K, B) of a block, and what each component says of its rows."""
    spread = jnp.broadcast_to(known.covariance, (len(known.mean), *known.covariance.shape[1:]))
    say = lambda mean, covariance: completed(mean, covariance, block["x"], block["seen"], block.get("error"))  # noqa: E731
    found = jax.vmap(say)(known.mean, spread)
    log_prob = found.log_prob
    if known.dof is not None:  # Student t with as many degrees of freedom in the columns seen
        dof, n_seen = known.dof[:, None], block["seen"].sum()
        bent = log_tail(dof, n_seen) - (dof + n_seen) / 2 * jnp.log1p((known.offset[:, None] + found.squares) / dof)  # type: ignore[index]
        log_prob = log_prob + found.squares / 2 + bent
    scores = known.log_mass[: len(log_prob), None] + log_prob - block["log_scale"]
    if known.log_sides is not None:
        scores, found = _and_noise(known, block, scores, found)
    if "allowed" in block:
        scores = jnp.where(_mask(block["allowed"], len(scores)), scores, NEVER)
    return scores, found


def _and_noise(known: Latent, block: dict, scores, found: Completed) -> tuple[jax.Array, Completed]:
    """Scores and completions with those of noise, which is uniform in the columns seen and expects the mean of all data in the others."""
    noise = jnp.broadcast_to(known.log_mass[-1] - (known.log_sides * block["seen"]).sum(), scores[:1].shape)
    more = Completed(noise, block["x"][None], jnp.zeros_like(found.covariance[:1]), jnp.zeros_like(noise))
    return jnp.concatenate([scores, noise]), Completed(*(jnp.concatenate(pair) for pair in zip(found, more, strict=True)))


def _mask(allowed, n_components: int):
    """Whether each of all components (K, B) may be that of each row."""
    return allowed[:, np.minimum(np.arange(n_components), allowed.shape[1] - 1)].T


def _summed(known: Latent, block: dict, weight, resp, assign: Callable):
    """Fields of `Stats` of a block, with dense scatter (K, D, D); ``resp`` (B, K) where they are known."""
    scores, found = _scored(known, block)
    norm, own = assign(scores, 0)
    share = (own if resp is None else resp) * weight
    counts, pulled, tails = share.sum(1), share, None
    if known.dof is not None:
        pull, log_pull = _weights(known, block, found.squares)
        pulled = share * pull
        tails = jnp.stack([pulled.sum(1), (share * log_pull).sum(1)], 1)
    sums = jnp.einsum("kb,kbd->kd", pulled, found.mean)
    # what is missing scatters by 1 / u of the covariance, and counts u times
    scatter = jnp.einsum("kb,kbi,kbj->kij", pulled, found.mean, found.mean) + counts[:, None, None] * found.covariance
    return weight @ norm, counts, sums, scatter, tails


def _weights(known: Latent, block: dict, squares):
    """Expected weights u (K, B) of rows and expected log u, given the columns seen; those of noise mean nothing."""
    more = len(squares) - len(known.dof)  # type: ignore[arg-type]
    dof, offset = (jnp.pad(jnp.asarray(a), (0, more), constant_values=1)[:, None] for a in (known.dof, known.offset))
    shape, rate = (dof + block["seen"].sum()) / 2, (dof + offset + squares) / 2
    return shape / rate, digamma(shape) - jnp.log(rate)
