"""Monte Carlo estimate of the ELBO: draws from q, text-book log densities, no expectation in closed form.

Plain numpy and scipy; never imports jax or the package. Notation and dict arguments: see oracles.py.
"""

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp, xlogy


def _draw_log_gamma(a, n_draws, rng):
    """Draw log Gamma(a, 1) variates (n_draws, len(a)) without underflow: Marsaglia & Tsang (2000), sec. 6."""
    a = np.asarray(a, float)
    size = (n_draws, len(a))
    return np.log(rng.gamma(a + 1, size=size)) + np.log(rng.uniform(size=size)) / a


def _dirichlet_logpdf(log_pi, alpha):
    """Log Dirichlet density at exp(log_pi) (..., K); Beta is K = 2. Bishop (2006), B.16."""
    alpha = np.asarray(alpha, float)
    return gammaln(alpha.sum(-1)) - gammaln(alpha).sum(-1) + ((alpha - 1) * log_pi).sum(-1)


def _draw_weights(q, prior, n_draws, rng):
    """Draw log pi (T, K), and log p(pi) - log q(pi) (T,); sticks: Sethuraman (1994), Blei & Jordan (2006)."""
    if q["kind"] == "dirichlet":
        log_g = _draw_log_gamma(q["alpha"], n_draws, rng)
        log_pi = log_g - logsumexp(log_g, axis=1, keepdims=True)
        return log_pi, _dirichlet_logpdf(log_pi, prior["alpha"]) - _dirichlet_logpdf(log_pi, q["alpha"])
    a, b, ratio = np.asarray(q["a"], float), np.asarray(q["b"], float), np.zeros(n_draws)
    if "gamma" in prior:
        gamma = np.full(n_draws, float(prior["gamma"]))
    else:
        gamma = rng.gamma(q["shape"], 1 / q["rate"], n_draws)
        ratio += stats.gamma.logpdf(gamma, prior["shape"], scale=1 / prior["rate"])
        ratio -= stats.gamma.logpdf(gamma, q["shape"], scale=1 / q["rate"])
    log_g = np.stack([_draw_log_gamma(ab, n_draws, rng) for ab in (a, b)], axis=2)  # (T, K, 2)
    log_v = log_g - logsumexp(log_g, axis=2, keepdims=True)  # log v_j and log (1 - v_j)
    ratio += len(a) * np.log(gamma) + (gamma - 1) * log_v[:, :, 1].sum(axis=1)  # Beta(v | 1, gamma)
    ratio -= _dirichlet_logpdf(log_v, np.stack([a, b], axis=1)).sum(axis=1)
    log_pi = np.empty((n_draws, len(a)))
    used = np.zeros(n_draws)
    for j, k in enumerate(q["order"]):
        log_pi[:, k] = used + log_v[:, j, 0]
        used = used + log_v[:, j, 1]
    return log_pi, ratio


def _draw_precision(structure, nu, S, d, n_draws, rng):
    """Draw one precision as dense matrices (T, D, D)."""
    if structure == "full":
        draws = stats.wishart.rvs(nu, np.linalg.inv(S), size=n_draws, random_state=rng)
        return np.reshape(draws, (n_draws, d, d))
    size = d if structure == "diag" else 1
    values = rng.gamma(nu / 2, 2 / np.broadcast_to(S, size), size=(n_draws, size))
    return values[:, :, None] * np.eye(d)


def _log_precision(precision, structure, nu, S):
    """Log prior density (T,) of dense precision draws: Bishop (2006), B.78 and B.26 by scipy.stats."""
    if structure == "full":
        log_p = stats.wishart.logpdf(np.moveaxis(precision, 0, -1), nu, np.linalg.inv(S))
        return np.reshape(log_p, len(precision))
    values = np.diagonal(precision, axis1=1, axis2=2)
    if structure == "spherical":
        values = values[:, :1]  # one number: its density counts once
    return stats.gamma.logpdf(values, nu / 2, scale=2 / np.asarray(S)).sum(axis=1)


def _log_normal(e, precision, logdet):
    """Log N(e | 0, precision^-1) for e (T, ..., D), precision (T, D, D), logdet (T,): Bishop (2006), 2.43."""
    distances = (np.einsum("t...d,tde->t...e", e, precision) * e).sum(axis=-1)
    logdet = logdet.reshape((-1,) + (1,) * (distances.ndim - 1))
    return (logdet - e.shape[-1] * np.log(2 * np.pi) - distances) / 2


def monte_carlo_elbo(x, resp, q, prior, n_draws, rng):
    """Monte Carlo ELBO and its standard error: parameters drawn from q, the sum over z exact by ``resp``.

    Averages log p(x, z, pi, mu, Lambda) - log q(z) q(pi) q(mu, Lambda): Bishop (2006), 10.3. At the
    conjugate q of ``resp`` (but for a random concentration) the integrand is constant, the estimate exact.
    """
    c, p, d = q["components"], prior["components"], x.shape[1]
    log_pi, values = _draw_weights(q["weights"], prior["weights"], n_draws, rng)
    values = values + log_pi @ resp.sum(axis=0) - xlogy(resp, resp).sum()
    precisions = []
    for nu, S in zip(c["nu"], c["S"], strict=True):  # once if tied
        draws = _draw_precision(c["structure"], nu, S, d, n_draws, rng)
        values += _log_precision(draws, c["structure"], p["nu0"], p["S0"])
        values -= _log_precision(draws, c["structure"], nu, S)
        precisions.append(draws)
    for k, (m, kappa) in enumerate(zip(c["mean"], c["kappa"], strict=True)):
        precision = precisions[0 if c["tied"] else k]
        logdet = np.linalg.slogdet(precision)[1]
        upper = np.linalg.inv(np.linalg.cholesky(precision)).transpose(0, 2, 1)
        step = np.einsum("tde,te->td", upper, rng.standard_normal((n_draws, d))) / np.sqrt(kappa)
        mu = m + step
        values += _log_normal(mu - p["m0"], p["kappa0"] * precision, logdet + d * np.log(p["kappa0"]))
        values -= _log_normal(step, kappa * precision, logdet + d * np.log(kappa))
        values += _log_normal(x[None] - mu[:, None], precision, logdet) @ resp[:, k]
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(n_draws))
