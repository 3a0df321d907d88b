"""Cases of the numerical audits, and how far the package is from `oracles_exact` in each: for tests and for benchmarks/audits.py."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import oracles_exact as oracle
from mpmath import mp, mpf

import bayesgmm as bg
from bayesgmm.estimators.base import FitWarning

KINDS = ("full", "tied", "diag", "spherical")
RATIOS = (1.0, 0.5)
"""Widths of the two groups of `groups`, as multiples."""


def worst(found, truth, relative: bool = False) -> float:
    """Largest error of floats, nested as the exact numbers are."""
    if isinstance(truth, list):
        return max(worst(a, b, relative) for a, b in zip(found, truth, strict=True))
    error = abs(mpf(float(found)) - truth)
    return float(error / abs(truth) if relative else error)


def conditioned(condition: float, turned: bool = True, n: int = 40, shift: float = 0.0) -> np.ndarray:
    """Rows (n, 3) of two groups whose covariances have this condition number: along turned axes, or by columns in other units."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] if turned else np.eye(3)
    z = rng.normal(size=(n, 3))
    z[n // 2 :, 0] += 6
    return z * np.geomspace(1, condition**-0.5, 3) @ turn.T + shift


def groups(reach: float, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 2) of two groups at a distance of ``reach`` of their widths, and their labels."""
    labels = np.arange(n) % 2
    z = np.random.default_rng(1).normal(size=(n, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]]) / reach
    return 0.3 + z * np.array(RATIOS)[labels][:, None] + np.array([[0.0, 0.0], [1.0, 0.7]])[labels], labels


def halves(x, k: int) -> np.ndarray:
    """Labels to start from, which need no program of their own: rows of each group lie together."""
    return np.arange(len(x)) * k // len(x)


def quiet_fit(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(x)


def bayes(x, kind: str, k: int = 2, **others):
    others = {"n_init": 1, "prune": False, "moves": False, "init_params": halves(x, k)} | others
    return quiet_fit(bg.BayesianGaussianMixture(n_components=k, covariance_type=kind, **others), x)


def likely(x, kind: str, **others):
    others = {"n_init": 1, "init_params": halves(x, 2), "reg_covar": 0} | others
    return quiet_fit(bg.GaussianMixture(n_components=2, covariance_type=kind, **others), x)


def dense(model, kind: str) -> list[np.ndarray]:
    """Covariance matrices (D, D) of the components."""
    k, d, own = model.n_components_, model.n_features_in_, model.covariances_
    wide = {"tied": lambda: [own] * k, "diag": lambda: [np.diag(a) for a in own], "spherical": lambda: [a * np.eye(d) for a in own]}
    return list(wide.get(kind, lambda: own)())


def errors_of_bayes(model, x) -> dict[str, float]:
    """Errors of a variational fit beside the exact values for the posterior and the prior that it returned."""
    q, prior = model.posterior_, model.prior_
    with jax.enable_x64(True):
        penalty = [float(prior.weights.penalty(q.weights)), float(prior.components.penalty(q.components))]
    return {
        "lower_bound_": worst(model.lower_bound_, oracle.lower_bound(prior, q, x)),
        "score_samples (Bayesian)": worst(model.score_samples(x), oracle.log_predictive(prior, q, x)),
        "predict_proba (Bayesian)": worst(model.predict_proba(x), oracle.responsibilities(q, x)),
        "penalty": worst(penalty, list(oracle.divergences(prior, q))),
    }


def errors_of_likely(model, x, kind: str) -> dict[str, float]:
    """Errors of a maximum-likelihood fit beside the exact values for the weights, means and covariances that it returned."""
    density, resp = oracle.log_mixture(x, model.weights_, model.means_, dense(model, kind))
    return {
        "score_samples": worst(model.score_samples(x), density),
        "predict_proba": worst(model.predict_proba(x), resp),
        "log_likelihood_": worst(model.log_likelihood_, sum(density)),
    }


def error_of_evidence(x, kind: str, **others) -> float:
    """Error of the bound of one component beside the closed form of the evidence."""
    model = bayes(x, kind, 1, weight_concentration_prior_type="dirichlet_distribution", **others)
    return worst(model.lower_bound_, oracle.log_evidence_one(x, model.prior_.components))


def errors_by_condition(condition: float, kind: str, turned: bool = True, shift: float = 0.0, **others) -> dict[str, float]:
    """All errors for rows of this condition number; of factors the likelihood alone."""
    x = conditioned(condition, turned, shift=shift)
    found = errors_of_likely(likely(x, kind, **others), x, kind)
    if kind in KINDS:
        found |= errors_of_bayes(bayes(x, kind, **others), x) | {"log evidence, K = 1": error_of_evidence(x, kind, **others)}
    return found


def error_of_covariances(reach: float, kind: str, **others) -> float:
    """Largest relative error of a variance, beside the exact moments of the two groups."""
    x, labels = groups(reach)
    model, moments = likely(x, kind, init_params=labels, **others), []
    for k in range(2):
        rows = oracle.exact(x[labels == k])
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        moments.append([sum((row[j] - mean[j]) ** 2 for row in rows) / len(rows) for j in range(2)])
    if kind == "tied":
        moments = [[(a + b) / 2 for a, b in zip(*moments, strict=True)]] * 2
    if kind == "spherical":
        moments = [[sum(m) / 2] * 2 for m in moments]
    order = np.argsort(model.means_[:, 0])
    return max(worst(np.diagonal(dense(model, kind)[place]), moments[k], relative=True) for k, place in enumerate(order))


def errors_by_reach(reach: float, kind: str, **others) -> dict[str, float]:
    """Errors for two groups at a distance of so many widths: of densities and bounds for the parameters returned, and of these."""
    x, labels = groups(reach)
    unit = {"full": np.eye(2), "tied": np.eye(2), "diag": np.ones(2), "spherical": 1.0}[kind]
    narrow = {"covariance_prior": unit / reach**2, "init_params": labels}
    found = errors_of_likely(likely(x, kind, init_params=labels, **others), x, kind)
    found |= errors_of_bayes(bayes(x, kind, **narrow, **others), x)
    return found | {"covariances_ (relative)": error_of_covariances(reach, kind, **others)}


def mixed(found, truth) -> float:
    """Largest error relative to 1 + the size of the truth."""
    with np.errstate(all="ignore"):
        return max(float(abs(mpf(float(a)) - b) / (1 + abs(b))) for a, b in zip(np.ravel(found), truth, strict=True))


ARGUMENTS = np.concatenate([10.0 ** np.arange(-300, 0, 20), np.geomspace(1e-12, 1e15, 300)])
STEPS = (1e-10, 0.5, 1.0, 8.0, 100.0, 1e5)


def exact_gain(a: float, step: float):
    mp.dps = oracle.DIGITS
    return mp.loggamma(mpf(a) + mpf(step)) - mp.loggamma(mpf(a))
