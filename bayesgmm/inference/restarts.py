"""Several starts, one answer: short runs of all, long runs of the best (of all, where that is cheap), the best bound wins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.pytree import replace
from bayesgmm.inference.accelerate import DEPTH
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.loop import Outcome, Result, run
from bayesgmm.inference.problem import Problem
from bayesgmm.inference.threads import pays, run_in_threads

SETTLED = 1e-12
"""Change of the statistics, per row and in units of the data's spread, below which a polished fit stops."""

SHORT = 20
"""Steps of a first run when there are several starts (short-run EM, Biernacki, Celeux & Govaert 2003)."""


CHEAP = 200_000
"""Rows x columns x components up to which every start gets a long run."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How far to iterate: ``tol`` nats per row still to come, at most ``max_steps`` passes, rows a chunk, passes kept to accelerate."""

    tol: float = 1e-8
    max_steps: int = 1000
    chunk_size: int | None = None
    depth: int = DEPTH

    @property
    def strict(self) -> bool:
        """Whether parameters are wanted to many digits: a looser tolerance than the default is taken at its word."""
        return self.depth > 0 and self.tol <= Settings.tol


SAME = 0.1
"""Nats within which two fits count as the same optimum."""


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
    def agreement(self) -> float:
        """Share of the starts whose runs end within `SAME` nats of the best; 1 for a single start, which tells nothing.

        Starts given up after a short run count as they ended: on large data it is a lower limit.
        """
        bounds = np.array(self.start_bounds)
        return float(np.mean(bounds > np.nanmax(bounds) - SAME)) if len(bounds) > 1 and np.isfinite(bounds).any() else 1.0

    @property
    def outcome(self) -> Outcome:
        return Outcome(int(self.result.outcome))

    @property
    def n_steps(self) -> int:
        return len(self.history) - 1


def advance(
    prior,
    start: Mixture,
    problem: Problem,
    settings: Settings,
    limit: int,
    before: np.ndarray | None = None,
    settle: float = np.inf,
) -> Fit:
    """Run the loop for at most ``limit`` steps; ``before`` is the history that led to ``start``; ``settle`` as in `run`."""
    options = {"max_steps": settings.max_steps, "chunk_size": settings.chunk_size, "depth": settings.depth}
    x, weight = problem.passed
    loop = run_in_threads if pays(start, x) else run
    result = loop(prior, start, x, weight, settings.tol, limit, settle, **options)
    new = np.asarray(result.history)[: int(result.n_steps) + 1]
    return Fit(prior, result, new if before is None else np.concatenate([before[:-1], new]))


def proceed(fit: Fit, problem: Problem, settings: Settings, limit: int | None = None) -> Fit:
    """Continue a fit where it stopped."""
    limit = settings.max_steps - fit.n_steps if limit is None else limit
    if fit.outcome != Outcome.MAX_STEPS or limit <= 0:
        return fit
    return advance(fit.prior, fit.result.posterior, problem, settings, limit, fit.history)


def polish(fit: Fit, problem: Problem, settings: Settings) -> Fit:
    """Take a converged fit on until its statistics stand still, so that parameters have digits to spare.

    A bound known to 1e-15 of itself fixes the parameters at its top to 1e-7 only. At most half as many passes as were made, trials of
    smaller models included, or as may be made.
    """
    limit = min(fit.n_steps // 2 + 10, settings.max_steps // 2)
    if not settings.strict or fit.outcome != Outcome.CONVERGED or limit <= 0:
        return fit
    better = advance(fit.prior, fit.result.posterior, problem, settings, limit, fit.history, SETTLED)
    if better.outcome not in (Outcome.CONVERGED, Outcome.MAX_STEPS):
        return fit
    result = replace(better.result, outcome=fit.result.outcome)
    return dataclasses.replace(better, result=result, start_bounds=fit.start_bounds)


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

    def best_first(fits: list[Fit]) -> list[Fit]:
        return sorted(fits, key=rank, reverse=True) if len(fits) > 1 else fits

    short = min(SHORT, settings.max_steps) if len(starts) > 1 else settings.max_steps
    fits = []
    for i, start in enumerate(starts):
        notify(f"start {i + 1} of {len(starts)}")
        fits.append(advance(prior, start(), problem, settings, short))
    fits = best_first(fits)
    n_long = len(fits) if problem.x.size * prior.n_components <= CHEAP else -(-len(fits) // 3)
    for i in range(n_long):
        notify(f"long run {i + 1} of {n_long}")
        fits[i] = proceed(fits[i], problem, settings)
    bounds = tuple(fit.bound for fit in fits)
    long = best_first(fits[:n_long])
    for fit in long:
        fit.start_bounds = bounds
    return long


@jit(static_argnames=("n",), brief=True)
def split_keys(seed: int, n: int) -> tuple[jax.Array, ...]:
    """Independent random keys for ``n`` starts."""
    return tuple(jax.random.split(jax.random.key(seed), n))
