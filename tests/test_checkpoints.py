"""Nothing is lost: a fit that was stopped at any moment ends, gone on with, at the very answer of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import storage
from bayesgmm.inference import stream

ROWS = np.concatenate([np.random.default_rng(0).standard_normal((900, 2)) + c for c in ([0, 0], [2.5, 0], [0, 3])])[
    np.random.default_rng(1).permutation(2700)
]


def model(**options):
    return bg.BayesianGaussianMixture(**{"n_components": 4, "n_init": 1, "random_state": 0, **options})


def source(rows=ROWS):
    return bg.scan([rows], sample=500)


@pytest.fixture(scope="module")
def uninterrupted():
    return model().fit(source())


def assert_identical(one, other):
    assert one.lower_bound_ == other.lower_bound_ and one.n_iter_ == other.n_iter_
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.lower_bounds_, other.lower_bounds_)


class Killed(BaseException):
    """As good as SIGKILL: nothing handles it."""


def kill_at(monkeypatch, number, error=Killed):
    """The pass of this number, from 0, is not made."""
    usual, calls = stream.Passes.__call__, iter(range(1000))

    def passes(self, trial):
        if next(calls) == number:
            raise error
        return usual(self, trial)

    monkeypatch.setattr(stream.Passes, "__call__", passes)


@pytest.mark.parametrize("number", [0, 1, 4])
def test_gone_on_with_after_a_pass(uninterrupted, monkeypatch, tmp_path, number):
    with monkeypatch.context() as patch:
        kill_at(patch, number)
        with pytest.raises(Killed):
            model().fit(source(), checkpoint=tmp_path / "fit")
    assert (tmp_path / "fit").exists() == (number > 0)
    assert_identical(model().fit(source(), checkpoint=tmp_path / "fit"), uninterrupted)
    assert_identical(model().fit(source(), checkpoint=tmp_path / "fit"), uninterrupted)
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]


def test_gone_on_with_after_an_interruption(uninterrupted, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        kill_at(patch, 3, KeyboardInterrupt)
        with pytest.warns(bg.FitWarning, match="interrupted"):
            half = model().fit(source(), checkpoint=tmp_path / "fit")
    assert half.n_iter_ == 2 and half.lower_bound_ <= uninterrupted.lower_bound_
    assert_identical(model().fit(source(), checkpoint=tmp_path / "fit"), uninterrupted)


class TestOtherFits:
    @pytest.fixture
    def saved(self, tmp_path):
        model().fit(source(), checkpoint=tmp_path / "fit")
        return tmp_path / "fit"

    @pytest.mark.parametrize(
        ("options", "rows", "told"),
        [({"tol": 1e-3}, ROWS, r"parameters \(tol\)"), ({}, ROWS[:-1], "rows"), ({}, ROWS[::-1] + 1e-9, "rows")],
    )
    def test_are_not_gone_on_from(self, saved, options, rows, told):
        with pytest.raises(ValueError, match=rf"checkpoint of another fit: its {told} differ.*or another file, or delete this one"):
            model(**options).fit(source(rows), checkpoint=saved)

    def test_nor_are_models_or_damaged_files(self, uninterrupted, saved, tmp_path):
        uninterrupted.save(tmp_path / "model")
        (tmp_path / "half").write_bytes(saved.read_bytes()[:500])
        for name in ("model", "half"):
            with pytest.raises(ValueError, match="is not a checkpoint saved by bayesgmm, or the file is damaged"):
                model().fit(source(), checkpoint=tmp_path / name)
        with pytest.raises(ValueError, match="is not a model saved by bayesgmm"):
            bg.load(saved)

    def test_files_of_others_are_left_alone(self, tmp_path):
        for name in (".fit.d", ".fit.local", ".fit.0123abcd"):
            (tmp_path / name).write_text("mine")
        os.utime(tmp_path / ".fit.0123abcd", (0, 0))
        model().fit(source(), checkpoint=tmp_path / "fit")
        assert sorted(p.name for p in tmp_path.iterdir()) == [".fit.d", ".fit.local", "fit"]

    def test_nor_is_one_of_another_sample(self, saved):
        with pytest.raises(ValueError, match="its sample differ"):
            model().fit(bg.scan([ROWS]), checkpoint=saved)

    def test_names_that_no_file_can_have_are_told_at_once(self, tmp_path):
        for name, told in ((tmp_path, "is a folder"), (tmp_path / "none" / "fit", "There is no folder")):
            with pytest.raises(OSError, match=told):
                model().fit(bg.scan(lambda: iter([ROWS])), checkpoint=name)


def test_a_fit_that_fails_in_the_last_reading_changes_nothing(uninterrupted, monkeypatch):
    from bayesgmm.analysis import rows

    before = dict(vars(uninterrupted))
    monkeypatch.setattr(rows.Look, "__call__", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        uninterrupted.fit(source(ROWS[:2000]))
    assert vars(uninterrupted) == before


class TestFullDisk:
    @pytest.fixture
    def full(self, monkeypatch):
        usual, state = os.fsync, {"room": 0}

        def fsync(number):
            state["room"] -= 1
            if state["room"] < 0:
                raise OSError(28, "No space left on device")
            usual(number)

        monkeypatch.setattr(os, "fsync", fsync)
        return state

    def test_is_told_before_the_fit(self, full, tmp_path):
        with pytest.raises(OSError, match=r"No checkpoint was written to '.*fit': .*No space left on device.*a folder with room"):
            model().fit(source(), checkpoint=tmp_path / "fit")
        assert not list(tmp_path.iterdir())

    def test_does_not_end_a_fit(self, full, uninterrupted, tmp_path):
        full["room"] = 1
        with pytest.warns(bg.FitWarning, match=r"could not be written: No space left on device.*The fit goes on"):
            found = model().fit(source(), checkpoint=tmp_path / "fit")
        assert_identical(found, uninterrupted)

    def test_leaves_no_predictions(self, uninterrupted, tmp_path, monkeypatch):
        import pandas

        def to_csv(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pandas.DataFrame, "to_csv", to_csv)
        with pytest.raises(OSError, match=r"'.*x.csv' could not be written: No space left on device; what was written of it is removed"):
            uninterrupted.write_predictions(tmp_path / "x.csv", source())
        assert not list(tmp_path.iterdir())


SCRIPT = """
import sys, time
import numpy as np
import bayesgmm as bg
from bayesgmm.inference import stream
usual = stream.Passes.__call__
def slowly(self, trial):
    time.sleep(0.05)
    return usual(self, trial)
stream.Passes.__call__ = slowly
rows = np.load(sys.argv[1])
model = bg.BayesianGaussianMixture(n_components=4, n_init=1, random_state=0)
model.fit(bg.scan([rows], sample=500), checkpoint=sys.argv[2]).save(sys.argv[3])
"""


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_processes(uninterrupted, tmp_path, kills):
    """SIGKILL at random moments after the first checkpoint: the file is whole, and the next process goes on."""
    np.save(tmp_path / "rows.npy", ROWS)
    rng, checkpoint, done = np.random.default_rng(0), tmp_path / "fit", tmp_path / "model.npz"
    command = [sys.executable, "-c", SCRIPT, *map(str, (tmp_path / "rows.npy", checkpoint, done))]
    for _ in range(kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        storage.read_trees(checkpoint, storage.CHECKPOINT, ("identity", "content"), "checkpoint")
        if kills > 2 and rng.uniform() < 0.5:
            checkpoint.unlink()
            done.unlink(missing_ok=True)
    subprocess.run(command, check=True)
    assert_identical(bg.load(done), uninterrupted)
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".fit.")} == {"fit", "model.npz", "rows.npy"}
