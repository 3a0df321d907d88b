"""README, docs and examples say what is so: their code runs and prints what they show, and their links lead somewhere."""

from __future__ import annotations

import re

import pytest
from scripts import ROOT, printed_by, run

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def block(name: str) -> str:
    """What stands between ``<!-- name -->`` and the next comment."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- ", README, re.S)
    assert found, f"README has no block {name!r}"
    return found.group(1)


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def without_timing(text: str) -> str:
    """The printed text without the seconds and the number of passes, which depend on machine and JAX release."""
    text = re.sub(r"^\d+\.\d s\.$", "", text.strip(), flags=re.M)
    return re.sub(r"after \d+ passes", "after passes", text).strip()


def test_readme_command_one_prints_what_readme_shows(capsys):
    from bayesgmm.cli import main

    words = block("command 1").strip().split("bayesgmm fit ")[1].split()
    assert main(["fit", *words, "--no-cache"]) == 0
    (shown,) = fenced(block("output 1"), "text")
    assert without_timing(capsys.readouterr().out) == without_timing(shown)


def test_readme_example_prints_what_readme_shows(tmp_path):
    (code,) = fenced(block("example"), "python")
    (shown,) = fenced(block("prints"), "text")
    assert run(code, tmp_path).strip() == shown.strip()
    assert 8 <= len(code.strip().splitlines()) <= 12


RUN_ELSEWHERE = ("README.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in RUN_ELSEWHERE and p.parent.name != "tutorial"], ids=lambda p: p.name)
def test_code_in_docs_runs(page, tmp_path):
    """Those of the tutorial in tests/test_tutorial.py."""
    code = fenced(page.read_text(encoding="utf-8"), "python")
    if code:
        run("\n".join(code), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if target == "gallery/index":  # made of the examples when the site is built; docs/check_site.py follows it
            continue
        place = page.parent / target
        assert place.exists() or place.with_suffix(".rst").exists(), f"{page.name} links to {target}, which does not exist"


def test_old_faithful_example_states_the_bounds_it_prints(tmp_path):
    """Best-known bounds at K = 1, 2, 3 with uniform weights."""
    printed = printed_by(ROOT / "examples" / "questions" / "old_faithful.py", tmp_path)
    for k, bound in ((1, -1309.1922), (2, -1170.4864), (3, -1175.7518)):
        assert float(re.search(rf"K = {k}: bound (-[\d.]+) nats", printed).group(1)) >= bound - 1e-3


def test_no_page_or_module_names_a_path_of_some_machine_or_a_registry():
    names = ("/" + "work/", "/" + "root/", "pypi" + ".org", "files.python" + "hosted", "registry." + "npmjs")
    tracked = [p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".toml", ".rst", ".json", ".yml"} and ".venv" not in p.parts]
    for path in tracked:
        text = path.read_text(encoding="utf-8", errors="ignore")
        assert not [n for n in names if n in text], path


def test_fit_a_mixture_says_what_its_example_prints(tmp_path):
    printed = printed_by(ROOT / "examples" / "questions" / "look_at_a_fit.py", tmp_path)
    said = (ROOT / "docs" / "how-to" / "fit-a-mixture.md").read_text(encoding="utf-8")
    mixture, means = re.findall(r"species ([0-9.]+)", printed)
    assert f"(adjusted Rand index {mixture}, k-means {means})" in said


def test_use_the_model_says_what_its_example_prints(tmp_path):
    printed = printed_by(ROOT / "examples" / "questions" / "use_the_model.py", tmp_path)
    page = " ".join((ROOT / "docs" / "how-to" / "use-the-model.md").read_text(encoding="utf-8").split())
    waits = {m: words for m, *words in re.findall(r"After ([\d.]+) min: wait (\d+) min, 90 % between (\d+) and (\d+)", printed)}
    assert "expected in {} minutes, and nine times in ten between {} and {}".format(*waits["2"]) in page
    assert "after 4.5 minutes in {}, between {} and {}".format(*waits["4.5"]) in page
    assert "({} to {})".format(*waits["3"][1:]) in page
    inside = re.search(r"(\d+)% of the 272 waits", printed).group(1)
    assert f"Of the 272 waits {inside} % lie within" in page
    p = [float(value) for value in re.findall(r"p = ([\d.e-]+) \(", printed)]
    assert f"(p = {p[0]:.2f})" in page and f"(p = {p[2]:.1g})" in page
    error = re.search(r"error left out ([\d.]+)%", printed).group(1)
    assert f"({error} %)" in page


def test_incomplete_rows_says_what_its_example_prints(tmp_path):
    printed = printed_by(ROOT / "examples" / "questions" / "incomplete_rows.py", tmp_path)
    page = " ".join((ROOT / "docs" / "how-to" / "incomplete-rows.md").read_text(encoding="utf-8").split())
    share, whole, n = re.search(r"(\d+)% of the numbers are missing; (\d+) of (\d+) rows", printed).groups()
    assert f"{share} % of the numbers are missing and {whole} of {n} rows are complete" in page
    same = re.search(r"([\d.]+)% of the birds are in the component", printed).group(1)
    assert f"{same} % of the birds are then in the component" in page
    off, mean, inside = re.search(r"are ([\d.]+) standard deviations off, column means ([\d.]+); (\d+)%", printed).groups()
    stated = re.search(rf"{off} standard deviations off on average \(the mean of the column: {mean}\), and (\d+) % of them", page)
    assert stated and abs(int(stated.group(1)) - int(inside)) <= 1  # of draws, which depend on the version of JAX
    wider = re.search(r"means are (\d+)% larger", printed).group(1)
    assert f"component means are {wider} % larger" in page
    right = re.search(r"([\d.]+)% of all birds get the right one", printed).group(1)
    assert f"{right} % of all birds get the right one" in page
