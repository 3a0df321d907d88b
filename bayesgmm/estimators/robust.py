"""Noise and heavy tails as the user asks for them: the region over which noise is uniform, and degrees of freedom."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesgmm.core import noise
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.mixture import MAP, Mixture
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Region
from bayesgmm.core.student import FIRST, Student
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.validation import brief

WORDS = ("box", "hull")

MOST_OF_HULL = 6
"""Columns up to which convex hulls are computed."""


OF_NOISE = 2
"""Parameters of noise, its share and its volume, as mclust counts them."""


class Found(NamedTuple):
    """A volume, and what is said to have it where a region is needed: the bounding box of the rows, scaled about its centre.

    Attributes
    ----------
    log_volume : float
        In the units of the data.
    box : ndarray, shape (2, D)
        Lower and upper corner.
    """

    log_volume: float
    box: np.ndarray


def check_noise(value: Any) -> None:
    """None, a word or a volume, which in many columns is an extreme number."""
    if value is not None and not _said(value, WORDS):
        told = "'box', 'hull', or a volume in units of the data, a finite number above 0"
        raise ValueError(f"noise must be None, {told}; got {brief(value)}.")


def _said(value: Any, words: tuple[str, ...]) -> bool:
    """Whether this is one of the words, or a finite number above 0."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return 0 < float(value) < np.inf
    return isinstance(value, str) and value in words


def region(value: Any, data: Any) -> Found | None:
    """Where noise is in the rows of a fit, `InMemory`, `FromSource` or `Training`; None without noise."""
    if value is None:
        return None
    low, high = data.corners()
    around = float(np.log(high - low).sum())
    if not isinstance(value, str):
        log_volume = float(np.log(value))
    elif value == "hull":
        log_volume = _hull(data.complete_rows())
    else:
        rows = data.complete_rows()
        log_volume = around if rows is None else min(around, _principal_box(rows))
    middle, half = (low + high) / 2, (high - low) / 2 * np.exp((log_volume - around) / len(low))
    return Found(log_volume, np.stack([middle - half, middle + half]))


def _principal_box(rows: np.ndarray) -> float:
    """Log volume of the box around rows (N, D) along their principal axes (mclust's ``hypvol`` has the smaller of the two)."""
    centred = rows - rows.mean(0)
    turned = centred @ np.linalg.eigh(centred.T @ centred)[1]
    with np.errstate(divide="ignore"):
        found = float(np.log(np.ptp(turned, axis=0)).sum())
    return found if np.isfinite(found) else np.inf


def _hull(rows: np.ndarray | None) -> float:
    """Log volume of the convex hull of rows (N, D)."""
    if rows is None:
        raise ValueError("noise='hull' needs complete rows in memory; use noise='box', or give the volume.")
    if rows.shape[1] == 1:
        return float(np.log(np.ptp(rows)))
    if rows.shape[1] > MOST_OF_HULL:
        raise ValueError(f"noise='hull' is for at most {MOST_OF_HULL} columns; X has {rows.shape[1]}: use noise='box', or give the volume.")
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(np.log(ConvexHull(rows).volume))
    except QhullError:
        raise ValueError("noise='hull': the rows lie in a plane, so that their convex hull has no volume; give the volume.") from None


def with_noise(prior: Any, found: Found | None, coordinates: Coordinates) -> Any:
    """A prior in inner coordinates, with noise where some was asked for.

    Its share of the rows has no prior beside other estimates that have none, and is uniform a priori in a variational fit.
    """
    if found is None:
        return prior
    weights = (prior.prior if isinstance(prior, MAP) else prior).weights
    points = isinstance(prior, MAP) or isinstance(weights, FlatWeights)
    return noise.with_noise(prior, _inner(found, coordinates), FlatWeights(2) if points else Dirichlet.symmetric(2))


def _inner(found: Found, coordinates: Coordinates) -> Region:
    log_sides = jnp.log(jnp.asarray(found.box[1] - found.box[0]))
    return Region(jnp.asarray(found.log_volume) - coordinates.log_det, log_sides)


LEARNT = ("learn", "shared")


def check_tails(value: Any) -> None:
    """None, a word or degrees of freedom."""
    if value is not None and not _said(value, LEARNT):
        told = "'learn', 'shared', or degrees of freedom, a finite number above 0"
        raise ValueError(f"student_t must be None, {told}; got {brief(value)}.")


def with_tails(prior: Any, value: Any) -> Any:
    """A prior with Student t components, of degrees of freedom given or to be learnt."""
    if value is None:
        return prior
    if isinstance(prior, MAP):
        return MAP(with_tails(prior.prior, value))
    return replace(prior, components=_student(prior.components, value))


def _student(law: Any, value: Any) -> Student:
    learn = isinstance(value, str)
    return Student(law, jnp.array([FIRST if learn else float(value)]), learn, value == "shared")


class Robust(NamedTuple):
    """Noise and tails of all models of a selection.

    Attributes
    ----------
    noise, student_t : None, str or float
        As the estimators' parameters.
    found : Found or None
        Where noise is.
    """

    noise: Any = None
    student_t: Any = None
    found: Found | None = None

    @property
    def asked(self) -> bool:
        """Whether there is any of it."""
        return self.noise is not None or self.student_t is not None

    @property
    def noise_box(self) -> np.ndarray | None:
        """Corners (2, D) of the region that is said to hold noise."""
        return None if self.found is None else self.found.box

    def whole(self, prior: Any, coordinates: Coordinates) -> Any:
        """A prior of Gaussians in inner coordinates, with noise and tails."""
        return with_noise(with_tails(prior, self.student_t), self.found, coordinates)

    def shell(self, coordinates: Coordinates) -> Any:
        """Noise and tails in inner coordinates, around a law of Gaussians that is not there yet; None without."""
        law = None if self.student_t is None else _student(None, self.student_t)
        return law if self.found is None else noise.WithNoise(law, _inner(self.found, coordinates))

    def n_parameters(self, n_components: int) -> int:
        """Free parameters besides those of Gaussians: noise's share and volume, and degrees of freedom."""
        tails = {"learn": n_components, "shared": 1}.get(self.student_t, 0) if isinstance(self.student_t, str) else 0
        return (0 if self.noise is None else OF_NOISE) + tails

    def notes(self) -> list[str]:
        """What is said of all models."""
        said = []
        if self.found is not None:
            said.append(f"Every model has noise besides, uniform over a volume of {np.exp(self.found.log_volume):.6g}.")
        if self.student_t is not None:
            words = {"learn": "learnt for each", "shared": "learnt, the same for all of a model"}
            dof = words[self.student_t] if isinstance(self.student_t, str) else f"{self.student_t:g}"
            said.append(f"Components are Student t, degrees of freedom {dof}.")
        return said


GAUSSIAN = Robust()
"""Neither noise nor tails."""


def check_combined(estimator: Any, data: Any) -> None:
    """Exact rows in memory where tails are heavy."""
    if estimator.student_t is None:
        return
    if data.problem.part:
        check_exact(data.training.known)
    if not data.keep_labels:
        raise ValueError("student_t needs rows in memory; fit a sample of them, or with student_t=None.")


def check_exact(known: Any) -> None:
    """Numbers without errors of measurement, which Student t components need."""
    if known is not None and known.error is not None:
        raise ValueError("student_t needs numbers without errors of measurement; fit with student_t=None.")


def check_gaussian(model: Any, what: str, instead: str = "") -> None:
    """A model of Gaussians without noise, for what is made for those alone; ``instead`` is what to do for it."""
    check_proper(model, what, instead)
    if isinstance(model.posterior_.components, Student):
        told = instead or "fit with student_t=None, or use predict, predict_proba, score_samples and condition"
        raise ValueError(f"{what} is not there for models with Student t components: {told}.")


def check_proper(model: Any, what: str, instead: str = "") -> None:
    """A model without noise, for what is not made for it."""
    law: Mixture = model.posterior_
    if law.n_noise:
        told = instead or "fit with noise=None, or ask predict, predict_proba and score_samples"
        raise ValueError(f"{what} is not there for models with noise: {told}.")
