"""Everything that a report shows, gathered before it is laid out."""

from __future__ import annotations

import dataclasses
from typing import Any

from bayesgmm.analysis.facts import Facts


@dataclasses.dataclass(frozen=True, eq=False)
class Account:
    """What there is to report of a fit; parts that could not be computed are None, and ``omitted`` says why.

    Attributes
    ----------
    model : fitted estimator
    X : array, data frame or None
        The rows of the fit, where they are in memory.
    question : str
    command : str
        What makes the fit again.
    facts : Facts
    columns : list of list of str
        Titles, then a line for each column of the data; empty without rows.
    fingerprint : str
        SHA-256 of the rows; empty without rows.
    intervals : Intervals or None
    uncertainty : Uncertainty or None
    selection : Selection or None
    compared : bool
        Whether the selection was made for this report.
    diagnosis : Diagnosis or None
    sensitivity : Sensitivity or None
    prior : list of list of str
        Titles, then a line for each number of the prior; empty for maximum likelihood.
    omitted : list of str
        What is not there, and why.
    warned : list of str
        Warnings of the computations.
    versions : dict of str
        Of Python and of the packages that made the numbers.
    """

    model: Any
    X: Any
    question: str
    command: str
    facts: Facts
    columns: list[list[str]]
    fingerprint: str
    intervals: Any
    uncertainty: Any
    selection: Any
    compared: bool
    diagnosis: Any
    sensitivity: Any
    prior: list[list[str]]
    omitted: list[str]
    warned: list[str]
    versions: dict[str, str]
