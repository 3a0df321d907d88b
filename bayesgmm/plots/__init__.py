"""Pictures of fitted models; each function takes and returns a matplotlib Axes. Import what you need from here."""

from __future__ import annotations

from bayesgmm.plots.components import plot_components

__all__ = ["plot_components"]
