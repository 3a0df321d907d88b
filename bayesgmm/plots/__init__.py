"""Pictures of fitted models; functions take and return matplotlib Axes (`animate_fit`: an animation). Import what you need from here."""

from __future__ import annotations

from bayesgmm.plots.animation import animate_fit
from bayesgmm.plots.bootstrap import plot_bootstrap_lrt
from bayesgmm.plots.combination import plot_combination
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.density import plot_density, plot_pairs
from bayesgmm.plots.diagnosis import plot_predictive_check
from bayesgmm.plots.ellipses import plot_ellipses
from bayesgmm.plots.fit import plot_bound, plot_weights
from bayesgmm.plots.kmeans import plot_beside_kmeans
from bayesgmm.plots.memberships import plot_doubt, plot_responsibilities
from bayesgmm.plots.prior import plot_prior_posterior
from bayesgmm.plots.projection import plot_projection
from bayesgmm.plots.selection import plot_criteria, plot_selection
from bayesgmm.plots.uncertainty import plot_credible_ball, plot_intervals, plot_memberships, plot_similarity

__all__ = [
    "animate_fit",
    "plot_beside_kmeans",
    "plot_bootstrap_lrt",
    "plot_bound",
    "plot_combination",
    "plot_components",
    "plot_credible_ball",
    "plot_criteria",
    "plot_density",
    "plot_doubt",
    "plot_ellipses",
    "plot_intervals",
    "plot_memberships",
    "plot_pairs",
    "plot_predictive_check",
    "plot_prior_posterior",
    "plot_projection",
    "plot_responsibilities",
    "plot_selection",
    "plot_similarity",
    "plot_weights",
]
