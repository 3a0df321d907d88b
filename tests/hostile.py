"""Tables and weights that nobody means and somebody has, and what must hold whatever comes of them."""

from __future__ import annotations

import traceback
import warnings
from collections import Counter

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import bayesgmm as bg

TRIED: Counter = Counter()
"""Inputs tried, by what was done and what came of it."""

ODD_NAN = np.array([0x7FF0DEAD0000BEEF, 0xFFF8000000000001], np.uint64).view(float)
"""Values that are not a number and carry something, one of them signalling."""


class Labelled(np.ndarray):
    """An array with a type of its own."""


def spread(rng, x):
    return x * 10.0 ** rng.uniform(-75, 75, x.shape[1])


def collinear(rng, x):
    x[:, -1] = x[:, 0] * rng.choice([1, -2, 1e-9, 1e9]) + rng.choice([0, 1]) + rng.choice([0, 1e-12]) * x[:, -1]
    return x


def one_cell(values):
    def change(rng, x):
        x[rng.integers(len(x)), rng.integers(x.shape[1])] = rng.choice(values)
        return x

    return change


def constant(rng, x):
    x[:, -1] = rng.choice([0, 0.1, 1e300, -1e-300])
    return x


def outlier(rng, x):
    x[rng.integers(len(x)), rng.integers(x.shape[1])] *= 10.0 ** rng.uniform(3, 80)
    return x


TABLES = {
    "normal": lambda rng, x: x,
    "clusters": lambda rng, x: x + 6 * (np.arange(len(x)) % 2)[:, None],
    "whole numbers": lambda rng, x: rng.integers(-5, 5, x.shape).astype(float),
    "few distinct rows": lambda rng, x: x[rng.integers(max(1, len(x) // 3), size=len(x))],
    "equal rows": lambda rng, x: np.repeat(x[:1], len(x), 0),
    "nearly equal rows": lambda rng, x: x[:1] + 10.0 ** rng.integers(-18, -5) * x,
    "collinear": collinear,
    "constant": constant,
    "units of any size": spread,
    "large": lambda rng, x: x * 10.0 ** rng.uniform(60, 300),
    "small": lambda rng, x: x * 10.0 ** rng.uniform(-300, -60),
    "subnormal": lambda rng, x: x * 10.0 ** rng.integers(-323, -305),
    "far from zero": lambda rng, x: x + 10.0 ** rng.uniform(8, 16),
    "outlier": outlier,
    "heavy tails": lambda rng, x: np.sign(x) * np.exp(np.abs(x) * rng.choice([5, 20, 50])),
    "missing": one_cell([np.nan, *ODD_NAN]),
    "infinite": one_cell([np.inf, -np.inf, 1.7e308, -1.7e308]),
    "signed zeros": one_cell([-0.0, 5e-324, -5e-324]),
}


def frame(rng, x):
    return pd.DataFrame(x, columns=[f"c{j}" for j in range(x.shape[1])])


def nullable(rng, x):
    return pd.DataFrame({f"c{j}": pd.array(np.where(np.isfinite(x[:, j]), x[:, j], 0), dtype="Float64") for j in range(x.shape[1])})


def locked(rng, x):
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS = {
    "array": lambda rng, x: x,
    "float32": lambda rng, x: x.astype(np.float32),
    "float16": lambda rng, x: x.astype(np.float16),
    "int64": lambda rng, x: np.nan_to_num(x).clip(-1e9, 1e9).astype(np.int64),
    "uint8": lambda rng, x: np.nan_to_num(x).clip(0, 255).astype(np.uint8),
    "bool": lambda rng, x: x > 0,
    "Fortran order": lambda rng, x: np.asfortranarray(x),
    "strided": lambda rng, x: np.repeat(x, 2, 1)[:, ::2],
    "backwards": lambda rng, x: x[::-1, ::-1],
    "read-only": locked,
    "objects": lambda rng, x: x.astype(object),
    "masked": lambda rng, x: np.ma.masked_array(x, mask=rng.uniform(size=x.shape) < rng.choice([0, 0.05])),
    "subclass": lambda rng, x: x.view(Labelled),
    "big-endian": lambda rng, x: x.astype(">f8"),
    "longdouble": lambda rng, x: x.astype(np.longdouble) * rng.choice([np.longdouble(1), np.longdouble("1e1000")], p=[0.8, 0.2]),
    "list": lambda rng, x: x.tolist(),
    "frame": frame,
    "nullable": nullable,
}

WEIGHTS = {
    "none": lambda rng, n: None,
    "ones": lambda rng, n: np.ones(n),
    "zeros": lambda rng, n: np.zeros(n),
    "1e-300": lambda rng, n: np.full(n, 1e-300),
    "1e300": lambda rng, n: np.full(n, 1e300),
    "1e-60": lambda rng, n: np.full(n, 1e-60),
    "1e60": lambda rng, n: np.full(n, 1e60),
    "unequal": lambda rng, n: 10.0 ** rng.uniform(-6, 6, n),
    "some zeros": lambda rng, n: (rng.uniform(size=n) < 0.7).astype(float),
    "one of them": lambda rng, n: np.r_[rng.choice([5e-324, 1e-300, 1e-69, 1e-20, 1e20, 1e69, 1e300]), np.ones(n - 1)],
    "not finite": lambda rng, n: np.r_[rng.choice([np.nan, np.inf, -1, -5e-324]), np.ones(n - 1)],
}

PLAIN = {"array", "normal", "clusters", "none", "heavy tails"}


def one_of(words):
    """A word; half of the time a plain one, since two strange things at once mostly show the first."""
    words = list(words)
    return st.one_of(st.sampled_from([w for w in words if w in PLAIN]), st.sampled_from(words))


def table(rng, kind: str, form: str, n: int, d: int):
    """Rows (n, d) of a kind in a form."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return FORMS[form](rng, TABLES[kind](rng, rng.normal(size=(n, d))))


cases = st.tuples(one_of(TABLES), one_of(FORMS), one_of(WEIGHTS), st.integers(0, 2**32 - 1))
"""A kind of table, its form, its weights, and the seed of its numbers."""


def examples(count: int):
    """Settings of a property: the same examples each time."""
    skipped = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.large_base_example]
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=skipped)


def as_bits(x, kind, bits):
    """The rows as floats of a kind, one of which is a signalling NaN."""
    x = x.astype(kind)
    x.view(f"u{x.itemsize}")[3, 1] = bits
    return x


def huge(x):
    """Beyond float64, within longdouble where that is longer."""
    return x.astype(np.longdouble) * np.longdouble("1e1000")


def answered(what: str, action) -> bool:
    """Whether there is an answer; if not, one sentence of ours says why, and no library has warned of anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", bg.FitWarning)
        try:
            action()
        except (ValueError, TypeError, bg.FitError) as error:
            said, origin = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
            assert type(error) in (ValueError, TypeError, bg.FitError) and "/bayesgmm/" in origin, (type(error), origin, said)
            assert "\n" not in said and len(said) < 500 and said.endswith((".", "?")), said
            TRIED[what, "failed" if isinstance(error, bg.FitError) else "refused"] += 1
            return False
    TRIED[what, "answered"] += 1
    return True


def rows_have_lawful_answers(model, x) -> None:
    """Labels in range, probabilities that sum to 1, finite densities."""
    labels = model.predict(x)
    assert labels.dtype.kind == "i"
    if isinstance(model, bg.KMeans):
        assert ((labels >= 0) & (labels < len(model.cluster_centers_))).all() and np.isfinite(model.transform(x)).all()
        return
    resp = model.predict_proba(x)
    assert (resp >= 0).all() and (resp <= 1 + 1e-12).all()
    np.testing.assert_allclose(resp.sum(1), 1, rtol=1e-9)
    assert np.isfinite(model.score_samples(x)).all()


def fit_is_lawful(model, x) -> None:
    """Finite parameters, weights that sum to 1, a finite bound and finite criteria."""
    if isinstance(model, bg.KMeans):
        assert np.isfinite(model.cluster_centers_).all() and 0 <= model.inertia_ < np.inf
    else:
        assert np.isfinite(model.lower_bound_) and np.isfinite([model.bic(x), model.aic(x), model.icl(x)]).all()
        assert (model.weights_ >= 0).all() and abs(model.weights_.sum() - 1) < 1e-9
        assert np.isfinite(model.means_).all() and np.isfinite(model.covariances_).all()
        assert "nan" not in model.summary(x).lower().split()
    rows_have_lawful_answers(model, x)
