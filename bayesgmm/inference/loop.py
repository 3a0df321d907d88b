"""The one loop. EM, MAP, variational Bayes and k-means differ in the prior and the assignment they hand to it, nowhere else."""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.pytree import pytree
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.accelerate import Memory, empty, propose, refuse, remember, residual_norm, slowness
from bayesgmm.inference.compiling import jit, ready, traced
from bayesgmm.inference.devices import holders, read_devices, run_divided
from bayesgmm.inference.kernel import collect, over_devices, shared_spread, soft


class Outcome(enum.IntEnum):
    """Why a fit stopped."""

    RUNNING = 0
    CONVERGED = 1
    MAX_STEPS = 2
    NONFINITE = 3
    DECREASED = 4
    INTERRUPTED = 5
    APPROXIMATE = 6


MESSAGES = {
    Outcome.RUNNING: "the fit has not been run",
    Outcome.CONVERGED: "the bound converged",
    Outcome.MAX_STEPS: "the bound was still rising when the limit of steps was reached; raise max_iter or tol",
    Outcome.NONFINITE: "the bound became infinite or not a number",
    Outcome.INTERRUPTED: "it was interrupted; this is the best that was found so far",
    Outcome.APPROXIMATE: "stochastic passes end near an optimum, not at it; fit again with passes='exact' and warm_start=True to reach it",
    Outcome.DECREASED: "the bound fell by more than rounding explains; rescale the data or use float64",
}


@pytree
class Result:
    """What a fit returns; bound, statistics and posterior belong to one another.

    Attributes
    ----------
    posterior : Mixture
    stats : Stats
        Statistics of the E-step under ``posterior``.
    lower_bound : Array, shape ()
        Bound of ``posterior`` in nats, all constants kept.
    history : Array, shape (max_steps + 1,)
        Bound at the start and after each step; NaN beyond ``n_steps``.
    n_steps : Array of int, shape ()
    outcome : Array of int, shape ()
        A value of `Outcome`.
    """

    posterior: Any
    stats: Stats
    lower_bound: jax.Array
    history: jax.Array
    n_steps: jax.Array
    outcome: jax.Array


class State(NamedTuple):
    """Where the loop is: what it holds, and the trial whose statistics come next."""

    posterior: Any
    stats: Stats
    bound: jax.Array
    gain: jax.Array
    step: jax.Array
    outcome: jax.Array
    history: jax.Array
    memory: Memory
    trial: Any
    proposal: Stats
    plain: jax.Array


def lower_bound(prior, posterior: Mixture, stats: Stats):
    """Exact bound of ``posterior``, in nats: evidence lower bound (VB), penalised (MAP) or plain log-likelihood (ML)."""
    return stats.log_norm - prior.penalty(posterior)


def remaining_gain(gain, previous, memory: Memory):
    """What is still to come.

    Plain steps: as if gains went on shrinking at their present rate (Aitken; Boehning et al. 1994). Accelerated ones, whose gains are
    irregular: the larger of the last two, divided by the share of an error that a pass removes. Infinite while too little is known.
    """
    if memory.known.size > 1:
        share = slowness(memory)
        return jnp.where(share > 0, jnp.maximum(gain, previous) / jnp.where(share > 0, share, 1), jnp.inf)
    ratio = gain / previous
    shrinking = (ratio < 1) & jnp.isfinite(previous)
    return jnp.where(shrinking, jnp.maximum(gain, gain * ratio / (1 - jnp.where(shrinking, ratio, 0))), jnp.inf)


def rounding(bound, dtype):
    """Size of differences of bounds that mean nothing, for rows of this type."""
    return 8 * jnp.finfo(dtype).eps * jnp.abs(bound)


def judge(bound, gain, done, spent, dtype):
    """Outcome code after a step that raised the bound to ``bound`` by ``gain``; ``spent``: no steps are left."""
    fell = gain < -max(1e-9, 16 * jnp.finfo(dtype).eps) * (1 + jnp.abs(bound))
    code = jnp.where(spent, Outcome.MAX_STEPS, Outcome.RUNNING)
    code = jnp.where(done, Outcome.CONVERGED, code)
    code = jnp.where(fell, Outcome.DECREASED, code)
    return jnp.where(jnp.isfinite(bound), code, Outcome.NONFINITE)


def _choose(condition, yes, no):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


@jit(static_argnames=("max_steps", "assign", "chunk_size", "depth", "form", "axis"))
def run(
    prior,
    start,
    x,
    weight,
    tol,
    limit,
    settle=jnp.inf,
    *,
    max_steps: int,
    assign: Callable = soft,
    chunk_size: int | None = None,
    depth: int = 0,
    form: Callable | None = None,
    axis: str | None = None,
):
    """Iterate update and E-step from ``start`` until the bound settles; see `fit`.

    ``limit`` is the allowed number of steps and may change from call to call; ``max_steps`` is the capacity of the history and
    part of the compiled program. With ``settle``, and ``depth``, the statistics too must change by no more than that, per row. ``axis``
    is the axis of devices among which the rows are divided, as `bayesgmm.inference.devices` does.
    """
    total = over_devices(weight.sum(), axis)
    spread = shared_spread(start, x, weight, chunk_size, axis)
    gather = partial(collect, x=x, weight=weight, assign=assign, chunk_size=chunk_size, form=form, spread=spread, axis=axis)
    limits = Limits(total, tol, limit, settle)
    state = begin(prior, start, jax.eval_shape(lambda: gather(start)), max_steps, depth)
    turn = lambda state: judged(prior, state, gather(state.trial), limits, depth, x.dtype)  # noqa: E731
    return finish(jax.lax.while_loop(lambda state: state.outcome == Outcome.RUNNING, turn, state))


class Limits(NamedTuple):
    """When to stop: total weight, nats still to come per unit of it, steps, and change of the statistics per unit of weight."""

    total: Any
    tol: Any
    limit: Any
    settle: Any


def begin(prior, start, like: Stats, max_steps: int, depth: int) -> State:
    """State before the first pass, whose trial is ``start``; ``like`` has the shapes of statistics."""
    bound = jax.eval_shape(lambda stats: lower_bound(prior, start, stats), like)
    stats = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)
    low, high = jnp.full((), -jnp.inf, bound.dtype), jnp.full((), jnp.inf, bound.dtype)
    history = jnp.full(max_steps + 1, jnp.nan, low.dtype)
    running, yes = jnp.asarray(int(Outcome.RUNNING)), jnp.ones((), bool)
    return State(start, stats, low, high, jnp.asarray(-1), running, history, empty(stats, depth), start, stats, yes)


def judged(prior, state: State, stats: Stats, limits: Limits, depth: int, dtype) -> State:
    """Judge the trial by its statistics, then make the next one."""
    bound = lower_bound(prior, state.trial, stats)
    gain, step = bound - state.bound, state.step + 1
    memory = _choose(step == 0, empty(stats, depth), remember(state.memory, state.proposal, stats)) if depth else state.memory
    nothing = rounding(bound, dtype)
    done = (step > 0) & ((gain <= nothing) | (remaining_gain(gain, state.gain, memory) <= limits.tol * limits.total))
    done = done & (residual_norm(memory) <= limits.settle * limits.total) if depth else done
    outcome = judge(bound, gain, done, step >= limits.limit, dtype)
    taken = state._replace(posterior=state.trial, stats=stats, bound=bound, gain=gain, outcome=outcome, memory=memory)
    if depth:
        spent = jnp.where(step >= limits.limit, Outcome.MAX_STEPS, Outcome.RUNNING)
        refused = state._replace(outcome=spent, memory=refuse(state.memory))
        taken = _choose(state.plain | (gain >= jnp.where(jnp.isfinite(limits.settle), -nothing, 0)), taken, refused)
    proposal, plain = propose(taken.memory, taken.stats) if depth else (taken.stats, state.plain)
    history = state.history.at[step].set(taken.bound)
    return taken._replace(step=step, history=history, trial=update(prior, proposal, taken.posterior), proposal=proposal, plain=plain)


def update(prior, stats: Stats, last):
    """Posterior of statistics; where that is a search it goes on from the last one, so that the bound cannot fall."""
    return prior.posterior(stats, last) if getattr(prior, "searches", False) else prior.posterior(stats)


def finish(state: State) -> Result:
    """What a fit returns."""
    return Result(state.posterior, state.stats, state.bound, state.history, state.step, state.outcome)


def fit(
    prior, start: Mixture, x, sample_weight=None, *, tol=1e-8, max_steps=1000, assign=soft, chunk_size=None, depth=0, devices=None
) -> Result:
    """Fit a mixture from a start: EM, MAP or variational Bayes as ``prior`` says.

    Works under ``jit``, ``vmap`` and forward-mode differentiation, in the dtype of its inputs. It does not centre the data: in
    float64 rows may lie about 1e5 component widths from the origin before digits of the covariances are lost.

    Parameters
    ----------
    prior : Mixture or MAP
        `Dirichlet` / `StickBreaking` and `NormalWishart`: variational Bayes; `FlatWeights` and `FlatGaussian`: EM.
    start : Mixture
        Where to start, from `initialise`; of the kind that ``prior.posterior`` returns.
    x : Array, shape (N, D)
        Rows.
    sample_weight : Array, shape (N,), optional
        Weight of each row; an integer counts as that many copies.
    tol : float
        Stop when the gain still to come is below ``tol`` nats per unit of weight.
    max_steps : int
        Limit of passes.
    assign : callable
        ``soft`` or ``hard`` assignment.
    chunk_size : int, optional
        Rows a chunk; by default chosen so that a chunk stays in cache. The answer depends on it only to rounding.
    depth : int
        Passes remembered by Anderson acceleration, 5 or so; 0 takes plain steps only. Same optimum, exact bound, fewer passes where
        plain steps are slow; estimators use it.
    devices : sequence of jax.Device, optional
        Devices among which the rows are divided, such as ``jax.devices()``; each makes the passes over its own rows, and only
        statistics travel. By default those that ``x`` is already spread over.

    Returns
    -------
    Result
        With several devices, on all of them.

    Raises
    ------
    ValueError
        ``devices`` that are none, or no devices.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, secs. 9.4, 10.2; Henderson & Varadhan (2019), JCGS 28, for acceleration.
    """
    if not traced(prior, start, x):
        ready()
    x = jnp.asarray(x)
    weight = jnp.ones(x.shape[0], x.dtype) if sample_weight is None else jnp.asarray(sample_weight, x.dtype)
    options = {"max_steps": max_steps, "assign": assign, "chunk_size": chunk_size, "depth": depth}
    among = holders(x) if devices is None else read_devices(devices)
    if among:
        return run_divided(run, among, prior, start, x, weight, tol, max_steps, **options)
    return run(prior, start, x, weight, tol, max_steps, **options)
