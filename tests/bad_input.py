"""Settings and data for tests of bad input, and what every message must be like."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bayesgmm as bg

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
SETTINGS = {"n_init": 1, "random_state": 0}


def em(**options):
    return bg.GaussianMixture(**({"n_components": 2} | SETTINGS | options))


def vb(**options):
    return bg.BayesianGaussianMixture(**({"n_components": 3, "moves": False} | SETTINGS | options))


def kmeans(**options):
    return bg.KMeans(**({"n_clusters": 2} | SETTINGS | options))


MAKERS = {"em": em, "vb": vb, "kmeans": kmeans}


def message_of(action, kinds=(ValueError, TypeError)) -> str:
    """The error's text, which must be ours, short, on one line, and end as a sentence does."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kinds) as caught:
            action()
    text = str(caught.value)
    origin = caught.traceback[-1].path
    assert "bayesgmm" in origin.parts, f"raised by {origin}: {text}"
    assert text.endswith((".", "?")) and "\n" not in text and len(text) < 450, text
    return text
