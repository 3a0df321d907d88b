"""Words for covariance structures: scikit-learn's, and mclust's three letters for volume, shape and orientation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bayesgmm.analysis import criteria
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.shared import SharedGaussian
from bayesgmm.core.sharing import Sharing
from bayesgmm.core.structures import STRUCTURES, Structure
from bayesgmm.validation import check_option

_FULL, _DIAGONAL, _SPHERICAL = STRUCTURES["full"], STRUCTURES["diag"], STRUCTURES["spherical"]

COVARIANCE_TYPES: dict[str, tuple[Structure, bool]] = {
    "full": (_FULL, False),
    "tied": (_FULL, True),
    "diag": (_DIAGONAL, False),
    "spherical": (_SPHERICAL, False),
    "tied_diag": (_DIAGONAL, True),
    "tied_spherical": (_SPHERICAL, True),
    "EII": (_SPHERICAL, True),
    "VII": (_SPHERICAL, False),
    "EEI": (_DIAGONAL, True),
    "VEI": (_DIAGONAL, False),
    "EVI": (_DIAGONAL, False),
    "VVI": (_DIAGONAL, False),
    "EEE": (_FULL, True),
    "VEE": (_FULL, False),
    "EVE": (_FULL, False),
    "VVE": (_FULL, False),
    "EEV": (_FULL, False),
    "VEV": (_FULL, False),
    "EVV": (_FULL, False),
    "VVV": (_FULL, False),
    "E": (_SPHERICAL, True),
    "V": (_SPHERICAL, False),
}
"""Registry of words for structures and whether one matrix is shared: scikit-learn's (and two more), then mclust's."""

SHARINGS: dict[str, Sharing] = {
    "VEI": Sharing(volume=False, shape=True, axes=True),
    "EVI": Sharing(volume=True, shape=False, axes=True),
    "VEE": Sharing(volume=False, shape=True, axes=True),
    "EVE": Sharing(volume=True, shape=False, axes=True),
    "VVE": Sharing(volume=False, shape=False, axes=True),
    "EEV": Sharing(volume=True, shape=True, axes=False),
    "VEV": Sharing(volume=False, shape=True, axes=False),
    "EVV": Sharing(volume=True, shape=False, axes=False),
}
"""What the covariances have in common where that is neither all nor nothing; these structures are fitted by points, not by laws."""

ONE_COLUMN = ("E", "V")
"""mclust's words for one column."""

MCLUST = tuple(word for word in COVARIANCE_TYPES if word.isupper() and word not in ONE_COLUMN)
"""mclust's words for several columns, in its order."""

Kind = tuple[Structure, bool, Sharing | None]


def kind_of(word: str) -> Kind:
    """What a word means: words with the same meaning are names of one model."""
    return *COVARIANCE_TYPES[word], SHARINGS.get(word)


def volumes_shared(word: str) -> bool:
    """Whether components have one volume: of one column there is no more to say."""
    (_, tied), sharing = COVARIANCE_TYPES[word], SHARINGS.get(word)
    return tied if sharing is None else sharing.volume


def word_for(kind: Kind) -> str:
    """The first word with a meaning."""
    return next(word for word in COVARIANCE_TYPES if kind_of(word) == kind)


def check_covariance_type(word: Any, bayesian: bool) -> None:
    """A known word, and for variational fits one of a structure that has a conjugate prior."""
    check_option("covariance_type", word, COVARIANCE_TYPES)
    if bayesian:
        check_conjugate([word], "fit it by GaussianMixture")


def check_conjugate(words: Iterable[str], instead: str) -> None:
    """Structures of variational fits only; otherwise the error tells what to do ``instead``."""
    found = [word for word in words if word in SHARINGS]
    if found:
        known = ", ".join(f"{word!r}" for word in COVARIANCE_TYPES if word not in SHARINGS)
        raise ValueError(
            f"covariance_type {', '.join(map(repr, found))} has no conjugate prior, so no variational fit: {instead}, or choose among {known}."
        )


def check_columns_of(word: str, n_features: int) -> None:
    """Mclust's words for one column are for one column."""
    if word in ONE_COLUMN and n_features > 1:
        several = "'EII', 'EEI' or 'EEE'" if word == "E" else "'VII', 'VVI' or 'VVV'"
        raise ValueError(f"covariance_type={word!r} is for one column; X has {n_features}: choose {several}.")


def restricted(word: str, law: Any, coordinates: Coordinates) -> Any:
    """A law of components in inner coordinates, restricted to covariances that share what the word says."""
    sharing, structure = SHARINGS.get(word), coordinates.structure
    if sharing is None:
        return law
    sphere = structure.untransform(coordinates.factor, structure.identity(len(coordinates.shift)))
    return SharedGaussian(law, sphere, sharing)


def count_parameters(word: str, n_components: int, n_features: int) -> int:
    """Free parameters of a mixture, as mclust counts them."""
    structure, tied, sharing = kind_of(word)
    return criteria.n_parameters(structure, tied, n_components, n_features, sharing)


def fewest_rows(word: str, n_features: int) -> int:
    """Rows that a component with a covariance of its own needs."""
    sharing, (structure, _) = SHARINGS.get(word), COVARIANCE_TYPES[word]
    return sharing.fewest(n_features) if sharing else structure.blocks(n_features).size + 1
