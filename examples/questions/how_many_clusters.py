"""
How many groups are there in the iris measurements, and how sure is that?
=========================================================================

``select`` fits every number of components under every covariance structure it is given, and compares the models. Different criteria ask
different questions, so their answers need not be the same.
"""

from __future__ import annotations

import matplotlib.pyplot as plt

import bayesgmm as bg
from bayesgmm.plots import plot_criteria

data = bg.load_dataset("iris")
selection = bg.select(data.x, n_components=range(1, 7), covariance_type=("full", "tied"), random_state=0)
print(selection)

# %%
# How sure the evidence is
# ------------------------
#
# The probability of each number of components, all equally likely beforehand, averaged over the structures.

print({k: round(p, 3) for k, p in selection.n_components_probability.items()})

# %%
# The species were not used
# -------------------------
#
# How do the components divide them?

for species in sorted(set(data.labels)):
    mine = selection.best.labels_[data.labels == species]
    print(species, {int(k): int((mine == k).sum()) for k in set(mine)})

# %%
# What every criterion would take
# -------------------------------
#
# A ring is the choice of the panel's criterion, the grey stripe is where the verdict is.

plot_criteria(selection, ["evidence", "elbo", "icl_exact", "bic", "icl", "aicc"])
plt.show()

# %%
# The criterion that decided
# --------------------------
#
# Bars show the probability of each number of components.

selection.plot()
plt.show()

# %%
# Answer
# ------
#
# By the evidence four Gaussian components: setosa is one, versicolor and virginica share the other three. BIC and ICL see two groups. A
# number of components is not a number of species, and only a quarter of the starts reach the best fit with four: worth knowing before one
# believes it.
