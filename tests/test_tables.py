"""Files of every format give the same table."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from bayesgmm.tables import read_table

X = np.random.default_rng(0).normal(size=(30, 2)).round(3)
X[0] = [1, 1]
NAMES = ["a", "b"]
FRAME = pd.DataFrame(X, columns=NAMES)
CSV = FRAME.to_csv(index=False)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def text(name, content, encoding="utf-8"):
    with open(name, "w", newline="", encoding=encoding) as file:
        file.write(content)
    return name


def saved(name, writer, *args, **options):
    writer(name, *args, **options)
    return name


FILES = {
    "csv": lambda: text("t.csv", CSV),
    "capital ending": lambda: text("t.CSV", CSV),
    "tab": lambda: text("t.tsv", CSV.replace(",", "\t")),
    "tab in csv": lambda: text("t.csv", CSV.replace(",", "\t")),
    "semicolon": lambda: text("t.csv", CSV.replace(",", ";")),
    "decimal comma": lambda: text("t.csv", CSV.replace(",", ";").replace(".", ",")),
    "spaces": lambda: text("t.txt", CSV.replace(",", "   ")),
    "comma in txt": lambda: text("t.txt", CSV),
    "spaces around": lambda: text("t.csv", CSV.replace(",", " , ")),
    "byte order mark": lambda: text("t.csv", CSV, "utf-8-sig"),
    "Windows": lambda: text("t.csv", CSV.replace("\n", "\r\n")),
    "old Mac": lambda: text("t.csv", CSV.replace("\n", "\r")),
    "empty lines": lambda: text("t.csv", "\n\n" + CSV.replace("\n", "\n\n")),
    "no last newline": lambda: text("t.csv", CSV.rstrip("\n")),
    "quoted": lambda: text("t.csv", CSV.replace("a,b", '"a","b"')),
    "quoted numbers": lambda: text("t.csv", "\n".join('"' + line.replace(",", '","') + '"' for line in CSV.split())),
    "parquet": lambda: saved("t.parquet", lambda name: FRAME.to_parquet(name)),
    "parquet with an index": lambda: saved("t.parquet", lambda name: FRAME.set_axis(range(5, 35)).to_parquet(name)),
    "feather": lambda: saved("t.feather", lambda name: FRAME.to_feather(name)),
    "arrow": lambda: saved("t.arrow", lambda name: FRAME.to_feather(name)),
    "nullable": lambda: saved("t.parquet", lambda name: FRAME.astype("Float64").to_parquet(name)),
    "Decimal": lambda: saved("t.parquet", lambda name: FRAME.map(lambda v: Decimal(str(v))).to_parquet(name)),
    "records": lambda: saved("t.npy", lambda name: np.save(name, FRAME.to_records(index=False).view(np.ndarray))),
}


@pytest.mark.parametrize("kind", FILES)
def test_formats(kind):
    table = read_table(FILES[kind]())
    assert table.columns == ("a", "b") and table.units == ("", "")
    assert table.title.lower().startswith("t.")
    np.testing.assert_array_equal(table.values, X)


@pytest.mark.parametrize("array", [X, X.astype(np.float32), np.asfortranarray(X), X[:, 0], (X * 10).astype(int)])
def test_arrays(array):
    np.save("t.npy", array)
    table = read_table("t.npy")
    np.testing.assert_array_equal(table.values, np.asarray(array, float).reshape(30, -1))
    assert table.columns[0] == "x0"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_without_a_line_of_names(separator):
    file = text("t.csv", CSV.split("\n", 1)[1].replace(",", separator))
    table = read_table(file)
    assert table.columns == ("x0", "x1")
    np.testing.assert_array_equal(table.values, X)
    np.testing.assert_array_equal(read_table(file, ["x1"]).values, X[:, 1:])


def test_names_with_signs_in_them():
    table = read_table(text("t.csv", CSV.replace("a,b", '"a, with <b> comma; and more","b ""quoted"""')))
    assert table.columns == ("a, with <b> comma; and more", 'b "quoted"')
    np.testing.assert_array_equal(table.values, X)


def test_chosen_columns_come_in_the_order_asked_for_whatever_the_others_hold():
    mixed = FRAME.assign(species="setosa", day=pd.Timestamp("2020-01-01"), gap=[np.nan, *range(29)])
    mixed.to_csv("t.csv")
    mixed.to_parquet("t.parquet")
    for file in ("t.csv", "t.parquet"):
        table = read_table(file, ["b", "a"])
        assert table.columns == ("b", "a")
        np.testing.assert_array_equal(table.values, X[:, ::-1])


def test_true_and_false_are_numbers():
    table = read_table(text("t.csv", "a,b\n1.5,True\n2.5,False\n"))
    np.testing.assert_array_equal(table.values, [[1.5, 1], [2.5, 0]])


ZERO = [("\x002", "4", "6"), ("2", "4\x00", "6"), ("2", "4", "6\x00")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n3,x\n", "column 'b' is not numeric: row 1 (counting from 0) holds 'x'. Choose numeric columns"),
        ('a,b\n"1,234",2\n', "holds '1,234'"),
        ("a,b\n1,\n", "contains NaN at row 0, column 'b'"),
        ("a,b\n1\n", "contains NaN at row 0, column 'b'"),
        ("a,b\ninf,1\n", "contains infinity (inf) at row 0, column 'a'"),
        ("a,b,\n1,2,\n", "column 2 (counting from 0) has no name"),
        ('a,b\n"1,2\n', "could not be read as csv"),
        *((f"a,b\n1,{two}\n\n3,{four}\n5,{six}\n", "it holds a byte of zero, which is no text") for two, four, six in ZERO),
    ],
)
def test_cells_that_are_not_numbers(content, said):
    with pytest.raises(ValueError) as caught:
        read_table(text("t.csv", content))
    assert said in str(caught.value) and "'t.csv'" in str(caught.value)


def test_units_of_a_data_set_follow_the_columns():
    table = read_table("faithful", ["waiting"])
    assert table.columns == ("waiting",) and len(table.units) == 1 and table.values.shape == (272, 1)


def test_numbers_are_read_to_the_last_bit():
    """By every version of pandas; the default of those before 3.1 loses it in a third of such numbers."""
    values = np.random.default_rng(0).normal(size=(1000, 1)) * 10.0 ** np.arange(-5, 6)
    lines = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    np.testing.assert_array_equal(read_table(text("t.csv", lines)).values, values)


def test_a_zero_byte_far_below_is_found():
    with pytest.raises(ValueError, match=r"'t.csv' could not be read as csv: it holds a byte of zero, which is no text.$"):
        read_table(text("t.csv", "a\n" + "1\n" * 1_000_000 + "\0\n"))
