"""
Half a million pixels of two photographs in Parquet files: which colours are there?
===================================================================================

Rows are read as they are needed, so that they never have to be in memory together. Needs pyarrow, and scikit-learn, which has the
photographs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_sample_images

import bayesgmm as bg

photographs = dict(zip(("china", "flower"), load_sample_images().images, strict=True))
folder = Path(tempfile.mkdtemp())
for name, pixels in photographs.items():
    colours = pd.DataFrame(pixels.reshape(-1, 3), columns=["red", "green", "blue"])
    colours.to_parquet(folder / f"{name}.parquet", row_group_size=50_000)

# %%
# Fit from files
# --------------
#
# The fit looks for starts in a sample, then passes over all rows until it converges. Were it killed, the same call would go on.

rows = bg.scan(folder, sample=10_000)  # nothing is read yet
model = bg.GaussianMixture(n_components=12, n_init=2, tol=1e-6, random_state=0).fit(rows, checkpoint=folder / "fit.checkpoint")
print(rows)
print(f"{model.facts().n_samples:,} rows, converged after {model.n_iter_} passes, {model.score(rows):.4f} nats a row")

# %%
# What it says of every pixel
# ---------------------------
#
# The answer goes to a file as well, and comes back as pictures in which each pixel has the colour of its component.

n = model.write_predictions(folder / "found.parquet", rows)
found = pd.read_parquet(folder / "found.parquet")
print(f"{n:,} rows written; {np.mean(found['probability'] > 0.9):.0%} of them are in one component with a probability above 0.9")

figure, axes = plt.subplots(2, 2, figsize=(10, 6.8), layout="constrained")
begin = 0
for row, (name, pixels) in zip(axes, photographs.items(), strict=True):
    label = found["component"].to_numpy()[begin : begin + pixels[..., 0].size].reshape(pixels.shape[:2])
    begin += label.size
    for ax, picture, title in zip(row, (pixels / 255, np.clip(model.means_ / 255, 0, 1)[label]), (name, "12 components"), strict=True):
        ax.imshow(picture)
        ax.set_title(title)
        ax.axis("off")
plt.show()

# %%
# Answer
# ------
#
# Twelve colours are enough to recognise both photographs. The fit is the one that rows in memory would have: files change where the numbers
# come from, not what is done with them.
