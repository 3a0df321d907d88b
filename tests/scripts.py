"""Code of pages and examples, run as a reader would run it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
APPLICATIONS = [path for path in EXAMPLES if path.parent.name == "applications"]


def python_path(*folders: Path) -> str:
    """This tree and other folders, before those that are set: what measures coverage is among them."""
    return os.pathsep.join(filter(None, [str(ROOT), *map(str, folders), os.environ.get("PYTHONPATH")]))


def run(code: str, folder: Path) -> str:
    """What the code prints, run in a folder of its own."""
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # threads of small fits wait for one another on a busy machine
    environment = {**os.environ, **alone, "MPLBACKEND": "Agg", "PYTHONPATH": python_path()}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed_by(example: Path, folder: Path) -> str:
    """What an example prints when run as a script: by any worker of this run of the tests, once."""
    kept = folder.parent.parent / f"{example.stem}-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}.txt"
    if not kept.exists():
        code = f"import runpy, sys; sys.argv = [{str(example)!r}]; runpy.run_path({str(example)!r}, run_name='__main__')"
        printed = run(code, folder)
        (folder / "printed.txt").write_text(printed)
        (folder / "printed.txt").replace(kept)
    return kept.read_text()


def text_of(example: Path) -> str:
    """The sentences of an example: its docstring and what stands in comments under ``# %%``, spaces made even."""
    source = example.read_text(encoding="utf-8")
    cells = re.findall(r"^# %%.*\n((?:#.*\n)*)", source, re.M)
    said = [ast.get_docstring(ast.parse(source)) or "", *(re.sub(r"^# ?", "", cell, flags=re.M) for cell in cells)]
    return " ".join(" ".join(said).split())
