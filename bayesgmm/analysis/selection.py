"""From the fits of a sweep to one table, and from the table to the number of components and the structure."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis import criteria
from bayesgmm.analysis.completed import exact_icl
from bayesgmm.analysis.evidence import OCCUPIED, multiplicity, response
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import among, first
from bayesgmm.core.pytree import replace
from bayesgmm.core.weights import Dirichlet
from bayesgmm.inference.cells import Frame, Runs, fitted, long_runs, responsibilities_of
from bayesgmm.inference.problem import summed
from bayesgmm.inference.sweep import RELEVANT, Key, Sweep

BATCH = 4
"""Maximum-likelihood fits run together."""

PASSES = 40
"""Most accelerated passes of EM from a variational fit: what is left to gain after them is less than the criteria can tell."""


class Criterion(NamedTuple):
    """How a column of the table is read.

    Attributes
    ----------
    title : str
        With its sign.
    sign : int
        1 where larger is better, -1 where smaller is.
    bayesian : bool
        Whether it belongs to the variational fits; otherwise to those by maximum likelihood.
    """

    title: str
    sign: int
    bayesian: bool


CRITERIA: dict[str, Criterion] = {
    "evidence": Criterion("log evidence (larger is better)", 1, True),
    "elbo": Criterion("ELBO (larger is better)", 1, True),
    "icl_exact": Criterion("exact ICL (larger is better)", 1, True),
    "held_out": Criterion("held-out density (log, total, larger is better)", 1, True),
    "bic": Criterion("BIC (smaller is better)", -1, False),
    "aic": Criterion("AIC (smaller is better)", -1, False),
    "aicc": Criterion("AICc (smaller is better)", -1, False),
    "icl": Criterion("ICL (smaller is better)", -1, False),
    "icl_soft": Criterion("soft ICL (smaller is better)", -1, False),
    "nec": Criterion("NEC (smaller is better)", -1, False),
    "slope": Criterion("slope heuristic (smaller is better)", -1, False),
}
"""What a number of components can be chosen by."""


MCLUST = ("bic", "icl")
"""Criteria that mclust has, with the opposite sign."""


class Table(dict):
    """Columns of a selection by name, numpy arrays of one length; NaN where a number was not computed."""

    def to_pandas(self):
        """The same as a data frame."""
        import pandas

        return pandas.DataFrame(dict(self))

    @property
    def n_rows(self) -> int:
        """Number of models."""
        return len(self["n_components"])

    def mclust(self, criterion: str = "bic") -> Table:
        """A criterion as mclust prints it: a row for each number of components, a column for each structure, larger is better.

        Parameters
        ----------
        criterion : {"bic", "icl"}, default "bic"

        Returns
        -------
        Table
            ``n_components`` and a column named by each structure: minus the values of this table, NaN where there is no fit.

        Raises
        ------
        ValueError
            Another criterion.
        """
        if criterion not in MCLUST:
            raise ValueError(f"criterion must be one of {', '.join(map(repr, MCLUST))}, which mclust has; got {criterion!r}.")
        numbers, words = np.unique(self["n_components"]), list(dict.fromkeys(self["covariance_type"].tolist()))
        found = {word: np.full(len(numbers), np.nan) for word in words}
        for word, k, value in zip(self["covariance_type"], self["n_components"], self[criterion], strict=True):
            found[word][np.searchsorted(numbers, k)] = -value
        return Table(n_components=numbers, **found)

    def best(self, criterion: str) -> int | None:
        """Row that the criterion prefers; None where it was not computed."""
        values = CRITERIA[criterion].sign * self[criterion]
        return int(np.nanargmax(values)) if np.isfinite(values).any() else None


def likelihood_fits(sweep: Sweep, frames: dict[str, Frame]) -> dict[Key, Runs]:
    """EM from the fit of every cell; where a component collapses, from the fit that the cell had before."""
    found = _em({key: cell.run for key, cell in sweep.cells.items()}, frames)
    before = {key: sweep.cells[key].earlier for key, runs in found.items() if not bool(runs.usable)}
    again = _em({key: run for key, run in before.items() if run is not None}, frames)
    return found | {key: runs for key, runs in again.items() if bool(runs.usable)}


def _em(starts: dict[Key, Runs], frames: dict[str, Frame]) -> dict[Key, Runs]:
    """Maximum-likelihood fits from other fits, a few of one structure at a time."""
    groups: dict[tuple, list[Key]] = {}
    for key, run in sorted(starts.items(), key=lambda item: item[0]):
        groups.setdefault((key[0], run.stats.counts.shape[0]), []).append(key)
    found = {}
    for (name, width), keys in groups.items():
        for i in range(0, len(keys), BATCH):
            some = keys[i : i + BATCH]
            batch = jax.tree.map(lambda *a: np.stack(a), *(starts[key] for key in [*some, *some[:1] * (BATCH - len(some))]))
            alive = np.ones((BATCH, width - frames[name].n_noise))
            ended = long_runs(*frames[name].common, batch, alive, 0.0, PASSES)
            found.update({key: ended.take(j) for j, key in enumerate(some)})
    return found


def likelihood_columns(runs: Runs, frame: Frame, key: Key, n_params: int) -> dict[str, float]:
    """Log-likelihood and criteria of one maximum-likelihood fit; NaN where a component has collapsed."""
    names = ("log_likelihood", "bic", "aic", "aicc", "icl", "icl_soft", "entropy")
    if not bool(runs.usable) or not np.isfinite(float(runs.bound)):
        return dict.fromkeys(names, np.nan)
    problem, n = frame.problem, frame.problem.n_rows
    value = float(runs.bound) - frame.log_jacobian
    resp = fitted(responsibilities_of(runs.posterior, problem), key[1], frame.n_noise)
    weight = np.asarray(problem.weight)
    bic, spread = criteria.bic(value, n_params, n), criteria.entropy(resp, weight)
    certainty = float(summed(weight, np.log(np.maximum(resp.max(1), 1e-300))))
    values = (value, bic, criteria.aic(value, n_params), criteria.aicc(value, n_params, n))
    return dict(zip(names, (*values, criteria.icl(bic, certainty), criteria.icl_soft(bic, spread), spread), strict=True))


def bayesian_columns(sweep: Sweep) -> dict[Key, dict[str, float]]:
    """Bound, price and corrections of every cell; the response only where the cell may matter."""
    limit = sweep.score(sweep.best()) - RELEVANT

    def one(key: Key) -> dict[str, float]:
        cell, frame = sweep.cells[key], sweep.frames[key[0]]
        problem = frame.problem
        counts = np.asarray(cell.run.stats.counts)[: key[1]]
        copies = multiplicity(Dirichlet(among(cell.run.prior).concentration[: key[1]]), counts, problem.n_named)
        matters = sweep.score(key) > limit
        labelled = _exact_icl(cell.run, frame)
        even = key[1] + key[1] % 2 if len(sweep.widths) > 1 else sweep.width(key[1])
        overlap, contraction = response(_occupied(cell.run, even), *problem.passed) if matters else (0.0, np.nan)
        return {
            "elbo": cell.elbo,
            "price": float(cell.run.price),
            "multiplicity": copies,
            "response": overlap,
            "contraction": contraction,
            "evidence": cell.bound + copies + overlap,
            "icl_exact": labelled - float(cell.run.price),
        }

    return {key: one(key) for key in sweep.cells}


def _exact_icl(run: Runs, frame: Frame) -> float:
    """Of complete rows; for others there is no closed form."""
    problem = frame.problem
    if problem.known is not None or frame.robust:
        return np.nan
    return float(exact_icl(run.prior, run.posterior, problem.x, problem.weight)) - frame.log_jacobian


def _occupied(run: Runs, width: int) -> Mixture:
    """The first components of the posterior, so many that they are all there, the empty ones switched off."""
    n_noise = run.posterior.n_noise
    n = min(width, len(run.stats.counts) - n_noise)
    fewer = first(run.posterior, n + n_noise)
    law = Dirichlet(jnp.where(run.stats.counts[:n] > OCCUPIED, among(fewer).concentration, 0))
    return replace(fewer, weights=replace(fewer.weights, weights=law) if n_noise else law)


def make_table(sweep: Sweep, prior: str, parameters: dict[Key, int], bayesian: dict, likelihood: dict) -> Table:
    """Columns of the fits under one prior, a row for each cell in the order of structure and number of components."""
    keys = ordered(sweep)
    table = Table(covariance_type=np.array([k[0] for k in keys], object), n_components=np.array([k[1] for k in keys]))
    table["prior"] = np.full(len(keys), prior, object)
    table["n_parameters"] = np.array([parameters[key] for key in keys])
    names = ("elbo", "price", "multiplicity", "response", "contraction", "evidence", "icl_exact")
    table.update(_columns(names, keys, bayesian))
    table.update(_columns(("log_likelihood", "bic", "aic", "aicc", "icl", "icl_soft", "entropy"), keys, likelihood))
    one = {key[0]: value for key, value in zip(keys, table["log_likelihood"], strict=True) if key[1] == 1}
    rows = zip(table["log_likelihood"], keys, table["entropy"], strict=True)
    table["nec"] = np.array([criteria.nec(v, one.get(key[0], np.nan), e, key[1]) if np.isfinite(v) else np.nan for v, key, e in rows])
    table["slope"] = criteria.slope_heuristic(table["log_likelihood"], table["n_parameters"])
    table["start"] = np.array([sweep.cells[key].source for key in keys], object)
    table["moves"] = np.array(["; ".join(sweep.cells[key].moves) for key in keys], object)
    return table


def ordered(sweep: Sweep) -> list[Key]:
    """Cells in the order of the table."""
    return sorted(sweep.cells, key=lambda key: (list(sweep.frames).index(key[0]), key[1]))


def combined(tables: list[Table], held_out: dict[str, np.ndarray], number_prior: dict[int, float]) -> Table:
    """One table of the fits under all priors, with the posterior probability of every model.

    Parameters
    ----------
    tables : list of Table
        One for each prior; all priors are equally probable.
    held_out : dict
        Columns of cross-validation for all rows; empty where it was not asked for.
    number_prior : dict
        Prior probability of each number of components, up to a factor.
    """
    table = Table({name: np.concatenate([one[name] for one in tables]) for name in tables[0]})
    nothing = np.full(table.n_rows, np.nan)
    table.update({name: held_out.get(name, nothing) for name in ("held_out", "held_out_se", "held_out_se_difference")})
    table["probability"] = _probabilities(table["evidence"], np.array([number_prior[int(k)] for k in table["n_components"]]))
    return table


def _columns(names, keys: list[Key], values: dict[Key, dict[str, float]]) -> dict[str, np.ndarray]:
    return {name: np.array([values.get(key, {}).get(name, np.nan) for key in keys], float) for name in names}


def _probabilities(evidence: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Posterior probability (M,) of every model; structures and priors are equally likely a priori for each number of components."""
    if not np.isfinite(evidence).any():
        return np.full(len(evidence), np.nan)
    scores = np.where(np.isfinite(evidence) & (prior > 0), evidence + np.log(np.where(prior > 0, prior, 1)), -np.inf)
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def share_by(labels: np.ndarray, probability: np.ndarray) -> dict[Any, float]:
    """Probability of each label, summed over models."""
    found = {label: float(probability[labels == label].sum()) for label in dict.fromkeys(labels.tolist())}
    return dict(sorted(found.items(), key=lambda item: item[0] if not isinstance(item[0], str) else 0))


def chosen_row(table: Table, criterion: str) -> int | None:
    """Row that a criterion chooses.

    The evidence is averaged over structures and priors: the number of components with the highest probability, then the best model with it.
    The others take the best single model.
    """
    if criterion != "evidence" or not np.isfinite(table["probability"]).any():
        return table.best(criterion)
    share = share_by(table["n_components"], table["probability"])
    best = max(share, key=lambda k: share[k])
    return int(np.where(table["n_components"] == best, table["probability"], -1.0).argmax())


def bnb(n_components: int, shape: float = 1.0, first: float = 4.0, second: float = 3.0) -> float:
    """Beta-negative-binomial prior of ``n_components - 1`` (Fruehwirth-Schnatter, Malsiner-Walli & Gruen 2021, Bayesian Analysis 16)."""
    from scipy.special import betaln, gammaln

    rest = n_components - 1
    log = gammaln(shape + rest) - gammaln(shape) - gammaln(rest + 1) + betaln(shape + first, rest + second) - betaln(first, second)
    return float(np.exp(log))
