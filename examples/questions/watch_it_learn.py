"""
What does a mixture do while it learns?
=======================================

Pass by pass: each row is shared out among the components as they are, then each component is made anew from its share of the rows. The
bound rises with every pass. Here variational Bayes begins with ten components at random places and lets those go that lose their rows.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg
from bayesgmm.plots import animate_fit

data = bg.load_dataset("faithful")
frame = pd.DataFrame(data.x, columns=["eruption length (min)", "waiting time (min)"])

# %%
# Variational Bayes from ten components
# -------------------------------------

start = bg.BayesianGaussianMixture(n_components=10, init_params="random_from_data", random_state=0)
animation = animate_fit(start, frame, n_passes=80)
plt.show()

# %%
# The same in numbers
# -------------------
#
# ``trace`` holds what the pictures show. ``fit`` itself makes fewer passes, as it accelerates them, tries several starts, and removes or
# merges components where that raises the bound.

trace = start.trace(frame, n_passes=80)
for i in (0, 1, 10, 20, 40, trace.n_passes):
    print(f"after {i:2} passes: {trace.n_components[i]:2} components hold rows, bound {trace.lower_bounds[i]:.2f} nats")
print("smallest gain of a pass:", "above 0" if np.diff(trace.lower_bounds).min() > 0 else "not above 0")
print(f"fit: {start.fit(frame).n_components_} components, bound {start.lower_bound_:.2f} nats")

# %%
# Answer
# ------
#
# It shares out rows and makes components anew, in turn. Components that describe the same rows compete, and under this prior of the weights
# the weaker one loses its rows. Plain passes from one start may stop with a component too many; a fit goes on to try a model without it.
