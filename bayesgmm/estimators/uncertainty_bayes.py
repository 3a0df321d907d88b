"""Draws of the parameters of a Bayesian mixture."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np

from bayesgmm.analysis import draws as ways
from bayesgmm.analysis.coefficients import is_plain
from bayesgmm.analysis.draws import Draws
from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.importance import TRUSTED, check_exchangeable
from bayesgmm.analysis.pareto import FEWEST
from bayesgmm.analysis.response import MOST, SLOW, n_coefficients
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import tails
from bayesgmm.estimators.base import FitWarning, in_float64, to_numpy
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES
from bayesgmm.estimators.evidence import MOST_DRAWS, rows_of_fit
from bayesgmm.estimators.robust import check_gaussian
from bayesgmm.estimators.training import read_known
from bayesgmm.estimators.uncertainty import Uncertainty
from bayesgmm.inference.arrange import Arranged, Known, for_passes
from bayesgmm.inference.cells import responsibilities
from bayesgmm.inference.compiling import jit
from bayesgmm.progress import Progress
from bayesgmm.validation import check_number, check_option, check_seed

METHODS = ("mean_field", "linear_response", "importance", "gibbs")

OF_ALL = ("mean_field", "linear_response")
"""Methods for models with noise or heavy tails, and for rows that are known in part."""

UNMIXED = 1.05
"""r-hat above which chains do not agree."""

FEWEST_OF_CHAIN = 8
"""Draws of a chain from which r-hat and the effective number of draws can be told."""


@in_float64
def uncertainty(
    model: Any, X: Any, sample_weight: Any, method: str, n_draws: int, random_state: Any, chains: dict[str, int], verbose: bool | None
) -> Uncertainty:
    """See `BayesianGaussianMixture.uncertainty`; ``chains`` holds ``n_chains``, ``n_burn`` and ``thin``."""
    model._check_fitted()
    check_option("method", method, METHODS)
    if method not in OF_ALL:
        check_gaussian(model, f'method="{method}"', f"use {' or '.join(map(repr, OF_ALL))}")
    check_number("n_draws", n_draws, FEWEST if method == "importance" else 2, high=MOST_DRAWS, integer=True)
    for name, value in chains.items():
        check_number(name, value, 0 if name == "n_burn" else 1, integer=True)
    n, seed = int(n_draws), check_seed(random_state)
    prior, posterior, y, weight = rows_of_fit(model, X, sample_weight, part=True)
    check_complete(y, method, OF_ALL)
    if method == "mean_field":
        found = ways.mean_field(posterior, n, seed)
    elif method == "linear_response":
        found = _linear_response(posterior, *for_passes(y, weight), n, seed)
    elif method == "importance":
        check_exchangeable(model.prior_)
        found = ways.sampled_importance(prior, [posterior], y, weight, np.asarray(responsibilities(posterior, y)).argmax(1), n, seed)
    else:
        with Progress(verbose) as told:
            found = _gibbs(prior, posterior, y, weight, n, seed, chains, told)
    return published(model, found, read_known(model, X)[0], y, method, seed, weight)


def check_complete(y: Any, method: str, others: tuple[str, ...]) -> None:
    """Complete rows, but for methods that take ``others``."""
    if isinstance(y, Arranged) and method not in others:
        raise ValueError(f'method="{method}" needs complete rows of which nothing else is known; use {" or ".join(map(repr, others))}.')


def _linear_response(posterior: Mixture, y, weight, n: int, seed: int) -> Draws:
    if not is_plain(posterior) and n_coefficients(posterior) > MOST:
        raise ValueError(
            f'method="linear_response" of models with noise or Student t components is for up to {MOST} coefficients of their scores; this '
            f'one has {n_coefficients(posterior)}: use "mean_field", or a covariance_type with fewer parameters.'
        )
    found = ways.linear_response(posterior, y, weight, n, seed)
    if found.facts["contraction"] > SLOW:
        _warn(
            f"The components overlap so much (contraction {found.facts['contraction']:.3f}, above {SLOW}) that a Gaussian around the fit "
            'is a poor description of the posterior: compare with method="gibbs".'
        )
    return found


def _gibbs(prior: Mixture, posterior: Mixture, y, weight, n: int, seed: int, chains: dict[str, int], told: Progress) -> Draws:
    if (weight != 1).any():
        raise ValueError('method="gibbs" draws a label for each row and cannot take weights; repeat rows instead, or use another method.')
    if -(-n // chains["n_chains"]) < FEWEST_OF_CHAIN:
        raise ValueError(
            f'method="gibbs" needs at least {FEWEST_OF_CHAIN} draws from each chain: n_draws={n}, n_chains={chains["n_chains"]}.'
        )
    each = -(-n // chains["n_chains"])
    told(f"gibbs: {chains['n_burn']} sweeps before the first draw ...")
    resp = np.asarray(responsibilities(posterior, y))
    found = ways.gibbs(prior, resp, y, n, seed, **chains, notify=lambda done: told(f"gibbs: {done} of {each} draws of each chain"))
    if found.facts["r_hat"] > UNMIXED:
        _warn(
            f"The chains do not agree (r-hat {found.facts['r_hat']:.3f}, above {UNMIXED}): they may not have explored the posterior. Raise "
            "n_draws, thin and n_burn; if that does not help, the posterior has several separate modes."
        )
    return found


def _warn(text: str) -> None:
    warnings.warn(text, FitWarning, stacklevel=6)


@jit
def _outward(coordinates: Coordinates, points: Mixture) -> Mixture:
    return jax.vmap(coordinates.mixture_outward)(points)


def _more(model: Any, points: Mixture) -> dict[str, np.ndarray]:
    """Draws of the weight of noise (S,) and, where they were not held fixed, of degrees of freedom (S, K)."""
    found, law = {}, tails(points.components)
    if points.n_noise:
        found["noise_weight"] = points.weights.weights[:, -1]
    if law is not None and law.learn and not model._bayesian:
        found["degrees_of_freedom"] = law.dof
    return found


def published(model: Any, found: Draws, values: Any, y: Any, method: str, seed: int, weight: np.ndarray) -> Uncertainty:
    """Draws in the user's units, and the rest that an answer holds; ``y`` are the rows, or what is known of them, in inner coordinates."""
    facts = {"k_hat": np.nan, "ess": len(found.points.weights.weights), "r_hat": np.nan, "contraction": np.nan, "n_chains": 1} | found.facts
    if facts["k_hat"] > TRUSTED:
        _warn(
            f"The importance weights have too heavy a tail (k-hat {facts['k_hat']:.2f}, above {TRUSTED}): the draws are not to be trusted. "
            'Use method="gibbs".'
        )
    if not model.converged_:
        _warn("The fit has not converged: this is the uncertainty around a place that is not its optimum. Raise max_iter and fit again.")
    outer = jax.tree.map(np.asarray, _outward(model._coordinates, found.points))
    tied = COVARIANCE_TYPES[model.covariance_type][1]
    covariances, k = outer.components.covariance, outer.components.mean.shape[1]
    part = isinstance(y, Arranged)
    log_det = 0.0 if part else float(model._coordinates.log_det)
    return Uncertainty(
        method=method,
        draws={
            "weights": outer.weights.weights[:, :k],
            "means": outer.components.mean,
            "covariances": covariances[:, 0] if tied else covariances,
            **_more(model, outer),
        },
        feature_names=column_names(model),
        k_hat=float(facts["k_hat"]),
        ess=float(facts["ess"]),
        r_hat=float(facts["r_hat"]),
        log_evidence=float(facts.get("log_evidence", np.nan) - weight.sum() * log_det),
        contraction=float(facts["contraction"]),
        n_chains=int(facts["n_chains"]),
        _points=found.points,
        _rows=to_numpy(y),
        _values=values.values if isinstance(values, Known) else values,
        _log_det=log_det,
        _labels=found.labels,
        _seed=seed,
        _box=model._noise_box,
    )
