"""Components that shrank onto a few rows: which ones, which rows, which column."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.mixture import Mixture
from bayesgmm.inference.compiling import jit


class Collapse(NamedTuple):
    """One collapsed component.

    Attributes
    ----------
    component : int
    rows : tuple of int
        Rows that belong to it (at most ten).
    column : int
        Column with the least spread in it, relative to all data.
    """

    component: int
    rows: tuple[int, ...]
    column: int


@jit(brief=True)
def _smallest(posterior: Mixture):
    """Smallest eigenvalue of each covariance."""
    return posterior.structure.smallest(posterior.components.covariance)


def collapsed(posterior: Mixture, counts: Any, floor: float, needed: int) -> np.ndarray:
    """Mask (K,) of components at the covariance floor, or with fewer rows than a covariance of their own needs; inner coordinates."""
    smallest = np.asarray(_smallest(posterior))
    thin = np.broadcast_to(smallest <= 1.01 * floor, (posterior.n_components,))
    if posterior.tied and posterior.n_components > 1:
        return np.asarray(thin)
    counts = np.asarray(counts)
    return thin | (counts < min(needed, float(counts.sum())))


def describe(posterior: Mixture, mask: np.ndarray, scale: np.ndarray, labels: np.ndarray | None) -> tuple[Collapse, ...]:
    """Where the collapsed components are; ``posterior`` in the user's units, ``scale`` (D,) the spread of the columns."""
    if not mask.any():
        return ()
    structure, n_features = posterior.structure, posterior.components.n_features
    dense = np.asarray(structure.to_dense(jnp.asarray(posterior.components.covariance), n_features))
    found = []
    for k in np.flatnonzero(mask):
        relative = dense[0 if len(dense) == 1 else k] / np.outer(scale, scale)
        rows = () if labels is None else tuple(int(i) for i in np.flatnonzero(labels == k)[:10])
        found.append(Collapse(int(k), rows, int(np.abs(np.linalg.eigh(relative)[1][:, 0]).argmax())))
    return tuple(found)


def collapse_message(found: tuple[Collapse, ...], names) -> str:
    """One sentence for a warning."""
    parts = []
    for c in found[:3]:
        column = f"column {c.column}" if names is None else f"column {names[c.column]!r}"
        rows = f"holds only rows {list(c.rows)} or " if c.rows else ""
        parts.append(f"component {c.component} {rows}has no spread in {column}")
    more = f"; and {len(found) - 3} more components like these" if len(found) > 3 else ""
    return (
        "The likelihood has no meaningful maximum here: "
        + "; ".join(parts)
        + f" (counting from 0){more}. Ask for fewer components, another "
        'covariance_type, prior="default", or use BayesianGaussianMixture.'
    )
