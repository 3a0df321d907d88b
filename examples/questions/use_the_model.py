"""
What can be done with a mixture once it is fitted?
==================================================

A mixture is a density of all columns together. So it predicts some columns from others, says which rows would be unusual, classifies,
and shows many columns from where their components differ.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import bayesgmm as bg

BLUE, ORANGE = "#0072B2", "#D55E00"
geyser = bg.load_dataset("faithful")
model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(geyser)

# %%
# How long is the wait after an eruption of so many minutes?
# ----------------------------------------------------------

length = np.linspace(1.5, 5.2, 200)
wait = model.condition("eruptions", length)
low, high = wait.intervals(0.9)[:, 0].T
seen = model.condition("eruptions", geyser.x[:, 0]).intervals(0.9)[:, 0]
inside = ((seen[:, 0] <= geyser.x[:, 1]) & (geyser.x[:, 1] <= seen[:, 1])).mean()
for minutes in (2.0, 3.0, 4.5):
    one = model.condition("eruptions", minutes)
    shortest, longest = one.intervals(0.9)[0, 0]
    print(f"After {minutes:g} min: wait {one.mean[0, 0]:.0f} min, 90 % between {shortest:.0f} and {longest:.0f}.")
print(f"{inside:.0%} of the {len(geyser.x)} waits lie within their intervals.")

# %%
# Which combinations would be unusual?
# ------------------------------------
#
# Not the extreme ones alone: a long wait after a short eruption is made of two usual numbers.

asked = np.array([[2.0, 55.0], [3.2, 66.0], [2.0, 85.0]])
found = model.tail_probability(asked)
for (minutes, waiting), p, error in zip(asked, found.probability, found.standard_error, strict=True):
    print(f"{minutes:g} min and a wait of {waiting:g} min: p = {p:.2g} (standard error {error:.1g}).")
grid = np.stack(np.meshgrid(np.linspace(1, 5.8, 120), np.linspace(38, 102, 120)), -1)
p = model.tail_probability(grid.reshape(-1, 2)).probability.reshape(120, 120)

# %%
# Three species, classified
# -------------------------
#
# Penguins whose species are known teach a mixture for each; the error is of birds left out.

penguins = bg.load_dataset("penguins")
classifier = bg.DiscriminantAnalysis("gaussians").fit(penguins, penguins.labels)
left_out = classifier.cross_validate(penguins, penguins.labels)
print(f"{classifier.covariance_types_[0]} covariances; error left out {left_out.error:.1%}, Brier score {left_out.brier:.4f}.")
print(left_out.confusion.astype(int))

# %%
# Look
# ----
#
# The wait with its interval, the contours of how unusual a row is, and four measurements of penguins in the two directions in which
# their components differ most.

figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
axes[0].fill_between(length, low, high, color=BLUE, alpha=0.2, linewidth=0, label="90 % of the next waits")
axes[0].plot(length, wait.mean[:, 0], color=BLUE, linewidth=2, label="mean")
axes[0].plot(*geyser.x.T, ".", color="black", alpha=0.45, markersize=4, label="data")
axes[0].set(title="the wait, given the eruption", xlabel="eruption length (min)", ylabel="waiting time (min)")
axes[0].legend(frameon=False, fontsize="small", loc="upper left")
lines = axes[1].contour(grid[..., 0], grid[..., 1], p, levels=[0.001, 0.01, 0.1, 0.5], colors="black", linewidths=(0.6, 0.9, 1.3, 1.8))
axes[1].clabel(lines, fmt="p = %g", fontsize=8)
axes[1].plot(*geyser.x.T, ".", color=BLUE, alpha=0.45, markersize=4, label="data")
axes[1].plot(*asked.T, "X", color=ORANGE, markersize=9, markeredgecolor="black", linestyle="", label="rows asked about")
axes[1].set(title="how unusual a row is", xlabel="eruption length (min)")
axes[1].legend(frameon=False, fontsize="small", loc="lower right")
mixture = bg.GaussianMixture(3, covariance_type="tied", random_state=0).fit(penguins)
mixture.projection(penguins).plot(axes[2]).set_title("penguins, where their components differ")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Answer
# ------
#
# Predict one column from another, with intervals that hold; judge single rows by how unusual they are together, not column by column;
# classify; and look at many columns in two. All of it follows from the fit and needs no other model.
