"""An object of this process that Ray's calls wait for, and that this process makes ready itself, with any value.

Ray's public calls wait only for what tasks and actors return. So this uses what Ray does when it unpickles an
`ObjectRef`: the reference is registered with its owner and, where the value came along, with the value. Here the owner
is this process. Nothing leaves it: no actor, no task, no message but the two by which Ray lends a blocked task's CPU.
This is private to Ray (the same from 2.50 to 2.60), so `works` tries it once in each process.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import ray
from ray._private.worker import global_worker
from ray.core.generated import core_worker_pb2

log = logging.getLogger("pullet.ray")

TRIAL_S = 5.0
"""How long the trial of a latch may take; it takes 1 ms."""


class Latch:
    """Closed until `open` is called. Forgotten by Ray when nobody holds it any more."""

    def __init__(self) -> None:
        self._session = _session()
        self._owner = _own_address(self._session)
        self.ref: Any = ray.ObjectRef.from_random()
        self._register(b"")

    def open(self, value: Any = None) -> None:
        """From any thread: `ref` is ready from now on, and is `value`. Nothing happens once Ray was shut down."""
        if _session() == self._session:
            packed = global_worker.get_serialization_context().serialize(value)
            status = core_worker_pb2.GetObjectStatusReply()  # type: ignore[attr-defined]
            status.object.data, status.object.metadata = packed.to_bytes(), packed.metadata
            self._register(status.SerializeToString())

    def _register(self, status: bytes) -> None:
        _core().deserialize_and_register_object_ref(self.ref.binary(), ray.ObjectRef.nil(), self._owner, status)


def works() -> bool:
    """Whether latches work in this process: it must be one of the cluster, not a Ray Client, and Ray as it was."""
    session = _session()
    return session is not None and _try_one(session)


@lru_cache(maxsize=1)
def _try_one(session: bytes) -> bool:
    try:
        latch = Latch()
        latch.open()
        ready, _ = ray.wait([latch.ref], timeout=TRIAL_S)
    except Exception as error:  # whatever a Ray that is not as it was may raise
        log.warning("cannot work with this release of Ray", extra={"ray": ray.__version__, "error": str(error)})
        return False
    if not ready:
        log.warning("a latch does not open with this release of Ray", extra={"ray": ray.__version__})
    return bool(ready)


@lru_cache(maxsize=1)
def _own_address(session: bytes) -> bytes:
    """Where this process answers to others of the cluster: the owner of whatever it puts."""
    owner: bytes = _core().serialize_object_ref(ray.put(None))[1]
    return owner


def _session() -> bytes | None:
    """Changes when this process is connected to Ray anew; None while it is not."""
    worker: Any = global_worker
    return worker.worker_id if worker.connected else None


def _core() -> Any:
    """Asked for each time: after a shutdown it is gone, and calls to the old one would end the process."""
    worker: Any = global_worker
    return worker.core_worker
