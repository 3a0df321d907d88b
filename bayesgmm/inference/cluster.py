"""Several processes of ``jax.distributed``, each of which has rows of its own: what all of them found is put together in all of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

LOST = (
    "Another of the {n} processes that hold rows was lost, or the network between them ({reason}). "
    "Start all of them again; a fit with a checkpoint goes on from its last pass."
)


def share(find: Callable[[], Any]) -> list[Any]:
    """What ``find`` answers in every process, in their order; all must call this, and what goes wrong in one is raised in all.

    Raises
    ------
    RuntimeError
        A process does not answer any more.
    """
    from jax.experimental import multihost_utils  # slow to import

    found = error = None
    try:
        found = find()
    except Exception as wrong:
        error = wrong
    sent = np.frombuffer(pickle.dumps((found, error)), np.uint8)
    try:
        sizes = np.ravel(multihost_utils.process_allgather(np.array([len(sent)], np.int32)))
        padded = np.zeros(int(sizes.max()), np.uint8)
        padded[: len(sent)] = sent
        received = np.reshape(multihost_utils.process_allgather(padded), (len(sizes), -1))
    except Exception as failure:  # of several kinds, as the version of JAX and the moment will have it
        reason = " ".join(str(failure).split())[:120]
        raise RuntimeError(LOST.format(n=jax.process_count(), reason=reason)) from None
    answers = [pickle.loads(row[:size].tobytes()) for row, size in zip(received, sizes, strict=True)]
    for number, (_, wrong) in enumerate(answers):
        if wrong is not None:
            raise type(wrong)(f"process {number}: {wrong}")
    return [answer for answer, _ in answers]


def first_process() -> bool:
    """Whether this is the process that writes files."""
    return jax.process_index() == 0
