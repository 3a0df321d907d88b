"""Sphinx configuration; builds without a network."""

from __future__ import annotations

import bayesgmm

project = "bayesgmm"
author = "the bayesgmm developers"
copyright = "2026, the bayesgmm developers"
release = bayesgmm.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "myst_parser"]
myst_enable_extensions = ["dollarmath"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_prev_next": False}
autosummary_generate = True
numpydoc_show_class_members = False
exclude_patterns = ["_build"]
