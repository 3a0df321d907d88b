"""Several starts, one answer: short runs of all, long runs of the best (of all, where that is cheap), the best bound wins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.inference.loop import Outcome, Result, run
from bayesgmm.inference.problem import Problem

SHORT = 20
"""Steps of a first run when there are several starts (short-run EM, Biernacki, Celeux & Govaert 2003)."""


CHEAP = 200_000
"""Rows x columns x components up to which every start gets a long run."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How far to iterate: ``tol`` nats per row still to come, at most ``max_steps`` passes, rows a chunk."""

    tol: float = 1e-8
    max_steps: int = 1000
    chunk_size: int | None = None


@dataclasses.dataclass
class Fit:
    """A result with its path on the host: all bounds passed through, and the final bounds of all starts."""

    prior: Any
    result: Result
    history: np.ndarray
    start_bounds: tuple[float, ...] = ()

    @property
    def bound(self) -> float:
        return float(self.result.lower_bound)

    @property
    def outcome(self) -> Outcome:
        return Outcome(int(self.result.outcome))

    @property
    def n_steps(self) -> int:
        return len(self.history) - 1


def advance(prior, start: Mixture, problem: Problem, settings: Settings, limit: int, before: np.ndarray | None = None) -> Fit:
    """Run the loop for at most ``limit`` steps; ``before`` is the history that led to ``start``."""
    result = run(
        prior,
        start,
        problem.x,
        problem.weight,
        settings.tol,
        limit,
        max_steps=settings.max_steps,
        chunk_size=settings.chunk_size,
    )
    new = np.asarray(result.history)[: int(result.n_steps) + 1]
    return Fit(prior, result, new if before is None else np.concatenate([before[:-1], new]))


def proceed(fit: Fit, problem: Problem, settings: Settings, limit: int | None = None) -> Fit:
    """Continue a fit where it stopped."""
    limit = settings.max_steps - fit.n_steps if limit is None else limit
    if fit.outcome != Outcome.MAX_STEPS or limit <= 0:
        return fit
    return advance(fit.prior, fit.result.posterior, problem, settings, limit, fit.history)


def best_of(
    prior,
    starts: Sequence[Callable[[], Mixture]],
    problem: Problem,
    settings: Settings,
    usable: Callable[[Result], bool] = lambda result: True,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Fit]:
    """Fit from every start; the long-run fits, best first.

    Parameters
    ----------
    starts : sequence of callables without arguments
        Each makes one starting posterior.
    usable : callable
        Fits for which it is False (collapsed components) rank behind all others.
    notify : callable
        Told in words where the search is.
    """

    def rank(fit: Fit):
        finite = bool(np.isfinite(fit.bound))
        return finite and usable(fit.result), fit.bound if finite else -np.inf

    short = min(SHORT, settings.max_steps) if len(starts) > 1 else settings.max_steps
    fits = []
    for i, start in enumerate(starts):
        notify(f"start {i + 1} of {len(starts)}")
        fits.append(advance(prior, start(), problem, settings, short))
    fits.sort(key=rank, reverse=True)
    n_long = len(fits) if problem.x.size * prior.n_components <= CHEAP else -(-len(fits) // 3)
    for i in range(n_long):
        notify(f"long run {i + 1} of {n_long}")
        fits[i] = proceed(fits[i], problem, settings)
    bounds = tuple(fit.bound for fit in fits)
    long = sorted(fits[:n_long], key=rank, reverse=True)
    for fit in long:
        fit.start_bounds = bounds
    return long


def split_keys(seed: int, n: int) -> list[jax.Array]:
    """Independent random keys for ``n`` starts."""
    return list(jax.random.split(jax.random.key(seed), n))
