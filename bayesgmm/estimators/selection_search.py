"""One search of `select`: all structures and numbers of components under one prior, and the chosen model as an estimator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesgmm.analysis.held_out import held_out_densities
from bayesgmm.analysis.selection import Table, bayesian_columns, likelihood_columns, likelihood_fits, make_table, ordered
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import first, gaussians, without_noise
from bayesgmm.core.structures import Structure
from bayesgmm.estimators.bayesian import BayesianGaussianMixture
from bayesgmm.estimators.covariance_types import count_parameters
from bayesgmm.estimators.data import InMemory
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.estimators.mixture import MixtureEstimator
from bayesgmm.estimators.results import store
from bayesgmm.estimators.robust import GAUSSIAN, Robust
from bayesgmm.estimators.selection_options import likelihood_frame, make_frames, make_problems
from bayesgmm.estimators.training import Training, settings_of
from bayesgmm.frames import column_label
from bayesgmm.inference.cells import Frame, Runs
from bayesgmm.inference.problem import Problem
from bayesgmm.inference.restarts import advance
from bayesgmm.inference.sweep import Key, Sweep


@dataclasses.dataclass
class Search:
    """Fits of one data set under one prior.

    Parameters
    ----------
    training : Training
    prior : str
        What the table calls it.
    given : "hierarchical", "fixed", mapping or None
        The prior itself; None is maximum likelihood.
    frames : dict of name to Frame
    robust : Robust
    """

    training: Training
    prior: str
    given: Any
    frames: dict[str, Frame]
    robust: Robust = GAUSSIAN

    def run(self, numbers: list[int], seed: int, n_init: int, notify: Callable[[int, str], None]) -> None:
        """Fit every cell, and EM from each; fills ``sweep`` and ``likelihood``."""
        charge = None if self.bayesian else self._bic_charge
        self.sweep = Sweep(self.frames, numbers, seed, charge, self.bayesian, n_init, notify)
        self.sweep.run()
        cells = self.sweep.cells
        self._flat = {name: likelihood_frame(name, frame) for name, frame in self.frames.items()}
        self.likelihood: dict[Key, Runs] = (
            likelihood_fits(self.sweep, self._flat) if self.bayesian else {key: cell.run for key, cell in cells.items()}
        )

    @property
    def bayesian(self) -> bool:
        """Whether the fits are variational."""
        return self.given is not None

    def _parameters(self, name: str, k: int) -> int:
        return count_parameters(name, k, self.training.values.shape[1]) + self.robust.n_parameters(k)

    def _bic_charge(self, name: str, k: int) -> float:
        """Nats by which BIC lowers a log-likelihood: what the search by maximum likelihood aims at."""
        return self._parameters(name, k) / 2 * np.log(self.training.weight.sum())

    def table(self) -> Table:
        """A row for each cell."""
        parameters = {key: self._parameters(*key) for key in self.sweep.cells}
        columns = {key: likelihood_columns(runs, self._flat[key[0]], key, parameters[key]) for key, runs in self.likelihood.items()}
        variational = bayesian_columns(self.sweep) if self.bayesian else {}
        return make_table(self.sweep, self.prior, parameters, variational, columns)

    def held_out(self, fold: np.ndarray, notify: Callable[[int], None]) -> np.ndarray:
        """Log predictive density (M, N) of every row by fits to the other folds, for each row of the table."""
        values, weight = self.training.used()
        names = list(self.frames)

        def remaining(mask: np.ndarray) -> dict[str, Frame]:
            return make_frames(names, make_problems(names, values, np.where(mask, weight, 0.0)), self.given, self.robust)

        found = held_out_densities(self.sweep, fold, remaining, notify)
        return np.array([found[key] for key in ordered(self.sweep)])

    def estimator(self, key: Key, random_state: Any) -> MixtureEstimator:
        """A model of the table as an estimator, converged to many digits."""
        name, k = key
        problem = self.frames[name].problem
        run = self.sweep.cells[key].run if self.bayesian else self.likelihood[key]
        prior, posterior = (first(law, k + self.frames[name].n_noise) for law in (run.prior, run.posterior))
        if self.bayesian:
            model: Any = _bayesian(name, k, prior, problem, random_state)
        else:
            model = GaussianMixture(k, covariance_type=name, random_state=random_state)
        model.set_params(missing="at_random" if np.isnan(self.training.values).any() else "error")
        model.set_params(noise=self.robust.noise, student_t=self.robust.student_t)
        settings = settings_of(model)
        data = InMemory(self.training, problem, settings)
        fit = data.finished(lambda: advance(prior, posterior, problem, settings, settings.max_steps))
        fit.start_bounds = (fit.bound,) * self.sweep.n_starts
        store(model, fit, data, self.robust.noise_box)
        if not self.bayesian:
            model._report_collapse(fit, problem)
        return model


def share_likelihoods(searches: list[Search]) -> None:
    """Give every search the best maximum-likelihood fit of each model that any of them found: those have no prior."""

    def worth(run: Runs) -> float:
        return float(run.bound) if bool(run.usable) and np.isfinite(run.bound) else -np.inf

    for key in {key for search in searches for key in search.likelihood}:
        holders = [search.likelihood for search in searches if key in search.likelihood]
        best = max((fits[key] for fits in holders), key=worth)
        for fits in holders:
            fits[key] = best


def given_up(searches: list[Search], most: int) -> list[str]:
    """What is said of structures whose larger models were not tried."""
    several, left = len(searches) > 1, []
    for search in searches:
        for name in search.frames:
            last = max(k for structure, k in search.sweep.cells if structure == name)
            if last < most:
                left.append(f"{name.replace('_', ' ')}{f' ({search.prior})' if several else ''} {last}")
    return [f"Tried in vain beyond their best up to these numbers, and then given up: {', '.join(left)}."] if left else []


def dependent(problems: dict[Structure, Problem], training: Training) -> list[str]:
    """What is said of columns that are combinations of others."""
    found = sorted({column for problem in problems.values() for column in problem.dependent})
    if not found:
        return []
    named = ", ".join(column_label(column, training.names) for column in found)
    return [
        f"Linearly dependent on other columns: {named}. Full and tied models then rest on a ridge: their bounds and evidences cannot be "
        "compared with those of other structures; leave such columns out."
    ]


def _bayesian(name: str, k: int, prior: Mixture, problem, random_state) -> BayesianGaussianMixture:
    """An estimator whose parameters state the prior in the user's units, so that fitting it again means the same model."""
    own = without_noise(problem.coordinates.mixture_outward(prior))
    law = gaussians(own.components)
    return BayesianGaussianMixture(
        n_components=k,
        covariance_type=name,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=float(own.weights.concentration[0]),
        mean_prior=np.asarray(law.mean[0]),
        mean_precision_prior=float(law.mean_precision[0]),
        degrees_of_freedom_prior=float(law.dof[0]),
        covariance_prior=np.asarray(law.scale[0]),
        random_state=random_state,
        prune=False,
    )
