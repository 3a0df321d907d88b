"""Names of files that are long, strange or no text at all, devices, and disks that are full while a file is written."""

from __future__ import annotations

import contextlib
import os
import signal

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm import cli, storage
from bayesgmm.report import page
from bayesgmm.tables import read_table

resource = pytest.importorskip("resource")  # not on Windows

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 2))
X[:20] += 6
NAMES = {
    "no text": os.fsdecode(b"\xff\xfe m\xe4\x80"),
    "spaces": " two  spaces ",
    "lines": "a\nb\tc\r",
    "signs": "100%s $HOME {x} \\n 'a' \"b\" & <b> ; *[?] #",
    "long": "x" * 245,
    "long in bytes": "ß" * 122,
    "option": "--out",
    "other scripts": "数据 données 🙂",
}
each_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


@pytest.fixture(scope="module")
def model():
    return bg.GaussianMixture(2, covariance_type="spherical", n_init=1, random_state=0).fit(X)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@each_name
def test_models_and_predictions(model, name):
    model.save(f"{name}.npz")
    assert bg.load(f"{name}.npz").lower_bound_ == model.lower_bound_
    model.write_predictions(f"{name}.csv", X)
    assert len(read_table(f"{name}.csv").values) == 40
    if len(os.fsencode(name)) < 200:
        model.write_predictions(f"{name}.parquet", bg.scan([X]))
        np.testing.assert_array_equal(read_table(f"{name}.parquet", ["component"]).values[:, 0], model.predict(X))
    assert all(not left.startswith(".") for left in os.listdir())
    with pytest.raises(ValueError, match=r"^There is no model file at "):
        bg.load(f"{name}.npy")


@each_name
def test_tables(name):
    """Read whole, or as needed."""
    name = name[:200] if name.isascii() else name[:60]
    frame = pd.DataFrame(X, columns=["a", "b"])
    for ending, write in ((".parquet", frame.to_parquet), (".feather", frame.to_feather), (".npy", lambda path: np.save(path, X))):
        write(f"plain{ending}")
        os.rename(f"plain{ending}", f"{name}{ending}")
        table = read_table(f"{name}{ending}")
        np.testing.assert_array_equal(table.values, X)
        assert table.title == f"{name}{ending}"
        source = bg.scan(f"{name}{ending}")
        np.testing.assert_array_equal(np.concatenate([rows for rows, _ in source.even()]), X)
    os.mkdir(name)
    os.rename(f"{name}.feather", f"{name}/a.feather")
    assert bg.scan(name).n_features == 2


@each_name
def test_checkpoints(name):
    name = name[:240]
    fit = lambda: bg.GaussianMixture(2, n_init=1, random_state=0).fit(bg.scan([X], sample=40), checkpoint=name)  # noqa: E731
    assert fit().lower_bound_ == fit().lower_bound_
    assert os.listdir() == [name]
    with open(name, "wb") as file:
        file.write(b"no checkpoint")
    with pytest.raises(ValueError, match="is not a checkpoint saved by bayesgmm"):
        fit()


@each_name
def test_the_command_line(model, name, capsys):
    """Files are named in messages, and in the page of a report, with signs that can be shown."""
    pd.DataFrame(X, columns=["a", "b"]).to_csv("plain.csv", index=False)
    os.rename("plain.csv", f"{name}.csv")
    model.save("model.npz")
    assert cli.main(["predict", "model.npz", "--out", f"./p{name[:200]}.csv", "--", f"{name}.csv"]) == 0
    assert cli.main(["predict", "model.npz", "--out", "p.csv", "--", f"none{name}.csv"]) == 2
    assert capsys.readouterr().err.encode("utf-8", "backslashreplace").count(b"bayesgmm: error: ") == 1


def test_a_page_whose_title_is_no_text(folder, monkeypatch):
    monkeypatch.setattr(page, "laid_out", lambda account: f"<title>{account}</title>")
    page.write(NAMES["no text"], folder / "report.html")
    assert (folder / "report.html").read_text(encoding="utf-8") == r"<title>\udcff\udcfe m\udce4\udc80</title>"


@pytest.mark.slow
def test_a_report_on_a_file_whose_name_is_no_text(capsys):
    name = NAMES["no text"]
    pd.DataFrame(X, columns=["a", "b"]).to_csv("plain.csv", index=False)
    os.rename("plain.csv", f"{name}.csv")
    code = cli.main(["fit", f"{name}.csv", "--covariance", "full", "--restarts", "1", "--max-components", "3", "--out", name, "--no-cache"])
    assert code == 0 and sorted(os.listdir(name)) == ["assignments.csv", "model.npz", "posterior.json", "report.html"]
    with open(f"{name}/report.html", encoding="utf-8") as file:
        assert r"\udcff\udcfe m\udce4\udc80.csv" in file.read()


def test_unfinished_files_of_long_names_are_swept(folder):
    """Of that name only."""
    one, other = (folder / ("x" * 244 + end) for end in "ab")
    left = []
    for path in (one, other):
        with storage.replacing(path) as beside:
            beside.write_bytes(b"")
            left.append(beside.name)
        (folder / left[-1]).write_bytes(b"")
        os.utime(folder / left[-1], (0, 0))
    storage.sweep(one)
    assert sorted(os.listdir()) == sorted([one.name, other.name, left[1]])


def test_devices_are_not_replaced(model, folder):
    os.mkfifo("pipe.csv")
    for write in (lambda path: model.write_predictions(path, X), model.save):
        with pytest.raises(FileExistsError, match="is a device or a pipe; give the name of an ordinary file"):
            write("pipe.csv")
    assert os.listdir() == ["pipe.csv"]


@pytest.mark.parametrize("ending", ["jpg", "", "npz"])
def test_pictures_of_other_kinds_are_refused_before_the_work(ending, capsys):
    assert cli.main(["select", "faithful", "--plot", f"picture.{ending}"]) == 2
    assert "pictures are written to files that end in .png, .svg, .pdf." in capsys.readouterr().err


@pytest.fixture
def full_disk():
    """A time in which no file of this process may grow beyond 64 bytes."""

    @contextlib.contextmanager
    def full():
        before, usual = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, usual)

    return full


class Drawn:
    """A selection as far as its plot goes."""

    def plot(self):
        import matplotlib.pyplot as plt

        return plt.subplots()[1]


WRITERS = {
    "model.npz": lambda model, path: model.save(path),
    "rows.csv": lambda model, path: model.write_predictions(path, X),
    "rows.parquet": lambda model, path: model.write_predictions(path, X),
    "page.html": lambda model, path: page.write("title", path),
    "plot.png": lambda model, path: cli._draw(Drawn(), path),
    "plot.pdf": lambda model, path: cli._draw(Drawn(), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there(model, folder, full_disk, monkeypatch, name):
    monkeypatch.setattr(page, "laid_out", "{:1000}".format)
    (folder / name).write_text("before")
    (folder / f"quickly-{name}").write_text("")
    WRITERS[name](model, folder / f"quickly-{name}")
    words = rf"{name}' could not be written: File too large; what was written of it is removed"
    with full_disk(), pytest.raises(OSError, match=words):
        WRITERS[name](model, folder / name)
    assert (folder / name).read_text() == "before" and sorted(os.listdir()) == sorted([name, f"quickly-{name}"])
