"""Draws of the parameters of a mixture fitted by maximum likelihood: from its curvature, or from fits of other sets of rows."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis import observed, refits
from bayesgmm.analysis.draws import Draws, best_labels, matched
from bayesgmm.analysis.rows import law_inward, rows_inward
from bayesgmm.analysis.unconstrained import n_coordinates
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.student import LEAST
from bayesgmm.core.student import MOST as MOST_DOF
from bayesgmm.estimators.base import FitError, FitWarning, in_float64
from bayesgmm.estimators.covariance_types import sharing_of
from bayesgmm.estimators.evidence import MOST_DRAWS
from bayesgmm.estimators.training import read_rows_of_fit
from bayesgmm.estimators.uncertainty import Uncertainty
from bayesgmm.estimators.uncertainty_bayes import check_complete, published
from bayesgmm.inference.arrange import Arranged, Known, arrange, for_passes
from bayesgmm.progress import Progress
from bayesgmm.validation import check_number, check_option, check_seed

CURVATURE = ("observed_information", "sandwich")
OF_PART = (*CURVATURE, "bootstrap", "weighted_bootstrap", "jackknife")
"""Methods for rows that are known in part; with groups, only the first."""
CHARTED = (*CURVATURE, "jackknife")
"""Methods whose draws are made in coordinates of free covariances."""

METHODS = (*CURVATURE, "bootstrap", "weighted_bootstrap", "parametric_bootstrap", "jackknife")

MOST = 1500
"""Free parameters up to which second derivatives are taken."""

EDGE = 1e-3
"""Relative distance from the ends of their range within which degrees of freedom count as at one."""


@in_float64
def uncertainty(model: Any, X: Any, sample_weight: Any, method: str, n_draws: int, random_state: Any, verbose: bool | None) -> Uncertainty:
    """See `GaussianMixture.uncertainty`."""
    model._check_fitted()
    check_option("method", method, METHODS)
    check_number("n_draws", n_draws, 2, high=MOST_DRAWS, integer=True)
    n, seed = int(n_draws), check_seed(random_state)
    if model.prior is not None:
        raise ValueError("uncertainty of a fit with a prior: use BayesianGaussianMixture, whose posterior has it; prior must be None here.")
    if sharing_of(model.covariance_type) and method in CHARTED:
        raise ValueError(
            f'method="{method}" moves every covariance freely, which covariance_type={model.covariance_type!r} does not allow; '
            'use method="bootstrap", "weighted_bootstrap" or "parametric_bootstrap".'
        )
    if model.frozen is not None and method in CHARTED:
        raise ValueError(f'method="{method}" moves every component, and some are frozen; use "bootstrap" or "weighted_bootstrap".')
    if model.collapsed_:
        raise FitError("The fit has warned that its likelihood has no meaningful maximum here; then there are no standard errors either.")
    _check_tails(model, method)
    values, weight = read_rows_of_fit(model, X, sample_weight, part=True)
    point = law_inward(model._coordinates, model.posterior_)
    y = arrange(values, model._coordinates) if isinstance(values, Known) else rows_inward(model._coordinates, values)
    grouped = isinstance(values, Known) and values.group is not None
    check_complete(y, method, ("observed_information",) if grouped else OF_PART)
    if method in CURVATURE:
        found = _curved(model, point, y, weight, method == "sandwich", n, seed)
    else:
        with Progress(verbose) as told:
            found = _refitted(model, point, y, weight, method, n, seed, told)
    return published(model, found, values, y, method, seed, weight)


def _check_tails(model: Any, method: str) -> None:
    """Learnt degrees of freedom within their range, where a method takes derivatives by them."""
    law = observed.tails(model.posterior_.components)
    if law is None or not law.learn or method not in CHARTED:
        return
    at = [k for k, dof in enumerate(np.asarray(law.dof)) if not LEAST * (1 + EDGE) < dof < MOST_DOF * (1 - EDGE)]
    if at:
        raise ValueError(
            f'method="{method}" needs degrees of freedom inside their range, {LEAST:g} to {MOST_DOF:g}; those of component '
            f'{", ".join(map(str, at))} are at its end: use "bootstrap", "weighted_bootstrap" or "parametric_bootstrap", or fix student_t.'
        )


def _charted(model, point: Mixture) -> tuple[Any, observed.Around]:
    """Coordinates of the estimate, and of what it has beside Gaussians."""
    sums = model._stats.tails
    pulls = None if sums is None else sums[: model.n_components_, 0]
    return observed.chart_around(point, model._counts, pulls), observed.around_of(point, model._counts)


def _curved(model, point: Mixture, y, weight, robust: bool, n: int, seed: int) -> Draws:
    chart, beside = _charted(model, point)
    size = n_coordinates(chart) + len(beside.width)
    if size > MOST:
        raise ValueError(f"Second derivatives of {size} free parameters, more than {MOST}: use a bootstrap method instead.")
    try:
        root, contraction = observed.covariance_root(observed.curvature(chart, y, weight, beside), robust)
    except FloatingPointError as error:
        raise FitError(f"The fit is not at a maximum of the likelihood ({error}): lower tol, or use a bootstrap method.") from error
    z = np.random.default_rng(seed).standard_normal((n, len(root))) @ root.T
    return Draws(jax.tree.map(np.asarray, observed.points_at(chart, z, beside)), None, {"contraction": contraction})


def _refitted(model, point: Mixture, y, weight, method: str, n: int, seed: int, told: Progress) -> Draws:
    """Fits of other sets, without those that collapsed."""
    rng, prior = np.random.default_rng(seed), law_inward(model._coordinates, model.prior_)
    if method in ("parametric_bootstrap", "jackknife") and (weight[weight > 0] != 1).any():
        raise ValueError(f'method="{method}" cannot take weights; use "bootstrap" or "weighted_bootstrap", or repeat rows.')

    def notify(done: int) -> None:
        told(f"{method.replace('_', ' ')}: fit {done} of {len(y) if method == 'jackknife' else n}")

    if method == "parametric_bootstrap":
        found = refits.simulated(prior, point, jnp.asarray(weight), n, seed, notify, _box_of_noise(model))
    elif method == "jackknife":
        x, w = for_passes(y, weight)
        places = (y.place if isinstance(y, Arranged) else np.arange(len(y)))[weight > 0]
        found = refits.left_out(prior, point, x, jnp.asarray(w), places, weight[weight > 0], notify)
    else:
        weights = (refits.resampled_weights if method == "bootstrap" else refits.random_weights)(weight, n, rng)
        x, weights = (y.rows, y.spread(weights)) if isinstance(y, Arranged) else (y, weights)
        found = refits.reweighted(prior, point, x, weights, notify)
    points = matched(_kept(found), y, best_labels(point, y), weight)
    if method == "jackknife":
        chart, beside = _charted(model, point)
        root = observed.jackknife_root(np.asarray(observed.places(chart, points, beside)))
        points = observed.points_at(chart, rng.standard_normal((n, len(root))) @ root.T, beside)
        points = jax.tree.map(np.asarray, points)
    return Draws(points, None, {})


def _box_of_noise(model) -> tuple | None:
    """Where rows of noise are drawn, in inner coordinates: a corner (D,) and the edges from it (D, D)."""
    if model._noise_box is None:
        return None
    low, high = model._noise_box
    corner, ends = (rows_inward(model._coordinates, a) for a in (low, low + np.diag(high - low)))
    return corner, ends - corner


def _kept(found: refits.Refits) -> Mixture:
    failed = int((~found.usable).sum())
    if failed > len(found.usable) - 2:
        raise FitError("In nearly all sets a component collapsed onto a few rows: there is no spread to report. Fit fewer components.")
    if failed:
        warnings.warn(
            f"In {failed} of {len(found.usable)} sets a component collapsed onto a few rows; they are left out, so the spread may be too "
            "small.",
            FitWarning,
            stacklevel=6,
        )
    return jax.tree.map(lambda a: a[found.usable], found.points)
