"""
Which readings of a space shuttle's sensors are not normal, and what is odd about them?
=======================================================================================

Nobody has labelled the readings, and some of those to learn from are anomalies themselves. A density of all of them is no answer: where anomalies come in
groups, it learns the groups too and calls them ordinary. The components of a mixture show the groups, and what they differ in.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import bayesgmm as bg

# %%
# The readings
# ------------
# Statlog Shuttle: 49,097 readings of nine sensors. 5,000 are fitted, without labels; the other 44,097 are judged. The labels come out
# at the end, to see who was right: 7 % of the readings are anomalies, in both parts.

shuttle = bg.load_dataset("shuttle")
order = np.random.default_rng(0).permutation(len(shuttle.x))
learnt, judged = shuttle.x[order[:5000]], shuttle.x[order[5000:]]
odd_learnt, odd = (shuttle.labels == "anomaly")[order[:5000]], (shuttle.labels == "anomaly")[order[5000:]]
print(f"anomalies: {odd_learnt.mean():.1%} of the rows learnt from, {odd.mean():.1%} of the rows judged")

# %%
# First fit: groups
# -----------------
# The mixture is offered ten components. It does not see the last column of this table.

mixture = bg.BayesianGaussianMixture(n_components=10, n_init=2, random_state=0).fit(learnt)
group = mixture.predict(learnt)
rows = np.bincount(group, minlength=mixture.n_components_)
print("component   weight   rows   anomalies (by the labels)")
for k, weight in enumerate(mixture.weights_):
    print(f"{k + 1:9}{weight:9.3f}{rows[k]:7}{odd_learnt[group == k].sum():7}")

# %%
# Second fit: normal operation
# ----------------------------
# What a shuttle normally does, it does often. A component that has less than a twentieth of the rows is not normal operation, whatever it is; the
# rows of the others are fitted again, and every reading is judged by that density.

usual = np.flatnonzero(mixture.weights_ >= 0.05)
kept = np.isin(group, usual)
normal = bg.BayesianGaussianMixture(n_components=len(usual), n_init=2, random_state=0).fit(learnt[kept])
print(f"{len(usual)} components with {kept.sum()} rows are normal operation.")

# %%
# Beside other detectors
# ----------------------
# All see the same 5,000 rows, and score the same 44,097. k-means gets standardised columns, ten clusters, ten starts, and the same rule: the
# score is the distance to the nearest centre of a cluster with at least a twentieth of the rows. Precision is that of the
# rows with the highest scores, as many as there are anomalies.

scaler = StandardScaler().fit(learnt)
kmeans = KMeans(10, n_init=10, random_state=0).fit(scaler.transform(learnt))
large = np.bincount(kmeans.labels_) >= 0.05 * len(learnt)
one = bg.GaussianMixture(1).fit(learnt)
forest = IsolationForest(random_state=0).fit(learnt)
distances = kmeans.transform(scaler.transform(judged))
scores = {
    "mixture, normal operation": -normal.score_samples(judged),
    "mixture, all components": -mixture.score_samples(judged),
    "one Gaussian": -one.score_samples(judged),
    "k-means, large clusters": distances[:, large].min(1),
    "k-means, all clusters": distances.min(1),
    "scikit-learn's IsolationForest": -forest.score_samples(judged),
}


def precision(score: np.ndarray) -> float:
    """Share of anomalies among the rows with the highest scores, as many as there are anomalies."""
    return float(odd[np.argsort(score)[-odd.sum() :]].mean())


auc = {name: roc_auc_score(odd, score) for name, score in scores.items()}
print(f"{'':32}{'area under ROC':>15}{'precision':>12}")
for name, score in scores.items():
    print(f"{name:32}{auc[name]:15.3f}{precision(score):12.2f}")

# %%
found = normal.tail_probability(judged)
flagged = found.unusual(0.05)
print(len(flagged), odd[flagged].mean(), odd[flagged].sum() / odd.sum())
flagged = found.adjusted < 1e-6; print(flagged.sum(), odd[flagged].mean(), odd[flagged].sum() / odd.sum())
base = normal.score_samples(judged)
cost = np.stack([base - normal.marginal([i for i in range(9) if i != j]).log_density(np.delete(judged, j, 1)) for j in range(9)], 1)
typical = np.median(cost, 0)
surprise = typical - cost
labels=mixture.predict(judged)
for k in range(mixture.n_components_):
    print(k, (labels==k).sum(), odd[labels==k].mean(), np.median(surprise[labels==k],0).round(1), np.bincount(surprise[labels==k].argmax(1),minlength=9))
