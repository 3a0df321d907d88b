"""
Old Faithful has three Gaussian components. Has it three clusters?
==================================================================

A mixture may spend two components on one group of rows whose shape is not Gaussian. ``combine`` joins components that belong together, by
one of several ideas of what a cluster is.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import plot_components

data = bg.load_dataset("faithful")
frame = pd.DataFrame(data.x, columns=["eruption length (min)", "waiting time (min)"])

# %%
# How many components?
# --------------------

selection = bg.select(frame, n_components=range(1, 5), covariance_type="tied", random_state=0)
print(selection.verdict)

# %%
# How many clusters?
# ------------------
#
# Two of the three overlap. Every way of combining joins those two, and no others.

for method in ("entropy", "misclassification", "ridgeline"):
    combination = bg.combine(selection.best, frame, method)
    print(combination, end="\n\n")

# %%
# Components, clusters, and why
# -----------------------------

figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
plot_components(selection.best, frame, ax=axes[0])
axes[0].set_title(f"{selection.n_components} components")
combination = bg.combine(selection.best, frame)
for k, (colour, marker) in enumerate(zip(("#0072B2", "#D55E00"), "os", strict=True)):
    mine = combination.labels == k
    axes[1].scatter(*data.x[mine].T, s=16, c=colour, marker=marker, alpha=0.7, linewidths=0, label=f"cluster {k + 1}: {mine.sum()} rows")
axes[1].set(title=f"{combination.n_clusters} clusters", xlabel=frame.columns[0])
axes[1].legend(frameon=False, fontsize="small")
axes[1].spines[["top", "right"]].set_visible(False)
combination.plot(axes[2]).set_title("entropy of the assignments")
plt.show()

# %%
# Answer
# ------
#
# No, two. The long eruptions are not quite Gaussian: two components describe them, one cluster holds them. Entropy, misclassification and
# the valleys of the density (ridgeline) agree on which two.
