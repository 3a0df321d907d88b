"""Rows read as they are needed: every kind of source gives the rows of the array, and what is wrong with one is told with its place."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

import bayesgmm as bg
from bayesgmm.inference import stream

ROWS = np.random.default_rng(0).standard_normal((300, 3))
NAMES = ["a", "b", "c"]


def frame(rows=ROWS):
    return pandas.DataFrame(rows, columns=NAMES)


def all_rows(source):
    return np.concatenate([rows for rows, _ in source.batches(check=True)])


def parquet_folder(folder):
    """Two files, the first with three row groups."""
    frame()[:200].to_parquet(folder / "part-0.parquet", row_group_size=80)
    frame()[200:].to_parquet(folder / "part-1.parquet")
    return folder


def feather(folder):
    frame().to_feather(folder / "x.feather")
    return folder / "x.feather"


def npy(folder):
    np.save(folder / "x.npy", ROWS.astype(np.float32))
    return folder / "x.npy"


def dask_frame(folder):
    dask = pytest.importorskip("dask.dataframe")
    return dask.from_pandas(frame(), npartitions=4)


def dask_array(folder):
    dask = pytest.importorskip("dask.array")
    return dask.from_array(ROWS, chunks=(70, 2))


SOURCES = {
    "array": lambda folder: ROWS,
    "list of arrays": lambda folder: [ROWS[:1], ROWS[1:120], ROWS[120:]],
    "list of frames": lambda folder: [frame()[:50], frame()[50:]],
    "function": lambda folder: lambda: (ROWS[i : i + 7] for i in range(0, 300, 7)),
    "memmap": lambda folder: np.load(npy(folder), mmap_mode="r"),
    "npy": npy,
    "parquet folder": parquet_folder,
    "parquet pattern": lambda folder: str(parquet_folder(folder) / "part-*.parquet"),
    "feather": feather,
    "dask frame": dask_frame,
    "dask array": dask_array,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_rows(kind, tmp_path):
    """As often as they are asked for, columns in the order wanted."""
    data = SOURCES[kind](tmp_path)
    source = bg.scan(data)
    close = {"rtol": 1e-6 if kind in ("memmap", "npy") else 0, "atol": 0}
    for _ in range(2):
        np.testing.assert_allclose(all_rows(source), ROWS, **close)
    picked = bg.scan(data, ["c", "a"] if source.names else [2, 0])
    np.testing.assert_allclose(all_rows(picked), ROWS[:, [2, 0]], **close)
    assert source.names in (None, tuple(NAMES)) and picked.names in (None, ("c", "a"))


def test_batches_do_not_depend_on_how_rows_are_divided(monkeypatch):
    monkeypatch.setattr(stream, "FEWEST", 64)
    monkeypatch.setattr(stream, "NUMBERS", 64 * 3)
    batches = [rows for rows, _ in bg.scan([ROWS[:10], ROWS[10:299], ROWS[299:]]).even()]
    assert [len(rows) for rows in batches] == [64, 64, 64, 64, 44]
    np.testing.assert_array_equal(np.concatenate(batches), ROWS)


def test_a_column_of_weights_is_no_feature():
    source = bg.scan([frame()], ["b", "a"], weight="c")
    with pytest.raises(ValueError, match=r"batch 0 .*row \d+ \(counting from 0\), column 'c' holds the weight -.*cannot be negative"):
        list(source.batches(check=True))
    source = bg.scan(lambda: iter([np.abs(ROWS)]), weight=1)
    rows, weight = next(source.batches())
    np.testing.assert_array_equal(rows, np.abs(ROWS[:, [0, 2]]))
    np.testing.assert_array_equal(weight, np.abs(ROWS[:, 1]))


def test_moments_and_sample_are_those_of_the_rows():
    """Whatever the batches; one row from each of equal shares of the weight."""
    weight = np.random.default_rng(1).uniform(size=300)
    weight[:20] = 0
    source = bg.scan([np.c_[ROWS[i : i + 70] + 1e3, weight[i : i + 70]] for i in range(0, 300, 70)], weight=3)
    known = stream.survey(source.over)
    mean = np.average(ROWS + 1e3, axis=0, weights=weight)
    np.testing.assert_allclose(known.mean, mean, rtol=1e-14)
    np.testing.assert_allclose(known.scatter / known.total, np.cov(ROWS.T, aweights=weight, ddof=0), rtol=1e-10)
    rows, equal = stream.draw(source.over, known, 200, np.random.default_rng(0))
    assert len(rows) == 200 and len(np.unique(equal)) == 1
    places = [int(np.flatnonzero((ROWS + 1e3 == row).all(1))[0]) for row in rows]
    assert (np.diff(places) >= 0).all() and min(places) >= 20
    times = np.bincount(places, minlength=300)
    expected = weight / weight.sum() * 200
    assert (np.abs(times - expected) < 2).all()
    everything, own = stream.draw(source.over, known, 300, np.random.default_rng(0))
    np.testing.assert_array_equal(everything, ROWS[20:] + 1e3)
    np.testing.assert_array_equal(own, weight[20:])


class TestWhatIsWrong:
    def test_a_truncated_file(self, tmp_path):
        path = parquet_folder(tmp_path) / "part-1.parquet"
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(ValueError, match=r"part-1.parquet.* could not be read: .*damaged or incomplete"):
            bg.scan(tmp_path)

    def test_damaged_pages(self, tmp_path):
        path = tmp_path / "x.parquet"
        frame(np.random.default_rng(0).standard_normal((30_000, 3))).to_parquet(path, row_group_size=10_000)
        raw = bytearray(path.read_bytes())
        middle = len(raw) // 2
        raw[middle - 100_000 : middle + 100_000] = bytes(200_000)
        path.write_bytes(bytes(raw))
        with pytest.raises(ValueError, match=r"file '.*x.parquet', row group \d.* could not be read: "):
            bg.KMeans(2).fit(bg.scan(path))

    def test_a_column_that_one_file_lacks(self, tmp_path):
        frame()[["a", "c"]].to_parquet(parquet_folder(tmp_path) / "part-2.parquet")
        with pytest.raises(ValueError, match=r"file '.*part-2.parquet' has no column 'b', of which 'part-0.parquet' has one"):
            bg.scan(tmp_path)

    def test_text(self, tmp_path):
        frame().assign(d="word").to_parquet(tmp_path / "x.parquet")
        with pytest.raises(ValueError, match=r"column 'd' holds .*, not numbers; choose others with columns"):
            bg.scan(tmp_path / "x.parquet")
        assert bg.scan(tmp_path / "x.parquet", NAMES).n_features == 3

    def test_a_gap_in_the_last_row_group(self, tmp_path):
        rows = ROWS.copy()
        rows[299, 1] = np.nan
        frame(rows).to_parquet(tmp_path / "x.parquet", row_group_size=100)
        with pytest.raises(ValueError, match=r"file '.*x.parquet', row group 2: row 99 \(counting from 0\), column 'b' holds NaN"):
            bg.GaussianMixture(2).fit(bg.scan(tmp_path / "x.parquet"))

    @pytest.mark.parametrize("make", [dask_frame, dask_array])
    def test_a_gap_in_a_partition(self, make, monkeypatch):
        monkeypatch.setitem(globals(), "ROWS", np.where(ROWS > 2, np.nan, ROWS))
        monkeypatch.setitem(globals(), "frame", lambda: pandas.DataFrame(ROWS, columns=NAMES))
        data = make(None)
        with pytest.raises(ValueError, match=r"partition \d \(counting from 0\): row \d+ .*column .* holds NaN"):
            bg.KMeans(2).fit(data)

    def test_an_iterator_that_ends(self):
        with pytest.raises(ValueError, match=r"can be read only once.*give a function that makes it"):
            bg.scan(iter([ROWS]))

    def test_rows_that_change(self):
        sizes = iter([300, 300, 300, 200, 200])
        with pytest.raises(ValueError, match=r"changed while they were read; .* There were 300 of them, then 200"):
            bg.GaussianMixture(1, n_init=1).fit(bg.scan(lambda: [ROWS[: next(sizes)]]))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ("nothing.parquet", "There is no file 'nothing.parquet'"),
            (np.zeros((0, 3)), "N at least 1"),
            (np.zeros(3), "must hold rows and columns"),
            (np.array([["a"]]), "must hold real numbers"),
            ([], "no batch of rows"),
            (3, "scan takes files, arrays"),
            ([ROWS, ROWS[:, :2]], "batch 1 .*where 3 columns are needed"),
            ([frame(), frame()[["a", "c"]]], "batch 1 .*no column 'b'"),
        ],
    )
    def test_in_a_sentence(self, data, message):
        with pytest.raises(ValueError, match=message):
            all_rows(bg.scan(data))

    def test_methods_that_need_rows_in_memory_say_so(self):
        model = bg.GaussianMixture(1, n_init=1).fit(ROWS)
        with pytest.raises(TypeError, match="this needs rows in memory"):
            model.diagnose(bg.scan(ROWS))
        with pytest.raises(ValueError, match="checkpoint is for rows that are read"):
            model.fit(ROWS, checkpoint="x")
        with pytest.raises(ValueError, match="weights in a column"):
            model.fit(bg.scan(ROWS), sample_weight=np.ones(300))


class TestReviewed:
    """What a review found, and must not come back."""

    def test_the_index_of_pandas_is_no_feature(self, tmp_path):
        frame()[frame()["a"] > 0].to_parquet(tmp_path / "x.parquet")
        assert bg.scan(tmp_path).names == tuple(NAMES)

    def test_hidden_folders_are_not_read(self, tmp_path):
        for name in (".ipynb_checkpoints", "_temporary"):
            (tmp_path / name).mkdir()
            frame().to_parquet(tmp_path / name / "copy.parquet")
        frame().to_parquet(tmp_path / "x.parquet")
        assert len(all_rows(bg.scan(tmp_path))) == 300

    def test_masked_cells_are_gaps(self):
        masked = np.ma.masked_array(ROWS, ROWS > 2)
        with pytest.raises(ValueError, match="holds NaN"):
            all_rows(bg.scan(masked))

    def test_wider_batches_are_refused(self):
        with pytest.raises(ValueError, match=r"batch 1 .*it has the shape \(300, 6\), where 3 columns are needed"):
            all_rows(bg.scan([ROWS, np.c_[ROWS, ROWS]]))

    def test_files_that_were_written_anew(self, tmp_path):
        frame().to_parquet(tmp_path / "x.parquet")
        source = bg.scan(tmp_path)
        frame()[["a", "c", "b"]].to_parquet(tmp_path / "x.parquet", row_group_size=100)
        with pytest.raises(ValueError, match="was changed after scan looked at it; scan it again"):
            all_rows(source)

    def test_weights_of_a_source_are_a_column(self):
        model = bg.GaussianMixture(1, n_init=1).fit(ROWS)
        for name in ("score", "bic", "icl"):
            with pytest.raises(ValueError, match="weights in a column"):
                getattr(model, name)(bg.scan(ROWS), sample_weight=np.ones(300))

    def test_only_columns_asked_for_must_be_in_all_files(self, tmp_path):
        frame()[["b", "c"]].to_parquet(parquet_folder(tmp_path) / "part-2.parquet")
        assert len(all_rows(bg.scan(tmp_path, ["c", "b"]))) == 600

    def test_a_list_of_files(self, tmp_path):
        parquet_folder(tmp_path)
        np.testing.assert_array_equal(all_rows(bg.scan([tmp_path / "part-0.parquet", tmp_path / "part-1.parquet"])), ROWS)

    @pytest.mark.parametrize(
        ("weight", "message"),
        [(5, "from 0 to 2; got 5"), (-1, "got -1"), (True, "got True"), (np.ones(3), "got array"), ("z", "has no column 'z'")],
    )
    def test_weights_that_are_no_column(self, weight, message):
        with pytest.raises(ValueError, match=message):
            bg.scan([frame()], weight=weight)

    def test_a_source_without_rows(self):
        model = bg.GaussianMixture(1, n_init=1).fit(ROWS)
        nothing = bg.scan([ROWS])
        nothing._parts = [lambda: iter(())]
        for ask in (model.predict, model.score):
            with pytest.raises(ValueError, match="has no rows"):
                ask(nothing)

    def test_clusters_may_be_more_than_distinct_rows(self):
        with pytest.warns(bg.FitWarning, match="Some clusters are empty"):
            bg.KMeans(5).fit(bg.scan([np.repeat(np.eye(4), 20, 0)]))

    def test_equal_rows_are_counted(self):
        with pytest.raises(ValueError, match="All 20 rows"):
            bg.GaussianMixture(1).fit(bg.scan([np.ones((20, 2))]))
