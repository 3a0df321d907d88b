"""
Which colours make up a photograph, and which pixels are in doubt?
==================================================================

Pixels of one thing have similar colours, spread by light and shade: a petal runs from yellow to deep orange, a meadow from black
to bright green. A mixture gives every colour an ellipsoid of its own, and finds out how many ellipsoids the photograph needs.
k-means gives all colours the same round shape, and has to be told their number.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import xlogy
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image
from sklearn.mixture import GaussianMixture

import bayesgmm as bg

# %%
# Pixels as points
# ----------------
# The photograph of a dahlia comes with scikit-learn: 427 by 640 pixels. Red, green and blue are made into CIE
# L*a*b*, in which a distance is about as large as the difference looks: L* is lightness, a* runs from green to red, b* from blue
# to yellow. Colours are stored as whole numbers, so each gets a random part of one step: a density needs rows that do not repeat.
# Two random samples of 4,000 pixels are fitted; 20,000 other pixels are kept to judge by.

LINEAR_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of sRGB colours (..., 3) in 0 to 255."""
    coded = rgb / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ LINEAR_TO_XYZ.T / LINEAR_TO_XYZ.sum(1)
    x, y, z = np.moveaxis(np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


rng = np.random.default_rng(0)
photograph = load_sample_image("flower.jpg")
pixels = to_lab((photograph.reshape(-1, 3) + rng.random((photograph.shape[0] * photograph.shape[1], 3))) * 255 / 256)
order = rng.permutation(len(pixels))
first, second, held_out = pixels[order[:4000]], pixels[order[4000:8000]], pixels[order[8000:28000]]

# %%
# The mixture chooses the number
# ------------------------------
# Each sample is offered twelve components; those that it does not need leave.

mixtures = [bg.BayesianGaussianMixture(n_components=12, n_init=2, random_state=0).fit(sample) for sample in (first, second)]
mixture = mixtures[0]
n_segments = mixture.n_components_
print(f"{n_segments} components in the first sample, {mixtures[1].n_components_} in the second.")
print("   weight     L*     a*     b*   spread (standard deviations along the axes of the ellipsoid)")
for weight, mean, covariance in zip(mixture.weights_, mixture.means_, mixture.covariances_, strict=True):
    spread = np.sqrt(np.linalg.eigvalsh(covariance))[::-1]
    print(f"{weight:9.2f}" + "".join(f"{value:7.0f}" for value in mean) + "   " + " ".join(f"{value:5.1f}" for value in spread))

# %%
# Beside k-means
# --------------
# k-means gets the same samples, the same colour space, the number of segments that the mixture found, and ten starts. Three
# measures on the pixels kept aside:
#
# - *log density*: how well the segments describe colours never seen. k-means is given a Gaussian with full covariance and a
#   weight for each segment, and a mixture of scikit-learn's by maximum likelihood is asked too.
# - *agreement*: the fits to the two samples label the same pixels; the adjusted Rand index is 1 where they draw the same borders.
# - *colour error*: the mean distance in L*a*b* between a pixel and the mean colour of its segment. k-means minimises its square.

kmeans = [KMeans(n_segments, n_init=10, random_state=0).fit(sample) for sample in (first, second)]


def log_density_of_segments(labels: np.ndarray) -> float:
    """Mean log density of the pixels kept aside under one Gaussian a segment."""
    parts = [first[labels == k] for k in range(n_segments)]
    each = [np.log(len(part) / len(first)) + multivariate_normal(part.mean(0), np.cov(part.T)).logpdf(held_out) for part in parts]
    return float(np.logaddexp.reduce(each, axis=0).mean())


def agreement(models: list) -> float:
    """Adjusted Rand index of the labels that two fits give to the pixels kept aside."""
    return float(bg.adjusted_rand_index(*(model.predict(held_out) for model in models)))


def colour_error(model) -> float:
    """Mean distance of the pixels kept aside from the mean colour of their segment."""
    labels = model.predict(first)
    colours = np.array([first[labels == k].mean(0) for k in range(n_segments)])
    return float(np.linalg.norm(held_out - colours[model.predict(held_out)], axis=1).mean())


likelihood = GaussianMixture(n_segments, n_init=3, random_state=0).fit(first)
print(
    f"Result: the log density of a pixel is {mixture.score(held_out):.1f} for the mixture, "
    f"{log_density_of_segments(kmeans[0].labels_):.1f} for k-means with a Gaussian a segment, "
    f"{likelihood.score(held_out):.1f} for scikit-learn's mixture"
)
print(f"Result: the agreement of two samples is {agreement(mixtures):.1f} for the mixture, {agreement(kmeans):.1f} for k-means")
print(f"Result: the colour error is {colour_error(mixture):.0f} for the mixture, {colour_error(kmeans[0]):.0f} for k-means")

# %%
# A prior for thin colours
# ------------------------
# scikit-learn's mixture describes the colours better. Colours lie in thin sheets, and the prior of the
# covariances, which expects ellipsoids about as wide as the whole photograph, keeps ours from being as thin. It can be told so;
# the bound compares priors as it compares numbers.

options = {"n_components": 12, "n_init": 2, "covariance_prior": np.cov(first.T) / 100, "random_state": 0}
thin = [bg.BayesianGaussianMixture(**options).fit(sample) for sample in (first, second)]
print(f"Bound {mixture.lower_bound_:.0f} with the default prior, {thin[0].lower_bound_:.0f} with one a hundredth as wide.")
print(
    f"With the narrow prior {thin[0].n_components_} and {thin[1].n_components_} components, "
    f"log density of a pixel {thin[0].score(held_out):.1f}, agreement {agreement(thin):.2f}."
)

# %%
# Every pixel, and the doubt
# --------------------------
# All 273,280 pixels are labelled by the fit to 4,000. The doubt of a pixel is the entropy of its
# responsibilities: 0 where one segment has it to itself, 1 bit where two share it evenly.

resp = mixture.predict_proba(pixels)
labels, labels_kmeans = resp.argmax(1), kmeans[0].predict(pixels)
doubt = -xlogy(resp, resp).sum(1) / np.log(2)
print(f"{(doubt > 0.5).mean():.0%} of the pixels are in doubt by more than half a bit.")

# %%
# The leaves left and right of the flower are out of focus: one green, lighter here and darker there. How many segments does it
# fall into? The effective number is the exponential of the entropy of their shares; it is 1 where all pixels share a segment.

shape = photograph.shape[:2]
column = np.tile(np.arange(shape[1]), shape[0])
row = np.repeat(np.arange(shape[0]), shape[1])
leaves = (row < 330) & ((column < 150) | ((column > 460) & (column < 620)))


def effective_number(labels: np.ndarray) -> float:
    """Exponential of the entropy of the shares of the labels."""
    share = np.bincount(labels) / len(labels)
    return float(np.exp(-xlogy(share, share).sum()))


number, number_kmeans = effective_number(labels[leaves]), effective_number(labels_kmeans[leaves])
print(f"Result: the leaves are {number:.1f} segments of the mixture, {number_kmeans:.1f} of k-means")


def painted(labels: np.ndarray) -> np.ndarray:
    """The photograph in the mean colours of its segments."""
    flat = photograph.reshape(-1, 3)
    colours = np.array([flat[labels == k].mean(0) for k in range(n_segments)])
    return colours[labels].reshape(photograph.shape).astype(np.uint8)


figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
axes[0, 0].imshow(photograph)
axes[0, 0].set_title("the photograph")
axes[0, 1].imshow(painted(labels))
axes[0, 1].set_title(f"the mixture: {n_segments} segments")
axes[1, 1].imshow(painted(labels_kmeans))
axes[1, 1].set_title(f"k-means: {n_segments} segments")
shown = axes[1, 0].imshow(doubt.reshape(shape), cmap="gray_r", vmin=0, vmax=1.5)
axes[1, 0].set_title("doubt of the mixture")
figure.colorbar(shown, ax=axes[1, 0], label="entropy (bits)", shrink=0.8)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()

# %%
# Answer
# ------
# About ten colours: nine by the one sample, ten by the other. The dark green leaves, petals from light to deep orange, and the
# browns of buds and stalks.
#
# What a segment is depends on its shape: the leaves are 1.5 segments of the mixture, 4.5 of k-means, since shade spreads the
# green over a range that one ellipsoid covers and round clusters cut. Whoever wants to repaint the photograph in nine colours
# takes k-means: the colour error is 10 for the mixture, 7 for k-means. Neither is more stable than the other: the agreement of
# two samples is 0.9 for the mixture, 0.9 for k-means.
#
# Judged as densities they are alike and a mixture by maximum likelihood is better: the log density of a pixel is -9.7 for the
# mixture, -9.7 for k-means with a Gaussian a segment, -9.1 for scikit-learn's mixture. The default prior is too wide for colours
# as thin as these, and the bound says so: it is higher with a prior a hundredth as wide, and the log density is then as good as
# scikit-learn's. But that fit keeps all twelve components it may, and its segments agree a little less between the samples.
#
# Doubt lies where colours pass into each other: at the edges of petals, and where the leaves' shadows begin. k-means has no such
# map.
#
# Key takeaways
# -------------
# - A fit to 4,000 pixels labels all 273,280.
# - The mixture keeps a thing together that light and shade spread out. k-means makes segments of equal size in colour.
# - The best density is not the best segmentation: try a narrower ``covariance_prior`` where the density matters, and compare
#   bounds.
# - Colours are whole numbers; add a random part of a step before fitting a density.
