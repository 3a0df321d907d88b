"""Standard streams that are closed, full or narrow: the command does its work, says what it can, and files are whole."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from scripts import ROOT

import bayesgmm as bg
from bayesgmm import cli, terminal
from bayesgmm.analysis.selection import Table
from bayesgmm.progress import Progress
from bayesgmm.report import text, verdict

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")  # not on Windows

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
FIT = ("fit", "rows.csv", "--covariance", "spherical", "--max-components", "3", "--restarts", "1", "--no-cache")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(X, columns=["length", "the width of an outer leaf"]).to_csv("rows.csv", index=False)
    return tmp_path


def shell(words: str, **changed):
    """A command as a process, with streams as a shell would make them."""
    environment = {k: v for k, v in {**os.environ, **changed}.items() if k != "PYTHONUNBUFFERED" or "PYTHONUNBUFFERED" in changed}
    code = f'import sys; sys.path.insert(0, "{ROOT}"); from bayesgmm.cli import main; sys.exit(main(sys.argv[1:]))'
    command = f"{sys.executable} -c '{code}' {words}"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("datasets >&-", 0, ""),
        ("datasets >/dev/full", 2, "bayesgmm: error: Standard output could not be written: No space left on device.\n"),
        ("datasets | true; exit ${PIPESTATUS[0]}", 1, ""),
        ("fit nothing 2>&-", 2, ""),
        ("fit nothing 2>/dev/full", 2, ""),
        ("fit --nothing 2>/dev/full", 2, ""),
    ],
)
def test_streams_that_cannot_be_written(words, code, said):
    done = shell(words)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def run_with(stream, *words, errors=None) -> int:
    """A command of this process that writes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", errors or sys.stderr)
        return cli.main(list(words))


FILES = ["assignments.csv", "model.npz", "posterior.json", "report.html"]


def test_files_are_written_though_nobody_reads(folder, capsys, monkeypatch):
    """As with ``| head``."""
    monkeypatch.setattr(bg.BayesianGaussianMixture, "report", lambda self, path, *rows, **options: path.touch())
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        assert run_with(stream, *FIT, "--brief", "--out", str(folder / "found")) == 1
    assert sorted(os.listdir(folder / "found")) == FILES and capsys.readouterr().err.startswith("Wrote report.html")


def test_streams_that_are_closed_lead_nowhere(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    terminal.open_closed()
    streams = sys.stdin, sys.stdout, sys.stderr
    print("±", file=sys.stderr)
    assert sys.stdin.read() == "" and not any(stream.isatty() for stream in streams)
    for stream in streams:
        stream.close()


def on_terminal(monkeypatch, columns: int, *words) -> str:
    """What a command shows on a terminal of so many columns."""
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown: list[bytes] = []

    def read():
        try:
            while part := os.read(ours, 65536):
                shown.append(part)
        except OSError:  # the other end was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        assert run_with(stream, *words, errors=stream) == 0
    reader.join()
    os.close(ours)
    return b"".join(shown).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 20, 1, 0, 65535])
def test_a_fit_on_a_terminal(folder, monkeypatch, columns):
    """No line is longer than the terminal, down to 20 columns, and all numbers are there."""
    lines = on_terminal(monkeypatch, columns, *FIT).split("\r")[-1].split("\n")
    wide = {0: 80, 1: 20, 65535: 110}.get(columns, columns)
    assert max(map(len, lines)) <= wide
    whole = " ".join(" ".join(lines).split())
    model = bg.BayesianGaussianMixture(n_components=3, covariance_type="spherical", n_init=1, random_state=0).fit(pd.read_csv("rows.csv"))
    table = text.table(model.facts(pd.read_csv("rows.csv")))
    for cell in [part for line in table.split("\n")[1:-1] for part in line.split("   ") if part.strip()]:
        assert cell.strip() in whole
    assert "Seed 0, bayesgmm" in whole


class Bare:
    """A stand-in for a stream that has only what ``print`` needs, and may fail."""

    encoding = "utf-8"

    def __init__(self, full: bool):
        self.full, self.said = full, ""

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        self.said += text

    def flush(self):
        pass


def test_streams_that_are_no_files():
    """As notebooks and servers put in place of the usual ones."""
    out = Bare(False)
    assert run_with(out, "datasets") == 0 and "faithful" in out.said
    errors = Bare(False)
    assert run_with(Bare(True), "datasets", errors=errors) == 2
    assert errors.said == "bayesgmm: error: Standard output could not be written: No space left on device.\n"
    assert run_with(Bare(True), "fit", "nowhere.csv", errors=Bare(True)) == 2


def test_data_sets_on_a_terminal(monkeypatch):
    lines = on_terminal(monkeypatch, 40, "datasets").split("\n")
    assert max(map(len, lines)) <= 40 and "    " in {line[:4] for line in lines}


@pytest.mark.parametrize("width", [20, 33, 40, 80, 200])
def test_tables_are_folded(width):
    """Every number once, no line too long where numbers fit, keys beside every part."""
    head = ["prior", "covariance", "K", *(f"a long title {j}" for j in range(6))]
    rows = [["fixed", kind, str(k), *(f"{-1000 * k - j:.2f}" for j in range(6))] for k, kind in enumerate(("full", "spherical"))]
    shown = text.aligned([head, *rows], width, keys=3)
    assert max(map(len, shown.split("\n"))) <= width
    parts = [part.split("\n") for part in shown.split("\n\n")]
    assert (len(parts) == 1) == (width == 200)
    for part in parts:
        assert part[1].startswith("fixed") and (width < 40 or all(row[1] in line for row, line in zip(rows, part[1:], strict=True)))
    for number in (cell for row in rows for cell in row[3:]):
        assert shown.split().count(number) == 1
    assert text.aligned([head, *rows]).count("\n") == 2


def test_names_are_cut_and_numbers_are_not():
    lines = [["component", "1"], ["the length of an outer leaf", "-0.292 ± 0.973"]]
    assert text.aligned(lines, 30) == "component                    1\nthe len...eaf   -0.292 ± 0.973"


def test_words_of_a_selection_fit():
    names = ("evidence", "elbo", "icl_exact", "held_out", "bic", "aic", "aicc", "icl", "icl_soft", "nec", "slope", "log_likelihood")
    columns = {name: -1e4 * np.arange(1, 4) for name in (*names, "held_out_se_difference")} | {"probability": np.array([0.7, 0.2, 0.1])}
    kinds = {"covariance_type": np.full(3, "spherical", object), "prior": np.array(["fixed", "hierarchical", "fixed"], object)}
    table = Table(**columns | kinds | {"n_components": np.array([1, 2, 3]), "n_parameters": np.array([5, 11, 17])})
    sentences = verdict.verdict(table, "evidence", 0.5, [])
    for words in (verdict.wrapped(sentences, 40), verdict.printed(table, width=40)):
        assert max(map(len, words.split("\n"))) <= 40
    assert verdict.wrapped(sentences, 40).split() == verdict.wrapped(sentences).split()
    whole, folded = verdict.printed(table), verdict.printed(table, width=40)
    assert folded.count("hierarchical") > whole.count("hierarchical") == 1 and set(folded.split()) == set(whole.split())


@pytest.mark.parametrize("columns", ["0", "1", "10", "20", "40"])
def test_help_on_narrow_terminals(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    for words in ([], ["fit"], ["select"], ["predict"], ["datasets"]):
        with pytest.raises(SystemExit) as stop:
            cli.main([*words, "--help"])
        said = capsys.readouterr().out
        assert not stop.value.code and "usage: bayesgmm" in said
        assert columns != "40" or max(map(len, said.split("\n\n")[-1].split("\n"))) <= 46, "one line of choices is longer"


def test_progress_fits_the_terminal_that_it_is_shown_on(monkeypatch):
    """Which may be one while standard output is a file."""
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        Progress()("x" * 100)
        shown = os.read(ours, 1000)
        monkeypatch.undo()
    os.close(ours)
    assert shown.split(b"\r")[-1] == b"x" * 29


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "±"), ("cp1252", "±"), ("ascii", "+/-"), ("cp437", "±"), ("cp932", "±")])
def test_a_sign_that_the_terminal_has(encoding, sign, tmp_path):
    with open(tmp_path / "out", "w", encoding=encoding) as stream:
        assert terminal.plus_minus(stream) == sign


def test_a_stream_that_is_no_file_has_the_usual_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.columns(io.StringIO()) == terminal.USUAL and terminal.width(io.StringIO()) is None
