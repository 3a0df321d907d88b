"""Model files that are damaged, cut or made to do harm: one sentence, little memory and time, and nothing of theirs is executed."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import archives, storage

REFERENCE = Path(__file__).parent / "reference"
SAID = ("is not a model saved by bayesgmm, or the file is damaged", "is a damaged model file.")
HEADER = {"format": "bayesgmm-model", "version": 2, "class": "KMeans", "params": {}, "fitted": {"a": {"array": "a0", "words": False}}}
MEMORY, SECONDS = 2**25, 2.0


def content(header=HEADER) -> bytes:
    """A small file of the format."""
    arrays = {"a0": np.arange(6.0).reshape(2, 3), "a1": np.array(["length", "ä"]), "a2": np.array(1.5), "a3": np.zeros((0, 2))}
    stream = io.BytesIO()
    archives.write(stream, header, arrays)  # type: ignore
    return stream.getvalue()


def seen(path):
    """All that a file holds."""
    header, trees = storage.read_trees(path, storage.FORMAT, ("params", "fitted"), "model")
    with archives.Archive(str(path)) as archive:
        arrays = archive.arrays(checksum=True)
    return repr((header, trees, {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}))


def outcome(path, data, whole) -> bool:
    """Whether the data load as the whole file does; if not, a sentence says so."""
    path.write_bytes(data)
    try:
        assert seen(path) == whole
        return True
    except ValueError as error:
        said = str(error)
        assert any(text in said for text in SAID) and "\n" not in said and said.endswith(".") and len(said) < 300, said
        return False


def faults(data: bytes, every: int, bits):
    """The data with one byte changed, cut off at it, without it, or with one more."""
    for place in range(0, len(data), every):
        for bit in bits:
            yield data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
        yield data[:place]
        yield data[:place] + data[place + 1 :]
        yield data[:place] + b"\x00" + data[place:]


def counted(tmp_path, every, bits):
    path = tmp_path / "model.npz"
    path.write_bytes(content())
    whole, results = seen(path), [0, 0]
    for data in faults(content(), every, bits):
        results[outcome(path, data, whole)] += 1
    return results


def test_a_byte_that_is_changed_lost_or_added_is_seen_or_means_nothing(tmp_path):
    refused, same = counted(tmp_path, 5, (0xFF,))
    assert refused > 4 * same > 0


@pytest.mark.slow
def test_every_byte_in_every_way(tmp_path):
    refused, same = counted(tmp_path, 1, (1, 2, 4, 8, 16, 32, 64, 128, 0xFF))
    print(f"\nModel files: {refused + same} faults in a file of {len(content())} bytes; {refused} refused, {same} loaded the same model.")
    assert refused > 4 * same


@pytest.mark.slow
def test_random_damage(tmp_path):
    rng, path, results = np.random.default_rng(0), tmp_path / "model.npz", [0, 0]
    path.write_bytes(content())
    whole = seen(path)
    for _ in range(5000):
        data = bytearray(content())
        for _ in range(rng.integers(1, 30)):
            begin, size = rng.integers(len(data)), rng.integers(1, 40)
            data[begin : begin + size] = rng.bytes(size) if rng.uniform() < 0.5 else data[(other := rng.integers(len(data))) : other + size]
        results[outcome(path, bytes(data), whole)] += 1
    print(f"\nModel files: {sum(results)} with random damage; {results[0]} refused, {results[1]} loaded the same model.")


class TestFormats:
    def test_a_model_of_the_former_format(self):
        model = bg.load(REFERENCE / "model_format1.npz")
        assert model.n_components_ == 2 and model.lower_bound_ == pytest.approx(-118.40997299718381, rel=1e-12)
        assert list(model.feature_names_in_) == ["length", "width"]
        expected = [[1.34923984e-11, 1], [1, 1.05637934e-10], [0.263288584, 0.736711416]]
        np.testing.assert_allclose(model.predict_proba([[0, 0], [6, 6], [3, 3]]), expected, rtol=1e-6)

    def test_is_written_anew_in_this_one(self, tmp_path):
        bg.load(REFERENCE / "model_format1.npz").save(tmp_path / "new.npz")
        header, trees = storage.read_trees(tmp_path / "new.npz", storage.FORMAT, ("params", "fitted"), "model")
        assert header["version"] == 2
        with np.load(tmp_path / "new.npz", allow_pickle=False) as archive:
            assert len(str(archive["checksum"])) == 64
        assert trees["fitted"]["lower_bound_"] == bg.load(REFERENCE / "model_format1.npz").lower_bound_

    def test_a_checkpoint_of_the_former_format_is_gone_on_with(self, tmp_path):
        path = tmp_path / "fit"
        path.write_bytes((REFERENCE / "checkpoint_format1.npz").read_bytes())
        model = bg.BayesianGaussianMixture(n_components=2, covariance_type="diag", moves=False, n_init=1, random_state=0)
        model.fit(bg.scan([bg.load_dataset("faithful").x], sample=100), checkpoint=path)
        anew = bg.BayesianGaussianMixture(**model.get_params()).fit(bg.load_dataset("faithful").x)
        assert model.lower_bound_ == pytest.approx(anew.lower_bound_, rel=1e-9)
        header, _ = storage.read_trees(REFERENCE / "checkpoint_format1.npz", storage.CHECKPOINT, ("identity", "content"), "checkpoint")
        assert header["version"] == 1

    def test_this_format_must_have_its_checksum(self, tmp_path):
        path = tmp_path / "m.npz"
        with zipfile.ZipFile(io.BytesIO(content())) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                if name != "checksum.npy":
                    new.writestr(name, old.read(name))
        refused(path, "it does not have the checksum of what it holds")

    def test_a_number_changed_behind_the_back_of_the_file(self, tmp_path):
        path = tmp_path / "m.npz"
        with zipfile.ZipFile(io.BytesIO(content())) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                new.writestr(name, data[:-1] + bytes([data[-1] ^ 1]) if name == "a0.npy" else data)
        refused(path, "it does not have the checksum of what it holds")

    def test_a_later_format_may_look_otherwise(self, tmp_path):
        path, stream = tmp_path / "m.npz", io.BytesIO()
        np.save(stream, np.array(json.dumps({"format": "bayesgmm-model", "version": 3})))
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("header.npy", stream.getvalue())
            file.writestr("tables/first", b"?")
        refused(path, "was saved by a later bayesgmm .format 3, this one reads up to 2")

    def test_much_of_the_same_is_not_taken_for_a_bomb(self, tmp_path):
        zeros = np.zeros(10**7, np.int64)
        archives.write(tmp_path / "m.npz", {}, {"a0": zeros})
        with archives.Archive(str(tmp_path / "m.npz")) as archive:
            np.testing.assert_array_equal(archive.arrays(checksum=True)["a0"], zeros)

    def test_parameters_too_long_for_a_file_are_told_when_it_is_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(archives, "LONGEST", 1000)
        with pytest.raises(ValueError, match="give long lists as arrays"):
            archives.write(tmp_path / "m.npz", {"a": "b" * 1000}, {})
        assert not list(tmp_path.iterdir())


def refused(path, said, memory=MEMORY):
    """One sentence that names the file, within a second or so and some megabytes."""
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ValueError, match=said) as caught:
            bg.load(path)
        assert time.process_time() - began < SECONDS
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert str(path) in text and text.endswith(".") and "\n" not in text
    assert caught.traceback[-1].path.name in ("storage.py", "__init__.py")


def npy(shape, descr="<f8", data=b"", version=b"\x01\x00") -> bytes:
    """An array file whose header says what it likes."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    size = struct.pack("<H", len(text)) if version == b"\x01\x00" else struct.pack("<I", len(text))
    return b"\x93NUMPY" + version + size + text + data


def with_members(path, members, kind=zipfile.ZIP_DEFLATED):
    """A file with a header, members, and a checksum that is true."""
    stream = io.BytesIO()
    np.save(stream, np.array(json.dumps(HEADER)))
    members = [("header.npy", stream.getvalue()), *members]
    digest = hashlib.sha256()
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, data in members:
            digest.update(f"{name} {len(data)}\n".encode() + data)
            file.writestr(name, data)
        stream = io.BytesIO()
        np.save(stream, np.array(digest.hexdigest()))
        file.writestr("checksum.npy", stream.getvalue())


ARRAY = npy((2,), data=bytes(16))
STRANGE = {
    "objects": ([("a0.npy", npy((1,), "|O", b"cos\nsystem\n(S'touch harmed'\ntR."))], "an array of dtype object"),
    "records": ([("a0.npy", npy((1,), [("a", "<f8")], bytes(8)))], "an array of dtype"),
    "large shape": ([("a0.npy", npy((10**12,), data=bytes(16)))], "an array of 16 bytes that claims another shape"),
    "larger shape": ([("a0.npy", npy((2**62, 2**62), data=bytes(16)))], "an array of 16 bytes that claims another shape"),
    "nothing of much": ([("a0.npy", npy((2**62,), "<U0"))], ""),
    "negative shape": ([("a0.npy", npy((-2, -1), data=bytes(16)))], "claims another shape"),
    "short": ([("a0.npy", npy((3,), data=bytes(16)))], "claims another shape"),
    "long": ([("a0.npy", npy((1,), data=bytes(16)))], "claims another shape"),
    "later layout": ([("a0.npy", npy((2,), data=bytes(16), version=b"\x02\x00"))], "a layout that is not ours"),
    "text that is none": ([("a0.npy", npy((1,), "<U1", b"\xff\xff\xff\xff"))], "text that is none"),
    "up and out": ([("a0.npy", ARRAY), ("../a1.npy", ARRAY)], "a member named '../a1.npy'"),
    "root": ([("a0.npy", ARRAY), ("/tmp/a1.npy", ARRAY)], "a member named '/tmp/a1.npy'"),
    "pickle": ([("a0.npy", ARRAY), ("a1.pkl", b"cos\nsystem\n(S'touch harmed'\ntR.")], "a member named 'a1.pkl'"),
    "twice": ([("a0.npy", ARRAY), ("a0.npy", ARRAY)], "two members of one name"),
    "expression": ([("a0.npy", npy((1,), data=bytes(8)).replace(b"(1,)", b"9**9"))], ""),
}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("name", STRANGE)
def test_members_that_are_not_ours(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members, said = STRANGE[name]
    with_members(tmp_path / "m.npz", members)
    refused(tmp_path / "m.npz", f"or the file is damaged.*{said}")
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack(kind, tmp_path):
    with_members(tmp_path / "m.npz", [("a0.npy", ARRAY)], kind)
    refused(tmp_path / "m.npz", "packed in another way")


def packed(path, name, size):
    """A member of many zeros, written a piece at a time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open(name, "w", force_zip64=True) as member:
        for _ in range(size >> 20):
            member.write(bytes(2**20))


@pytest.mark.parametrize("name", ["a0.npy", "header.npy"])
def test_what_unpacks_to_far_more(name, tmp_path):
    packed(tmp_path / "m.npz", name, 2**28)
    refused(tmp_path / "m.npz", r"it would unpack to 268,435,456 bytes from \d{3},\d{3}")


def test_a_header_of_many_words(tmp_path):
    packed(tmp_path / "m.npz", "header.npy", 2**26)
    refused(tmp_path / "m.npz", "it has a header of 67,108,864 bytes, where at most 33,554,432 are taken")


def test_a_member_longer_than_it_says(tmp_path):
    """The size in the list of members is made small; what is more is not unpacked."""
    path = tmp_path / "m.npz"
    packed(path, "a0.npy", 2**26)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 128)
    path.write_bytes(data)
    refused(path, "damaged")


def test_millions_of_members(tmp_path):
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0) + b"a0.npy"
    count = 2 * 10**6
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, count * len(entry), 0, 0)
    (tmp_path / "m.npz").write_bytes(entry * count + end)
    refused(tmp_path / "m.npz", "it lists its members on 104,000,000 bytes, where at most 2,097,152 are taken")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "1" * 100_000, "{", "null", "[]", "NaN", '"\\ud800"'])
def test_headers_that_are_none(text, tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.array(text))
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.npy", stream.getvalue())
    refused(tmp_path / "m.npz", "is not a model saved by bayesgmm, or the file is damaged")


JUNK = (
    None,
    True,
    -1,
    1e300,
    float("nan"),
    "",
    "a0",
    "Popen",
    [],
    {},
    [1, [2]],
    {"array": "a9"},
    {"scalar": {}},
    {"class": "Full", "fields": {}},
)


def nodes(tree, found):
    """Every list or mapping in a tree, with its keys."""
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    for key in keys:
        found.append((tree, key))
        nodes(tree[key], found)
    return found


def strange_trees(path, count, seed):
    """A true model file with some nodes of its header exchanged for others or for junk, and a true checksum: loaded, or a sentence."""
    with archives.Archive(str(REFERENCE / "model_format1.npz")) as archive:
        header, arrays = archive.header(), archive.arrays(checksum=False)
    rng, found, text = np.random.default_rng(seed), [0, 0], json.dumps(header)
    for _ in range(count):
        tree = json.loads(text)
        for _ in range(rng.integers(1, 4)):
            places = nodes(tree, [])
            holder, key = places[rng.integers(len(places))]
            other, there = places[rng.integers(len(places))]
            copy = json.loads(json.dumps(other[there]))
            holder[key] = copy if rng.uniform() < 0.4 else JUNK[rng.integers(len(JUNK))]
        path.unlink(missing_ok=True)
        archives.write(path, tree, arrays)
        try:
            assert isinstance(bg.load(path), bg.BayesianGaussianMixture)
            found[1] += 1
        except ValueError as error:
            said = str(error)
            assert str(path) in said and said.endswith((".", "it.")) and "\n" not in said and len(said) < 300, said
            found[0] += 1
    return found


def test_headers_with_nodes_exchanged(tmp_path):
    assert min(strange_trees(tmp_path / "m.npz", 60, 0)) > 5


@pytest.mark.slow
def test_many_headers_with_nodes_exchanged(tmp_path):
    refused, loaded = strange_trees(tmp_path / "m.npz", 3000, 1)
    print(f"\nModel files: {refused + loaded} headers with nodes exchanged; {refused} refused, {loaded} loaded.")


def nested(depth):
    tree = None
    for _ in range(depth):
        tree = {"sequence": "list", "items": [tree]}
    return tree


@pytest.mark.parametrize(
    "value",
    [
        {"class": "Popen", "fields": {"args": "true"}},
        {"record": "Limits", "items": [1] * 50},
        {"scalar": 3},
        {"array": ["a0"], "words": False},
        {"mapping": [1, 2]},
        {"sequence": "list"},
        {},
        nested(300),
    ],
)
def test_trees_that_are_none(value, tmp_path):
    (tmp_path / "m.npz").write_bytes(content(HEADER | {"fitted": {"a": value}}))
    if value == nested(300):
        assert bg.load(tmp_path / "m.npz").a
    else:
        refused(tmp_path / "m.npz", "is a damaged model file")
