"""The shipped data sets: shapes, known facts, metadata, and the loader's behaviour."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import bayesgmm.datasets as datasets
from bayesgmm.datasets import Dataset, dataset_names, describe_datasets, load_dataset

SHAPES = {
    "faithful": (272, 2),
    "iris": (150, 4),
    "penguins": (342, 4),
    "galaxies": (82, 1),
    "acidity": (155, 1),
    "diabetes": (145, 3),
    "weather": (7873, 4),
    "wholesale": (440, 6),
    "pbmc68k": (700, 10),
    "japanese_vowels": (9961, 12),
    "shuttle": (49097, 9),
}
PACKED = {"japanese_vowels", "shuttle"}
MEANS = {
    "faithful": (3.487783, 70.897059),
    "iris": (5.843333, 3.057333, 3.758, 1.199333),
    "penguins": (43.921930, 17.151170, 200.915205, 4201.754386),
    "galaxies": (20828.170732,),
    "acidity": (5.105096,),
    "diabetes": (121.986207, 543.613793, 186.117241),
    "weather": (54.386966, 40.882759, 11.292056, 1018.180998),
    "wholesale": (12000.297727, 5796.265909, 7951.277273, 3071.931818, 2881.493182, 1524.870455),
    "pbmc68k": (0.000019, 0.000001, 0.000011, -0.000004, 0.000024, 0.0, -0.00001, 0.0, 0.000001, 0.000006),
    "japanese_vowels": (
        *(0.803850, -0.528716, 0.229961, -0.288775, 0.225832, -0.230111),
        *(-0.163762, -0.046302, -0.208592, -0.180667, -0.024101, 0.089731),
    ),
    "shuttle": (46.932399, -0.063955, 85.123124, 0.213231, 36.871784, 2.160030, 38.200725, 48.288592, 10.261930),
}
LABEL_COUNTS = {
    "iris": {"setosa": 50, "versicolor": 50, "virginica": 50},
    "penguins": {"Adelie": 151, "Chinstrap": 68, "Gentoo": 123},
    "diabetes": {"normal": 76, "chemical": 36, "overt": 33},
    "wholesale": {"horeca": 298, "retail": 142},
    "pbmc68k": {
        "Dendritic": 240,
        "CD14+ Monocyte": 129,
        "CD19+ B": 95,
        "CD4+/CD25 T Reg": 68,
        "CD8+ Cytotoxic T": 54,
        "CD8+/CD45RA+ Naive Cytotoxic": 43,
        "CD56+ NK": 31,
        "CD4+/CD45RO+ Memory": 19,
        "CD34+": 13,
        "CD4+/CD45RA+/CD25- Naive T": 8,
    },
    "japanese_vowels": {"1": 1096, "2": 991, "3": 1614, "4": 1473, "5": 782, "6": 963, "7": 1170, "8": 1011, "9": 861},
    "shuttle": {"normal": 45586, "anomaly": 3511},
}
LICENCES = {
    "penguins": "CC0",
    "weather": "CC0",
    **dict.fromkeys(("wholesale", "pbmc68k", "japanese_vowels", "shuttle"), "CC BY 4.0"),
}


def test_names_are_the_shipped_files():
    assert dataset_names() == tuple(SHAPES)
    folder = Path(datasets.__file__).parent / "data"
    assert {path.stem for path in folder.glob("*.csv")} == set(SHAPES) - PACKED
    assert {path.name.removesuffix(".csv.gz") for path in folder.glob("*.gz")} == PACKED


@pytest.mark.parametrize("name", sorted(PACKED))
def test_packed_files_carry_no_time_and_no_name(name):
    """So that packing the same numbers again gives the same bytes."""
    packed = (Path(datasets.__file__).parent / "data" / f"{name}.csv.gz").read_bytes()
    assert packed[:2] == b"\x1f\x8b" and packed[3:8] == bytes(5)


@pytest.mark.parametrize("name", SHAPES)
def test_shape_type_and_finite(name):
    data = load_dataset(name)
    assert isinstance(data, Dataset)
    assert data.name == name
    assert data.x.shape == SHAPES[name]
    assert data.x.dtype == np.float64
    assert np.isfinite(data.x).all()
    assert (data.x.std(axis=0) > 0).all()


@pytest.mark.parametrize("name", SHAPES)
def test_column_means_are_the_known_ones(name):
    np.testing.assert_allclose(load_dataset(name).x.mean(axis=0), MEANS[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_metadata_is_complete(name):
    data = load_dataset(name)
    columns = SHAPES[name][1]
    assert len(data.feature_names) == len(set(data.feature_names)) == len(data.units) == columns
    assert all(isinstance(unit, str) for unit in data.units)
    for text in (data.title, data.description, data.source, data.licence):
        assert text.strip() == text != ""
    assert "Copy:" in data.source
    if name in LICENCES:
        assert data.licence.startswith(LICENCES[name])
        assert "CC BY" not in data.licence or "doi:10.24432/" in data.source or "10x Genomics" in data.source
    else:
        assert "Measured facts from the publication" in data.licence and "GPL" in data.licence


def test_faithful_column_names_and_units():
    data = load_dataset("faithful")
    assert data.feature_names == ("eruptions", "waiting")
    assert data.units == ("min", "min")
    assert data.title == "Old Faithful"


@pytest.mark.parametrize("name", LABEL_COUNTS)
def test_label_counts(name):
    labels = load_dataset(name).labels
    assert labels.shape == (SHAPES[name][0],)
    assert labels.dtype.kind == "U"
    assert Counter(labels.tolist()) == LABEL_COUNTS[name]


def test_weather_labels_are_the_months_in_order():
    labels = load_dataset("weather").labels
    assert sorted(set(labels.tolist())) == [f"2013-{month:02d}" for month in range(1, 13)]
    assert labels.tolist() == sorted(labels.tolist())


@pytest.mark.parametrize("name", ["faithful", "galaxies", "acidity"])
def test_no_labels(name):
    assert load_dataset(name).labels is None


def test_utterances_are_whole_and_in_the_authors_order():
    """30 of each speaker to train on, then 24 to 88 of each (the counts that the authors give)."""
    data = load_dataset("japanese_vowels")
    utterance, first, length = np.unique(data.groups, return_index=True, return_counts=True)
    assert utterance.tolist() == list(range(1, 641)) and (np.diff(data.groups) >= 0).all()
    assert (length.min(), length.max()) == (7, 29) and (data.groups <= 270).sum() == 4274
    speaker = data.labels[first]
    assert speaker[:270].tolist() == [str(s) for s in range(1, 10) for _ in range(30)]
    assert list(Counter(speaker[270:].tolist()).values()) == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert data.x[0, :2].tolist() == [1.860936, -0.207383]


def test_shuttle_is_whole_numbers():
    data = load_dataset("shuttle")
    assert (data.x == data.x.round()).all()
    assert data.x[0].tolist() == [50, 21, 77, 0, 28, 0, 27, 48, 22] and data.labels[0] == "anomaly"


@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"japanese_vowels"}))
def test_no_groups(name):
    assert load_dataset(name).groups is None


def test_values_where_copies_differ():
    galaxies = load_dataset("galaxies")
    assert galaxies.x[77, 0] == 26690
    assert "26960" in galaxies.description
    assert load_dataset("diabetes").x[103].tolist() == [75, 455, 392]
    iris = load_dataset("iris").x
    assert iris[34].tolist() == [4.9, 3.1, 1.5, 0.2]
    assert iris[37].tolist() == [4.9, 3.6, 1.4, 0.1]


def test_weather_is_physically_sensible():
    temp, dewp, wind, pressure = load_dataset("weather").x.T
    assert (dewp <= temp).all()
    assert wind.min() == 0 and wind.max() < 40
    assert (wind == 0).sum() == 297
    assert pressure.min() > 980 and pressure.max() < 1045


def test_wholesale_is_as_its_source_describes_it():
    """Standard deviations and ranges of the description at the UCI repository."""
    x = load_dataset("wholesale").x
    np.testing.assert_allclose(x.std(axis=0, ddof=1), (12647.329, 7380.377, 9503.163, 4854.673, 4767.854, 2820.106), atol=6e-4)
    assert x.min(axis=0).tolist() == [3, 55, 3, 25, 3, 3]
    assert x.max(axis=0).tolist() == [112151, 73498, 92780, 60869, 40827, 47943]


def test_blood_cells_are_ordered_principal_components():
    x = load_dataset("pbmc68k").x
    assert (np.diff(x.std(axis=0)) < 0).all()
    assert np.abs(np.corrcoef(x.T) - np.eye(10)).max() < 1e-3


def test_unpacks_in_three():
    data = load_dataset("penguins")
    x, names, labels = data
    assert x is data.x
    assert names is data.feature_names
    assert labels is data.labels


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("faithfull", "faithful"), ("Iris", "iris"), ("penguin", "penguins"), ("galaxy", "galaxies")],
)
def test_unknown_name_suggests_the_nearest(wrong, meant):
    with pytest.raises(ValueError, match="unknown data set") as caught:
        load_dataset(wrong)
    message = str(caught.value)
    assert message.startswith(f"unknown data set {wrong!r}. Did you mean {meant!r}? Known data sets: ")
    assert ", ".join(SHAPES) in message


@pytest.mark.parametrize("wrong", ["", "zzz", 7, None, ["zzz"]])
def test_unknown_name_without_a_near_one(wrong):
    with pytest.raises(ValueError, match="unknown data set") as caught:
        load_dataset(wrong)
    assert repr(wrong) in str(caught.value)
    assert "Did you mean" not in str(caught.value)
    assert ", ".join(SHAPES) in str(caught.value)


def test_each_call_gives_fresh_arrays():
    first = load_dataset("iris")
    first.x[:] = -1
    first.labels[:] = "none"
    second = load_dataset("iris")
    assert second.x[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    assert second.labels[0] == "setosa"


def test_dataset_is_frozen_with_a_short_repr():
    data = load_dataset("acidity")
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.x = np.zeros((1, 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        describe_datasets()[0].rows = 1
    assert len(repr(data)) < 200


def test_descriptions_agree_with_the_data():
    infos = describe_datasets()
    assert tuple(info.name for info in infos) == dataset_names()
    for info in infos:
        data = load_dataset(info.name)
        assert (info.rows, info.columns) == data.x.shape
        assert (info.label_name is None) == (data.labels is None)
        assert (info.group_name is None) == (data.groups is None)
        assert info.summary and "\n" not in info.summary and len(info.summary) <= 100
        for part in (info.name, info.summary, info.source, info.licence):
            assert part in str(info)


def test_a_damaged_file_is_noticed(monkeypatch):
    info = describe_datasets()[0]
    monkeypatch.setattr(datasets, "_data_text", lambda _: "eruptions,waiting\n3.6,79\n")
    with pytest.raises(RuntimeError, match="does not match its description"):
        load_dataset(info.name)


def test_imports_only_numpy_and_the_standard_library():
    tree = ast.parse(Path(datasets.__file__).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    assert found <= {"numpy"} | sys.stdlib_module_names
