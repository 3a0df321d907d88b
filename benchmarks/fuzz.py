"""Readers of files given what atheris, a fuzzer guided by coverage, makes of small true ones: an answer, or one sentence of ours.

    pip install atheris
    python benchmarks/fuzz.py model|header|text|npy|parquet|feather|columns [-max_total_time=60] [other options of libFuzzer]

model: bytes of a model file. header: bytes that stand for its header, in a file whose checksum is true. text: a CSV file. columns: the
word after ``--columns``. An input that is answered in another way is written to a file ``crash-...`` and ends the run; libFuzzer prints how
many were tried.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

OURS = ["bayesgmm.archives", "bayesgmm.storage", "bayesgmm.tables", "bayesgmm.reading", "bayesgmm.bridges.arrow", "bayesgmm.cli"]

with atheris.instrument_imports(include=OURS):
    import bayesgmm as bg
    from bayesgmm import archives
    from bayesgmm.cli import _columns
    from bayesgmm.tables import read_table

FOLDER = Path(tempfile.mkdtemp())
TEXTS = (b'a,b\n1.5,2\n2.5,-3e5\n4,"5"\n', b"a;b\n1,5;2\n", b"a b\n1 2\n", b"\xef\xbb\xbfa\tb\n1\t2\n", b'"a, b","c ""d"""\n1,2\n')


def load(path: Path) -> None:
    bg.load(path)


def in_header(path: Path) -> None:
    """A model file whose header is the text of a file."""
    text = path.read_bytes().decode(errors="replace")
    whole, path = FOLDER / "whole.npz", FOLDER / "t.npz"
    with archives.Archive(str(whole)) as archive:
        arrays = archive.arrays(checksum=True)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return
    path.unlink(missing_ok=True)
    archives.write(path, header, arrays)
    bg.load(path)


def both(path: Path) -> None:
    """A table read whole, and in batches."""
    read_table(str(path))
    for _ in bg.scan(path).batches(check=True):
        pass


def seeds(target: str) -> list[bytes]:
    """Small true files."""
    import numpy as np
    import pandas as pd

    frame, path = pd.DataFrame({"a": [1.5, 2.5, 3], "b": [1, 2, 3]}), FOLDER / f"seed.{target}"
    if target in ("model", "header"):
        path = FOLDER / "whole.npz"
        bg.KMeans(2, n_init=1, random_state=0).fit(frame).save(path)
        with archives.Archive(str(path)) as archive:
            return [path.read_bytes() if target == "model" else json.dumps(archive.header()).encode()]
    if target in ("parquet", "feather"):
        getattr(frame, f"to_{target}")(path)
        return [path.read_bytes()]
    if target == "npy":
        np.save(path, frame.to_numpy())
        return [path.read_bytes()]
    return list(TEXTS) if target == "text" else [b"a,b", b'"a, b",c']


TARGETS = {
    "model": ("npz", load),
    "header": ("json", in_header),
    "text": ("csv", lambda path: read_table(str(path))),
    "npy": ("npy", both),
    "parquet": ("parquet", both),
    "feather": ("feather", both),
    "columns": ("txt", lambda path: _columns(path.read_bytes().decode(errors="surrogateescape"))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    target, others = parser.parse_known_args()
    ending, read = TARGETS[target.target]
    corpus, path = FOLDER / "corpus", FOLDER / f"t.{ending}"
    corpus.mkdir()
    for i, seed in enumerate(seeds(target.target)):
        (corpus / str(i)).write_bytes(seed)
    warnings.simplefilter("ignore")

    def try_one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except ValueError as error:
            said = str(error)
            assert type(error) is ValueError and "\n" not in said and said.endswith((".", "?")) and len(said) < 600, said

    atheris.Setup([sys.argv[0], *others, str(corpus)], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
