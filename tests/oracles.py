"""Independent text-book formulas for Bayesian Gaussian mixtures: the truth the package is tested against.

Plain numpy and scipy, clear rather than fast; never imports jax or the package. Notation, everywhere:

* ``x`` (N, D) rows, ``z`` (N,) labels 0..K-1, ``resp`` (N, K) with rows that sum to one.
* ``structure`` is "full", "diag" or "spherical"; ``tied``: one precision shared by all components.
* The prior is mu | Lambda ~ N(m0, (kappa0 Lambda)^-1) with ``m0`` (D,) and, for the precision,
  full: Lambda ~ Wishart(nu0, S0^-1), S0 (D, D); diag: lambda_j ~ Gamma(nu0/2, rate S0_j/2), S0 (D,);
  spherical: Lambda = lambda I, one lambda ~ Gamma(nu0/2, rate S0/2), S0 a number.
* ``components`` of q: dict(structure, tied, mean (K, D), kappa (K,), nu (K or 1,), S (K or 1, ...)).
* ``weights`` of q: dict(kind="dirichlet", alpha (K,)) or dict(kind="sticks", a (K,), b (K,), order (K,)) with
  pi_{order[j]} = v_j prod_{i<j} (1 - v_i), v_j ~ Beta(a_j, b_j): ``a`` and ``b`` are in stick order. If
  the concentration has a Gamma prior, ``shape`` and ``rate`` of its q besides. Infinite model, q(z > K) = 0
  (nested truncation: Kurihara, Welling & Vlassis 2006).
* ``prior`` of such a q: dict(components=dict(m0, kappa0, nu0, S0), weights=dict(kind="dirichlet", alpha (K,))
  or dict(kind="sticks", gamma) or dict(kind="sticks", shape, rate)).

Murphy (2007) is "Conjugate Bayesian analysis of the Gaussian distribution"; Bishop (2006) is "Pattern
recognition and machine learning", whose W is our S^-1; diagonal and spherical are its Gamma analogues.
"""

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln, logsumexp, multigammaln, xlogy


def _moment(x, m0, kappa0):
    """Scatter about the prior mean, M (D, D): Murphy (2007), sec. 8."""
    if len(x) == 0:
        return np.zeros((x.shape[1], x.shape[1]))
    n, mean = len(x), x.mean(axis=0)
    return (x - mean).T @ (x - mean) + kappa0 * n / (kappa0 + n) * np.outer(mean - m0, mean - m0)


def _log_evidence_precision(M, n, structure, nu0, S0):
    """Precision part of log p(X) for scatter M (..., D, D) of ``n`` rows that share the precision.

    Murphy (2007), secs. 8-9 (Wishart) and 3.5 (Gamma), with Gamma(nu/2, rate S/2).
    """
    d = M.shape[-1]
    if structure == "full":
        gammas = multigammaln((nu0 + n) / 2, d) - multigammaln(nu0 / 2, d)
        logdet0, logdet = np.linalg.slogdet(S0)[1], np.linalg.slogdet(S0 + M)[1]
        return gammas + nu0 / 2 * logdet0 - (nu0 + n) / 2 * logdet - n * d / 2 * np.log(np.pi)
    moments = np.diagonal(M, axis1=-2, axis2=-1)
    if structure == "diag":
        a0, a, b0, b = nu0 / 2, (nu0 + n) / 2, np.asarray(S0) / 2, (S0 + moments) / 2
        terms = (gammaln(a) - gammaln(a0) + a0 * np.log(b0) - a * np.log(b)).sum(axis=-1)
    else:
        a0, a, b0, b = nu0 / 2, (nu0 + n * d) / 2, S0 / 2, (S0 + moments.sum(axis=-1)) / 2
        terms = gammaln(a) - gammaln(a0) + a0 * np.log(b0) - a * np.log(b)
    return terms - n * d / 2 * np.log(2 * np.pi)


def log_evidence_one_component(x, structure, m0, kappa0, nu0, S0):
    """Log evidence log p(X) of one Gaussian in closed form: Murphy (2007), secs. 3.5 and 8-9."""
    n, d = x.shape
    precision = _log_evidence_precision(_moment(x, m0, kappa0), n, structure, nu0, S0)
    return float(precision + d / 2 * np.log(kappa0 / (kappa0 + n)))


def _log_predictive_component(x, m, kappa, nu, S, structure):
    """Student-t predictive log density (N,) of one component: Murphy (2007), secs. 3.6 and 8."""
    d = len(m)
    if structure == "full":
        dof = nu - d + 1
        spread = S * (kappa + 1) / (kappa * dof)
        return stats.multivariate_t.logpdf(x, loc=m, shape=spread, df=dof).reshape(len(x))
    scale2 = S * (kappa + 1) / (kappa * nu)
    if structure == "diag":
        return stats.t.logpdf(x, df=nu, loc=m, scale=np.sqrt(scale2)).sum(axis=1)
    return stats.multivariate_t.logpdf(x, loc=m, shape=scale2 * np.eye(d), df=nu).reshape(len(x))


def log_evidence_sequential(x, structure, m0, kappa0, nu0, S0):
    """Log evidence of one Gaussian as a product of one-step-ahead predictives, updating by one row at a time.

    The chain rule with scipy.stats' Student t densities; one-row updates: Murphy (2007), secs. 3.3 and 8.
    """
    total, m, kappa, nu, S = 0.0, np.asarray(m0, float), kappa0, nu0, S0
    for row in x:
        total += _log_predictive_component(row[None], m, kappa, nu, S, structure)[0]
        e = row - m
        gain = {"full": np.outer(e, e), "diag": e**2, "spherical": e @ e}[structure]
        m, S = m + e / (kappa + 1), S + kappa / (kappa + 1) * gain
        kappa, nu = kappa + 1, nu + (len(m) if structure == "spherical" else 1)
    return float(total)


def _log_matrix_t(e, rows, structure, nu0, S0):
    """Log density of centred rows ``e`` (N, D), row covariance ``rows`` (N, N), one unknown precision.

    Full: matrix-variate t, Dawid (1981, Biometrika 68:265), Gupta & Nagar (2000) def. 4.2.1.
    Diag: one multivariate t a column. Spherical: one multivariate t for all entries.
    """
    n, d = e.shape
    if structure == "diag":
        return sum(stats.multivariate_t.logpdf(e[:, j], shape=S0[j] / nu0 * rows, df=nu0) for j in range(d))
    if structure == "spherical":
        return stats.multivariate_t.logpdf(e.T.ravel(), shape=S0 / nu0 * np.kron(np.eye(d), rows), df=nu0)
    gammas = multigammaln((nu0 + n) / 2, d) - multigammaln(nu0 / 2, d) - n * d / 2 * np.log(np.pi)
    inside = np.linalg.slogdet(S0 + e.T @ np.linalg.solve(rows, e))[1]
    outside = nu0 / 2 * np.linalg.slogdet(S0)[1] - d / 2 * np.linalg.slogdet(rows)[1]
    return gammas + outside - (nu0 + n) / 2 * inside


def log_marginal_given_labels(x, z, K, structure, tied, m0, kappa0, nu0, S0):
    """Exact log p(X | z): means integrated first (row covariance I + Z Z^T / kappa0), then the precision(s).

    Given the precision, X - m0 is Gaussian with that row covariance; see `_log_matrix_t` for its sources.
    """
    onehot = np.eye(K)[np.asarray(z)]
    rows = np.eye(len(x)) + onehot @ onehot.T / kappa0
    groups = [np.arange(len(x))] if tied else [np.flatnonzero(onehot[:, k]) for k in range(K)]
    parts = [_log_matrix_t(x[g] - m0, rows[np.ix_(g, g)], structure, nu0, S0) for g in groups if len(g)]
    return float(np.sum(parts))


def set_partitions(n):
    """All set partitions as labels (Bell(n), n): restricted growth strings, Knuth TAOCP 4A, 7.2.1.5."""
    strings = [(0,)]
    for _ in range(n - 1):
        strings = [(*s, k) for s in strings for k in range(max(s) + 2)]
    return np.array(strings)


def log_concentration_moments(n, shape, rate):
    """Log E[gamma^k Gamma(gamma) / Gamma(gamma + n)] for k = 1..n (n,), gamma ~ Gamma(shape, rate).

    Trapezoidal rule in u = log gamma, where the integrand is analytic and decays at both ends, so the error
    falls exponentially in 1/step: Trefethen & Weideman (2014, SIAM Review 56:385). For shapes .01 to 1000.
    """
    step, top = 0.01, np.log((800 + 10 * (shape + n)) / rate)
    u = np.arange(top, min(0.0, np.log(shape / rate)) - 60 / shape - 20 / np.sqrt(shape), -step)
    gamma = np.exp(u)
    rising = np.log(gamma[:, None] + np.arange(1, n)).sum(axis=1)  # log Gamma(gamma + n) / Gamma(gamma + 1)
    log_prior = shape * np.log(rate) - gammaln(shape) + shape * u - rate * gamma  # density of u
    return np.array([logsumexp(log_prior - rising + (k - 1) * u) + np.log(step) for k in range(1, n + 1)])


def _log_prior_labels(counts, weights):
    """Log p(z) (P,) of labels with counts (P, K), weights integrated out.

    Dirichlet-multinomial: Bishop (2006), sec. 2.2; partitions: Antoniak (1974), Pitman (1995) EPPF of the DP.
    """
    kind, n = weights[0], counts[0].sum()
    if kind == "dirichlet":
        alpha = np.asarray(weights[1], float)
        rising = gammaln(alpha + counts) - gammaln(alpha)
        return rising.sum(axis=1) + gammaln(alpha.sum()) - gammaln(alpha.sum() + n)
    n_blocks = (counts > 0).sum(axis=1)
    cycles = np.where(counts > 0, gammaln(np.maximum(counts, 1)), 0.0).sum(axis=1)
    if kind == "sticks":
        gamma = weights[1]
        return cycles + n_blocks * np.log(gamma) + gammaln(gamma) - gammaln(gamma + n)
    return cycles + log_concentration_moments(n, weights[1], weights[2])[n_blocks - 1]


def enumerate_log_joint(x, K, structure, tied, prior, weights):
    """All labellings (P, N) and their exact log p(X, z) (P,); arguments as `log_evidence_enumeration`.

    Exponentiated and normalised, it is the exact posterior of the labels (similarities, occupied components).
    """
    n, d = x.shape
    if weights[0] == "dirichlet":
        labels = np.indices((K,) * n).reshape(n, -1).T
    else:
        labels, K = set_partitions(n), n
    bits = 1 << np.arange(n)
    masks = np.stack([(labels == k) @ bits for k in range(K)], axis=1)  # (P, K) subsets of rows, cached below
    subsets = [x[(s & bits) > 0] for s in range(1 << n)]
    counts = np.array([len(rows) for rows in subsets])
    log_joint = _log_prior_labels(counts[masks], weights)
    if tied:
        moments = np.array([_moment(rows, prior["m0"], prior["kappa0"]) for rows in subsets])
        shrink = d / 2 * np.log(prior["kappa0"] / (prior["kappa0"] + counts))
        pooled = sum(moments[masks[:, k]] for k in range(K))
        precision = _log_evidence_precision(pooled, n, structure, prior["nu0"], prior["S0"])
        return labels, log_joint + shrink[masks].sum(axis=1) + precision
    evidences = np.array([log_evidence_one_component(rows, structure, **prior) for rows in subsets])
    return labels, log_joint + evidences[masks].sum(axis=1)


def log_evidence_enumeration(x, K, structure, tied, prior, weights):
    """Exact log p(X), the sum over all labellings, for N up to about 10: Bishop (2006), 9.12 and 10.37.

    Parameters
    ----------
    prior : dict(m0, kappa0, nu0, S0)
    weights : ("dirichlet", alpha (K,)), or ("sticks", gamma) or ("sticks_gamma", shape, rate)
        The last two are the infinite Dirichlet process: K is ignored and all set partitions are summed.
    """
    return float(logsumexp(enumerate_log_joint(x, K, structure, tied, prior, weights)[1]))


def student_t_predictive(x, weights_alpha, m, kappa, nu, S, structure):
    """Posterior predictive log density (N,), a mixture of Student t: Bishop (2006), 10.81-10.82.

    ``weights_alpha`` (K,) is normalised; ``nu`` and ``S`` have leading axis K, or 1 if tied.
    """
    pick = [k if len(nu) > 1 else 0 for k in range(len(m))]
    parts = [_log_predictive_component(x, m[k], kappa[k], nu[p], S[p], structure) for k, p in enumerate(pick)]
    return logsumexp(np.stack(parts, axis=1), b=np.asarray(weights_alpha) / np.sum(weights_alpha), axis=1)


def gaussian_mixture_log_likelihood(x, weights, means, covariances_dense):
    """Total log likelihood sum_i log sum_k pi_k N(x_i | mu_k, Sigma_k): Bishop (2006), 9.14."""
    laws = [stats.multivariate_normal(m, C) for m, C in zip(means, covariances_dense, strict=True)]
    parts = np.stack([law.logpdf(x).reshape(len(x)) for law in laws], axis=1)
    return float(logsumexp(parts, b=weights, axis=1).sum())


def naive_stats(x, resp, w):
    """Weighted sums by loops: dict(counts (K,), sums (K, D), full (K, D, D), diag (K, D), spherical (K,)).

    Raw scatters (about the origin) sum_i w_i r_ik x_i x_i^T, diagonal, trace: Bishop (2006), 10.51-10.53.
    """
    (n, d), K = x.shape, resp.shape[1]
    out = dict(counts=np.zeros(K), sums=np.zeros((K, d)), full=np.zeros((K, d, d)))
    for i in range(n):
        for k in range(K):
            mass = w[i] * resp[i, k]
            out["counts"][k] += mass
            for a in range(d):
                out["sums"][k, a] += mass * x[i, a]
                for b in range(d):
                    out["full"][k, a, b] += mass * x[i, a] * x[i, b]
    out["diag"] = np.array([[out["full"][k, a, a] for a in range(d)] for k in range(K)])
    out["spherical"] = out["diag"].sum(axis=1)
    return out


def _expected_log_dirichlet(alpha, elog):
    """E log Dirichlet(pi | alpha) given E log pi; Beta is K = 2. Bishop (2006), 10.73 and 10.76."""
    return gammaln(np.sum(alpha)) - gammaln(alpha).sum() + ((np.asarray(alpha) - 1) * elog).sum()


def _expected_log_gamma(a, b, mean, elog):
    """E log Gamma(lambda | a, rate b) given E lambda and E log lambda, elementwise. Bishop (2006), B.26."""
    return a * np.log(b) - gammaln(a) + (a - 1) * elog - b * mean


def _weight_terms(counts, q, prior):
    """Weight terms (E log p(Z | pi), E log p(pi), E log q(pi)); sticks: Blei & Jordan (2006)."""
    if q["kind"] == "dirichlet":
        elog_pi = digamma(q["alpha"]) - digamma(np.sum(q["alpha"]))
        log_p, log_q = (_expected_log_dirichlet(law["alpha"], elog_pi) for law in (prior, q))
        return counts @ elog_pi, log_p, log_q
    sticks = np.stack([q["a"], q["b"]], axis=1)
    elog = digamma(sticks) - digamma(sticks.sum(axis=1, keepdims=True))  # E log v, E log (1 - v)
    log_v, log_rest = elog.T
    elog_pi = log_v + np.concatenate([[0.0], np.cumsum(log_rest)[:-1]])  # in stick order
    log_q = sum(_expected_log_dirichlet(ab, e) for ab, e in zip(sticks, elog, strict=True))
    if "gamma" in prior:
        mean, elog_gamma, log_p = prior["gamma"], np.log(prior["gamma"]), 0.0
    else:
        mean, elog_gamma = q["shape"] / q["rate"], digamma(q["shape"]) - np.log(q["rate"])
        log_p = _expected_log_gamma(prior["shape"], prior["rate"], mean, elog_gamma)
        log_q += _expected_log_gamma(q["shape"], q["rate"], mean, elog_gamma)
    log_p += (elog_gamma + (mean - 1) * log_rest).sum()  # E log Beta(v | 1, gamma)
    return counts[np.asarray(q["order"])] @ elog_pi, log_p, log_q


def _precision_expectations(structure, nu, S, d):
    """E Lambda (D, D), E log |Lambda| of one precision; a function (nu0, S0) -> E_q log p(Lambda | nu0, S0).

    Bishop (2006), B.78-B.82 (Wishart) and B.26-B.30 (Gamma), with rate matrices S.
    """
    if structure == "full":
        mean = nu * np.linalg.inv(S)
        logdet = digamma((nu - np.arange(d)) / 2).sum() + d * np.log(2) - np.linalg.slogdet(S)[1]

        def expected_log_density(nu0, S0):
            log_b = nu0 / 2 * np.linalg.slogdet(S0)[1] - nu0 * d / 2 * np.log(2) - multigammaln(nu0 / 2, d)
            return log_b + (nu0 - d - 1) / 2 * logdet - np.trace(S0 @ mean) / 2

        return mean, logdet, expected_log_density
    values, logs = nu / S, digamma(nu / 2) - np.log(S / 2)
    copies = d if structure == "spherical" else 1

    def expected_log_density(nu0, S0):
        return np.sum(_expected_log_gamma(nu0 / 2, np.asarray(S0) / 2, values, logs))

    return values * np.eye(d), copies * np.sum(logs), expected_log_density


def elbo_terms(x, resp, q, prior):
    """Return the seven terms of the ELBO for any q and resp: Bishop (2006), 10.71-10.77.

    Keys log_x, log_z, log_p_pi, log_p_theta, log_q_z, log_q_pi, log_q_theta (theta is mu and Lambda); the pi
    terms include those of a random concentration.
    """
    d, c, p = x.shape[1], q["components"], prior["components"]
    laws = [_precision_expectations(c["structure"], nu, S, d) for nu, S in zip(c["nu"], c["S"], strict=True)]
    log_x = 0.0
    log_p_theta = sum(law[2](p["nu0"], p["S0"]) for law in laws)
    log_q_theta = sum(law[2](nu, S) for law, nu, S in zip(laws, c["nu"], c["S"], strict=True))
    for k, (m, kappa) in enumerate(zip(c["mean"], c["kappa"], strict=True)):
        precision, logdet, _ = laws[0 if c["tied"] else k]
        distances = np.einsum("id,de,ie->i", x - m, precision, x - m)
        log_x += resp[:, k] @ (logdet - d * np.log(2 * np.pi) - d / kappa - distances) / 2
        shift = p["kappa0"] * (d / kappa + (m - p["m0"]) @ precision @ (m - p["m0"]))
        log_p_theta += (d * np.log(p["kappa0"] / (2 * np.pi)) + logdet - shift) / 2
        log_q_theta += (d * np.log(kappa / (2 * np.pi)) + logdet - d) / 2
    log_z, log_p_pi, log_q_pi = _weight_terms(resp.sum(axis=0), q["weights"], prior["weights"])
    names = ("log_x", "log_z", "log_p_pi", "log_p_theta", "log_q_z", "log_q_pi", "log_q_theta")
    values = (log_x, log_z, log_p_pi, log_p_theta, xlogy(resp, resp).sum(), log_q_pi, log_q_theta)
    return dict(zip(names, map(float, values), strict=True))


def elbo_general(x, resp, q, prior):
    """Complete ELBO, all constants, for any q and resp: Bishop (2006), 10.70; dicts as at the top."""
    terms = elbo_terms(x, resp, q, prior)
    return sum(-value if name.startswith("log_q") else value for name, value in terms.items())


def conjugate_components(x, resp, structure, tied, m0, kappa0, nu0, S0):
    """Optimal ``components`` given resp: Bishop (2006), 10.60-10.63; Gamma: Murphy (2007), sec. 3.3."""
    (_, d), counts = x.shape, resp.sum(axis=0)
    kappa = kappa0 + counts
    mean = (kappa0 * np.asarray(m0) + resp.T @ x) / kappa[:, None]
    moments = []
    for k, r in enumerate(resp.T):
        own, prior_part = x - mean[k], mean[k] - m0
        moments.append((r[:, None] * own).T @ own + kappa0 * np.outer(prior_part, prior_part))
    moments = np.array([np.sum(moments, axis=0)] if tied else moments)
    masses = counts.sum(keepdims=True) if tied else counts
    if structure == "diag":
        moments = np.diagonal(moments, axis1=1, axis2=2)
    elif structure == "spherical":
        moments, masses = np.trace(moments, axis1=1, axis2=2), d * masses
    return dict(structure=structure, tied=tied, mean=mean, kappa=kappa, nu=nu0 + masses, S=S0 + moments)


def conjugate_weights(counts, prior, order=None):
    """Optimal ``weights`` given counts (K,); sticks by decreasing count unless ``order`` says otherwise.

    Bishop (2006), 10.58; sticks: Blei & Jordan (2006), sec. 3 and appendix, with nested truncation.
    """
    if prior["kind"] == "dirichlet":
        return dict(kind="dirichlet", alpha=prior["alpha"] + counts)
    order = np.argsort(-counts, kind="stable") if order is None else np.asarray(order)
    a, tail = 1 + counts[order], counts.sum() - np.cumsum(counts[order])
    if "gamma" in prior:
        return dict(kind="sticks", a=a, b=prior["gamma"] + tail, order=order)
    shape, rate = prior["shape"] + len(counts), prior["rate"]
    for _ in range(10_000):  # fixed point of q(v) and q(gamma)
        b = shape / rate + tail
        rate, last = prior["rate"] - (digamma(b) - digamma(a + b)).sum(), rate
        if abs(rate - last) <= 1e-15 * rate:
            break
    return dict(kind="sticks", a=a, b=shape / rate + tail, order=order, shape=shape, rate=rate)
