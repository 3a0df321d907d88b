"""Every ValueError of the library about its input, raised before anything is traced: what was expected, what came, where."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from bayesgmm.frames import Rows, column_label, to_rows, unmasked

Names = tuple[str, ...] | None
LARGEST = 1e70
"""Numbers beyond this size, and spreads below its inverse, are refused: their squares would leave float64."""

MOST = 1e9
"""Options and hyperparameters beyond this are refused: nobody means them, and sums of them would lose digits."""

INSTEAD = 'mixtures take them with missing="at_random"'
"""What can be done about numbers that are missing."""

RESOLUTION = 1e-14
"""A column whose spread is below this share of its values is rounding noise."""

LOST = 1e12
"""A value this many typical deviations from the median leaves fewer than four digits for the other rows."""


def brief(value: Any) -> str:
    """A value for a message: on one line, cut where it is long."""
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape}"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def close_match(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` or nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_option(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of a fixed set of words."""
    allowed = list(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {brief(value)}.{close_match(str(value), allowed)}")


def check_column(column: Any, names: list[str]) -> int:
    """Number (from 0) of a column given by number or name."""
    if isinstance(column, str):
        return names.index(check_option("column", column, names))
    return int(check_number("column", column, 0, high=len(names) - 1, integer=True))


def check_number(name: str, value: Any, low: float, *, high: float = MOST, integer: bool = False, strict: bool = False) -> Any:
    """A finite number of at least ``low`` (above it when ``strict``) and at most ``high``."""
    kind = numbers.Integral if integer else numbers.Real
    what = f"{'a whole' if integer else 'a'} number {'above' if strict else 'of at least'} {low:g}"
    if not isinstance(value, kind) or isinstance(value, bool) or not low <= value < np.inf or (strict and value == low):  # type: ignore
        raise ValueError(f"{name} must be {what}; got {brief(value)}.")
    if value > high or (strict and value < low + 1 / MOST):  # type: ignore
        raise ValueError(f"{name} must be {what}, within {low + 1 / MOST if strict else low:.10g} to {high:g}; got {brief(value)}.")
    return value


def check_flag(name: str, value: Any) -> bool:
    """True or False, or 1 or 0."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, numbers.Integral) and value in (0, 1)):
        return bool(value)
    raise ValueError(f"{name} must be True or False; got {brief(value)}.")


def check_rows(data: Any, *, names: Names = None, what: str = "Input X", gaps: bool = False, instead: str = "") -> Rows:
    """A finite two-dimensional array (N, D) with N, D >= 1; ``names`` label the columns of plain arrays in messages.

    With ``gaps`` numbers may be missing (NaN), but for a column without any; otherwise the error says what to do ``instead``.
    """
    rows = to_rows(data)
    values, labels = rows.values, rows.names or names
    if values.ndim != 2:
        advice = " Reshape your data: X.reshape(-1, 1) for a single column, X.reshape(1, -1) for a single row." if values.ndim < 3 else ""
        raise ValueError(f"Expected 2D array, got {values.ndim}D array instead (shape {values.shape}).{advice}")
    for axis, kind in enumerate(("sample(s)", "feature(s)")):
        if values.shape[axis] == 0:
            raise ValueError(f"Found array with 0 {kind} (shape={values.shape}) while a minimum of 1 is required.")
    check_finite(values, labels, what, gaps, instead)
    return rows


def check_finite(values: np.ndarray, names: Names, what: str = "Input X", gaps: bool = False, instead: str = "") -> None:
    """No NaN (but for ``gaps``), no infinity, nothing too large to be squared; the first few places are named."""
    if gaps:
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    with np.errstate(invalid="ignore"):
        low, high = values.min(), values.max()
    if -LARGEST <= low and high <= LARGEST:
        return
    large = np.abs(values) > LARGEST
    for kind, bad in (("NaN", np.isnan(values)), ("infinity (inf)", np.isinf(values)), (f"numbers beyond {LARGEST:g}", large)):
        if bad.any():
            places = np.argwhere(bad)
            shown = "; ".join(f"row {i}, {column_label(j, names)}" for i, j in places[:3])
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            advice = "Drop those rows or fill them in" if bad is not large else "Rescale, or drop those rows if they mean missing values"
            advice += f"; {instead}" if kind == "NaN" and instead else ""
            raise ValueError(f"{what} contains {kind} at {shown}{more} (counting from 0). {advice}.")


def check_weights(sample_weight: Any, n: int) -> np.ndarray:
    """Weights (N,) of rows: finite, not negative, not all 0; ones when None, the same for all when a number."""
    if sample_weight is None:
        return np.ones(n)
    weight = _real_array("sample_weight", sample_weight, "one number for each row of X")
    if weight.ndim == 0:
        weight = np.full(n, weight)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight.shape == {weight.shape}, expected ({n},): one weight for each row of X.")
    wrong = np.flatnonzero(~np.isfinite(weight) | (weight < 0))
    if len(wrong):
        raise ValueError(f"sample_weight must be finite and not negative; row {wrong[0]} (counting from 0) has {weight[wrong[0]]:g}.")
    if not weight.any():
        raise ValueError("sample_weight is zero for every row; at least one row must count.")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not 1 / LARGEST <= total <= LARGEST:
        raise ValueError(f"sample_weight adds up to {total:g}, too {'large' if total > 1 else 'small'} to count rows; rescale it.")
    least = int(np.where(weight > 0, weight, np.inf).argmin())
    if weight[least] < weight.max() / LARGEST:
        told = f"sample_weight of row {least} (counting from 0) is {weight[least]:g} beside {weight.max():g}, less than float64 resolves"
        raise ValueError(f"{told}; give it 0 if the row is not to count.")
    return weight


def check_spread(
    values: np.ndarray, weight: np.ndarray, names: Names, constant_ok: bool = False, data: str = "X", n: int | None = None
) -> None:
    """Rows that differ, in every column unless ``constant_ok``, by amounts that float64 can hold."""
    used = values if weight.all() else values[weight > 0]
    n, counted = len(used) if n is None else n, "" if weight.all() else " of positive weight"
    if n == 1:
        raise ValueError(f"{data} has 1 sample{counted} (n_samples = 1); at least 2 rows are needed, in truth many more.")
    low, high = used.min(0), used.max(0)
    spread, size = high - low, np.maximum(np.abs(low), np.abs(high))
    if not spread.any():
        raise ValueError(f"All {n} rows of {data}{counted} are equal (1 sample in effect): there is no spread to model.")
    flat = np.flatnonzero(spread == 0)
    if len(flat) and not constant_ok:
        shown = ", ".join(f"{column_label(j, names)} (always {used[0, j]:g})" for j in flat[:5]) + (", ..." if len(flat) > 5 else "")
        raise ValueError(f"{data} has no spread in {shown}. A constant column says nothing about clusters; leave it out.")
    vague = np.flatnonzero((spread > 0) & (spread <= RESOLUTION * size))
    if len(vague):
        j = vague[0]
        told = f"varies by only {spread[j]:.2g} around {used[0, j]:g}, less than float64 resolves"
        raise ValueError(f"In {data}, {column_label(j, names)} {told}; subtract a constant while it is still exact.")
    tiny = np.flatnonzero((spread > 0) & (spread < 1 / LARGEST))
    if len(tiny):
        raise ValueError(f"In {data}, {column_label(tiny[0], names)} has a spread of only {spread[tiny[0]]:g}; rescale it.")
    _check_drowned(used, low, high, names, data)


def _check_drowned(used: np.ndarray, low: np.ndarray, high: np.ndarray, names: Names, data: str) -> None:
    """No value so far from all others that they lose their digits next to it."""
    part = used[:: max(1, len(used) // 10_000)]
    centre = np.median(part, axis=0)
    typical = np.median(np.abs(part - centre), axis=0)
    far = np.maximum(high - centre, centre - low)
    drowned = np.flatnonzero((typical > 0) & (far > LOST * typical))
    if len(drowned):
        j = drowned[0]
        i = np.abs(used[:, j] - centre[j]).argmax()
        told = f"holds {used[i, j]:g} while the other rows lie within about {typical[j]:.2g} of {centre[j]:.4g}"
        raise ValueError(f"In {data}, {column_label(j, names)} {told}; is that a code for a missing value? Drop such rows or rescale.")


def without_gaps(rows: Rows, weight: np.ndarray) -> np.ndarray:
    """Rows (N, D) with the median of a column in place of what is missing, to be checked."""
    seen = ~np.isnan(rows.values)
    if seen.all():
        return rows.values
    empty = np.flatnonzero(~(seen & (weight > 0)[:, None]).any(0))
    if len(empty):
        shown = ", ".join(column_label(j, rows.names) for j in empty[:5])
        raise ValueError(f"X has no number at all in {shown}. Leave such columns out.")
    return np.where(seen, rows.values, np.nanmedian(rows.values, axis=0))


def check_enough(values: np.ndarray, weight: np.ndarray, n_components: int, what: str, data: str = "X") -> None:
    """Enough distinct rows for ``n_components`` among the rows with positive weight."""
    used = values if weight.all() else values[weight > 0]
    n, counted = len(used), "" if weight.all() else " of positive weight"
    if n_components > n:
        raise ValueError(f"{what} = {n_components} is more than the n_samples = {n} rows of {data}{counted}; ask for at most {n}.")
    distinct = count_distinct(used, n_components)
    if distinct < n_components:
        raise ValueError(f"{what} = {n_components}, but {data} has only {distinct} distinct rows{counted}; ask for at most {distinct}.")


def count_distinct(values: np.ndarray, enough: int) -> int:
    """Number of distinct rows, counted up to ``enough``."""
    seen: set[bytes] = set()
    for start in range(0, len(values), 4096):
        for row in np.ascontiguousarray(values[start : start + 4096]) + 0.0:
            seen.add(row.tobytes())
            if len(seen) >= enough:
                return enough
    return len(seen)


def check_columns(rows: Rows, names: Names, n_features: int, model: str) -> None:
    """Data given to a fitted model have the columns it was fitted on."""
    given = rows.values.shape[1]
    named = rows.names and names
    unseen = [name for name in rows.names if name not in names] if named else []  # type: ignore
    missing = [name for name in names if name not in rows.names] if named else []  # type: ignore
    detail = f" Unknown here: {unseen[:5]}." if unseen else ""
    detail += f" Missing: {missing[:5]}." if missing else ""
    if given != n_features:
        raise ValueError(f"X has {given} features, but {model} is expecting {n_features} features as input.{detail}")
    if named and rows.names != names:
        detail = detail or f" Order at fit: {list(names[:8])}; order now: {list(rows.names[:8])}."  # type: ignore
        raise ValueError(f"The feature names should match those that were passed during fit.{detail}")


def _real_array(name: str, value: Any, expected: str) -> np.ndarray:
    """Real numbers as float64, whatever they come in."""
    try:
        given = unmasked(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
        if given.dtype.kind not in "biufO":
            raise TypeError
        with np.errstate(over="ignore", invalid="ignore"):
            return given.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be real numbers, {expected}; got {brief(value)}.") from None


def check_array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A finite float array of a given shape."""
    array = _real_array(name, value, f"of shape {shape}" if shape else "a single one")
    if array.shape != shape:
        raise ValueError(f"{name} must {f'have shape {shape}' if shape else 'be a single number'}; got shape {array.shape}.")
    if not (np.abs(array) <= LARGEST**2).all():
        raise ValueError(f"{name} must be finite, and not beyond {LARGEST**2:g}; got {brief(value)}.")
    return array


def check_positive_definite(name: str, matrix: np.ndarray, rank: int | None = None) -> np.ndarray:
    """Symmetric positive definite matrices (..., D, D); positive numbers when ``rank``, by default the number of axes, is below 2."""
    if (matrix.ndim if rank is None else rank) < 2:
        if not (matrix > LARGEST**-2).all():
            raise ValueError(f"{name} must be positive; got {brief(matrix)}.")
        return matrix
    scale = np.sqrt(np.abs(np.diagonal(matrix, axis1=-2, axis2=-1)))
    relative = matrix / (scale[..., :, None] * scale[..., None, :]) if (scale > 1 / LARGEST).all() else np.zeros_like(matrix)
    symmetric = np.allclose(relative, np.swapaxes(relative, -1, -2), rtol=0, atol=1e-8)
    if not symmetric or not (np.linalg.eigvalsh(relative) > 1e-13).all():
        raise ValueError(f"{name} must be symmetric and positive definite; got {brief(matrix)}.")
    return matrix


def check_simplex(name: str, value: Any, n: int) -> np.ndarray:
    """Weights (K,) that are not negative and sum to 1."""
    weights = check_array(name, value, (n,))
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(f"{name} must not be negative and must sum to 1; got {brief(weights)}, whose sum is {weights.sum():g}.")
    return weights


def check_start(value: Any, n: int, n_components: int) -> np.ndarray:
    """Labels (N,) in 0..K-1 or responsibilities (N, K) to start from."""
    try:
        given = np.asarray(value)
    except ValueError:
        given = np.empty((), object)
    if given.shape == (n,) and given.dtype.kind in "iu":
        if given.min() < 0 or given.max() >= n_components:
            raise ValueError(f"init_params as labels must lie in 0..{n_components - 1}; got {given.min()}..{given.max()}.")
        return given
    if given.shape == (n, n_components) and given.dtype.kind in "biuf":
        if (given < 0).any() or not np.allclose(given.sum(1), 1, atol=1e-6):
            raise ValueError("init_params as responsibilities must not be negative, and every row must sum to 1.")
        return given.astype(float)
    got = f"an array of shape {given.shape} and dtype {given.dtype}" if given.ndim else brief(value)
    shapes = f"whole-number labels of shape ({n},) or responsibilities of shape ({n}, {n_components})"
    raise ValueError(f"init_params must be a method's name, {shapes}; got {got}.")


def check_seed(random_state: Any) -> int:
    """A whole number, a numpy generator, or None for entropy of the system."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool) and random_state >= 0:  # type: ignore
        return int(random_state) % 2**32
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    raise ValueError(f"random_state must be a whole number of at least 0, a numpy generator or None; got {brief(random_state)}.")
