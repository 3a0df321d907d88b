"""
Numbers are missing, some labels are known, some have errors: what can be said all the same?
============================================================================================

The measurements of 342 penguins, of which a fifth are taken away on purpose, so that what a fit makes of the rest can be checked. Nothing
is filled in beforehand: every row is used as far as it is known.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import bayesgmm as bg

COLOURS, MARKS = ("#0072B2", "#D55E00", "#009E73"), ("o", "s", "^")
penguins = bg.load_dataset("penguins")
rng = np.random.default_rng(0)
gaps = rng.random(penguins.x.shape) < 0.2
gaps[gaps.all(1), 0] = False
x = np.where(gaps, np.nan, penguins.x)

# %%
# A fit with gaps
# ---------------
#
# A fifth of the numbers is gone, and with it more than half of the complete rows. The fit uses what is there.

kind = {"n_components": 3, "prune": False, "covariance_type": "tied", "random_state": 0}
complete = bg.BayesianGaussianMixture(**kind).fit(penguins)
model = bg.BayesianGaussianMixture(**kind, missing="at_random").fit(x)
whole = ~gaps.any(1)
print(f"{gaps.mean():.0%} of the numbers are missing; {whole.sum()} of {len(x)} rows are complete.")
print(f"{np.mean(model.predict(penguins) == complete.labels_):.1%} of the birds are in the component where all numbers would put them.")

# %%
# How far off is what is filled in?
# ---------------------------------
#
# Beside it the mean of the column.

filled = model.impute(x)
error = np.sqrt(np.mean(((filled - penguins.x) / penguins.x.std(0))[gaps] ** 2))
naive = np.sqrt(np.mean(((np.nanmean(x, 0) - penguins.x) / penguins.x.std(0))[gaps] ** 2))
draws = model.impute(x, n_draws=200)
low, high = np.quantile(draws, [0.05, 0.95], axis=0)
inside = ((low <= penguins.x) & (penguins.x <= high))[gaps].mean()
print(f"Missing numbers are {error:.2f} standard deviations off, column means {naive:.2f}; {inside:.0%} lie within 90 % of the draws.")

# %%
# What do the gaps cost?
# ----------------------
#
# Intervals of the component means get wider.

sure, unsure = complete.uncertainty(penguins), model.uncertainty(x)
wider = (unsure.intervals()["means"].sd / sure.intervals()["means"].sd).mean()
print(f"Standard errors of the component means are {wider - 1:.0%} larger.")

# %%
# The species of every tenth bird is known
# ----------------------------------------

told = [species if i % 10 == 0 else None for i, species in enumerate(penguins.labels)]
birds = bg.Observations(x, labels=told)
named = bg.BayesianGaussianMixture(**kind, missing="at_random").fit(birds)
right = np.mean(np.array(birds.label_names)[named.predict(x)] == penguins.labels)
print(f"With the species of every tenth bird, {right:.1%} of all birds get the right one, gaps and all.")

# %%
# What was filled in, and how sure the means are
# ----------------------------------------------

figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.8), layout="constrained")
across, up = 2, 0
names = [name.replace("_", " ") for name in penguins.feature_names]
for k in range(3):
    own = model.labels_ == k
    seen = own & ~gaps[:, across] & ~gaps[:, up]
    look = {"color": COLOURS[k], "linestyle": "", "marker": MARKS[k], "markersize": 4}
    axes[0].plot(x[seen, across], x[seen, up], alpha=0.6, **look, label=f"component {k + 1}")
    hidden = np.flatnonzero(own & ~gaps[:, across] & gaps[:, up])
    axes[0].errorbar(
        x[hidden, across],
        filled[hidden, up],
        yerr=[filled[hidden, up] - low[hidden, up], high[hidden, up] - filled[hidden, up]],
        linewidth=0.7,
        alpha=0.6,
        mfc="white",
        **look,
    )
axes[0].set(title="seen, and filled in with 90 % of the draws", xlabel=names[across], ylabel=names[up])
axes[0].legend(frameon=False, fontsize="small", title="open: filled in", title_fontsize="small")
spread = penguins.x.std(0)
for shift, (who, law, mark) in enumerate((("all numbers", sure, "o"), ("a fifth missing", unsure, "s"))):
    found = law.intervals()["means"]
    places = np.arange(12) + 0.28 * shift
    middle = (found.mean - penguins.x.mean(0)) / spread
    wide = (found.upper - found.lower) / 2 / spread
    axes[1].errorbar(middle.ravel(), places, xerr=wide.ravel(), fmt=mark, markersize=4, color=COLOURS[shift], label=who)
axes[1].set_yticks(np.arange(12) + 0.14, [f"{k + 1}: {name}" for k in range(3) for name in names])
axes[1].tick_params(axis="y", labelsize="small")
axes[1].invert_yaxis()
axes[1].set(title="component means and 94 % intervals", xlabel="standard deviations of the column from its mean")
axes[1].legend(frameon=False, fontsize="small")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Answer
# ------
#
# Most of it. Birds with gaps go where their numbers would have put them in most cases, what is filled in is nearer to the truth than column
# means, and the intervals of the means say what the gaps cost. A tenth of the species, told, names the components.
