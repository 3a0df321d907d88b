"""
Rows that belong to no component, and components with heavy tails: how many kinds are there?
============================================================================================

Gaussians have thin tails: a few rows far away, or tails that are heavier, and a fit spends components on them. Two remedies: a component
of noise, uniform where the data are, and Student t components.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import plot_components

# %%
# Two kinds of trouble
# --------------------
#
# Old Faithful, and 20 eruptions whose wait was written down wrongly: anything up to three hours. Beside it three groups of Student t with
# 3 degrees of freedom, drawn for the purpose.

rng = np.random.default_rng(0)
geyser = bg.load_dataset("faithful")
wrong = np.column_stack([rng.choice(geyser.x[:, 0], 20), rng.uniform(0, 180, 20)])
eruptions = pd.DataFrame(np.concatenate([geyser.x, wrong]), columns=["eruption length (min)", "waiting time (min)"])
centres = np.array([[0.0, 0.0], [7.0, 0.0], [3.5, 6.0]])
heavy = centres[np.arange(450) % 3] + rng.standard_normal((450, 2)) / np.sqrt(rng.chisquare(3, (450, 1)) / 3)

# %%
# Gaussians alone, and with a remedy
# ----------------------------------
#
# Each fit starts from 10 components and keeps what the data need.

figure, axes = plt.subplots(2, 2, figsize=(11, 8.5), layout="constrained")
for ax, (x, title, options) in zip(
    axes.flat,
    (
        (eruptions, "Wrong rows, Gaussians", {}),
        (eruptions, "Wrong rows, Gaussians and noise", {"noise": "box"}),
        (heavy, "Heavy tails, Gaussians", {}),
        (heavy, "Heavy tails, Student t", {"student_t": "shared"}),
    ),
    strict=True,
):
    model = bg.BayesianGaussianMixture(n_components=10, random_state=0, **options).fit(x)
    plot_components(model, x, ax=ax).set_title(f"{title}: {model.n_components_} components")
    print(f"{title}: {model.n_components_} components, evidence lower bound {model.lower_bound_:.1f}")
    if "noise" in options:
        flagged = model.labels_ == -1
        print(f"  noise: {flagged[272:].sum()} of the 20 wrong rows, {flagged[:272].sum()} of the 272 others")
    if "student_t" in options:
        print(f"  degrees of freedom: {model.degrees_of_freedom_[0]:.1f}")
plt.show()

# %%
# Answer
# ------
#
# As many as there are, once the far rows have a place of their own: with noise the eruptions are two kinds again, with Student t the drawn
# rows are three. Noise is told apart row by row; Student t components keep every row, and hardly listen to the far ones.
