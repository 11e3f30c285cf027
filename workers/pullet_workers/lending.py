"""A Ray task that waits for jobs lends its CPU, as one that waits in `ray.get` does."""

from __future__ import annotations

import logging
import threading

import ray
from ray._private.worker import global_worker
from ray.exceptions import RayError

from pullet_workers.latch import Latch, works

log = logging.getLogger("pullet.ray")


def task_bell() -> RayBell | None:
    """A bell for this thread if it is the one that runs a task; actors keep their CPUs whatever they wait in."""
    runs_task = (
        global_worker.connected
        and global_worker.mode == ray.WORKER_MODE
        and global_worker.actor_id.is_nil()
        and not global_worker.current_task_id.is_nil()
    )
    return RayBell(Latch()) if runs_task and works() else None


class RayBell:
    """A latch that is opened at most once, and never when nobody waits any more."""

    def __init__(self, latch: Latch) -> None:
        self._latch: Latch | None = latch
        self._lock = threading.Lock()

    def wait(self, timeout: float | None) -> None:
        """Returns early when Ray is shut down. `ray.cancel` interrupts it."""
        latch = self._latch
        if latch is not None:
            try:
                ray.wait([latch.ref], timeout=timeout, fetch_local=False)
            except (RayError, ValueError) as error:
                log.info("cannot lend", extra={"error": str(error)})

    def ring(self) -> None:
        with self._lock:
            latch, self._latch = self._latch, None
            if latch is not None:
                try:
                    latch.open()
                except Exception as error:  # Ray is going down, and the thread that waits with it
                    log.info("cannot end a wait", extra={"error": str(error)})

    def close(self) -> None:
        with self._lock:
            self._latch = None
