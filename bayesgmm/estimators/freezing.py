"""Components that the user knows beforehand: read, checked, and put into a prior."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.rows import law_inward
from bayesgmm.core.frozen import Frozen
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.pytree import replace
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, sharing_of
from bayesgmm.inference.problem import Problem
from bayesgmm.validation import brief, check_array, check_positive_definite


def n_frozen(estimator: Any) -> int:
    """Components that are known beforehand."""
    given = getattr(estimator, "frozen", None)
    if given is None:
        return 0
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(f"frozen must be a pair, means (F, D) and covariances of F components; got {brief(given)}.")
    try:
        n = len(np.atleast_2d(np.asarray(given[0], float)))
    except (TypeError, ValueError):
        raise ValueError(f"The means in frozen must be numbers (F, D), a row for each component; got {brief(given[0])}.") from None
    if n > estimator.n_components:
        raise ValueError(f"frozen has {n} components, more than n_components = {estimator.n_components}.")
    return n


def with_frozen(prior: Any, model: Any, problem: Problem) -> Any:
    """A prior in inner coordinates, its first components known where the model says so."""
    if model.frozen is None:
        return prior
    known = law_inward(problem.coordinates, _known(model, problem))
    return _around(prior, known)


def _around(prior: Mixture | MAP, known: Gaussian) -> Any:
    if isinstance(prior, MAP):
        return MAP(_around(prior.prior, known))
    others = np.arange(len(known.mean), prior.n_components)
    return replace(prior, components=Frozen(known, prior.components.take(others)))


def held(prior: Any, start: Mixture) -> Mixture:
    """A start in which components that the prior knows are as it knows them."""
    law = prior.components
    return replace(start, components=law.fixed(start.components)) if isinstance(law, Frozen) else start


def as_given(model: Any) -> None:
    """The known components of a fit in the very numbers that the user gave."""
    n = n_frozen(model)
    if n:
        for name, values in zip(("means_", "covariances_"), model.frozen, strict=True):
            own = np.array(getattr(model, name))
            own[:n] = np.reshape(values, (n, *own.shape[1:]))
            setattr(model, name, own)


def check_learnt(model: Any, what: str, instead: str = "") -> None:
    """A Bayesian model all of whose components were learnt, for what moves every one of them."""
    if isinstance(model.posterior_.components, Frozen):
        raise ValueError(f"{what} is not there for Bayesian models with frozen components{instead}; fit with frozen=None.")


def _known(model: Any, problem: Problem) -> Gaussian:
    """Components that are known, in the units of the data."""
    structure, tied = COVARIANCE_TYPES[model.covariance_type]
    if tied or sharing_of(model.covariance_type):
        raise ValueError(f"frozen components need covariances of their own; covariance_type={model.covariance_type!r} shares them.")
    if model.noise is not None or model.student_t is not None:
        raise ValueError("frozen components are for Gaussian ones without noise: leave noise and student_t out.")
    (means, covariances), n, d = model.frozen, problem.n_fixed, problem.n_features
    means = check_array("The means in frozen", np.atleast_2d(means), (n, d))
    covariances = check_array("The covariances in frozen", covariances, (n,) + (d,) * structure.rank)
    check_positive_definite("The covariances in frozen", covariances, structure.rank)
    return Gaussian(jnp.asarray(means), jnp.asarray(covariances), structure)
