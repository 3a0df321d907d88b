"""Point estimates of a posterior, and draws of new rows from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.frozen import Frozen
from bayesgmm.core.linalg import solve_lower
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.noise import without_noise
from bayesgmm.core.points import Gaussian
from bayesgmm.core.student import Student
from bayesgmm.core.weights import PointWeights
from bayesgmm.inference.compiling import jit


class Published(NamedTuple):
    """Laws and point estimates in the user's units.

    Attributes
    ----------
    prior, posterior : Mixture
    penalty : Array, shape ()
        What the bound pays for ``posterior``.
    point : Mixture
        Weights, means and covariances.
    precision, precision_factor : Array, shape (K or 1, packed)
    """

    prior: Any
    posterior: Mixture
    penalty: jax.Array
    point: Mixture
    precision: jax.Array
    precision_factor: jax.Array


def plug_in(posterior: Mixture) -> Mixture:
    """Posterior means of weights (rescaled to sum to 1), means and covariances as a mixture of known parameters.

    Weight that sticks leave to components never seen goes to the others, not to noise.
    """
    weights = jnp.asarray(posterior.weights.mean())
    if posterior.n_noise:
        own, noise = weights[:-1], weights[-1]
        weights = jnp.append(own * ((1 - noise) / jnp.where(own.sum() > 0, own.sum(), 1)), noise)
    else:
        weights = weights / weights.sum()
    return Mixture(PointWeights(weights), posterior.components.point())


@jit(brief=True)
def published(coordinates: Coordinates, prior, posterior: Mixture) -> Published:
    """A fit in inner coordinates as it is reported: in the user's units."""
    prior, posterior = coordinates.mixture_outward(prior), coordinates.mixture_outward(posterior)
    point = plug_in(posterior)
    return Published(prior, posterior, prior.penalty(posterior), point, *precision_factors(point.components))


def precision_factors(components: Gaussian):
    """Packed precisions, and the upper factors U with ``U U^T`` = precision that scikit-learn keeps."""
    structure = components.structure
    factor = structure.factor(jnp.asarray(components.covariance))
    precision = structure.inverse(factor)
    if structure.rank < 2:
        return precision, 1 / factor
    inverse = solve_lower(factor, jnp.eye(factor.shape[-1], dtype=factor.dtype))
    return precision, jnp.swapaxes(inverse, -1, -2)


@jit(brief=True)
def rounding(posterior: Mixture, unit):
    """Relative error (K,) that rounding leaves in the covariances of a fit in inner coordinates; ``unit`` is that of the rows' type.

    Squares are summed about the origin, and the square of the mean is taken off: what is left has lost the digits in which they agree.
    """
    natural, structure, d = posterior.components.natural(), posterior.structure, posterior.components.n_features
    widths = jnp.diagonal(structure.to_dense(natural.precision, d), axis1=-2, axis2=-1)
    return unit * (natural.mean**2 * widths).max(-1)


def dense_covariances(posterior: Mixture) -> np.ndarray:
    """Covariance matrices (K, D, D) of the point estimates."""
    components, d = posterior.components, posterior.components.n_features
    return np.broadcast_to(components.structure.to_dense(jnp.asarray(components.covariance), d), (len(components.mean), d, d))


def draw_rows(posterior: Mixture, n: int, rng: np.random.Generator, box: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, D) from the predictive density, grouped by component, and their components (n,): -1 is noise, which fills ``box`` (2, D)."""
    counts = rng.multinomial(n, np.asarray(plug_in(posterior).weights.weights))
    if not posterior.n_noise:
        return _draw_components(posterior.components, counts, rng)
    found, labels = _draw_components(without_noise(posterior).components, counts[:-1], rng)
    noise = rng.uniform(*box, (counts[-1], found.shape[1]))  # type: ignore[misc]
    return np.concatenate([found, noise]), np.append(labels, np.full(len(noise), -1))


def _draw_components(components, counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """So many rows (K,) of each component."""
    if isinstance(components, Frozen):
        f = components.n_known
        pairs = (_draw_components(law, n, rng) for law, n in ((components.known, counts[:f]), (components.law, counts[f:])) if len(n))
        found, labels = zip(*pairs, strict=True)
        return np.concatenate(found), np.concatenate([labels[0], *(f + more for more in labels[1:])])
    structure, d = components.structure, components.n_features
    tails = components.dof if isinstance(components, Student) else None
    components = components.predictive().law if isinstance(components, Student) else components
    bayesian = hasattr(components, "dof")
    spread = components.scale if bayesian else components.covariance
    factors = np.broadcast_to(structure.factor(jnp.asarray(spread)), (len(counts), *spread.shape[1:]))
    parts = []
    for k, count in enumerate(counts):
        noise = rng.standard_normal((count, d))
        if bayesian:
            noise = noise * _student_scale(components, k, count, rng)
        if tails is not None:
            noise = noise / np.sqrt(rng.chisquare(tails[k], (count, 1)) / tails[k])
        parts.append(np.asarray(components.mean)[k] + np.asarray(structure.apply(jnp.asarray(factors[k]), jnp.asarray(noise))))
    return np.concatenate(parts), np.repeat(np.arange(len(counts)), counts)


def _student_scale(components, k: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (count, 1 or D) that turn standard normal rows times the root of ``scale`` into the predictive Student t."""
    blocks = components.structure.blocks(components.n_features)
    dof = np.broadcast_to(components.dof, (k + 1,) if len(components.dof) == 1 else components.dof.shape)[k] - blocks.size + 1
    kappa = components.mean_precision[k]
    chi = rng.chisquare(dof, (count, blocks.count))
    return np.sqrt((kappa + 1) / (kappa * chi))
