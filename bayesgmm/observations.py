"""Rows together with what is known of them besides their numbers: errors of measurement, labels, and which belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.frames import to_rows
from bayesgmm.inference.arrange import Known
from bayesgmm.validation import MOST, brief

UNKNOWN = ("", "nan", "None", "<NA>", "NaT", "-1")
"""Words that stand for no label; so do None, NaN and numbers below 0."""


class Observations:
    """Rows, and what is known of them besides their numbers; models take it in place of ``X``.

    Parameters
    ----------
    X : array or data frame, shape (N, D)
        NaN where a number is missing, which models take with ``missing="at_random"``.
    error_covariance : array, optional
        Covariance of the errors with which the numbers were measured, in squared units of the data, known and independent from row to row:
        variances (D,) or a covariance (D, D) for all rows, or variances (N, D) or covariances (N, D, D) of each. The mixture is then one
        of the true values.
    labels : array, shape (N,), optional
        Component that a row is known to belong to: whole numbers from 0, or words, which are numbered in their order. Negative numbers,
        None, NaN and "" stand for rows that may belong to any component.
    allowed : array of bool, shape (N, C), optional
        Which of the first C components each row may belong to; rows that may belong to all of them may belong to any other, too.
    groups : array, shape (N,), optional
        Rows with the same number or word are known to belong to the same component, whichever that is; what stands for no label stands for
        no group.

    Attributes
    ----------
    label_names : tuple
        What the labels 0, 1, ... were called.

    Raises
    ------
    ValueError
        Errors without a covariance, rows that may belong nowhere, or shapes that do not fit.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("iris")
    >>> known = [label if i % 2 else None for i, label in enumerate(labels)]
    >>> rows = bg.Observations(x, labels=known)
    >>> rows.label_names
    ('setosa', 'versicolor', 'virginica')
    >>> model = bg.GaussianMixture(n_components=3, random_state=0).fit(rows)
    >>> [rows.label_names[k] for k in model.labels_[[1, 51, 149]]]
    ['setosa', 'versicolor', 'virginica']
    """

    def __init__(self, X: Any, *, error_covariance: Any = None, labels: Any = None, allowed: Any = None, groups: Any = None):
        rows = to_rows(X)
        if not rows.values.size:
            raise ValueError(f"X must be a table of numbers (N, D) with rows; got shape {rows.values.shape}.")
        if rows.values.ndim != 2:
            raise ValueError(f"X must be a table of numbers (N, D); got shape {rows.values.shape}.")
        self.values, self.names = rows.values.copy(), rows.names
        n = len(self.values)
        error = None if error_covariance is None else _errors(error_covariance, self.values, self.names)
        chosen, self.label_names = (None, ()) if labels is None else _labels(labels, n)
        group = None if groups is None else _coded("groups", groups, n)[0]
        self.known = Known(self.values, error, _allowed(allowed, chosen, n), group)
        _check_together(self.known)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        kinds = ("values", "errors", "labels", "groups")
        given = [kind for kind, value in zip(kinds, self.known, strict=False) if value is not None]
        return f"Observations({len(self)} rows, {self.values.shape[1]} columns: {', '.join(given)})"


def _errors(value: Any, x: np.ndarray, names: tuple[str, ...] | None) -> np.ndarray:
    """Covariances (D, D) or (N, D, D) of errors; 0 where the number is missing."""
    n, d = x.shape
    columns = list(getattr(value, "columns", ())) or list(names or ())
    if names and columns != list(names):
        raise ValueError(f"error_covariance has the columns {columns}, X has {list(names or ())}; put them into one order.")
    try:
        given = np.asarray(value, float)
    except (TypeError, ValueError):
        raise ValueError(f"error_covariance must be real numbers; got {brief(value)}.") from None
    shapes = ((d,), (d, d), (n, d), (n, d, d))
    if given.shape not in shapes:
        shown = f"({d},) or ({n}, {d}) for variances, ({d}, {d}) or ({n}, {d}, {d}) for covariances"
        raise ValueError(f"error_covariance must have shape {shown}; got {given.shape}.")
    variances = given.shape in ((d,), (n, d)) and given.shape != (d, d)
    dense = given[..., None] * np.eye(d) if variances else given
    if dense.ndim == 3:
        seen = ~np.isnan(x)
        dense = np.where(seen[:, :, None] & seen[:, None, :], dense, 0)
    _check_covariance(dense)
    return dense


def _check_covariance(dense: np.ndarray) -> None:
    many = dense.reshape(-1, *dense.shape[-2:])
    wrong = ~np.isfinite(many).all((1, 2))
    if not wrong.any():
        own = np.sqrt(np.abs(np.diagonal(many, axis1=1, axis2=2)))
        unit = np.where(own > 0, own, 1)
        relative = many / (unit[:, :, None] * unit[:, None, :])
        wrong = (np.abs(relative - np.swapaxes(relative, 1, 2)) > 1e-8).any((1, 2))
        wrong |= np.linalg.eigvalsh(relative)[:, 0] < -1e-10
    if wrong.any():
        where = f" of row {int(np.flatnonzero(wrong)[0])} (counting from 0)" if dense.ndim == 3 else ""
        told = "finite, symmetric and without negative variances, such as squared standard errors"
        raise ValueError(f"error_covariance{where} must be {told}; got {brief(many[np.flatnonzero(wrong)[0]].tolist())}.")


def _coded(name: str, value: Any, n: int) -> tuple[np.ndarray, tuple]:
    """Numbers (N,) from 0, and -1 where nothing is known; and what was numbered, if that was words."""
    try:
        given = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must have shape ({n},), one for each row of X; got {brief(value)}.") from None
    if given.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one for each row of X; got {given.shape}.")
    words = np.array([str(word) for word in given], object)
    nothing = np.isin(words, UNKNOWN)
    if given.dtype.kind in "biuf" or all(isinstance(word, (int, float, np.number)) for word in given[~nothing]):
        return _whole(name, np.where(nothing, -1, given).astype(float)), ()
    kinds, codes = np.unique(words[~nothing].astype(str), return_inverse=True)
    found = np.full(n, -1)
    found[~nothing] = codes
    return found, tuple(kinds.tolist())


def _whole(name: str, numbers: np.ndarray) -> np.ndarray:
    """Whole numbers, -1 for all below 0."""
    wrong = ~(numbers == np.round(numbers)) | (np.abs(numbers) > MOST)
    if wrong.any():
        raise ValueError(f"{name} must be whole numbers up to {MOST:g}, or words; got {numbers[wrong][0]:g}.")
    return np.where(numbers < 0, -1, numbers).astype(int)


def _labels(value: Any, n: int) -> tuple[np.ndarray, tuple]:
    found, words = _coded("labels", value, n)
    if found.max(initial=-1) < 0:
        raise ValueError("labels says nothing: every row has none. Leave it out.")
    if found.max() >= n:
        raise ValueError(f"labels must be numbers of components, from 0; the largest is {found.max()}, and there are {n} rows.")
    return found, words or tuple(range(int(found.max()) + 1))


def _allowed(value: Any, labels: np.ndarray | None, n: int) -> np.ndarray | None:
    """Components (N, C + 1) that each row may belong to, the last column for all others, given sets and labels."""
    given = None
    if value is not None:
        given = np.asarray(value)
        if given.ndim != 2 or len(given) != n or not given.shape[1] or given.dtype.kind not in "buif" or not np.isin(given, (0, 1)).all():
            raise ValueError(f"allowed must be True or False, of shape ({n}, C) for the first C components; got {brief(value)}.")
        given = np.concatenate([given, given.all(1, keepdims=True)], 1).astype(bool)
    if labels is None:
        return given
    width = max(int(labels.max()) + 1, 0 if given is None else given.shape[1] - 1)
    own = (labels < 0)[:, None] | (labels[:, None] == np.arange(width + 1))
    return own if given is None else own & given[:, np.minimum(np.arange(width + 1), given.shape[1] - 1)]


def _check_together(known: Known) -> None:
    """Every row, and every group, has a component that it may belong to."""
    if known.allowed is None:
        return
    nowhere = np.flatnonzero(~known.allowed.any(1))
    if len(nowhere):
        raise ValueError(f"labels and allowed leave no component for row {nowhere[0]} (counting from 0).")
    if known.group is None:
        return
    together = known.group >= 0
    for number in np.unique(known.group[together]):
        rows = np.flatnonzero(known.group == number)
        if not known.allowed[rows].all(0).any():
            shown = ", ".join(map(str, rows[:6])) + (", ..." if len(rows) > 6 else "")
            raise ValueError(f"Rows {shown} (counting from 0) are one group, but no component is allowed for all of them.")
