"""More than one process: workers of Dask, one of which is lost, and processes of jax.distributed, one of which is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.bridges import dask as bridge

ROWS = np.concatenate([np.random.default_rng(0).standard_normal((900, 2)) + c for c in ([0, 0], [2.5, 0], [0, 3])])[
    np.random.default_rng(1).permutation(2700)
]


@pytest.fixture(scope="module")
def in_memory():
    return bg.GaussianMixture(n_components=3, n_init=1, random_state=0).fit(ROWS)


def assert_same(found, in_memory):
    np.testing.assert_allclose(found.lower_bound_, in_memory.lower_bound_, rtol=1e-9)
    np.testing.assert_allclose(found.means_, in_memory.means_, atol=1e-6)
    np.testing.assert_allclose(found.covariances_, in_memory.covariances_, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_lost_worker_of_dask(in_memory, monkeypatch, tmp_path):
    """Killed in the middle of a fit; its partitions are read again elsewhere."""
    frames, distributed = pytest.importorskip("dask.dataframe"), pytest.importorskip("distributed")
    import pandas

    for i, part in enumerate(np.array_split(ROWS, 6)):
        pandas.DataFrame(part, columns=["a", "b"]).to_parquet(tmp_path / f"part-{i}.parquet")
    passes, usual = [], bridge.DaskSource.over

    def over(self, *args, **kwargs):
        passes.append(time.monotonic())
        if len(passes) == 4:
            victim = next(iter(client.run(os.getpid).values()))
            threading.Timer(0.05, lambda: os.kill(victim, signal.SIGKILL)).start()
        return usual(self, *args, **kwargs)

    monkeypatch.setattr(bridge.DaskSource, "over", over)
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        data = frames.read_parquet(tmp_path)
        found = bg.GaussianMixture(n_components=3, n_init=1, random_state=0).fit(data)
    assert len(passes) > 5
    assert_same(found, in_memory)


SCRIPT = """
import os, sys, time, traceback
import jax
rank, port, folder, lost, structure = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank, initialization_timeout=60, heartbeat_timeout_seconds=10)
import numpy as np
import bayesgmm as bg
from bayesgmm.inference import stream
usual, calls = stream.Passes.__call__, iter(range(10**6))
def passes(self, trial):
    if next(calls) == lost and rank == 1:
        os._exit(9)
    return usual(self, trial)
stream.Passes.__call__ = passes
try:
    source = bg.scan(np.load(f"{folder}/rows-{rank}.npy"), across_processes=True)
    model = bg.GaussianMixture(n_components=3, covariance_type=structure, n_init=1, random_state=0).fit(source, checkpoint=f"{folder}/fit")
    model.save(f"{folder}/model-{rank}.npz")
    if lost < 0 and structure == "full":
        with jax.enable_x64(True):
            rows = np.concatenate([np.load(f"{folder}/rows-{i}.npy") for i in range(2)])
            rows = (rows - rows.mean(0)) / rows.std(0)
            mine = rows[:1350] if rank == 0 else rows[1350:]
            spread = jax.sharding.NamedSharding(jax.make_mesh((2,), ("rows",)), jax.sharding.PartitionSpec("rows"))
            prior = bg.Mixture(bg.FlatWeights(3), bg.FlatGaussian(np.float64(1e-6), bg.Full(), False))
            start = bg.initialise(jax.random.key(0), prior, rows)
            several, alone = (bg.fit(prior, start, x, depth=5) for x in (jax.make_array_from_process_local_data(spread, mine), rows))
            bounds, means = ([f(fit) for fit in (several, alone)] for f in (lambda r: r.lower_bound, lambda r: r.posterior.components.mean))
            np.testing.assert_allclose(*map(np.asarray, bounds), rtol=1e-9)
            np.testing.assert_allclose(*map(np.asarray, means), atol=1e-6)
    jax.distributed.shutdown()
except BaseException as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    os._exit(1)
print("done", flush=True)
os._exit(0)
"""


def run_processes(folder, lost, structure="full"):
    """Two processes; what each printed, and how it ended. ``lost``: the pass at which the second one dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = [[sys.executable, "-c", SCRIPT, str(rank), str(port), str(folder), str(lost), structure] for rank in range(2)]
    processes = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for c in commands]
    try:
        return [(process.communicate(timeout=120)[0], process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()


def test_processes_of_jax(in_memory, tmp_path):
    """One is lost: the other stops with a sentence; started again they go on from the checkpoint to the answer of one process."""
    for rank, part in enumerate((ROWS[:1000], ROWS[1000:])):
        np.save(tmp_path / f"rows-{rank}.npy", part)
    (said, code), (_, other) = run_processes(tmp_path, lost=3)
    assert (code, other) == (1, 9)
    assert "Another of the 2 processes that hold rows was lost" in said and "a checkpoint goes on from its last pass" in said
    kept = (tmp_path / "fit").read_bytes()
    assert kept
    for said, code in run_processes(tmp_path, lost=-1):
        assert (said.splitlines()[-1], code) == ("done", 0)
    for rank in range(2):
        assert_same(bg.load(tmp_path / f"model-{rank}.npz"), in_memory)


def test_a_mistake_in_one_process_is_told_in_all(tmp_path):
    gap = ROWS[:100].copy()
    gap[7, 1] = np.nan
    np.save(tmp_path / "rows-0.npy", ROWS)
    np.save(tmp_path / "rows-1.npy", gap)
    for said, code in run_processes(tmp_path, lost=-1):
        assert code == 1
        assert "ValueError: process 1: the array: row 7 (counting from 0), column 1 holds NaN" in said


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
def test_other_structures_in_processes_of_jax(tmp_path, structure):
    for rank, part in enumerate((ROWS[:1000], ROWS[1000:])):
        np.save(tmp_path / f"rows-{rank}.npy", part)
    for said, code in run_processes(tmp_path, -1, structure):
        assert (said.splitlines()[-1], code) == ("done", 0)
    alone = bg.GaussianMixture(n_components=3, covariance_type=structure, n_init=1, random_state=0).fit(ROWS)
    for rank in range(2):
        assert_same(bg.load(tmp_path / f"model-{rank}.npz"), alone)
