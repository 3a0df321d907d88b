"""The exact objective of any fit in numpy and scipy: what a posterior of the package is worth by text-book formulas.

`describe` and `describe_prior` only copy numbers out of the package's objects into the dicts of oracles.py. Besides those a law
may be a point: weights dict(kind="point", weights (K,), broken (K,) or None), components dict(kind="point", structure, tied, mean,
covariance, packed). A flat prior is None.
"""

from __future__ import annotations

import numpy as np
from oracles import _precision_expectations, _weight_terms, elbo_terms
from scipy import stats
from scipy.special import digamma, gammaln, logsumexp, softmax, xlogy

from bayesgmm.core.structures import STRUCTURES

NAMES = {type(structure): name for name, structure in STRUCTURES.items()}


def describe(mixture) -> dict:
    """Numbers of a posterior."""
    return dict(weights=_describe_weights(mixture.weights), components=_describe_components(mixture.components))


def _describe_weights(law) -> dict:
    kind = type(law).__name__
    if kind == "Dirichlet":
        return dict(kind="dirichlet", alpha=np.asarray(law.concentration))
    if kind == "StickBreaking":
        order = np.asarray(law.order)
        sticks = dict(kind="sticks", a=np.asarray(law.alpha)[order], b=np.asarray(law.beta)[order], order=order)
        return sticks | (dict(shape=float(law.shape), rate=float(law.rate)) if law.learn else {})
    broken = np.asarray(law.broken) if kind == "PointSticks" else None
    return dict(kind="point", weights=np.asarray(law.weights), broken=broken)


def _describe_components(law) -> dict:
    shared = dict(structure=NAMES[type(law.structure)], tied=law.tied, mean=np.asarray(law.mean))
    if type(law).__name__ == "Gaussian":
        return dict(kind="point", **shared, covariance=np.asarray(law.covariance))
    return dict(**shared, kappa=np.asarray(law.mean_precision), nu=np.asarray(law.dof), S=np.asarray(law.scale))


def describe_prior(prior) -> dict:
    """Numbers of a prior; that of MAP is its conjugate one."""
    prior = getattr(prior, "prior", prior)
    weights, components = prior.weights, prior.components
    kinds = type(weights).__name__, type(components).__name__
    of_weights = None
    if kinds[0] == "Dirichlet":
        of_weights = dict(kind="dirichlet", alpha=np.asarray(weights.concentration))
    elif kinds[0] == "StickBreaking":
        shape, rate = float(weights.shape), float(weights.rate)
        of_weights = dict(kind="sticks") | (dict(shape=shape, rate=rate) if weights.learn else dict(gamma=shape / rate))
    of_components = None
    if kinds[1] == "NormalWishart":
        names = dict(m0="mean", kappa0="mean_precision", nu0="dof", S0="scale")
        of_components = {name: np.asarray(getattr(components, field))[0] for name, field in names.items()}
    return dict(weights=of_weights, components=of_components)


def expected_log_weights(law: dict) -> np.ndarray:
    """E log pi (K,) in component order: Bishop (2006), 10.66; sticks: Blei & Jordan (2006)."""
    if law["kind"] == "point":
        with np.errstate(divide="ignore"):
            return np.log(law["weights"])
    if law["kind"] == "dirichlet":
        return digamma(law["alpha"]) - digamma(law["alpha"].sum())
    log_v, log_rest = (digamma(law[name]) - digamma(law["a"] + law["b"]) for name in ("a", "b"))
    value = np.empty(len(log_v))
    value[law["order"]] = log_v + np.concatenate([[0.0], np.cumsum(log_rest)[:-1]])
    return value


def dense(law: dict, matrix: np.ndarray) -> np.ndarray:
    """One packed matrix (*packed) as (D, D)."""
    d = law["mean"].shape[1]
    return matrix if law["structure"] == "full" else np.broadcast_to(matrix, d) * np.eye(d)


def scores(x: np.ndarray, q: dict) -> np.ndarray:
    """E log pi_k + E log N(x_i | k) (N, K): Bishop (2006), 10.46."""
    c, d = q["components"], x.shape[1]
    columns = []
    for k, m in enumerate(c["mean"]):
        pick = 0 if c["tied"] else k
        if c.get("kind") == "point":
            columns.append(stats.multivariate_normal.logpdf(x, m, dense(c, c["covariance"][pick])).reshape(len(x)))
            continue
        precision, log_det, _ = _precision_expectations(c["structure"], c["nu"][pick], c["S"][pick], d)
        distances = np.einsum("id,de,ie->i", x - m, precision, x - m)
        columns.append((log_det - d * np.log(2 * np.pi) - d / c["kappa"][k] - distances) / 2)
    return np.stack(columns, axis=1) + expected_log_weights(q["weights"])


def posterior_responsibilities(x: np.ndarray, q: dict) -> np.ndarray:
    """The E-step (N, K)."""
    return softmax(scores(x, q), axis=1)


def weight_gain(law: dict, prior: dict | None) -> float:
    """E log p - E log q of the weights; for a point its log prior density."""
    if prior is None:
        return 0.0
    if law["kind"] != "point":
        _, log_p, log_q = _weight_terms(np.zeros(len(law.get("alpha", law.get("a")))), law, prior)
        return float(log_p - log_q)
    if prior["kind"] == "sticks":
        return float(stats.beta.logpdf(law["broken"], 1, prior["gamma"]).sum())
    alpha = prior["alpha"]
    return float(xlogy(alpha - 1, law["weights"]).sum() + gammaln(alpha.sum()) - gammaln(alpha).sum())


def component_gain(law: dict, prior: dict | None) -> float:
    """E log p - E log q of the components; for a point its log prior density (Normal-inverse-Wishart)."""
    if prior is None:
        return 0.0
    if law.get("kind") != "point":
        nothing = dict(kind="dirichlet", alpha=np.ones(len(law["mean"])))
        empty = np.zeros((0, law["mean"].shape[1])), np.zeros((0, len(law["mean"])))
        terms = elbo_terms(*empty, dict(components=law, weights=nothing), dict(components=prior, weights=nothing))
        return terms["log_p_theta"] - terms["log_q_theta"]
    total = 0.0
    for matrix in law["covariance"]:
        if law["structure"] == "full":
            total += stats.invwishart.logpdf(matrix, prior["nu0"], prior["S0"])
        else:
            total += stats.invgamma.logpdf(matrix, prior["nu0"] / 2, scale=prior["S0"] / 2).sum()
    for k, m in enumerate(law["mean"]):
        covariance = dense(law, law["covariance"][0 if law["tied"] else k]) / prior["kappa0"]
        total += stats.multivariate_normal.logpdf(m, prior["m0"], covariance)
    return float(total)


def objective(x: np.ndarray, q: dict, prior: dict) -> float:
    """Bound of ``q`` at its own best responsibilities: evidence bound (VB), penalised (MAP) or plain log likelihood (ML)."""
    total = logsumexp(scores(x, q), axis=1).sum()
    gains = weight_gain(q["weights"], prior["weights"]), component_gain(q["components"], prior["components"])
    return float(total + sum(gains))


def with_stick_order(q: dict, counts: np.ndarray) -> dict:
    """Posterior whose point weights, if they came from sticks, know the order of the sticks."""
    if q["weights"]["kind"] != "point" or q["weights"]["broken"] is None:
        return q
    return q | dict(weights=q["weights"] | dict(order=np.argsort(-counts, kind="stable")))


def free_energy(x: np.ndarray, resp: np.ndarray, q: dict, prior: dict) -> float:
    """Bound of ``q`` at any responsibilities; what the update maximises over ``q``."""
    total = (resp * scores(x, q)).sum() - xlogy(resp, resp).sum()
    gains = weight_gain(q["weights"], prior["weights"]), component_gain(q["components"], prior["components"])
    return float(total + sum(gains))


def moves(q: dict, h: float = 1e-5):
    """Every parameter moved up and down: (name, distance, up, down); positive ones on the log scale."""
    for part, name, index in parameters(q):
        pair = [nudged(q, part, name, index, sign * h) for sign in (1, -1)]
        yield f"{part} {name} {index}", 2 * h, *pair


def parameters(q: dict):
    """Where the free numbers of a posterior are."""
    for part, names in (("weights", "alpha a b shape rate"), ("components", "mean kappa nu S covariance")):
        for name in names.split():
            value = q[part].get(name)
            if value is not None:
                yield from ((part, name, index) for index in np.ndindex(np.shape(value)))
    if q["weights"]["kind"] == "point":
        name = "weights" if q["weights"]["broken"] is None else "broken"
        yield from (("weights", name, (k,)) for k in range(len(q["weights"][name])))


def nudged(q: dict, part: str, name: str, index: tuple, h: float) -> dict:
    """One parameter moved: means by h, matrices symmetrically, weights on their simplex, the rest by a factor."""
    law = dict(q[part])
    value = np.array(law[name], float)
    if name in ("S", "covariance") and len(index) == 3:
        k, i, j = index
        size = h * np.sqrt(value[k, i, i] * value[k, j, j]) / 2
        value[k, i, j] += size
        value[k, j, i] += size
    else:
        value[index] = value[index] + h if name == "mean" else value[index] * np.exp(h)
    law[name] = value
    if name == "weights":
        law["weights"] = value / value.sum()
    if name == "broken":
        law = with_broken(law)
    return q | {part: law}


def with_broken(law: dict) -> dict:
    """Weights of broken sticks."""
    v = law["broken"][law["order"]]
    weights = np.empty(len(v))
    weights[law["order"]] = v * np.cumprod(np.concatenate([[1.0], 1 - v[:-1]]))
    return law | dict(weights=weights)
