"""The command line: what it prints, what it writes, and one line for every mistake."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import Page

import bayesgmm as bg
from bayesgmm import cli
from bayesgmm.cli import main
from bayesgmm.datasets import dataset_names

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
QUICK = ["--covariance", "full", "--restarts", "1", "--max-components", "3", "--no-cache"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Exit code, standard output and standard error of a command."""

    def call(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call


def write(name, text, **options):
    with open(name, "w", newline="", **options) as file:
        file.write(text)
    return name


def read(name):
    return Path(name).read_text(encoding="utf-8")


def table(names=("length", "<b>width</b> & more"), separator=","):
    quoted = [f'"{name}"' for name in names]
    lines = [separator.join(quoted), *(separator.join(f"{float(v)!r}" for v in row) for row in X)]
    return "\n".join(lines) + "\n"


def same_fit():
    return bg.BayesianGaussianMixture(n_components=3, n_init=1, random_state=0).fit(X)


def test_text(run):
    code, out, err = run("fit", write("plants.csv", table()), *QUICK)
    model = same_fit()
    assert (code, err) == (0, "")
    kept = f"{model.n_components_} components kept of 3"
    for said in ("plants.csv: 30 rows, 2 columns", "length", "<b>width</b> & more", kept, "Seed 0"):
        assert said in out
    assert f"Evidence lower bound {model.lower_bound_:.4f} nats" in out
    assert re.search(r"\n\d+\.\d s\.\n$", out)


FIELDS = {
    "n_samples", "n_features", "columns", "covariance_type", "n_components", "elbo", "log_evidence", "weights", "means", "covariances",
    "criteria", "converged", "seconds",
}  # fmt: skip


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json(run):
    code, out, err = run("fit", write("plants.csv", table()), *QUICK, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    record, model = strict(out), same_fit()
    assert record.keys() >= FIELDS
    assert (record["n_samples"], record["n_features"]) == (30, 2)
    assert record["columns"] == ["length", "<b>width</b> & more"]
    assert record["n_components"] == model.n_components_ == len(record["weights"])
    assert record["elbo"] == model.lower_bound_
    assert record["log_evidence"] > record["elbo"]
    np.testing.assert_array_equal(record["means"], model.means_)
    np.testing.assert_array_equal(record["covariances"], model.covariances_)
    assert record["criteria"].keys() == {"bic", "aic", "icl"}
    assert record["converged"] is True and record["seconds"] > 0


def test_files(run):
    code, out, err = run("fit", write("plants.csv", table()), *QUICK, "--json", "--brief", "--out", "results/new")
    assert code == 0
    assert err.count("\n") == 1 and "results/new" in err
    record, model = strict(out), same_fit()
    assert sorted(os.listdir("results/new")) == ["assignments.csv", "model.npz", "posterior.json", "report.html"]

    text = read("results/new/report.html")
    page = Page(text)
    assert not page.tags & {"b", "script", "link", "iframe"} and all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "<b>width</b> & more" in page.words

    with open("results/new/assignments.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert [int(row["row"]) for row in rows] == list(range(30))
    np.testing.assert_array_equal([int(row["component"]) - 1 for row in rows], model.predict(X))
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)

    loaded = bg.load("results/new/model.npz")
    assert loaded.lower_bound_ == record["elbo"]
    assert loaded.feature_names_in_.tolist() == record["columns"]
    posterior = strict(read("results/new/posterior.json"))
    assert posterior["fit"] == record
    np.testing.assert_array_equal(posterior["posterior"]["components"]["mean"], model.posterior_.components.mean)


def test_an_existing_folder_is_used_and_its_other_files_are_kept(run):
    os.makedirs("here")
    write("here/mine.txt", "mine")
    write("here/report.html", "old")
    assert run("fit", write("plants.csv", table()), *QUICK, "--brief", "--out", "here")[0] == 0
    assert read("here/mine.txt") == "mine"
    assert read("here/report.html") != "old"
    assert not [name for name in os.listdir("here") if name.startswith(".")]


def test_a_data_set_by_name(run):
    code, out, _ = run("fit", "galaxies", "--restarts", 1, "--max-components", 2, "--covariance", "spherical", "--no-cache", "--json")
    record = strict(out)
    assert code == 0
    assert record["data"] == "Galaxy velocities" and record["columns"] == ["velocity"] and record["n_samples"] == 82
    assert record["covariance_type"] == "spherical" and record["max_components"] == 2


def test_the_best_of_several_structures(run, monkeypatch):
    monkeypatch.setattr(cli, "STRUCTURES", ("spherical", "diag"))
    code, out, _ = run("fit", write("good.csv", table()), *QUICK[4:], "--json")
    record = strict(out)
    assert code == 0 and record["structures"].keys() == {"diag", "spherical"}
    chosen = record["structures"][record["covariance_type"]]
    assert chosen["n_components"] == record["n_components"] and abs(chosen["elbo"] - record["elbo"]) < 0.01
    said = run("fit", "good.csv", *QUICK[4:])[1]
    assert "From the evidence, averaged over structures: P(K = 2)" in said and "riteria" in said


def test_select_prints_the_verdict_and_the_table(run):
    write("good.csv", table())
    words = ("select", "good.csv", "--max-components", 3, "--covariance", "full, spherical", "--no-cache")
    code, out, err = run(*words, "--plot", "picture.png")
    assert code == 0 and "good.csv: " in out.splitlines()[0] and "2 components" in out and "larger is better" in out
    assert Path("picture.png").stat().st_size > 5000 and "Wrote picture.png." in err
    record = strict(run(*words, "--json")[1])
    assert record["n_components"] == 2 and set(record["table"]["covariance_type"]) == {"full", "spherical"}
    assert record["criterion"] == "evidence" and abs(sum(record["n_components_probability"].values()) - 1) < 1e-9
    record = strict(run(*words, "--json", "--criterion", "bic")[1])
    assert record["n_components"] == 2 and set(record["table"]["evidence"]) == {None} and record["n_components_probability"]["2"] is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--criterion", "bick"), "criterion must be one of .* Did you mean 'bic'"),
        (("--covariance", "full,round"), "covariance_type must be one of"),
        (("--prior", "flat"), "prior must be one of"),
        (("--max-components", 0), "--max-components must be a whole number of at least 1"),
    ],
)
def test_mistakes_of_select_are_one_line(run, words, complaint):
    code, _, err = run("select", write("good.csv", table()), "--no-cache", *words)
    assert code == 2 and re.search(complaint, err) and err.count("\n") == 1


def test_a_data_set_is_found_beside_a_folder_of_its_name(run):
    os.makedirs("galaxies")
    code, _, err = run("fit", "galaxies", "--columns", "speed")
    assert code == 2 and "'galaxies' has no column 'speed'; its columns are velocity." in err


def test_empty_cells_are_a_mistake_or_missing_at_random(run):
    x = X.round(6).astype(object)
    x[::7, 1] = ""
    write("gaps.csv", "a,b\n" + "\n".join(f"{a},{b}" for a, b in x) + "\n")
    code, _, said = run("fit", "gaps.csv", *QUICK)
    assert code == 2 and "row 0, column 'b'" in said and "--missing at_random" in said
    code, out, _ = run("fit", "gaps.csv", *QUICK, "--missing", "at_random", "--brief", "--out", "found")
    assert code == 0 and "2 components kept" in out
    assert len(read("found/assignments.csv").splitlines()) == 31
    assert run("predict", "found/model.npz", "gaps.csv", "--out", "rows.csv")[0] == 0
    assert len(read("rows.csv").splitlines()) == 31
    assert run("fit", "gaps.csv", *QUICK, "--missing", "at_random", "--stream")[0] == 2


def test_data_sets_are_listed(run):
    code, out, err = run("datasets")
    assert (code, err) == (0, "")
    for name in dataset_names():
        assert f"\n{name} (" in "\n" + out
    assert "source:" in out and "licence:" in out


def test_version_and_help(run):
    assert run("--version") == (0, f"bayesgmm {bg.__version__}\n", "")
    code, out, _ = run("fit", "--help")
    assert code == 0 and "--max-components" in out


CONSTANT = "a,b\n" + "".join(f"{v},5\n" for v in X[:, 0])
NOISE = np.random.default_rng(0).bytes(3000)

ENDINGS = ("csv", "tsv", "txt", "parquet", "feather", "npy")

MISTAKES = [
    ("fit nothing.csv", "There is no file 'nothing.csv' and no data set of that name"),
    ("fit faithfull", "Did you mean 'faithful'?"),
    ("fit folder.csv", "'folder.csv' is a directory"),
    ("fit empty.csv", "'empty.csv' is empty"),
    ("fit blank.csv", "'blank.csv' is empty"),
    ("fit header.csv", "'header.csv' has a header but no rows"),
    ("fit text.csv", "column 'species' is not numeric: row 0 (counting from 0) holds 'setosa'. Choose numeric columns"),
    ("fit gap.csv", "'gap.csv' contains NaN at row 30, column 'b' (counting from 0)"),
    ("fit index.csv", "column 0 (counting from 0) has no name; is it a row number? Choose columns by name, for example --columns a,b."),
    ("fit wide.csv", "its first line has 2 columns, but later lines have more"),
    ("fit long.csv", "Expected 2 fields in line 32, saw 3"),
    ("fit constant.csv", "'constant.csv' has no spread in column 'b' (always 5)"),
    ("fit one.csv", "'one.csv' has 1 sample"),
    ("fit latin.csv", "not text in UTF-8"),
    ("fit table.xlsx", "cannot tell the format from the ending '.xlsx'"),
    ("fit table", "cannot tell the format from a name without an ending"),
    *((f"fit noise.{ending}", f"'noise.{ending}' could not be read as {ending}: ") for ending in ENDINGS),
    ("fit cube.npy", "it holds an array of shape (2, 3, 4)"),
    ("fit good.csv --columns c", "'good.csv' has no column 'c'; its columns are a, b."),
    ("fit good.csv --columns A", "Did you mean 'a'?"),
    ("fit good.csv --columns a,a", "--columns names a column twice"),
    ("fit good.csv --columns ,", "--columns must be names divided by commas; got ','."),
    ("fit good.csv --max-components 31", "--max-components = 31 is more than the n_samples = 30 rows of 'good.csv'; ask for at most 30."),
    ("fit good.csv --max-components 0", "--max-components must be a whole number of at least 1; got 0."),
    ("fit good.csv --max-components 2.5", "--max-components: invalid int value: '2.5'"),
    ("fit good.csv --restarts 0", "--restarts must be a whole number of at least 1; got 0."),
    ("fit good.csv --seed -1", "--seed must be a whole number of at least 0; got -1."),
    ("fit good.csv --seed zero", "--seed: invalid int value: 'zero'"),
    ("fit good.csv --covariance round", "--covariance: invalid choice: 'round'"),
    ("fit good.csv --colour red", "unrecognized arguments: --colour red"),
    ("fit good.csv --out good.csv", "--out 'good.csv' is a file; give a folder."),
    ("fit good.csv --out good.csv/in", "good.csv"),
    ("fit", "required: FILE_OR_DATASET"),
    ("", "required: COMMAND"),
    ("fitt", "invalid choice: 'fitt'"),
]


def write_files():
    good = table(("a", "b"))
    frame = pd.DataFrame(X, columns=["a", "b"])
    files = {
        "good.csv": good, "empty.csv": "", "blank.csv": "\n \n", "header.csv": "a,b\n", "gap.csv": good + "1,\n", "constant.csv": CONSTANT,
        "one.csv": "a,b\n1,2\n", "long.csv": good + "1,2,3\n", "table.xlsx": "", "table": good,
        "wide.csv": "a,b\n1,2,3\n4,5,6\n", "text.csv": "species,a,b\nsetosa,1,2\nvirginica,2,4\n",
    }  # fmt: skip
    for name, text in files.items():
        write(name, text)
    write("latin.csv", good.replace("a", "l\xe4nge"), encoding="latin-1")
    frame.to_csv("index.csv")
    for ending in ENDINGS:
        with open(f"noise.{ending}", "wb") as file:
            file.write(NOISE)
    np.save("cube.npy", np.zeros((2, 3, 4)))
    os.mkdir("folder.csv")


@pytest.mark.parametrize(("command", "said"), MISTAKES, ids=[command or "nothing" for command, _ in MISTAKES])
def test_mistakes_are_one_line_and_exit_code_2(command, said, run):
    write_files()
    before = sorted(os.listdir())
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert err.startswith("bayesgmm: error: ") and err.endswith("\n") and err.count("\n") == 1 and "Traceback" not in err
    assert said in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("error", [bg.FitError("The fit failed: no finite answer."), MemoryError()])
def test_a_failed_fit_is_one_line_and_exit_code_1(run, monkeypatch, error):
    def fail(self, X, **options):
        raise error

    monkeypatch.setattr(bg.BayesianGaussianMixture, "fit", fail)
    code, out, err = run("fit", write("good.csv", table()), *QUICK)
    assert (code, out) == (1, "")
    assert err == f"bayesgmm: failed: {str(error) or 'MemoryError'}\n"


def test_interrupted(run, monkeypatch):
    def stop(self, X, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(bg.BayesianGaussianMixture, "fit", stop)
    code, out, err = run("fit", write("good.csv", table()), *QUICK)
    assert (code, out) == (1, "") and err.count("\n") == 1


def process(*words, **environment):
    """Runs the command, with a cache of its own choice, which tests otherwise do without."""
    inherited = {name: value for name, value in os.environ.items() if name != "BAYESGMM_COMPILATION_CACHE"}
    command = [sys.executable, "-m", "bayesgmm.cli", *words]
    return subprocess.run(command, capture_output=True, timeout=300, env=inherited | environment)


def test_as_a_process(folder):
    write("good.csv", table(("a", "b")))
    words = ["fit", "good.csv", "--covariance", "spherical", *QUICK[2:-1]]
    done = process(*words, "--json", XDG_CACHE_HOME=str(folder / "cache"), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert strict(done.stdout)["n_samples"] == 30
    cache = folder / "cache" / "bayesgmm"
    assert len(list(cache.iterdir())) > 10
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    again = process(*words, XDG_CACHE_HOME=str(folder / "cache"), PYTHONIOENCODING="ascii")
    assert (again.returncode, again.stderr) == (0, b"")
    assert rb"(mean +/- standard deviation within the component)" in again.stdout and b"\\x" not in again.stdout


def test_mistakes_as_a_process():
    done = process("fit", "nothing.csv")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr


def test_a_reader_that_stops_reading_is_no_error():
    command = f"{sys.executable} -m bayesgmm.cli datasets | true"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=300)
    assert done.stderr == b""
