"""What Ray adds to the futures of a process: a task that waits lends its CPU, and `future.ref()`.

Loads Ray only where it is loaded already, so a pool can be unpickled, and used, by a process without Ray.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from pullet.bridge import Bell, install
from pullet.client import Client, connect_again
from pullet.future import Future
from pullet_broker.address import Address
from pullet_broker.errors import RayMissing
from pullet_broker.settings import Queue


class RayBridge:
    """Ray, as the client sees it."""

    def bell(self) -> Bell | None:
        """Ray lends the CPU of a task (not of an actor) while its main thread (no other) waits in Ray."""
        if "ray" not in sys.modules or threading.current_thread() is not threading.main_thread():
            return None
        from pullet_workers.lending import task_bell

        return task_bell()

    def ref(self, future: Future[Any]) -> Any:
        if "ray" not in sys.modules:
            raise RayMissing("ref() needs Ray, and this process has not loaded it: call ray.init(), or use result()")
        from pullet_workers.outcome import outcome_ref

        return outcome_ref(future)

    @staticmethod
    def reopen(engine: Any, queue: Queue, address: Address, options: Any, known: Any) -> Client[Any]:
        """A client in the process that unpickles it, which has this bridge then, as it imports this module."""
        return connect_again(engine, queue, address, options, known)


install(RayBridge())
