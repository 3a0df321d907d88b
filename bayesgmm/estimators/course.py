"""The course of a fit to rows of a source: passes until it converges, merges where the bound says so, and a checkpoint all along."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesgmm.estimators.checkpoint import Checkpoint
from bayesgmm.inference.incremental import EPOCHS, Rows, memoized, stochastic
from bayesgmm.inference.loop import Limits, Outcome, State, finish
from bayesgmm.inference.moves import GAIN, PROBE, TRIAL, TRIES, compact, merges
from bayesgmm.inference.restarts import SETTLED, Fit, Settings
from bayesgmm.inference.steps import drive, first
from bayesgmm.inference.stream import Passes

PASSES = ("exact", "memoized", "stochastic")
"""Ways to go through the rows."""


@dataclasses.dataclass
class Course:
    """What is known on the way is one dictionary, which a checkpoint can hold: ``prior``, ``state`` of the loop, ``limits``, ``bounds`` of
    the starts, and the ``history`` of bounds before the state's own.

    Parameters
    ----------
    passes : Passes
    rows : Rows
        The same rows, for passes that are not exact.
    way : str
        One of `PASSES`.
    settings : Settings
    moves : bool
        Whether two components may be made one.
    checkpoint : Checkpoint, optional
    told : callable
        Told in words where the fit is.
    log_jacobian : float
        From bounds in inner coordinates to those in the user's units.
    """

    passes: Passes
    rows: Rows
    way: str
    settings: Settings
    moves: bool
    checkpoint: Checkpoint | None
    told: Callable[[str], None]
    log_jacobian: float

    def run(self, search: Callable[[], Fit]) -> Fit:
        """The fit to all rows, from what ``search`` finds on a sample or from where an earlier process was stopped."""
        known = self.checkpoint.read() if self.checkpoint else None
        if known is None:
            found = search()
            if not np.isfinite(found.bound):
                return found
            known = self._begun(found)
        try:
            self._passed(known)
            while not np.isfinite(known["limits"].settle) and self._converged(known) and self._merged(known):
                self._passed(known)
            self._settled(known)
        except KeyboardInterrupt:
            known["state"] = _with(known["state"], Outcome.INTERRUPTED)
        return compact(self._fit(known))

    def _fit(self, known: dict[str, Any]) -> Fit:
        state = known["state"]
        history = np.concatenate([known["history"], np.asarray(state.history)[: int(state.step) + 1]])
        return Fit(known["prior"], finish(state), history, tuple(float(bound) for bound in known["bounds"]))

    def _begun(self, found: Fit) -> dict[str, Any]:
        """The state after the first exact pass."""
        prior, start, steps = found.prior, found.result.posterior, self.settings.max_steps
        if self.way == "memoized":
            start = memoized(self.rows, prior, start, self.settings.tol, self.told)
        elif self.way == "stochastic":
            start, steps = stochastic(self.rows, prior, start, min(EPOCHS, steps), self.told), 0
        limits = Limits(*map(np.asarray, (self.rows.total, self.settings.tol, steps, np.inf)))
        known = {"prior": prior, "limits": limits, "bounds": found.start_bounds, "history": np.empty(0)}
        known["state"] = self._first(prior, start, limits)
        if self.way == "stochastic":
            known["state"] = _with(known["state"], Outcome.APPROXIMATE)
        self._save(known, now=True)
        return known

    def _first(self, prior: Any, start: Any, limits: Limits) -> State:
        options = {"max_steps": self.settings.max_steps, "depth": self.settings.depth, "dtype": self.passes.dtype}
        return first(prior, start, self.passes(start), limits, **options)

    def _driven(self, prior: Any, state: State, limits: Limits, after: Callable[[State], None]) -> State:
        return drive(prior, state, self.passes, limits, self.settings.depth, self.passes.dtype, after)

    def _converged(self, known: dict[str, Any]) -> bool:
        return int(known["state"].outcome) == Outcome.CONVERGED

    def _passed(self, known: dict[str, Any]) -> None:
        """Passes until the loop stops, each of which the checkpoint is told of."""

        def after(state: State) -> None:
            known["state"] = state
            self.told(f"pass {int(state.step)} over all rows, bound {float(state.bound) - self.log_jacobian:.6f}")
            self._save(known)

        try:
            self._driven(known["prior"], known["state"], known["limits"], after)
        finally:
            self._save(known, now=True)

    def _merged(self, known: dict[str, Any]) -> bool:
        """Whether some two components were made one because the exact bound is higher; statistics tell which may gain at all."""
        fit = self._fit(known)
        for _, (prior, start) in zip(range(TRIES), merges(fit, least=0.0) if self.moves else (), strict=False):
            self.told("trying a component less")
            limits = known["limits"]._replace(limit=np.asarray(min(PROBE, self.settings.max_steps)))
            state = self._driven(prior, self._first(prior, start, limits), limits, lambda state: None)
            if float(state.bound) <= fit.bound and int(state.outcome) == Outcome.MAX_STEPS and state.gain * TRIAL > fit.bound - state.bound:
                limits = limits._replace(limit=np.asarray(min(TRIAL, self.settings.max_steps)))
                state = self._driven(prior, _with(state, Outcome.RUNNING), limits, lambda state: None)
            if float(state.bound) > fit.bound + GAIN:
                known.update(prior=prior, history=fit.history)
                known["state"] = _with(state, Outcome.RUNNING)
                return True
        return False

    def _settled(self, known: dict[str, Any]) -> None:
        """Further passes after convergence, until the statistics stand still or half as many passes as before were made."""
        state, step = known["state"], int(known["state"].step)
        if np.isinf(known["limits"].settle):
            limit = min(step + step // 2 + 10, self.settings.max_steps)  # of which the history has room for
            if not self.settings.strict or not self._converged(known) or limit <= step:
                return
            known["limits"] = known["limits"]._replace(limit=np.asarray(limit), settle=np.asarray(SETTLED))
            known["state"] = _with(state, Outcome.RUNNING)
        self._passed(known)
        if int(known["state"].outcome) == Outcome.MAX_STEPS:
            known["state"] = _with(known["state"], Outcome.CONVERGED)

    def _save(self, known: dict[str, Any], now: bool = False) -> None:
        if self.checkpoint:
            self.checkpoint.write(known, now)


def _with(state: State, outcome: Outcome) -> State:
    return state._replace(outcome=np.asarray(int(outcome)))
