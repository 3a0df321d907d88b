"""Words for covariance structures: scikit-learn's, and mclust's three letters for volume, shape and orientation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from bayesgmm.analysis import criteria
from bayesgmm.core.coordinates import Coordinates
from bayesgmm.core.low_rank import LowRank
from bayesgmm.core.shared import SharedGaussian
from bayesgmm.core.sharing import Sharing
from bayesgmm.core.structures import STRUCTURES, Structure
from bayesgmm.validation import check_option

_FULL, _DIAGONAL, _SPHERICAL = STRUCTURES["full"], STRUCTURES["diag"], STRUCTURES["spherical"]

RANK = re.compile(r"rank([1-9]\d{0,2})")
"""Words for covariances of so many factors."""


class Words(dict[str, tuple[Structure, bool]]):
    """Words for structures; those with a number in them are not listed."""

    def __contains__(self, word: object) -> bool:
        return super().__contains__(word) or (isinstance(word, str) and RANK.fullmatch(word) is not None)

    def __missing__(self, word: str) -> tuple[Structure, bool]:
        if word in self:
            return _FULL, False
        raise KeyError(word)


COVARIANCE_TYPES = Words(
    {
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
)
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

Kind = tuple[Structure, bool, Sharing | LowRank | None]


def sharing_of(word: str) -> Sharing | LowRank | None:
    """What covariances are restricted to, besides their structure."""
    rank = RANK.fullmatch(word)
    return LowRank(int(rank[1])) if rank else SHARINGS.get(word)


def kind_of(word: str) -> Kind:
    """What a word means: words with the same meaning are names of one model."""
    return *COVARIANCE_TYPES[word], sharing_of(word)


def volumes_shared(word: str) -> bool:
    """Whether components have one volume: of one column there is no more to say."""
    (_, tied), sharing = COVARIANCE_TYPES[word], sharing_of(word)
    return sharing.volume if isinstance(sharing, Sharing) else tied


def word_for(kind: Kind) -> str:
    """The first word with a meaning."""
    if isinstance(kind[2], LowRank):
        return f"rank{kind[2].n_factors}"
    return next(word for word in COVARIANCE_TYPES if kind_of(word) == kind)


def check_word(word: Any, *more: str) -> None:
    """A known word, or one of some more."""
    if not isinstance(word, str) or word not in COVARIANCE_TYPES:
        check_option("covariance_type", word, (*COVARIANCE_TYPES, "rank1", "rank2", *more))


def check_covariance_type(word: Any, bayesian: bool) -> None:
    """A known word, and for variational fits one of a structure that has a conjugate prior."""
    check_word(word)
    if bayesian:
        check_conjugate([word], "fit it by GaussianMixture")


def check_conjugate(words: Iterable[str], instead: str) -> None:
    """Structures of variational fits only; otherwise the error tells what to do ``instead``."""
    found = [word for word in words if sharing_of(word)]
    if found:
        known = ", ".join(f"{word!r}" for word in COVARIANCE_TYPES if word not in SHARINGS)
        said = f"covariance_type {', '.join(map(repr, found))} has no conjugate prior, so no variational fit"
        raise ValueError(f"{said}: {instead}, or choose among {known}.")


def check_columns_of(word: str, n_features: int) -> None:
    """Words for one column are for one column, and fewer factors than columns."""
    sharing = sharing_of(word)
    if isinstance(sharing, LowRank) and sharing.n_factors >= n_features:
        raise ValueError(f"covariance_type={word!r} needs more than {sharing.n_factors} columns; X has {n_features}: choose 'full'.")
    if word in ONE_COLUMN and n_features > 1:
        several = "'EII', 'EEI' or 'EEE'" if word == "E" else "'VII', 'VVI' or 'VVV'"
        raise ValueError(f"covariance_type={word!r} is for one column; X has {n_features}: choose {several}.")


def restricted(word: str, law: Any, coordinates: Coordinates) -> Any:
    """A law of components in inner coordinates, restricted to covariances that share what the word says."""
    sharing, structure = sharing_of(word), coordinates.structure
    if sharing is None:
        return law
    round_one = structure.identity(len(coordinates.shift))
    if isinstance(sharing, LowRank):  # in units of each column's spread
        round_one = jnp.diag((coordinates.factor**2).sum(1))
    return SharedGaussian(law, structure.untransform(coordinates.factor, round_one), sharing)


def count_parameters(word: str, n_components: int, n_features: int, n_fixed: int = 0) -> int:
    """Free parameters of a mixture, as mclust counts them; of components that are known only the weights are free."""
    structure, tied, sharing = kind_of(word)
    known = n_fixed * (n_features + structure.n_parameters(n_features))
    return -known + criteria.n_parameters(structure, tied, n_components, n_features, sharing)


def fewest_rows(word: str, n_features: int) -> int:
    """Rows that a component with a covariance of its own needs."""
    sharing, (structure, _) = sharing_of(word), COVARIANCE_TYPES[word]
    return sharing.fewest(n_features) if sharing else structure.blocks(n_features).size + 1
