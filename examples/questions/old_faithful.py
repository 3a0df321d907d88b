"""
How many kinds of eruption does Old Faithful have?
==================================================
"""

from __future__ import annotations

import bayesgmm as bg

data = bg.load_dataset("faithful")
x, names, labels = data

# Start from 20 components; the ones the data do not need leave.
model = bg.BayesianGaussianMixture(n_components=20, random_state=0).fit(x)
print(model.summary(x))

# The bound is comparable over K, structures and priors: here K = 1, 2, 3, nothing pruned, uniform weights a priori.
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

# Answer: two, short ones after short waits (about 36 %) and long ones after long waits; one row in 272 is really in doubt.
