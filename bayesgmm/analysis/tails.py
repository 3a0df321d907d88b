r"""How unusual a row is: the probability that the density draws a row that is no more likely.

With density f and a row x this is :math:`P(f(X) \le f(x))` for X drawn from f: one minus the content of the smallest region of highest
density that holds x (Hyndman 1996, American Statistician 50). Of rows drawn from f it is uniform on (0, 1).

One elliptical component has a closed form: with squared distance q in p columns :math:`q \sim \chi^2_p` (Gaussian) or
:math:`q / p \sim F_{p, \nu}` (Student t). Otherwise it is a Monte Carlo mean. Half of the draws come from f, the others from f with ever
wider components, and all are weighted by f over the density they come from (deterministic mixture weights, Owen & Zhou 2000, JASA 95), so
that small probabilities too have small relative errors.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bayesgmm.analysis.density import Density

WIDER = 4
"""Densities with wider components that are drawn from."""


@dataclasses.dataclass(frozen=True, eq=False)
class TailProbability:
    """How unusual rows are.

    Attributes
    ----------
    probability : ndarray, shape (N,)
        Probability that a new row is at most as likely as each.
    standard_error : ndarray, shape (N,)
        Of the Monte Carlo mean; 0 where the probability is exact.
    exact : bool
    smallest : float
        Probabilities below this cannot be told from it with these draws; rows beyond all draws have it, as an upper limit. 0 if exact.
    """

    probability: np.ndarray
    standard_error: np.ndarray
    exact: bool
    smallest: float

    @property
    def adjusted(self) -> np.ndarray:
        """P values (N,) adjusted for looking at N rows: rows with at most q hold a share of at most q of false alarms.

        Benjamini & Hochberg (1995), JRSS B 57.
        """
        from scipy.stats import false_discovery_control

        return false_discovery_control(self.probability)

    def unusual(self, rate: float = 0.05) -> np.ndarray:
        """Rows, the most unusual first, among which a share of at most ``rate`` is expected to be ordinary ones."""
        adjusted = self.adjusted
        order = np.argsort(self.probability, kind="stable")
        return order[adjusted[order] <= rate]


def tail_probability(density: Density, x: np.ndarray, n_draws: int, seed: int) -> TailProbability:
    """Probability that ``density`` draws a row at most as likely as each row (N, D)."""
    found = exact(density, x)
    if found is not None:
        return TailProbability(found, np.zeros(len(x)), True, 0.0)
    drawn, weight = importance_draws(density, n_draws, seed)
    order = np.argsort(drawn)
    drawn, weight = drawn[order], weight[order] / weight.sum()
    place = np.searchsorted(drawn, density.log_density(x), side="right")
    reached, squares = (np.append(0, np.cumsum(a)) for a in (weight, weight**2))
    smallest = float(weight[0])
    probability = np.clip(np.maximum(reached[place], smallest), 0, 1)
    variance = squares[place] * (1 - 2 * probability) + probability**2 * squares[-1]  # of a ratio of means
    error = np.where(place > 0, np.sqrt(np.maximum(variance, 0)), smallest)
    return TailProbability(probability, error, False, smallest)


def exact(density: Density, x: np.ndarray) -> np.ndarray | None:
    """The closed form (N,) for one elliptical component, None where there is none."""
    from scipy.stats import chi2, f

    p, dof = density.n_features, density.dof[0]
    if density.n_components > 1 or (density.independent and p > 1 and np.isfinite(dof)):
        return None
    squares = density.squares(x).sum((-2, -1))
    return chi2.sf(squares, p) if np.isinf(dof) else f.sf(squares / p, p, dof)


def importance_draws(density: Density, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log densities (n,) of draws that reach into the tails, and their importance weights (n,).

    The standard deviations of the wider components grow by steps of 1 + 1 / sqrt(D), about as far apart as the distances of drawn rows from
    their centre spread.
    """
    steps = (1 + 1 / np.sqrt(density.n_features)) ** np.arange(1, WIDER + 1)
    wider = [dataclasses.replace(density, spread=density.spread * step**2) for step in steps]
    counts = [n - WIDER * (n // (2 * WIDER)), *[n // (2 * WIDER)] * WIDER]
    seeds = np.random.SeedSequence(seed).spawn(WIDER + 1)
    parts = [d.sample(m, s) for d, m, s in zip([density, *wider], counts, seeds, strict=True)]
    rows = np.concatenate(parts)
    logs = np.stack([d.log_density(rows) for d in [density, *wider]])
    top = logs.max(0)
    source = np.log(np.array(counts) / n @ np.exp(logs - top)) + top
    return logs[0], np.exp(logs[0] - source)
