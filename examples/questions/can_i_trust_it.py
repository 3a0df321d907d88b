"""
Three species of penguins, four measurements. Which fits can be trusted, and what is wrong with the others?
===========================================================================================================
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import plot_predictive_check

data = bg.load_dataset("penguins")
frame = pd.DataFrame(data.x, columns=[name.replace("_", " ") for name in data.feature_names])

# One component is too few for this column and that, three are the species, five are more than the rows can tell apart.
found = {k: bg.GaussianMixture(k, random_state=0).fit(frame).diagnose(frame) for k in (1, 3, 5)}
for diagnosis in found.values():
    print(diagnosis, end="\n\n")

# Agreement of the three components with the species, which the fit has not seen.
print("adjusted Rand index with the species:", round(bg.adjusted_rand_index(data.labels, found[3].model.labels_), 2))

column = frame.columns[found[1].predictive.column_p.argmin()]
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
for ax, k in zip(axes, (1, 3), strict=True):
    plot_predictive_check(found[k], column, ax)
    ax.set_title(f"{k} component{'s' * (k > 1)}: p = {found[k].predictive.column_p[list(frame.columns).index(column)]:.3f}")
plt.show()
