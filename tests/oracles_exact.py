"""Text-book formulas in 60 digits: the truth the numerical audits compare with.

Plain mpmath on lists; never imports jax or the package. Every float is taken as the number that it is, so that what remains of a
comparison is the error of the package alone. ``law`` is a namedtuple-like plain object read from a posterior by `law_of`:

* ``means`` K lists of D numbers, ``kappa`` and ``nu`` K numbers, ``scales`` K matrices (D lists of D numbers; the D rates of a diagonal law
  are its diagonal, that of a spherical law stands D times), ``kind`` "full", "diag" or "spherical", ``tied``.

Precisions follow docs/conventions.md. Bishop (2006) is "Pattern recognition and machine learning", Murphy (2007) "Conjugate Bayesian
analysis of the Gaussian distribution".
"""

from __future__ import annotations

import dataclasses

import numpy as np
from mpmath import mp, mpf

DIGITS = 60


def exact(a):
    """Floats as exact numbers, nested lists of them for arrays."""
    mp.dps = DIGITS
    return mpf(float(a)) if np.ndim(a) == 0 else [exact(b) for b in np.asarray(a, dtype=float)]


def cholesky(a):
    """Lower factor of a positive definite matrix."""
    d = len(a)
    low = [[mpf(0)] * d for _ in range(d)]
    for i in range(d):
        for j in range(i + 1):
            rest = a[i][j] - sum((low[i][m] * low[j][m] for m in range(j)), mpf(0))
            low[i][j] = mp.sqrt(rest) if i == j else rest / low[j][j]
    return low


def solve(low, b):
    """``low^-1 b``."""
    found = []
    for i, row in enumerate(low):
        found.append((b[i] - sum((row[m] * found[m] for m in range(i)), mpf(0))) / row[i])
    return found


def log_det(low):
    return 2 * sum(mp.log(low[i][i]) for i in range(len(low)))


def square(low, a, b):
    """``(a - b)^T (low low^T)^-1 (a - b)``."""
    return sum(z * z for z in solve(low, [p - q for p, q in zip(a, b, strict=True)]))


def trace_ratio(low, a):
    """Trace of ``(low low^T)^-1 a``."""
    d = len(a)
    columns = [solve(low, [a[i][j] for i in range(d)]) for j in range(d)]
    return sum(solve(low, [columns[j][i] for j in range(d)])[i] for i in range(d))


def log_sum(terms):
    top = max(terms)
    return top + mp.log(sum(mp.exp(t - top) for t in terms))


def shares(terms):
    whole = log_sum(terms)
    return [mp.exp(t - whole) for t in terms]


def dense(kind, packed, d):
    """D lists of D numbers for what a structure holds of a matrix."""
    a = np.asarray(packed, dtype=float)
    return exact({"full": lambda: a, "diag": lambda: np.diag(a), "spherical": lambda: float(a) * np.eye(d)}[kind]())


def log_mixture(x, weights, means, covariances):
    """Log density (N,) and responsibilities (N, K) of rows under a mixture of Gaussians; covariances (K, D, D)."""
    x, means = exact(x), exact(means)
    lows = [cholesky(exact(c)) for c in covariances]
    levels = [mp.log(exact(w)) - (log_det(low) + len(low) * mp.log(2 * mp.pi)) / 2 for w, low in zip(weights, lows, strict=True)]
    scores = [[a - square(low, row, m) / 2 for a, m, low in zip(levels, means, lows, strict=True)] for row in x]
    return [log_sum(s) for s in scores], [shares(s) for s in scores]


@dataclasses.dataclass
class Law:
    """Components of a Normal-Wishart, Normal-Gamma or spherical law, and what is often needed of them."""

    kind: str
    tied: bool
    means: list
    kappa: list
    nu: list
    scales: list

    def __post_init__(self):
        self.d, self.lows = len(self.means[0]), [cholesky(s) for s in self.scales]

    def at(self, k):
        """Place of the matrix of component k."""
        return 0 if len(self.scales) == 1 else k

    def expected_log_det(self, k):
        """Of the precision: Bishop (B.81), and (B.30) for Gamma laws."""
        nu, low = self.nu[k], self.lows[k]
        if self.kind == "full":
            return sum(mp.digamma((nu - i) / 2) for i in range(self.d)) + self.d * mp.log(2) - log_det(low)
        return self.d * (mp.digamma(nu / 2) + mp.log(2)) - log_det(low)

    def expected_log_density(self, x, k):
        """Of a row under component k: Bishop (10.64) and (10.65)."""
        j = self.at(k)
        distance = self.d / self.kappa[k] + self.nu[j] * square(self.lows[j], x, self.means[k])
        return (self.expected_log_det(j) - self.d * mp.log(2 * mp.pi) - distance) / 2


def law_of(components, n_components):
    """The components of a posterior or prior of the package, in its full length of means."""
    d = np.shape(components.mean)[1]
    kind = {2: "full", 1: "diag", 0: "spherical"}[components.structure.rank]

    def spread(a):
        return np.broadcast_to(np.asarray(a, float), (n_components, *np.shape(a)[1:]))

    own = components.scale if components.tied else spread(components.scale)
    dof = components.dof if components.tied else spread(components.dof)
    return Law(
        kind,
        components.tied,
        exact(spread(components.mean)),
        exact(spread(components.mean_precision)),
        exact(dof),
        [dense(kind, a, d) for a in own],
    )


def log_wishart_constant(nu, low):
    """Bishop (B.79), with the inverse scale matrix."""
    d = len(low)
    gammas = sum(mp.loggamma((nu - i) / 2) for i in range(d)) + mpf(d * (d - 1)) / 4 * mp.log(mp.pi)
    return nu / 2 * log_det(low) - nu * d / 2 * mp.log(2) - gammas


def expected_log_precision(law, own, k, q):
    """E under ``q`` of the log density of precision k under ``law``, whose place there is ``own``: Wishart, or as many Gamma laws."""
    nu, low, d = law.nu[own], law.lows[own], law.d
    log_dets = q.expected_log_det(k)
    if law.kind == "full":
        return log_wishart_constant(nu, low) + (nu - d - 1) / 2 * log_dets - q.nu[k] / 2 * trace_ratio(q.lows[k], law.scales[own])
    shape, total = nu / 2, mpf(0)
    for j in range(d if law.kind == "diag" else 1):
        rate, other = law.scales[own][j][j] / 2, q.scales[k][j][j] / 2
        mean, log_mean = q.nu[k] / 2 / other, mp.digamma(q.nu[k] / 2) - mp.log(other)
        total += shape * mp.log(rate) - mp.loggamma(shape) + (shape - 1) * log_mean - rate * mean
    return total


def expected_log_mean(law, k, q):
    """E under ``q`` of the log density of mean k given its precision under ``law``: Bishop (10.74), (10.77)."""
    j, d = q.at(k), law.d
    distance = d / q.kappa[k] + q.nu[j] * square(q.lows[j], q.means[k], law.means[k])
    return (d * mp.log(law.kappa[k] / (2 * mp.pi)) + q.expected_log_det(j) - law.kappa[k] * distance) / 2


def components_divergence(prior, q):
    """Kullback-Leibler divergence of the components: expected logs of ``q`` less those of the prior."""
    matrices = sum(expected_log_precision(q, j, j, q) - expected_log_precision(prior, j, j, q) for j in range(len(q.scales)))
    means = sum(expected_log_mean(q, k, q) - expected_log_mean(prior, k, q) for k in range(len(q.means)))
    return matrices + means


def beta_logs(a, b):
    """E log v and E log (1 - v) of a Beta law."""
    total = mp.digamma(a + b)
    return mp.digamma(a) - total, mp.digamma(b) - total


def expected_log_weights(q):
    """K numbers: of a Dirichlet law, or of sticks in the order of the posterior."""
    if hasattr(q, "concentration"):
        alpha = exact(q.concentration)
        return [mp.digamma(a) - mp.digamma(sum(alpha)) for a in alpha]
    alpha, beta, found, before = exact(q.alpha), exact(q.beta), {}, mpf(0)
    for k in np.asarray(q.order).tolist():
        taken, left = beta_logs(alpha[k], beta[k])
        found[k], before = before + taken, before + left
    return [found[k] for k in range(len(found))]


def gamma_divergence(shape, rate, shape0, rate0):
    """Kullback-Leibler divergence between two Gamma laws, as expected logs: Bishop (B.26) and (B.30)."""
    log_mean, mean = mp.digamma(shape) - mp.log(rate), shape / rate
    log_q = shape * mp.log(rate) - mp.loggamma(shape) + (shape - 1) * log_mean - rate * mean
    return log_q - (shape0 * mp.log(rate0) - mp.loggamma(shape0) + (shape0 - 1) * log_mean - rate0 * mean)


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def weights_divergence(prior, q):
    """Kullback-Leibler divergence of Dirichlet laws, Bishop (10.73) and (10.76), or of sticks: Blei & Jordan (2006), sec. 3."""
    if hasattr(q, "concentration"):
        alpha, alpha0, logs = exact(q.concentration), exact(prior.concentration), expected_log_weights(q)
        constants = mp.loggamma(sum(alpha)) - mp.loggamma(sum(alpha0)) + sum(map(mp.loggamma, alpha0)) - sum(map(mp.loggamma, alpha))
        return constants + sum((a - b) * e for a, b, e in zip(alpha, alpha0, logs, strict=True))
    shape, rate = exact(q.shape), exact(q.rate)
    gamma, log_gamma = shape / rate, (mp.digamma(shape) - mp.log(rate) if q.learn else mp.log(shape / rate))
    total = gamma_divergence(shape, rate, exact(prior.shape), exact(prior.rate)) if q.learn else mpf(0)
    for a, b in zip(exact(q.alpha), exact(q.beta), strict=True):
        taken, left = beta_logs(a, b)
        total += (a - 1) * taken + (b - 1) * left - log_beta(a, b) - log_gamma - (gamma - 1) * left
    return total


def scores(q, x):
    """Expected log joint density (N, K) of rows and labels."""
    law, logs = law_of(q.components, q.n_components), expected_log_weights(q.weights)
    return [[logs[k] + law.expected_log_density(row, k) for k in range(len(logs))] for row in exact(x)]


def responsibilities(q, x):
    return [shares(s) for s in scores(q, x)]


def divergences(prior, q):
    """What weights and components of ``q`` cost."""
    k = q.n_components
    return weights_divergence(prior.weights, q.weights), components_divergence(law_of(prior.components, k), law_of(q.components, k))


def lower_bound(prior, q, x):
    """Evidence lower bound, Bishop (10.70), with the best responsibilities; prior and ``q`` as the package holds them."""
    total = -sum(divergences(prior, q), mpf(0))
    for row in scores(q, x):
        resp = shares(row)
        total += sum(r * s for r, s in zip(resp, row, strict=True)) - sum(r * mp.log(r) for r in resp if r)
    return total


def mean_weights(q):
    """Expected weights, and what they leave to components that no row has."""
    if hasattr(q, "concentration"):
        alpha = exact(q.concentration)
        return [a / sum(alpha) for a in alpha], mpf(0)
    alpha, beta, found, left = exact(q.alpha), exact(q.beta), {}, mpf(1)
    for k in np.asarray(q.order).tolist():
        found[k], left = left * alpha[k] / (alpha[k] + beta[k]), left * beta[k] / (alpha[k] + beta[k])
    return [found[k] for k in range(len(found))], left


def log_student(law, k, x, matrix=None):
    """Predictive log density of a row: Murphy (2007), secs. 3.6 and 8; ``matrix`` is the law whose precision is used."""
    of = law if matrix is None else matrix
    j, d, kappa = of.at(k), law.d, law.kappa[k]
    dof = of.nu[j] - d + 1 if law.kind == "full" else of.nu[j]
    wide = (kappa + 1) / (kappa * dof)
    if law.kind == "diag":
        parts = [
            (1, (a - m) ** 2 / (wide * of.scales[j][i][i]), mp.log(wide * of.scales[j][i][i]))
            for i, (a, m) in enumerate(zip(x, law.means[k], strict=True))
        ]
    else:
        parts = [(d, square(of.lows[j], x, law.means[k]) / wide, d * mp.log(wide) + log_det(of.lows[j]))]
    return sum(
        mp.loggamma((dof + p) / 2) - mp.loggamma(dof / 2) - p * mp.log(dof * mp.pi) / 2 - size / 2 - (dof + p) / 2 * mp.log1p(s / dof)
        for p, s, size in parts
    )


def log_predictive(prior, q, x):
    """Posterior predictive log density (N,): Bishop (10.81), with the prior's density for the weight that sticks leave."""
    k, (weights, left) = q.n_components, mean_weights(q.weights)
    law, fresh = law_of(q.components, k), law_of(prior.components, 1)
    shared = law if law.tied else None
    found = []
    for row in exact(x):
        terms = [mp.log(w) + log_student(law, i, row) for i, w in enumerate(weights)]
        found.append(log_sum(terms + [mp.log(left) + log_student(fresh, 0, row, shared)] if left else terms))
    return found


def log_evidence_one(x, prior):
    """Log evidence of one component in closed form: Murphy (2007), secs. 3.5 and 8; ``prior`` is a law of the package."""
    law, rows = law_of(prior, 1), exact(x)
    n, d, kappa, nu = len(rows), law.d, law.kappa[0], law.nu[0]
    means = [sum(row[j] for row in rows) / n for j in range(d)]
    off = [m - m0 for m, m0 in zip(means, law.means[0], strict=True)]

    def moment(i, j):
        return sum((row[i] - means[i]) * (row[j] - means[j]) for row in rows) + kappa * n / (kappa + n) * off[i] * off[j]

    common = mpf(d) / 2 * mp.log(kappa / (kappa + n))
    if law.kind == "full":
        after = [[law.scales[0][i][j] + moment(i, j) for j in range(d)] for i in range(d)]
        constants = log_wishart_constant(nu, law.lows[0]) - log_wishart_constant(nu + n, cholesky(after))
        return common + constants - mpf(n * d) / 2 * mp.log(2 * mp.pi)
    blocks = [(nu, n, law.scales[0][j][j] + moment(j, j), law.scales[0][j][j]) for j in range(d)]
    if law.kind == "spherical":
        blocks = [(nu, n * d, law.scales[0][0][0] + sum(moment(j, j) for j in range(d)), law.scales[0][0][0])]
    for a, more, rate, rate0 in blocks:
        shape, shape0 = (a + more) / 2, a / 2
        common += shape0 * mp.log(rate0 / 2) - shape * mp.log(rate / 2) + mp.loggamma(shape) - mp.loggamma(shape0)
    return common - mpf(n * d) / 2 * mp.log(2 * mp.pi)
