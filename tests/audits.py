"""Cases of the numerical audits, and how far the package is from `oracles_exact` in each: for tests and for benchmarks/audits.py."""

from __future__ import annotations

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import oracles_exact as oracle
from mpmath import mp, mpf

import bayesgmm as bg
from bayesgmm.core.statistics import Natural, product_form
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.estimators.base import FitWarning
from bayesgmm.inference import kernel

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
    """Rows (n, 3) of two groups at a distance of ``reach`` of their widths, and their labels."""
    labels = np.arange(n) * 2 // n
    mixed = np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 0.0], [0.3, 0.0, 1.0]])
    z = np.random.default_rng(1).normal(size=(n, 3)) @ mixed / reach
    return 0.3 + z * np.array(RATIOS)[labels][:, None] + np.array([[0.0, 0.0, 0.0], [0.7, -0.5, 0.5]])[labels], labels


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


def errors_by_condition(condition: float, kind: str, turned: bool = True, shift: float = 0.0, one: bool = True, **others):
    """All errors for rows of this condition number, with ``one`` those of one component too; of factors the likelihood alone."""
    x = conditioned(condition, turned, shift=shift)
    found = errors_of_likely(likely(x, kind, **others), x, kind)
    if kind in KINDS:
        found |= errors_of_bayes(bayes(x, kind, **others), x)
    return found | ({"log evidence, K = 1": error_of_evidence(x, kind, **others)} if one and kind in KINDS else {})


def error_of_covariances(reach: float, kind: str, **others) -> float:
    """Largest relative error of a variance, beside the exact moments of the two groups."""
    x, labels = groups(reach)
    model, moments = likely(x, kind, init_params=labels, **others), []
    for k in range(2):
        rows = oracle.exact(x[labels == k])
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        moments.append([sum((row[j] - mean[j]) ** 2 for row in rows) / len(rows) for j in range(3)])
    if kind == "tied":
        moments = [[(a + b) / 2 for a, b in zip(*moments, strict=True)]] * 2
    if kind == "spherical":
        moments = [[sum(m) / 3] * 3 for m in moments]
    order = np.argsort(model.means_[:, 0])
    return max(worst(np.diagonal(dense(model, kind)[place]), moments[k], relative=True) for k, place in enumerate(order))


def likely_by_reach(reach: float, kind: str, **others) -> dict[str, float]:
    """Errors for two groups at a distance of so many widths: of densities for the parameters returned, and of the covariances."""
    x, labels = groups(reach)
    found = errors_of_likely(likely(x, kind, init_params=labels, **others), x, kind)
    return found | {"covariances_ (relative)": error_of_covariances(reach, kind, **others)}


def bayes_by_reach(reach: float, kind: str, **others) -> dict[str, float]:
    """Errors of a variational fit whose prior lets the groups be as narrow as they are."""
    x, labels = groups(reach)
    unit = {"full": np.eye(3), "tied": np.eye(3), "diag": np.ones(3), "spherical": 1.0}[kind]
    return errors_of_bayes(bayes(x, kind, covariance_prior=unit / reach**2, init_params=labels, **others), x)


def mixed(found, truth) -> float:
    """Largest error relative to 1 + the size of the truth."""
    with np.errstate(all="ignore"):
        return max(float(abs(mpf(float(a)) - b) / (1 + abs(b))) for a, b in zip(np.ravel(found), truth, strict=True))


ARGUMENTS = np.concatenate([10.0 ** np.arange(-300, 0, 20), np.geomspace(1e-12, 1e15, 300)])
STEPS = (1e-10, 0.5, 1.0, 8.0, 100.0, 1e5)


def exact_gain(a: float, step: float):
    mp.dps = oracle.DIGITS
    return mp.loggamma(mpf(a) + mpf(step)) - mp.loggamma(mpf(a))


def far_rows(reach: float, kind: str, dtype: str = "float64"):
    """Structure, natural parameters and rows of two overlapping groups whose distance from the origin is ``reach`` widths."""
    structure = STRUCTURES["full" if kind == "tied" else kind]
    rng, centre = np.random.default_rng(2), np.array([0.6, -0.8])
    mean = centre + np.array([[0.0, 0.0], [1.5, -0.5]]) / reach
    x = (mean[np.arange(32) % 2] + rng.normal(size=(32, 2)) / reach).astype(dtype)
    matrix = np.array([[1.0, 0.3], [0.3, 1.2]]) * reach**2
    packed = {2: matrix, 1: np.diagonal(matrix), 0: matrix[0, 0]}[structure.rank]
    precision = np.stack([packed] if kind == "tied" else [packed, 1.5 * packed]).astype(dtype)
    return structure, Natural(*(jnp.asarray(np.asarray(a, dtype)) for a in ([0.3, -0.4], mean, precision))), jnp.asarray(x)


@partial(jax.jit, static_argnames="structure")
def both_forms(structure, natural, x):
    """Scores (N, K) by the matrix product, and as a pass has them."""
    return product_form(structure, natural)(structure.features(x.T)).T, kernel.scores(structure, natural)(x)


def exact_scores(structure, natural, x) -> list:
    """Scores (N, K), every number of `Natural` and of the rows taken as it is."""
    kind = {2: "full", 1: "diag", 0: "spherical"}[structure.rank]
    matrices = [oracle.dense(kind, a, 2) for a in natural.precision]
    found = []
    for row in oracle.exact(x):
        terms = []
        for k, (level, mean) in enumerate(zip(oracle.exact(natural.level), oracle.exact(natural.mean), strict=True)):
            off, matrix = [a - b for a, b in zip(row, mean, strict=True)], matrices[min(k, len(matrices) - 1)]
            terms.append(level - sum(off[i] * matrix[i][j] * off[j] for i in range(2) for j in range(2)) / 2)
        found.append(terms)
    return found


def errors_of_forms(reach: float, kind: str, dtype: str = "float64") -> tuple[float, float, bool]:
    """Errors of scores by the matrix product and by what a pass uses, and whether that is something else."""
    with jax.enable_x64(True):
        structure, natural, x = far_rows(reach, kind, dtype)
        product, ours = (np.asarray(a) for a in both_forms(structure, natural, x))
        truth = exact_scores(structure, natural, x)
        return worst(product, truth), worst(ours, truth), bool((ours != product).any())
