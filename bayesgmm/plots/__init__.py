"""Pictures of fitted models; each function takes and returns a matplotlib Axes. Import what you need from here."""

from __future__ import annotations

from bayesgmm.plots.bootstrap import plot_bootstrap_lrt
from bayesgmm.plots.combination import plot_combination
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.density import plot_density, plot_pairs
from bayesgmm.plots.diagnosis import plot_predictive_check
from bayesgmm.plots.fit import plot_bound, plot_weights
from bayesgmm.plots.kmeans import plot_beside_kmeans
from bayesgmm.plots.memberships import plot_doubt, plot_responsibilities
from bayesgmm.plots.projection import plot_projection
from bayesgmm.plots.selection import plot_selection
from bayesgmm.plots.uncertainty import plot_credible_ball, plot_intervals, plot_memberships, plot_similarity

__all__ = [
    "plot_beside_kmeans",
    "plot_bootstrap_lrt",
    "plot_bound",
    "plot_combination",
    "plot_components",
    "plot_credible_ball",
    "plot_density",
    "plot_doubt",
    "plot_intervals",
    "plot_memberships",
    "plot_pairs",
    "plot_predictive_check",
    "plot_projection",
    "plot_responsibilities",
    "plot_selection",
    "plot_similarity",
    "plot_weights",
]
