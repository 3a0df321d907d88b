"""
Can a Gaussian mixture be written in thirty lines?
==================================================

Estimators are convenient and hide what they do. Here is variational Bayes for a Gaussian mixture in plain ``jax.numpy``, then the same loop
out of the parts that the package is made of, then the estimator. All three must reach the same bound, to the last digits that matter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.scipy.special import digamma, gammaln, logsumexp, multigammaln

import bayesgmm as bg
from bayesgmm.plots.style import ellipse

jax.config.update("jax_enable_x64", True)  # yours to choose: below the estimators the package follows your configuration

# %%
# The data and the prior
# ----------------------
#
# Old Faithful: 272 eruptions, their length and the wait until the next. The columns are standardised, so that the prior can be stated in
# standard deviations: means about 0 with the weight of 0.01 rows, covariances about the identity, uniform weights, three components.

x, names, _ = bg.load_dataset("faithful")
y = jnp.asarray((x - x.mean(0)) / x.std(0))
(n, d), k = y.shape, 3
alpha0, kappa0, nu0, scale0 = 1.0, 0.01, d + 2.0, jnp.eye(d)
start = np.asarray(bg.KMeans(n_clusters=k, random_state=0).fit(np.asarray(y)).labels_)

# %%
# Thirty lines
# ------------
#
# ``update`` adds the statistics of the rows to the prior. ``score`` is the expected log of weight times density. The bound is the sum of
# the normalisers less ``divergence``, the Kullback-Leibler divergences of weights and components. The page *Derivations: variational
# Bayes* has the formulas one by one.


def update(resp):
    counts, sums = resp.sum(0), resp.T @ y
    kappa, nu, mean = kappa0 + counts, nu0 + counts, sums / (kappa0 + counts)[:, None]
    scatter = jnp.einsum("nk,ni,nj->kij", resp, y, y) - kappa[:, None, None] * mean[:, :, None] * mean[:, None]
    return alpha0 + counts, kappa, mean, nu, scale0 + scatter


def expected_log_weight(alpha):
    return digamma(alpha) - digamma(alpha.sum())


def digamma_d(a):
    return digamma(a[:, None] - jnp.arange(d) / 2).sum(1)


def score(alpha, kappa, mean, nu, scale):
    delta = y[:, None] - mean
    squares = nu * jnp.einsum("nki,kij,nkj->nk", delta, jnp.linalg.inv(scale), delta)
    level = digamma_d(nu / 2) + d * jnp.log(2) - jnp.linalg.slogdet(scale)[1] - d * jnp.log(2 * jnp.pi) - d / kappa
    return expected_log_weight(alpha) + (level - squares) / 2


def divergence(alpha, kappa, mean, nu, scale):
    log_beta = gammaln(alpha).sum() - gammaln(alpha.sum()) - k * gammaln(alpha0) + gammaln(k * alpha0)
    inverse, log_det = jnp.linalg.inv(scale), jnp.linalg.slogdet(scale)[1]
    wishart = nu0 / 2 * log_det + nu / 2 * (jnp.trace(inverse, axis1=1, axis2=2) - d) + (nu - nu0) / 2 * digamma_d(nu / 2)
    wishart += multigammaln(nu0 / 2, d) - multigammaln(nu / 2, d)
    normal = d * (kappa0 / kappa - 1 - jnp.log(kappa0 / kappa)) + kappa0 * nu * jnp.einsum("ki,kij,kj->k", mean, inverse, mean)
    return (alpha - alpha0) @ expected_log_weight(alpha) - log_beta + (wishart + normal / 2).sum()


@jax.jit
def one_pass(resp):
    scores = score(*(q := update(resp)))
    norm = logsumexp(scores, axis=1)
    return jnp.exp(scores - norm[:, None]), norm.sum() - divergence(*q)


# %%
# The loop around it keeps the responsibilities and looks at the bound, which must never fall.

resp, bounds = jax.nn.one_hot(start, k, dtype=float), []
while len(bounds) < 2 or bounds[-1] - bounds[-2] > 1e-10:
    resp, value = one_pass(resp)
    bounds.append(float(value))
print(f"by hand       {bounds[-1]:.6f} after {len(bounds)} passes, smallest gain {np.diff(bounds)[:-1].min():.0e}")

# %%
# The same from the package's parts
# ---------------------------------
#
# A prior is an object, a start is another, ``bg.fit`` is the loop. What was a page above is three lines here, and other priors, covariance
# structures and sticks in place of Dirichlet weights fit in the same places.

components = bg.NormalWishart(jnp.zeros((1, d)), jnp.array([kappa0]), jnp.array([nu0]), scale0[None], bg.Full(), tied=False)
prior = bg.Mixture(bg.Dirichlet.symmetric(k, alpha0), components)
result = bg.fit(prior, bg.initialise(jax.random.key(0), prior, y, labels=start), y, tol=1e-13, max_steps=3000)
print(f"bg.fit        {float(result.lower_bound):.6f}, {bg.Outcome(int(result.outcome)).name}")

# %%
# Because ``fit`` is a function of arrays it can be transformed. Twenty starts at once are one ``vmap``.

keys = jax.random.split(jax.random.key(1), 20)
starts = jax.vmap(lambda key: bg.initialise(key, prior, y, method="random"))(keys)
ends = np.asarray(jax.jit(jax.vmap(lambda begin: bg.fit(prior, begin, y).lower_bound))(starts))
print(f"20 starts     between {ends.min():.2f} and {ends.max():.2f}")

# %%
# And from the estimator
# ----------------------
#
# It standardises, starts several times and gives its bound in the units of the data: minutes. A density in other units is divided by the
# factor, so the bounds differ by the number of rows times the logarithms of the standard deviations, exactly.

model = bg.BayesianGaussianMixture(
    n_components=k,
    weight_concentration_prior_type="dirichlet_distribution",
    weight_concentration_prior=alpha0,
    covariance_prior=np.diag(x.var(0)),
    prune=False,
    random_state=0,
).fit(x)
in_these_units = model.lower_bound_ + n * np.log(x.std(0)).sum()
print(f"the estimator {in_these_units:.6f} in standard deviations, {model.lower_bound_:.6f} in minutes")

# %%
# What it looks like
# ------------------

alpha, kappa, mean, nu, scale = update(resp)
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
axes[0].plot(bounds, color="#0072B2")
axes[0].set(xlabel="pass", ylabel="bound (nats)", title="thirty lines: the bound never falls", xscale="symlog")
axes[1].scatter(*y.T, s=12, color="#bbbbbb")
for j in range(k):
    ellipse(axes[1], np.asarray(mean[j]), np.asarray(scale[j] / (nu[j] - d - 1)), j)
axes[1].set(xlabel="eruption (standard deviations)", ylabel="waiting (standard deviations)", title="the components it found")
plt.show()

# %%
# Answer
# ------
#
# Yes: from ``update`` to the end of the loop there are 30 lines of code. They end at a bound of -430.405275 nats, and so do
# ``bg.fit`` and the estimator (-1175.208540 in minutes). For Old Faithful with three components all twenty starts end there, too.
#
# What the thirty lines lack is what the rest of the package is for: rows far from the origin, missing numbers, more rows than memory, other
# structures, components that leave, several starts, and an answer to how sure one may be.
