r"""Posteriors renewed after every part of the rows instead of after all of them.

Memoized: the statistics of each part are kept. A part that is read again replaces its own share of the sum, then the posterior is renewed
at once. Every renewal raises the same bound,

.. math:: \sum_b H_b + \langle \eta, \sum_b s_b \rangle - \mathrm{penalty},

where :math:`H_b` is the entropy of the responsibilities that part b had when its statistics :math:`s_b` were made; where nothing moves
any more it is the bound of exact passes. Neal & Hinton (1998), A view of the EM algorithm that justifies incremental, sparse, and other
variants; Hughes & Sudderth (2013), Memoized online variational inference for Dirichlet process mixture models, NIPS.

Streaming: rows are seen once. The posterior of those before is the prior of the next, which for these laws means that statistics add up;
the same bound holds, of all rows seen, with early responsibilities as they were. Broderick, Boyd, Wibisono, Wilson & Jordan (2013),
Streaming variational Bayes, NIPS.

Stochastic: the statistics are an average that each batch, scaled up to all rows, moves by a shrinking step, a natural-gradient step on the
bound. It ends near an optimum, not at it. Hoffman, Blei, Wang & Paisley (2013), Stochastic variational inference, JMLR 14, eq. 15.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from itertools import islice
from typing import Any

import jax
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.pytree import pytree
from bayesgmm.core.statistics import Natural, Stats, complete_log_prob
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import soft
from bayesgmm.inference.problem import Inward
from bayesgmm.inference.steps import added, natural
from bayesgmm.inference.stream import Batch, Statistics, workers

PARTS = 64
"""Most parts whose statistics are kept."""

SWEEPS, EPOCHS = 20, 3
"""Most times that all rows are read: memoized, and stochastic."""

DELAY, FORGETTING = 1.0, 0.7
"""The t-th stochastic step has the length ``(t + DELAY) ** -FORGETTING``, t from 0."""

Told = Callable[[str], None]


class Rows:
    """Batches of rows in the user's units, as often as they are asked for, and how their statistics are made.

    Parameters
    ----------
    read : callable
        Answers the batches, in order.
    n_batches : int
    total : float
        Sum of the weights of all rows.
    inward, dtype, chunk_size
        As of `bayesgmm.inference.stream.Passes`.
    """

    def __init__(
        self, read: Callable[[], Iterable[Batch]], n_batches: int, total: float, inward: Inward, dtype: str, chunk_size: int | None = None
    ):
        self._read, self.n_batches, self.total = read, n_batches, total
        self._given = (inward, dtype, soft, chunk_size)

    def batches(self) -> Iterator[Batch]:
        """All batches, read in this thread: connections to data bases belong to one."""
        yield from self._read()

    def statistics(self, trial: Mixture, known: Natural, batch: Batch) -> Stats:
        """Statistics of one batch under a trial."""
        return Statistics(trial, known, None, *self._given)((0, 0), batch)[0]


def memoized(rows: Rows, prior: Any, start: Mixture, tol: float, told: Told = lambda text: None) -> Mixture:
    """A posterior near a fixed point, from ``start``; stops when a sweep gains at most ``tol`` nats per unit of weight."""
    share = -(-rows.n_batches // PARTS)
    posterior, known = _both(start)
    kept: list[Stats] = []
    entropy: list[float] = []
    before = -np.inf
    for sweep in range(SWEEPS):
        batches = rows.batches()
        total = reduce(added, kept) if kept else None
        for part in range(-(-rows.n_batches // share)):
            with workers() as each:
                new = reduce(added, each(partial(rows.statistics, posterior, known), islice(batches, share)))
            spread = float(_entropy(posterior.structure, known, new))
            if total is None:
                kept.append(new)
                entropy.append(spread)
                continue
            total = jax.tree.map(lambda whole, old, now: whole - old + now, total, kept[part], new)
            kept[part], entropy[part] = new, spread
            posterior, known = _renewed(prior, total)
        total = reduce(added, kept)
        posterior, known = _renewed(prior, total)
        bound = sum(entropy) + float(_expected(prior, posterior, known, total))
        told(f"memoized sweep {sweep + 1}, bound in inner coordinates {bound:.6f}")
        if bound - before <= tol * rows.total:
            break
        before = bound
    return posterior


def stochastic(rows: Rows, prior: Any, start: Mixture, epochs: int, told: Told = lambda text: None) -> Mixture:
    """A posterior near an optimum, from ``start``, after a number of readings of all rows."""
    posterior, known = _both(start)
    average: Stats | None = None
    step = 0
    for epoch in range(epochs):
        for batch in rows.batches():
            new = rows.statistics(posterior, known, batch).scaled(rows.total / float(batch[1].sum())) if batch[1].any() else None
            if new is None:
                continue
            length = (step + DELAY) ** -FORGETTING
            average = new if average is None else added(average.scaled(1 - length), new.scaled(length))
            posterior, known = _renewed(prior, average)
            step += 1
        told(f"stochastic epoch {epoch + 1} of {epochs}")
    return posterior


@pytree
class Seen:
    """A prior, and what rows seen before add to it: as a prior for further rows.

    Parameters
    ----------
    prior : Mixture or MAP
    stats : Stats
        Of the rows seen.
    entropy : Array, shape ()
        Of their responsibilities.
    """

    prior: Any
    stats: Stats
    entropy: Any

    def posterior(self, stats: Stats) -> Mixture:
        """Given further rows, too."""
        return self.prior.posterior(self.stats + stats)

    def penalty(self, q: Mixture):
        """So charged that the bound of further rows is that of all."""
        return self.prior.penalty(q) - complete_log_prob(q.structure, q.natural(), self.stats) - self.entropy


def entropy_of(posterior: Mixture, stats: Stats):
    """Entropy of the responsibilities that gave ``stats`` under ``posterior``."""
    return _entropy(posterior.structure, natural(posterior), stats)


@jit(brief=True)
def seen_together(seen: Seen, posterior: Mixture, stats: Stats) -> Stats:
    """Statistics of the rows of ``seen`` and of further ones; their ``log_norm`` is that of the bound of all under ``posterior``."""
    known = posterior.natural()
    total = seen.stats + stats
    entropy = seen.entropy + stats.log_norm - complete_log_prob(posterior.structure, known, stats)
    return total._replace(log_norm=entropy + complete_log_prob(posterior.structure, known, total))


def _both(posterior: Mixture) -> tuple[Mixture, Natural]:
    return jax.tree.map(np.asarray, (posterior, natural(posterior)))


def _renewed(prior: Any, total: Stats) -> tuple[Mixture, Natural]:
    return _both(_posterior(prior, total))


@jit
def _posterior(prior, total: Stats):
    return prior.posterior(total)


@jit(static_argnames=("structure",), brief=True)
def _entropy(structure, known: Natural, stats: Stats):
    return stats.log_norm - complete_log_prob(structure, known, stats)


@jit(brief=True)
def _expected(prior, posterior: Mixture, known: Natural, total: Stats):
    return complete_log_prob(posterior.structure, known, total) - prior.penalty(posterior)
