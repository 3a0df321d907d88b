"""
How many kinds of eruption does Old Faithful have?
==================================================

272 eruptions: how long each lasted, and how long one had to wait for the next.
"""

from __future__ import annotations

import matplotlib.pyplot as plt

import bayesgmm as bg

data = bg.load_dataset("faithful")
x, names, labels = data

# %%
# Start from 20 components
# ------------------------
#
# The ones that the data do not need leave.

model = bg.BayesianGaussianMixture(n_components=20, random_state=0).fit(x)
print(model.summary(x))

# %%
# Compare one, two and three
# --------------------------
#
# The bound is comparable over numbers of components, structures and priors: here nothing is pruned, and weights are uniform a priori.

for k in (1, 2, 3):
    fixed = bg.BayesianGaussianMixture(
        n_components=k,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
        n_init=10,
        random_state=0,
    ).fit(x)
    print(f"K = {k}: bound {fixed.lower_bound_:.4f} nats")

# %%
# Look at it
# ----------

model.plot(x)
plt.show()

# %%
# Answer
# ------
#
# Two, short ones after short waits (weight 0.355) and long ones after long waits; one row in 272 is really in doubt.
