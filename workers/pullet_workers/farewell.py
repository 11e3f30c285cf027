"""SIGTERM: a worker finishes its jobs before Ray hears that it ends.

Ray's own handler waits for the calls that run, then tells everybody that the actor is dead, and only then calls
`__ray_shutdown__`: the jobs that the worker still finishes would be run elsewhere as well.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from ray._private import worker as ray_worker

log = logging.getLogger("pullet.worker")

EXIT = "raise_sys_exit_with_custom_error_message"
"""What Ray's handler of SIGTERM calls. A handler of our own cannot be set: only the main thread may, and an actor with
async methods is never built there."""


def drain_at_sigterm(drain: Callable[[], object]) -> None:
    """From now on `drain` runs in a thread at the first SIGTERM, and Ray has its turn when that is done."""
    exit_now = getattr(ray_worker, EXIT, None)
    if exit_now is None:
        log.warning("this release of Ray does not let a worker finish its jobs at SIGTERM")
        return
    asked, drained = threading.Event(), threading.Event()

    def leave() -> None:
        try:
            drain()
        finally:
            drained.set()
            os.kill(os.getpid(), signal.SIGTERM)

    def heed(*message: Any, **how: Any) -> None:
        if drained.is_set():
            exit_now(*message, **how)
        elif not asked.is_set():
            asked.set()
            threading.Thread(target=leave, name="pullet-farewell", daemon=True).start()

    setattr(ray_worker, EXIT, heed)
