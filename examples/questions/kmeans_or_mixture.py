"""
k-means or a mixture?
=====================

Both divide rows into groups. k-means is told how many groups there are and puts every row into the nearest; a mixture describes each group
by a weight, a mean and a covariance, lets groups go that the data do not need, and says how sure it is of all of that. The same 272
eruptions of Old Faithful, by both.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import plot_ellipses

data = bg.load_dataset("faithful")
frame = pd.DataFrame(data.x, columns=["eruption length (min)", "waiting time (min)"])

# %%
# k-means is told two
# -------------------
#
# Columns are standardised, so that minutes of waiting do not drown minutes of eruption.

spread = frame.std()
means = bg.KMeans(n_clusters=2, random_state=0).fit(frame / spread)
centres = means.cluster_centers_ * spread.to_numpy()
print("k-means:", np.bincount(means.labels_), "rows, centres", centres.round(2).tolist())

# %%
# The mixture is given twenty components
# --------------------------------------
#
# It keeps two, and draws of its parameters say how sure each number is.

model = bg.BayesianGaussianMixture(n_components=20, random_state=0).fit(frame)
sure = model.uncertainty(frame)
print(f"mixture: {model.n_components_} of {model.n_components} components kept")
print(sure)

# %%
# Which rows are in doubt?
# ------------------------
#
# k-means cannot say. The mixture gives every row a probability.

resp = model.predict_proba(frame)
doubtful = resp.max(1).argmin()
agree = max((means.labels_ == model.labels_).sum(), (means.labels_ != model.labels_).sum())
print(f"The two agree on {agree} of {len(frame)} rows.")
print(f"Least certain: row {doubtful}, {data.x[doubtful].tolist()}, {resp[doubtful].max():.0%} in one component.")

# %%
# Side by side
# ------------
#
# Left, k-means: centres, and the line halfway between them. Right, the mixture: ellipses of two standard deviations in forty draws, the
# region that holds 94 % of the draws of each mean, and the weights and means with 94 % intervals.

figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.8), sharex=True, sharey=True, layout="constrained")
for k, (colour, marker) in enumerate(zip(("#0072B2", "#D55E00"), "os", strict=True)):
    mine = data.x[means.labels_ == k]
    axes[0].scatter(*mine.T, s=16, c=colour, marker=marker, alpha=0.7, linewidths=0, label=f"cluster {k + 1}: {len(mine)} rows")
axes[0].plot(*centres.T, "k+", markersize=10, linestyle="", label="centres")
plot_ellipses(sure, ax=axes[1])
axes[1].get_legend().remove()
(low, high), unit = axes[0].get_xlim(), spread.to_numpy()
middle, apart = centres.mean(0), (centres[0] - centres[1]) / unit**2
border = middle[1] - (np.array([low, high]) - middle[0]) * apart[0] / apart[1]
axes[0].plot([low, high], border, "--", color="#555555", linewidth=1, label="border")
axes[0].set(
    title="k-means: told 2, every row is certain", xlabel=frame.columns[0], ylabel=frame.columns[1], xlim=(low, high), ylim=(38, 108)
)
axes[0].legend(frameon=False, fontsize="small", loc="upper left")
axes[0].spines[["top", "right"]].set_visible(False)

found = sure.intervals(0.94)
for k, (place, side) in enumerate([((0.97, 0.39), "right"), ((0.02, 0.72), "left")]):
    share, centre = found["weights"], found["means"]
    told = [f"component {k + 1}, mean [94 % interval]", f"weight {share.mean[k]:.2f} [{share.lower[k]:.2f}, {share.upper[k]:.2f}]"]
    told += [
        f"{name} {centre.mean[k, j]:.{digits}f} [{centre.lower[k, j]:.{digits}f}, {centre.upper[k, j]:.{digits}f}] min"
        for j, (name, digits) in enumerate((("eruption", 2), ("wait", 1)))
    ]
    axes[1].annotate("\n".join(told), place, xycoords="axes fraction", ha=side, va="top", fontsize="small")
axes[1].set(title=f"mixture: {model.n_components_} of {model.n_components} components kept", ylabel="")
plt.show()

# %%
# Answer
# ------
#
# Where groups are as far apart as here, they put the same rows together: the two agree on 271 of 272 rows. What the mixture adds is what
# k-means leaves out: it finds the number of groups, their shapes and shares, intervals for all of them, and the rows in doubt. k-means is
# enough where only the division is wanted, the number is known, and groups are round and of like size.
