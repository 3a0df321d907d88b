"""Commands on rows that are not read into memory: folders, patterns, --stream; predict."""

from __future__ import annotations

import json

import numpy as np
import pandas
import pytest

from bayesgmm.cli import main
from bayesgmm.datasets import load_dataset
from bayesgmm.inference import stream

DATA = load_dataset("faithful")
FIT = ("--covariance", "full", "--max-components", "3", "--restarts", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two Parquet files in a folder, and the same rows as .npy and CSV."""
    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame(DATA.x, columns=DATA.feature_names)
    (tmp_path / "days").mkdir()
    frame[:100].to_parquet("days/a.parquet")
    frame[100:].to_parquet("days/b.parquet")
    np.save("rows.npy", DATA.x)
    frame.to_csv("rows.csv", index=False)
    return tmp_path


def run(capsys, *words):
    try:
        code = main(list(words))
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return code, said.out, said.err


def test_fit_and_predict(folder, capsys):
    code, out, _ = run(capsys, "fit", "days", *FIT, "--json", "--checkpoint", "fit", "--out", "found")
    assert code == 0
    streamed = json.loads(out)
    assert (streamed["n_samples"], streamed["n_components"], streamed["columns"]) == (272, 2, list(DATA.feature_names))
    in_memory = json.loads(run(capsys, "fit", "rows.csv", *FIT, "--json")[1])
    np.testing.assert_allclose(streamed["elbo"], in_memory["elbo"], rtol=1e-9)
    again = json.loads(run(capsys, "fit", "days/*.parquet", *FIT, "--json", "--checkpoint", "fit")[1])
    assert again["elbo"] == streamed["elbo"]
    code, _, err = run(capsys, "predict", "found/model.npz", "days", "--out", "labels.parquet")
    assert code == 0 and "272 rows to labels.parquet" in err
    labels, assigned = pandas.read_parquet("labels.parquet"), pandas.read_csv("found/assignments.csv")
    np.testing.assert_array_equal(labels["component"], assigned["component"])
    assert assigned["row"].tolist() == list(range(272))


def test_columns_of_arrays_are_named_as_in_tables(folder, capsys):
    one, other = (json.loads(run(capsys, "fit", "rows.npy", "--columns", "x1", *FIT, "--json", *more)[1]) for more in ((), ("--stream",)))
    np.testing.assert_allclose(one["elbo"], other["elbo"], rtol=1e-9)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("fit rows.csv --stream", "files that end in '.csv'"),
        ("fit rows.csv --sample 100", "--sample is for rows that are not read into memory"),
        ("fit rows.csv --covariance full --checkpoint c", "--checkpoint is for rows that are not read into memory"),
        ("fit days --checkpoint c", "one structure"),
        ("fit days --columns eruption", "has no column 'eruption'"),
        ("fit none/*.parquet", "There is no file 'none/*.parquet'"),
        ("predict rows.npy days --out x.csv", "is not a model saved by bayesgmm"),
        ("predict none.npz days --out x.csv", "There is no model file"),
    ],
)
def test_mistakes_are_a_line(folder, capsys, words, told):
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1


def test_an_interrupted_fit_says_so(folder, capsys, monkeypatch):
    usual, calls = stream.Passes.__call__, iter(range(100))

    def passes(self, trial):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return usual(self, trial)

    monkeypatch.setattr(stream.Passes, "__call__", passes)
    code, out, err = run(capsys, "fit", "days", *FIT, "--sample", "100")
    assert code == 0 and "bayesgmm: warning: The fit did not converge: it was interrupted" in err
    assert "Not converged after 1 pass" in " ".join(out.split())
