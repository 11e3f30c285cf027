"""`future.ref()`: an `ObjectRef` of a job's outcome.

The reference is what a tiny Ray task returns. The task depends on a latch of this process, so it waits here, and takes
nothing of the cluster, until the future has its outcome; then that is its argument, and its result is an object like
any other: owned by this process, counted, and gone with its last reference.
"""

from __future__ import annotations

import logging
from typing import Any

import ray

from pullet.future import Future
from pullet.resolve import RemoteTraceback
from pullet_broker.errors import RayMissing
from pullet_workers.latch import Latch, works

log = logging.getLogger("pullet.ray")

Outcome = tuple[Any, "BaseException | None", str]
"""The value, or the error and the traceback at the worker: a cause does not survive pickling."""


def outcome_ref(future: Future[Any]) -> Any:
    """A reference to what `future` ends with. Raises `RayMissing`."""
    if not ray.is_initialized():
        raise RayMissing("ref() needs Ray, and this process is not connected to a cluster: call ray.init() first")
    if not works():
        raise RayMissing(
            f"ref() cannot be used here (Ray {ray.__version__}): it needs a process of the cluster, not a Ray Client, "
            "and a release of Ray that pullet knows; use result()"
        )
    if future.done() and not future.cancelled() and future.exception() is None:
        return ray.put(future.result())
    latch = Latch()
    ref = _task().remote(latch.ref)
    future.add_done_callback(lambda done: _deliver(done, latch))
    return ref


def _deliver(future: Any, latch: Latch) -> None:
    """In the thread that resolved the future."""
    try:
        latch.open(_outcome(future))
    except Exception as error:  # what cannot be pickled: whoever waits for the reference must hear of it
        log.warning("an outcome cannot go through Ray", extra={"job": future.job_id, "error": str(error)})
        latch.open((None, TypeError(f"the outcome of job {future.job_id} cannot go through Ray: {error}"), ""))


def _outcome(future: Future[Any]) -> Outcome:
    try:
        return future.result(), None, ""
    except BaseException as error:
        cause = error.__cause__
        return None, error, str(cause.args[0]) if isinstance(cause, RemoteTraceback) else ""


def _task() -> Any:
    return ray.remote(_deliver_outcome).options(name="pullet:outcome", num_cpus=0, enable_task_events=False)


def _deliver_outcome(outcome: Outcome) -> Any:
    value, error, trace = outcome
    if error is None:
        return value
    raise error from (RemoteTraceback(trace) if trace else None)
