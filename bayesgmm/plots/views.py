"""The view of a model that suits its number of columns."""

from __future__ import annotations

from typing import Any

from bayesgmm.analysis.facts import column_names
from bayesgmm.core.noise import tails
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.density import MOST_COLUMNS, plot_density, plot_pairs
from bayesgmm.plots.projection import plot_projection
from bayesgmm.validation import check_column


def plot_model(model: Any, X: Any, columns: Any = None):
    """See `GaussianMixture.plot`."""
    names = column_names(model)
    listed = [columns] if isinstance(columns, (int, str)) else columns
    chosen = list(range(len(names))) if listed is None else [check_column(column, names) for column in listed]
    if not chosen:
        raise ValueError(f"columns must name at least one of {', '.join(names)}; got none.")
    if len(chosen) == 1:
        return plot_components(model, X) if len(names) == 1 else plot_density(model, X, chosen)
    if len(chosen) == 2:
        return plot_components(model, X, (chosen[0], chosen[1]))
    if len(chosen) > MOST_COLUMNS and columns is None and _projects(model):
        return plot_projection(model.projection(X))
    return plot_pairs(model, X, chosen if columns is not None else chosen[:MOST_COLUMNS])


def _projects(model: Any) -> bool:
    """Whether there are directions in which Gaussian components differ."""
    law = model.posterior_
    return model.n_components_ > 1 and not law.n_noise and tails(law.components) is None
