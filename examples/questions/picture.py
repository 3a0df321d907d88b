"""
Draw docs/images/old_faithful.png, the picture of the README.
=============================================================
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import plot_components

data = bg.load_dataset("faithful")
frame = pd.DataFrame(data.x, columns=["eruption length (min)", "waiting time (min)"])
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")

means = bg.KMeans(n_clusters=2, random_state=0).fit(frame)
for k, (colour, marker) in enumerate(zip(("#0072B2", "#D55E00"), "os", strict=True)):
    mine = data.x[means.labels_ == k]
    axes[0].scatter(*mine.T, s=16, c=colour, marker=marker, alpha=0.7, linewidths=0, label=f"cluster {k + 1}: {len(mine)} rows")
axes[0].plot(*means.cluster_centers_.T, "k+", markersize=9)
axes[0].set(title="k-means: you choose 2, every row is certain", xlabel=frame.columns[0], ylabel=frame.columns[1])
axes[0].legend(frameon=False, fontsize="small")
axes[0].spines[["top", "right"]].set_visible(False)

model = bg.BayesianGaussianMixture(n_components=20, random_state=0).fit(frame)
plot_components(model, frame, ax=axes[1])
axes[1].set(title="variational mixture: 2 of 20 components kept", ylabel="")
plt.show()
