"""
What do three components of the iris look like, and which flowers are in doubt?
===============================================================================

Six views of one fit: k-means beside the mixture, the density, the rows in doubt, their probabilities, and the likelihood along the way.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import plot_beside_kmeans, plot_bound, plot_density, plot_doubt, plot_responsibilities

iris = bg.load_dataset("iris")
frame = pd.DataFrame(iris.x, columns=["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"])
model = bg.GaussianMixture(n_components=3, random_state=0).fit(frame)

# %%
# All pairs of columns
# --------------------

model.plot(frame)
plt.show()

# %%
# The petals in six views
# -----------------------

petals = (2, 3)
figure, axes = plt.subplots(2, 3, figsize=(15, 8.5), layout="constrained")
plot_beside_kmeans(model, frame, petals, axes[0, :2])
plot_density(model, frame, petals, axes[0, 2])
plot_doubt(model, frame, petals, axes[1, 0])
plot_responsibilities(model, frame, ax=axes[1, 1])
plot_bound(model, axes[1, 2])
axes[0, 2].set_title("density of two columns")
plt.show()

# %%
# And the species?
# ----------------
#
# They were not used. k-means sees standardised columns.

species = pd.Series(iris.labels, name="species")
print(pd.crosstab(species, pd.Series(model.labels_ + 1, name="component")))
agreement = {"mixture": model.labels_, "k-means": bg.KMeans(n_clusters=3, random_state=0).fit(frame / frame.std()).labels_}
for who, labels in agreement.items():
    print(f"{who}: adjusted Rand index with the species {bg.adjusted_rand_index(iris.labels, labels):.2f}")

# %%
# Answer
# ------
#
# One component stands alone (setosa), two touch, and the flowers in doubt lie where they touch. k-means cuts halfway between centres and
# puts 26 flowers elsewhere; the mixture, whose components have shapes of their own, agrees better with the species (adjusted Rand index
# 0.90, k-means 0.62).
