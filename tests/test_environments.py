"""One answer in every environment: locales, encodings, hash seeds, no home, flags of Python, modules named like ours nearby."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import ROOT

from bayesgmm.inference import cache

PROBE = f"""
import locale, os, sys
sys.path.insert(0, {str(ROOT)!r})
print(locale.setlocale(locale.LC_ALL, ""), sys.flags.optimize, os.getuid(), sep=";", file=sys.stderr)
import bayesgmm as bg
from bayesgmm.inference import cache
from bayesgmm.tables import read_table
table = read_table(sys.argv[1])
model = bg.GaussianMixture(2, n_init=1, random_state=0).fit(table.values)
model.save(sys.argv[2])
found = bg.load(sys.argv[2])
print(found.means_.tobytes().hex(), found.score_samples(table.values[:3]).tobytes().hex(), found.lower_bound_.hex())
print(ascii(found.summary(table.values)))
single = bg.GaussianMixture(2, covariance_type="diag", n_init=1, random_state=0, dtype="float32").fit(table.values)
print(single.means_.tobytes().hex(), single.lower_bound_.hex())
print(cache._folder(), file=sys.stderr)
"""
"""Reads a table, fits, saves, loads, says what it found, and fits with numbers of half the size; and, beside, where it ran."""

SHADOWS = ("csv", "json", "numpy", "jax", "scipy", "pandas", "bayesgmm", "storage", "tables", "report", "zipfile")
"""Modules named like ours and like those we need."""

ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
NOWHERE = "/proc/none"
"""A folder that nobody can make."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table, with modules that must not be imported, and one where anybody may write."""
    folder = tmp_path_factory.mktemp("environments")
    rows = [f"{(k % 7) / 7 + 3 * (k % 2)},{(k % 5) / 5 + k % 2}" for k in range(30)]
    (folder / "rows.csv").write_text("\n".join(["a,b", *rows]) + "\n", encoding="utf-8")
    (folder / "shadows").mkdir()
    for name in SHADOWS:
        (folder / "shadows" / f"{name}.py").write_text("raise SystemExit('the wrong module')\n", encoding="utf-8")
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """Folder with a locale whose decimal sign is a comma."""
    folder = tmp_path_factory.mktemp("locales")
    folder.chmod(0o755)
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"]
    if not shutil.which("localedef") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no locale can be made here")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


def probe(place: Path, flags=(), before=(), folder: str = "open", keep_cache=True, **changed) -> tuple[list[str], list[str]]:
    """Lines that the probe prints, and those about where it ran; a variable that is None is taken away."""
    kept = {name: value for name, value in os.environ.items() if name not in (() if keep_cache else (cache.VARIABLE, "XDG_CACHE_HOME"))}
    environment = {k: v for k, v in {**kept, **ALONE, **changed}.items() if v is not None}
    command = [*before, sys.executable, *flags, "-c", PROBE, str(place / "rows.csv"), str(place / "open" / f"{os.urandom(4).hex()}.npz")]
    done = subprocess.run(command, cwd=place / folder, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.fixture(scope="module")
def usual(place):
    found, (_, folder) = probe(place, PYTHONHASHSEED="0")
    assert len(found) == 3 and "2 components" in found[1] and len(found[2]) > 64 and folder == os.environ[cache.VARIABLE]
    return found


def test_a_comma_in_numbers(usual, place, german):
    """Under -O, too, without assertions."""
    found, (where, _) = probe(place, ["-O"], PYTHONHASHSEED="1", **german)
    assert where.startswith("de_DE.UTF-8;1;") and found == usual


def test_ascii(usual, place):
    """All warnings are errors."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    found, told = probe(place, ["-W", "error"], PYTHONHASHSEED="2", **ascii_only)
    assert len(told) == 2 and told[0].startswith("C;0;") and found == usual


def test_isolated_among_modules_named_like_ours(usual, place):
    found, _ = probe(place, ["-I"], folder="shadows")
    assert found == usual


def nobody() -> list[str]:
    """What runs a command as a user without a name, who may read all files and write none; nothing where that cannot be."""
    able = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    command = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *able]
    if not shutil.which("setpriv") or subprocess.run([*command, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip("no other user can be had here")
    return command


def test_a_user_without_a_name_or_a_home(usual, place):
    """Programs are kept nowhere, and nothing is said of that."""
    found, told = probe(place, ["-X", "dev"], nobody(), keep_cache=False, HOME=None, TMPDIR="/proc")
    assert told[1:] == ["None"] and told[0].endswith(";54321") and found == usual


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["-OO"], ["-X", "dev"], ["-B", "-E"]])
def test_flags(usual, place, flags):
    assert probe(place, flags)[0] == usual


@pytest.mark.slow
@pytest.mark.parametrize("home", [NOWHERE, "/dev/null"])
def test_a_home_that_cannot_be_written(usual, place, home):
    found, (_, folder) = probe(place, keep_cache=False, HOME=home)
    assert found == usual and folder == "None"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 8))
def test_hash_seeds(usual, place, seed):
    assert probe(place, PYTHONHASHSEED=str(seed))[0] == usual


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2", "8"])
def test_threads_of_blas(usual, place, threads):
    assert probe(place, **dict.fromkeys(ALONE, threads))[0] == usual


MORE = ("JAX_ENABLE_X64=0", "JAX_ENABLE_X64=1", "JAX_NUMPY_RANK_PROMOTION=raise")


@pytest.mark.parametrize("setting", ["JAX_NUMPY_DTYPE_PROMOTION=strict", *(pytest.param(s, marks=pytest.mark.slow) for s in MORE)])
def test_what_the_user_has_set_for_jax(usual, place, setting):
    assert probe(place, **dict([setting.split("=")]))[0] == usual


@pytest.mark.slow
def test_one_core(usual, place):
    """Programs are compiled for as many cores as there are."""
    if not shutil.which("taskset"):
        pytest.skip("processes cannot be bound to a core here")
    assert probe(place, before=["taskset", "-c", str(min(os.sched_getaffinity(0)))])[0] == usual


@pytest.mark.slow
def test_a_report_without_home_says_nothing_of_matplotlib(place):
    """Which has advice for that case."""
    words = [str(place / "rows.csv"), "--covariance", "spherical", "--restarts", "1", "--max-components", "2", "--brief", "--json"]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bayesgmm.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, **ALONE, "HOME": NOWHERE, "MPLBACKEND": "Agg"}
    environment = {name: value for name, value in environment.items() if name not in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")}
    command = [sys.executable, "-c", code, "fit", *words, "--out", "found"]
    done = subprocess.run(command, cwd=place / "open", capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0 and done.stderr == "Wrote report.html, assignments.csv, model.npz and posterior.json to found.\n"
