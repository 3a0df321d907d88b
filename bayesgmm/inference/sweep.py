"""The best fit for every structure and every number of components, each a help to its neighbours.

Every cell of the table starts from clusterings of the rows, from the next smaller model with a component split, and from the fits of the
other structures; where the score is near its best, also from the next larger model with components merged or deleted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import lgamma

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.inference.cells import (
    FINALISTS,
    LONG,
    SHORT,
    STARTS,
    Frame,
    Runs,
    converge,
    fitted,
    follow,
    padded_widths,
    responsibilities_of,
    short_runs,
)
from bayesgmm.inference.halves import in_halves
from bayesgmm.inference.hierarchy import Knobs, first_knobs
from bayesgmm.inference.limits import within
from bayesgmm.inference.proposals import Clusterings, merge_starts, one_hot, split_merge_starts, split_starts
from bayesgmm.inference.restarts import SAME
from bayesgmm.inference.sparse import apart, beside, dense_weight, sparse_rows

PATIENCE = 3
"""Numbers of components without a new best after which a structure is given up."""

NEAR = 60.0
"""Nats below the best within which a structure is searched backwards too."""

BELOW, ABOVE = 3, 2
"""Numbers of components below and above the best one that are searched backwards."""

PROMISING = 10.0
"""Nats below the best within which the components of a fit are rearranged."""

FEWEST = 3
"""Components of the smallest fit that can be rearranged."""

REARRANGEMENTS, BATCHES, MERGES, LONGER = 6, 2, 6, 20
"""Most rearrangements of one cell that help, batches of starts tried for each, pairs merged, and passes of a short run of them."""

ROUGH = 1.0
"""Nats gained in a round below which a cell is left, until it turns out to matter."""

RELEVANT = 40.0
"""Nats below the best within which cells are converged in the end."""

IRRELEVANT = 20.0
"""Nats below the best at which a cell need not converge: its probability is nil."""

SAMPLE = 2500
"""Rows on which starts are compared; long runs see all rows."""

HEAVIER = 5.0
"""Nats that a start may lie below the known fit after a short run and still be followed."""

Key = tuple[str, int]


@dataclasses.dataclass
class Cell:
    """The best fit found for one structure and one number of components.

    Attributes
    ----------
    run : Runs
        The fit, without batch axis; arrays padded to a common number of components, inner coordinates.
    bound : float
        Exact bound less the price of the prior, in nats, in the user's units; or the log-likelihood.
    source : str
        Kind of the start that won.
    moves : list of str
        Every kind of start that improved the cell, in order, with its gain.
    resp : ndarray, shape (M, K), or (M, K + 1) with noise
        Responsibilities of the sampled rows.
    earlier : Runs or None
        The fit that the cell had before the last improvement.
    """

    run: Runs
    bound: float
    source: str
    moves: list[str]
    resp: np.ndarray
    earlier: Runs | None = None

    @property
    def elbo(self) -> float:
        return self.bound + float(self.run.price)

    @property
    def usable(self) -> bool:
        return bool(self.run.usable) and np.isfinite(self.bound)


class Sweep:
    """Fits for structures and numbers of components of one data set; fill `cells` with `run`.

    Parameters
    ----------
    frames : dict of name to Frame
        Simplest structure first; all with the same rows in the same order.
    numbers : sequence of int
        Numbers of components.
    charge : callable
        ``(name, n_components)`` to nats that a cell's score loses, as BIC's do; relabelled copies are counted by the sweep.
    seed : int
    early : bool
        Whether to give structures up that no longer improve.
    n_init : int
        Starts by k-means for each cell.
    notify : callable
        Told where the search is: the number of components and the structure.
    """

    def __init__(
        self,
        frames: dict[str, Frame],
        numbers: Sequence[int],
        seed: int,
        charge: Callable[[str, int], float] | None = None,
        early: bool = True,
        n_init: int = 3,
        notify: Callable[[int, str], None] = lambda k, name: None,
    ):
        self.frames, self.numbers, self.notify, self.early = dict(frames), sorted(set(numbers)), notify, early
        self.cells: dict[Key, Cell] = {}
        rng = np.random.default_rng(seed)
        first = next(iter(frames.values())).problem
        self.known, named = first.known, first.n_named
        self.charge = charge or (lambda name, k: -lgamma(k - named + 1))
        self.sample = sampled_rows(np.asarray(first.weight), rng) if self.known is None else None
        self.small = {name: shrunk(frame, self.sample) for name, frame in frames.items()}
        first = next(iter(self.small.values())).problem
        whitest = max((f.problem for f in self.small.values()), key=lambda p: p.structure.rank)
        self.weight, self.rows = np.asarray(first.weight), np.asarray(first.standardised_rows())
        self.widths = padded_widths(first, self.numbers[-1])
        self.n_starts = STARTS + n_init
        spaces = [whitest.x if i % 3 == 2 else jnp.asarray(self.rows) for i in range(n_init)]
        self.n_noise = next(iter(frames.values())).n_noise
        self.sparse = sparse_rows(first.distance_rows(), self.weight) if self.n_noise else np.zeros(len(self.weight))
        dense = dense_weight(self.sparse, first.weight, self.numbers[-1]) if self.n_noise else first.weight
        self.clusterings = Clusterings(jax.random.key(seed), spaces, jnp.asarray(dense), self.numbers[-1], rng)
        self._shared: dict[int, list] = {}

    def run(self) -> None:
        """Forwards until no structure improves, backwards where it may matter, rearrangements of the best fits; those then converge."""
        self._forward()
        self._backward()
        self._rearrange()
        self._finish()

    def width(self, n_components: int) -> int:
        """Components of the arrays that serve this many."""
        return next(w for w in self.widths if w >= n_components)

    def score(self, key: Key) -> float:
        """What the search maximises; minus infinity for collapsed fits."""
        cell = self.cells[key]
        return cell.bound - self.charge(*key) if cell.usable else -np.inf

    def best(self) -> Key:
        """Structure and number of components with the highest score."""
        return max(self.cells, key=self.score)

    def _forward(self) -> None:
        idle = dict.fromkeys(self.frames, 0)
        best = dict.fromkeys(self.frames, -np.inf)
        for k in self.numbers:
            for name in self.frames:
                if self.early and idle[name] >= PATIENCE:
                    continue
                self.notify(k, name)
                self._improve(name, k, self._starts(name, k))
                score = self.score((name, k))
                idle[name] = 0 if score > best[name] else idle[name] + 1
                best[name] = max(best[name], score)

    def _near(self) -> list[str]:
        """Structures with a score near the best."""
        limit = self.score(self.best()) - NEAR
        return [n for n in self.frames if max((self.score(key) for key in self.cells if key[0] == n), default=-np.inf) > limit]

    def _backward(self) -> None:
        top, near = self.best(), self._near()
        for k in reversed(self.numbers):
            for name in near:
                if (name, k) in self.cells and top[1] - BELOW <= k <= top[1] + ABOVE and k > 1:
                    self.notify(k, name)
                    self._improve(name, k, self._neighbours(name, k))

    def _rearrange(self) -> None:
        """Merge and split at once where a fit is near the best, as long as that helps."""
        for name, k in sorted(self.cells, key=lambda key: key[1]):
            if k >= FEWEST and self.score((name, k)) > self.score(self.best()) - PROMISING:
                self.notify(k, name)
                for _ in range(REARRANGEMENTS):
                    if not self._rearranged(name, k):
                        break

    def _rearranged(self, name: str, k: int) -> bool:
        """Whether one of the rearrangements of a cell improves it."""
        before, size = self.cells[name, k], self.n_starts - 1
        found = self._proposed(before.resp, k, lambda resp, weight: split_merge_starts(resp, k, self.rows, weight, MERGES))
        starts = [("split and merge", resp) for resp in islice(found, BATCHES * size)]
        for i in range(0, len(starts), size):
            self._improve(name, k, starts[i : i + size], LONGER)
            if self.cells[name, k].bound > before.bound + SAME:
                return True
        return False

    def _starts(self, name: str, k: int) -> list[tuple[str, np.ndarray]]:
        """Responsibilities to start from, with the kind of each."""
        if k == 1:
            return [("one component", self._beside(one_hot(np.zeros(len(self.rows), int), 1), self.sparse))]
        found = self._clustered(k) + self._others(name, k)
        fewer = self.cells.get((name, k - 1))
        if fewer is not None:
            splits = self._proposed(fewer.resp, k, lambda resp, weight: split_starts(resp, k - 1, self.rows, weight))
            found += [("split", resp) for resp in islice(splits, max(self.n_starts - len(found), 0))]
        return found[: self.n_starts]

    def _clustered(self, k: int) -> list[tuple[str, np.ndarray]]:
        if k not in self._shared:
            found = [("k-means", labels) for labels in self.clusterings.kmeans(k)]
            found.append(("Ward", self.clusterings.ward(k)))
            self._shared = {k: [(source, self._beside(one_hot(labels, k), self.sparse)) for source, labels in found]}
        return list(self._shared[k])

    def _others(self, name: str, k: int) -> list[tuple[str, np.ndarray]]:
        return [(f"the {n} fit", self.cells[n, k].resp) for n in self.frames if n != name and (n, k) in self.cells]

    def _neighbours(self, name: str, k: int) -> list[tuple[str, np.ndarray]]:
        found = self._others(name, k)
        if (name, k + 1) in self.cells:
            merges = self._proposed(self.cells[name, k + 1].resp, k + 1, lambda resp, weight: merge_starts(resp, k + 1, weight, 3))
            found += [("merge or delete", resp) for resp in merges]
        return found

    def _beside(self, resp: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Responsibilities of rows that are not noise, with the probability (M,) of noise where there is any."""
        return beside(resp, noise, resp.shape[1]) if self.n_noise else resp

    def _proposed(self, resp: np.ndarray, width: int, propose: Callable) -> Iterator[np.ndarray]:
        """Neighbours of a fit, made of the rows that are not noise; these stay."""
        own, noise = apart(resp, self.n_noise)
        for found in propose(fitted(own, width), self.weight * (1 - noise)):
            yield self._beside(found, noise)

    def _improve(self, name: str, k: int, starts: list[tuple[str, np.ndarray]], limit: int = SHORT) -> None:
        """Short runs of the starts, long runs of the best; the cell keeps the best it ever had."""
        if not starts:
            return
        known = self.cells.get((name, k))
        if known is not None:
            starts = [*starts[: self.n_starts - 1], ("itself", known.resp)]
        runs, chosen = self._finalists(name, k, starts, known is not None, limit)
        if not chosen:
            return
        result = self._followed(name, k, runs.take(np.array(chosen)))
        good = np.where(np.asarray(result.usable), 0, -1e12) + np.nan_to_num(np.asarray(result.bound), nan=-np.inf)
        top = int(good.argmax())
        bound = float(result.bound[top]) - self.frames[name].log_jacobian
        won = bound > known.bound or not known.usable if known is not None else True
        if not won or (known is not None and known.usable and not bool(result.usable[top])):
            return
        source = starts[chosen[top]][0]
        run = result.take(top)
        resp = fitted(responsibilities_of(run.posterior, self.small[name].problem), k, self.n_noise)
        gain = f" (+{bound - known.bound:.2f})" if known is not None else ""
        moves = (known.moves if known is not None else []) + [source + gain]
        self.cells[name, k] = Cell(run, bound, source, moves, resp, known.run if known is not None else None)

    def _short(self, name: str, k: int, starts: list[tuple[str, np.ndarray]], limit: int = SHORT) -> Runs:
        """Short runs of the starts on the sample; the batch is filled up with copies of the first."""
        frame, width = self.small[name], self.width(k)
        resps = [fitted(self._limited(resp, k), width, self.n_noise) for _, resp in starts]
        filled = np.stack(resps + resps[:1] * (self.n_starts - len(resps)))
        alive, knobs = frame.alive(k, width), self._knobs(name, k)
        return in_halves(lambda part: short_runs(*frame.common, frame.plain, part, alive, knobs, limit), filled)

    def _limited(self, resp: np.ndarray, k: int) -> np.ndarray:
        """Responsibilities that agree with what is known of labels."""
        if self.known is None or not self.known.limits:
            return resp
        own, noise = apart(fitted(resp, k, self.n_noise), self.n_noise)
        return self._beside(within(self.known, own, self.weight, k), noise)

    def _knobs(self, name: str, k: int) -> Knobs:
        """Hyperparameters for short runs: those of the same cell or of its smaller neighbour, whose scale one component does not tell."""
        known = next((self.cells[name, m].run.knobs for m in (k, k - 1) if m > 1 and (name, m) in self.cells), None)
        return jax.tree.map(lambda a: np.asarray(a, float), known or first_knobs(self.rows.shape[1]))

    def _finalists(self, name: str, k: int, starts: list, against: bool, limit: int) -> tuple[Runs, list[int]]:
        """Short runs, and the places of those to follow: the best, and the next that looks like another optimum.

        With ``against`` the last start is the known fit, and only starts that come near it without falling back to it are followed.
        """
        runs = self._short(name, k, starts, limit)
        values = np.where(np.isfinite(runs.bound), runs.bound, -np.inf) - np.where(runs.usable, 0, 1e12)
        values = values[: len(starts)]
        if against:
            mine, values = values[-1], values[:-1]
            values = np.where((values > mine - HEAVIER) & (np.abs(values - mine) > 0.05), values, -np.inf)
        order = np.argsort(-values, kind="stable")
        if not np.isfinite(values[order[0]]):
            return runs, [] if against else [0] * FINALISTS
        other = [i for i in order[1:] if values[order[0]] - values[i] > 0.3 and np.isfinite(values[i])]
        return runs, [int(order[0]), int(other[0] if other else order[min(1, len(order) - 1)])]

    def agreement(self, key: Key) -> float:
        """Share of the starts that reach the best fit known (to 0.1 nats), its prior held fixed."""
        name, k = key
        cell, frame = self.cells[key], self.frames[name]
        starts = self._starts(name, k)
        runs = self._short(name, k, starts)
        alive = np.stack([frame.alive(k, self.width(k))] * FINALISTS)
        prior, price, knobs = jax.tree.map(lambda a: np.stack([a] * FINALISTS), (cell.run.prior, cell.run.price, cell.run.knobs))
        reached = []
        for i in range(0, len(starts), FINALISTS):
            pair = runs.take(np.array([i, min(i + 1, len(starts) - 1)]))
            pair = dataclasses.replace(pair, prior=prior, price=price, knobs=knobs)
            ended = follow(frame, pair, alive, 0.0, LONG)
            reached += list(np.asarray(ended.bound)[: len(starts) - i])
        return float(np.mean(np.array(reached) >= float(cell.run.bound) - SAME))

    def _followed(self, name: str, k: int, runs: Runs) -> Runs:
        """Long runs on all rows, as far as a comparison needs."""
        frame = self.frames[name]
        alive = np.stack([frame.alive(k, self.width(k))] * len(runs.bound))
        best = max((self.score(key) for key in self.cells), default=-np.inf)
        enough = best + self.charge(name, k) + frame.log_jacobian - IRRELEVANT if self.early else -np.inf
        return converge(frame, runs, alive, ROUGH, enough)

    def _finish(self) -> None:
        """Converge the cells that matter, a few of one structure at a time."""
        limit = self.score(self.best()) - RELEVANT
        groups: dict[tuple[str, int], list[Key]] = {}
        for key in sorted(self.cells):
            if self.score(key) > limit and self.frames[key[0]].hierarchical:
                groups.setdefault((key[0], self.width(key[1])), []).append(key)
        for (name, width), keys in groups.items():
            frame = self.frames[name]
            for i in range(0, len(keys), FINALISTS):
                some = (keys[i : i + FINALISTS] * FINALISTS)[:FINALISTS]
                self.notify(some[0][1], name)
                batch = jax.tree.map(lambda *a: np.stack(a), *(self.cells[key].run for key in some))
                ended = converge(frame, batch, np.stack([frame.alive(key[1], width) for key in some]))
                for j, key in enumerate(dict.fromkeys(some)):
                    bound = float(ended.bound[j]) - frame.log_jacobian
                    if bound > self.cells[key].bound:
                        self.cells[key] = dataclasses.replace(self.cells[key], run=ended.take(j), bound=bound)


def sampled_rows(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Rows on which starts are compared, or None for all of them."""
    if len(weight) <= SAMPLE:
        return None
    used = np.flatnonzero(weight > 0)
    return np.sort(rng.choice(used, SAMPLE, replace=False)) if len(used) > SAMPLE else None


def shrunk(frame: Frame, sample: np.ndarray | None) -> Frame:
    """The same structure on some of the rows, with their weights raised to the sum of all."""
    if sample is None:
        return frame
    problem = frame.problem
    weight = problem.weight[sample]
    weight = weight * problem.weight.sum() / weight.sum()
    return dataclasses.replace(frame, problem=dataclasses.replace(problem, x=problem.x[sample], weight=weight))
