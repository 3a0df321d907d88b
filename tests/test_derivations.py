"""The derivations say what is so: each numbered equation in plain numpy against the function that its page names beside it."""

from __future__ import annotations

import importlib
import re

import jax.numpy as jnp
import numpy as np
import pytest
from derivations_bayes import BAYES
from derivations_evidence import EVIDENCE
from derivations_ml import MAXIMUM
from scripts import ROOT

PAGES = [ROOT / "docs" / "explanation" / f"derivations{part}.md" for part in ("", "-bayes", "-evidence")]
CHECKS = {**MAXIMUM, **BAYES, **EVIDENCE}
"""By number of the equation: a function that answers pairs (by the formula, by the package)."""


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("number", CHECKS)
def test_an_equation_is_what_the_function_computes(number):
    pairs = list(CHECKS[number]())
    assert pairs
    for formula, computed in pairs:
        np.testing.assert_allclose(np.asarray(computed), np.asarray(formula), rtol=1e-10, atol=1e-10)


def test_every_numbered_equation_is_checked_and_has_a_function_beside_it():
    found = [number for page in PAGES for number in re.findall(r"\\tag\{(\w+)\}", page.read_text(encoding="utf-8"))]
    assert found == list(CHECKS)
    for page in PAGES:
        rows = " ".join(re.findall(r"^\| ([MBE]\d.*?) \|", page.read_text(encoding="utf-8"), re.M))
        named = set(re.findall(r"[MBE]\d+", rows))
        for first, last in re.findall(r"([MBE]\d+) to ([MBE]\d+)", rows):
            named |= {f"{first[0]}{i}" for i in range(int(first[1:]), int(last[1:]) + 1)}
        assert named >= set(re.findall(r"\\tag\{(\w+)\}", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_function_that_is_named_exists(page):
    names = re.findall(r"`(bayesgmm\.[\w.]+)`", page.read_text(encoding="utf-8"))
    assert names
    for name in names:
        parts = name.split(".")
        depth = next(i for i in range(len(parts), 0, -1) if _is_module(".".join(parts[:i])))
        found = importlib.import_module(".".join(parts[:depth]))
        for part in parts[depth:]:
            found = getattr(found, part)
        assert callable(found), name


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.usefixtures("x64")
def test_the_checks_would_see_a_constant_left_out():
    """A formula that is off by 1e-6 does not pass."""
    formula, computed = next(iter(CHECKS["B26"]()))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(np.asarray(computed), np.asarray(formula) * (1 + 1e-8) + 1e-6, rtol=1e-10, atol=1e-10)
    assert jnp.asarray(1.0).dtype == np.float64
