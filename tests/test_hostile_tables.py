"""Tables that are damaged or strange, and command lines that are: finite numbers, or one sentence of ours that names the file."""

from __future__ import annotations

import time
import traceback
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm import cli, estimators
from bayesgmm.tables import read_table

TEXT = b'a,b\n1.5,2\n2.5,-3e5\n4,"5"\n6,1\n'
SIGNS = (
    b",", b";", b"\t", b'"', b"'", b'""', b"\n", b"\r", b"\r\n", b" ", b"\x00", b"\x1a", b"\x0b", b"\x0c", b"\x85", b"\xc2\xa0",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xe4", b"\xc3\xa4", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"#", b"\\", b"a", b"a.1", b"1", b"-", b"+1",
    b"e", b"1j", b"0x10", b"1_000", b"1,5", b"1,2,3\n", b",,,,", b"nan", b"NA", b"None", b"True", b"inf", b"Infinity", b"1e999",
    b"9" * 400, b"Unnamed: 0", b"2020-01-01", b"",
)  # fmt: skip
SEPARATORS = (b",", b",", b";", b"\t", b" ", b", ")
CHOICES = (None, None, ["a"], ["b", "a"], ["x0"], ["x" * 400], ["a\nb"])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)
    return name


def answered(read, name) -> bool:
    """Whether a reader gives finite numbers; if not, it says why in a sentence of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # pandas leaves files it cannot read to the collector
        try:
            values = read(name)
            assert values.ndim == 2 and values.dtype == np.float64 and np.isfinite(values).all()
            return True
        except (ValueError, TypeError) as error:
            said, origin = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
            assert type(error) in (ValueError, TypeError), (type(error), said)
            assert "bayesgmm" in origin and name in said, (origin, said)
            assert "\n" not in said and len(said) < 600 and said.endswith((".", "?")), said
            return False


def damaged_text(rng) -> bytes:
    """The table with a few signs put in, left out or changed."""
    data = bytearray(TEXT.replace(b",", SEPARATORS[rng.integers(len(SEPARATORS))]))
    for _ in range(rng.integers(1, 4)):
        place, way = rng.integers(len(data) + 1), rng.uniform()
        if way < 0.7:
            data[place:place] = SIGNS[rng.integers(len(SIGNS))]
        elif way < 0.8:
            data[place : place + rng.integers(1, 6)] = b""
        elif way < 0.9:
            data[place : place + 1] = rng.bytes(1)
        else:
            data[place : place + 3] = data[: rng.integers(1, 8)]
    return bytes(data)


def text_tables(count, seed):
    rng, found = np.random.default_rng(seed), [0, 0]
    for _ in range(count):
        name, columns = f"t.{('csv', 'tsv', 'txt')[rng.integers(3)]}", CHOICES[rng.integers(len(CHOICES))]
        write(name, damaged_text(rng))
        found[answered(lambda name, columns=columns: read_table(name, columns).values, name)] += 1
    return found


def test_text():
    refused, read = text_tables(400, 0)
    assert refused > 100 and read > 10


def scanned(name):
    batches = [rows for rows, _ in bg.scan(name).batches(check=True)]
    return np.concatenate(batches) if batches else np.zeros((0, 2))  # a number of rows that was changed to 0


READERS = (lambda name: read_table(name).values, scanned)
FRAME = pd.DataFrame({"a": [1.5, 2.5, 3], "b": [1, 2, 3]})


def binary_tables(share, seed):
    """Files of every kind with one byte changed, or cut; read whole and in batches."""
    FRAME.to_parquet("t.parquet")
    FRAME.to_feather("t.feather")
    FRAME.to_feather("t.arrow", compression="uncompressed")
    np.save("t.npy", FRAME.to_numpy())
    rng, found = np.random.default_rng(seed), {}
    for name in ("t.parquet", "t.feather", "t.arrow", "t.npy"):
        with open(name, "rb") as file:
            whole = file.read()
        tried = found[name] = [0, 0]
        for place in range(len(whole)):
            bits = whole[place] ^ int(rng.integers(1, 256))
            for data in (whole[:place] + bytes([bits]) + whole[place + 1 :], whole[:place]):
                if rng.uniform() < share * (10 if name == "t.npy" else 1):
                    write(name, data)
                    for read in READERS:
                        tried[answered(read, name)] += 1
    return found


def test_binary_files():
    found = binary_tables(0.03, 0)
    assert all(refused > 10 for refused, _ in found.values())


WIDE = 100_001


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b",".join(b"c%d" % i for i in range(WIDE)) + b"\n", "its first line has 100,001 columns, where at most 100,000 are read"),
        (b"a,b\n" + b"1" * 140_000 + b",2\n", "row 0 (counting from 0) holds"),
        (b"a" * 140_000 + b",b\n1,2\n3,x\n", "could not be read as csv: field larger than field limit"),
        (b'"a\nb",c\n1,2\n3,x\n', "column 'c' is not numeric: row 1 (counting from 0) holds 'x'."),
        (b"a,b\n1,2\n" * 3, "column 'a' is not numeric: row 1"),
        (b"\x00" * 1000, "'t.csv'"),
        (b'"' * 1001, "'t.csv'"),
        ("a,b\n1,2\n".encode("utf-16"), "not text in UTF-8"),
    ],
)
def test_odd_text(data, said):
    with pytest.raises(ValueError) as caught:
        read_table(write("t.csv", data))
    assert said in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_many_columns_are_read_in_seconds():
    names = ",".join(f"c{i}" for i in range(5000))
    write("t.csv", "\n".join([names, *(",".join(f"{i + j % 7}" for j in range(5000)) for i in range(3))]).encode())
    began = time.process_time()
    assert read_table("t.csv").values.shape == (3, 5000)
    assert time.process_time() - began < 5


def test_names_that_would_fill_the_screen_are_cut():
    write("t.csv", ("n" * 5000 + ',"b\nc"\n1,2\n3,\n').encode())
    for columns in (None, ["d"], ["b\nc"]):
        with pytest.raises(ValueError) as caught:
            read_table("t.csv", columns)
        assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


WORDS = (
    "fit", "select", "predict", "datasets", "faithful", "t.csv", "t.npy", "m.npz", "--columns", "a,b", '"a', ",", "--stream", "--sample",
    "--missing", "at_random", "--noise", "box", "nan", "-inf", "--student-t", "learn", "--seed", "0", "-1", "1e9", "9" * 30, "--json",
    "--max-components", "2", "--covariance", "full", "full,full", "--restarts", "--out", "o", "t.csv/o", "--plot", "p.png",
    "--criterion", "bic",
    "--prior", "fixed",
    "--brief", "--checkpoint", "--no-cache", "", "-", "--", "*", "[", "..", "\x00", "\udc80", "ä", "a" * 300,
    "--version",
)  # fmt: skip


@pytest.mark.parametrize("words", ["\n\b\n", "a\rb", ",", "", '"', "a" * 200_000, "\x00", "," * 500])
def test_columns_that_are_none(words, capsys):
    write("t.csv", TEXT)
    assert cli.main(["fit", "t.csv", "--columns", words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bayesgmm: error: ") and said.count("\n") == 1 and len(said) < 300


def command_lines(count, seed, capsys, monkeypatch):
    """Words of commands in any order; what gets as far as a fit fails there."""

    def stop(*args, **options):
        raise bg.FitError("The fit was not made.")

    monkeypatch.setattr(bg.BayesianGaussianMixture, "fit", stop)
    monkeypatch.setattr(estimators, "select", stop)
    write("t.csv", TEXT)
    np.save("t.npy", FRAME.to_numpy())
    write("m.npz", b"PK\x05\x06")
    rng, found = np.random.default_rng(seed), {0: 0, 1: 0, 2: 0}
    for _ in range(count):
        begin = ["fit", "select", "predict"][rng.integers(3)] if rng.uniform() < 0.9 else ""
        source = ["t.csv", "faithful", "t.npy --stream", ""][rng.integers(4)]
        words = [*begin.split(), *source.split(), *(WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(4)))]
        try:
            code = cli.main(words)
        except SystemExit as stopped:
            code = stopped.code
        out, err = capsys.readouterr()
        assert code in (0, 1, 2), words
        assert code == 0 or (err.startswith("bayesgmm: ") and err.count("\n") == 1 and len(err) < 900 and not out), (words, err)
        assert code != 1 or "The fit was not made." in err, (words, err)
        found[code] += 1
    return found


def test_command_lines(capsys, monkeypatch):
    found = command_lines(150, 0, capsys, monkeypatch)
    assert min(found[1], found[2]) > 5


@pytest.mark.slow
def test_many(capsys, monkeypatch):
    told = []
    for what, (refused, read) in {"text": text_tables(20_000, 1), **binary_tables(1, 1)}.items():
        told.append(f"Tables, {what}: {refused + read} tried; {refused} refused, {read} read.")
    found = command_lines(3000, 1, capsys, monkeypatch)
    told.append(f"Command lines: {sum(found.values())} tried; {found[2]} refused, {found[1]} came to a fit, {found[0]} were others.")
    with capsys.disabled():
        print("\n" + "\n".join(told))
