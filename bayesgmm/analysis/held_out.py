"""How well models predict rows that they have not seen: cross-validation of the posterior predictive density.

Every fit of a sweep is repeated without each fold of the rows. Coordinates, prior and its hyperparameters are made anew from the remaining
rows; what the fit of all rows lends is only its responsibilities of those rows, as a start, so that a fold neither pays for a
poor optimum nor sees its own rows. Rows left out keep their place with weight 0, so that the compiled programs of the search serve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from bayesgmm.inference.cells import CHUNK, FINALISTS, Frame, Runs, converge, responsibilities
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import from_responsibilities
from bayesgmm.inference.sweep import Key, Sweep


def folds(n_rows: int, n_folds: int, seed: int) -> np.ndarray:
    """Fold (N,) of each row, 0 to ``n_folds - 1``: at random, as many rows in each."""
    return np.random.default_rng(seed).permutation(n_rows) % n_folds


@jit
def _log_predictive(posterior, x):
    """Log predictive density (B, N) of rows under each of a batch of posteriors, all in the coordinates of the rows."""
    return jax.vmap(lambda q: q.predictive_log_prob(x))(posterior)


@jit
def _restricted(posterior, x, remaining, weight):
    """Statistics of weighted rows under the responsibilities of a batch of posteriors; ``x`` and ``remaining`` are the same rows in the
    coordinates of the posteriors and in those of the statistics.
    """

    def one(q):
        return from_responsibilities(q.structure, q.tied, remaining, responsibilities(q, x), weight, CHUNK)

    return jax.vmap(one)(posterior)


def held_out_densities(
    sweep: Sweep, fold: np.ndarray, remaining: Callable[[np.ndarray], dict[str, Frame]], notify
) -> dict[Key, np.ndarray]:
    """Log predictive density (N,) of each row, in the user's units, by the fit to the other folds, for every cell of a sweep.

    Parameters
    ----------
    sweep : Sweep
        With variational fits of all rows.
    fold : array of int, shape (N,)
    remaining : callable
        From a mask (N,) of the rows to fit to the frames of these rows, in the sweep's shapes.
    notify : callable
        Told the number of the fold, from 1.
    """
    found = {key: np.full(len(fold), np.nan) for key in sweep.cells}
    for number in range(fold.max() + 1):
        notify(number + 1)
        out = fold == number
        frames = remaining(~out)
        for keys in _batches(sweep):
            name, n = keys[0][0], len(fold)
            densities = _fitted_without(sweep, keys, frames[name])[:, :n] - float(frames[name].problem.coordinates.log_det)
            for key, values in zip(keys, densities, strict=False):
                found[key][out] = values[out]
    return found


def _batches(sweep: Sweep) -> list[list[Key]]:
    """Cells of one structure and width, as many together as a compiled program takes."""
    groups: dict[tuple[str, int], list[Key]] = {}
    for key in sorted(sweep.cells):
        groups.setdefault((key[0], sweep.width(key[1])), []).append(key)
    return [keys[i : i + FINALISTS] for keys in groups.values() for i in range(0, len(keys), FINALISTS)]


def _fitted_without(sweep: Sweep, keys: list[Key], frame: Frame) -> np.ndarray:
    """Log predictive density (B, N') of all rows, inner coordinates, by fits to the rows that count in ``frame``."""
    some = (keys * FINALISTS)[:FINALISTS]
    runs: Runs = jax.tree.map(lambda *a: np.stack(a), *(sweep.cells[key].run for key in some))
    stats = _restricted(runs.posterior, sweep.frames[keys[0][0]].problem.x, frame.problem.x, frame.problem.weight)
    alive = np.stack([frame.alive(key[1], sweep.width(key[1])) for key in some])
    ended = converge(frame, dataclasses.replace(runs, stats=stats), alive)
    return np.asarray(_log_predictive(ended.posterior, frame.problem.x))


def held_out_columns(densities: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the table from log densities (M, N) of each row under each model, and weights (N,).

    ``held_out`` is the total in nats, ``held_out_se`` its standard error, ``held_out_se_difference`` that of the difference from the best
    model, rows paired: much smaller, since a row that is hard to predict is hard for every model. Standard errors take rows as
    independent, although the fits of different folds share rows (Vehtari, Gelman & Gabry 2017, Statistics and Computing 27).
    """
    total = densities @ weight
    best = densities[np.nanargmax(total)] if np.isfinite(total).any() else np.nan
    return {
        "held_out": total,
        "held_out_se": _standard_error(densities, weight),
        "held_out_se_difference": _standard_error(densities - best, weight),
    }


def _standard_error(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Standard error (M,) of weighted sums over rows; a weight of w counts as w rows."""
    n = weight.sum()
    mean = (values @ weight / n)[:, None]
    return np.sqrt(n / max(n - 1, 1) * ((values - mean) ** 2 @ weight))
