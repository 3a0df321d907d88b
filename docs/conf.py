"""Sphinx configuration; builds without a network, and the pages are read without one.

``sphinx -b html docs OUT`` runs the examples of the gallery; ``-D plot_gallery=0`` leaves their output and pictures out.
"""

from __future__ import annotations

import os

from sphinx_gallery.sorting import ExplicitOrder

os.environ.setdefault("MPLBACKEND", "Agg")

import bayesgmm

project = "bayesgmm"
author = "the bayesgmm developers"
copyright = "2026, the bayesgmm developers"
release = bayesgmm.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py"]

html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_prev_next": False}
html_title = f"bayesgmm {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
mathjax_path = "mathjax/tex-svg.js"
"""MathJax 3.2.2 (Apache License 2.0), kept here so that formulas are set without a network."""

autosummary_generate = True
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "subsection_order": ExplicitOrder(["../examples/applications", "../examples/questions"]),
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "capture_repr": ("_repr_html_", "__repr__"),
    "matplotlib_animations": (True, "jshtml"),
    "abort_on_example_error": True,
}
