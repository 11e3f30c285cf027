"""The one actor class of pullet: a Ray actor around a plain `Runner`. Its methods only look and steer, so they always
answer, whatever the engine is doing."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import Future
from typing import Any

import ray
from ray.util import metrics

from pullet_broker.errors import EngineFailed
from pullet_workers.engine import Pickled, describe
from pullet_workers.farewell import drain_at_sigterm
from pullet_workers.lean import make_lean
from pullet_workers.mirror import Mirror, can_export
from pullet_workers.runner import Runner
from pullet_workers.runs import Overdue
from pullet_workers.shipping import open_engine
from pullet_workers.spec import PoolSpec

LOOK_S = 3.0
"""How long a `wait_closed` may pend: a worker that gets a SIGTERM first waits for the calls that run."""
SHUTDOWN_S = 10.0
"""How long a worker that Ray ends may still finish its jobs; who ends it with SIGTERM seldom waits longer."""
SWITCH_S = 0.0005
"""How long Python code of the engine may keep the interpreter from the threads beside it. An answer of an actor needs
it several times: with Python's own 5 ms `status` took 14-18 ms beside a busy loop, with this 2-3 ms."""


class Host:
    """One worker. The engine is built in the runner's thread; `wait_ready` says when, or why not."""

    def __init__(self, spec: PoolSpec, name: str) -> None:
        sys.setswitchinterval(SWITCH_S)
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        self._ready: Future[None] = Future()
        self._closed: Future[None] = Future()
        self._runner = Runner(
            spec.queue,
            spec.address,
            Pickled(lambda: open_engine(spec.engine)),
            name=name,
            concurrency=spec.worker.concurrency,
            drain_s=spec.worker.drain_timeout,
            about={"node": self._node, "actor": context.get_actor_id()},
            on_ready=self._start_lean,
            on_end=self._end,
        )
        self._drain_s = spec.worker.drain_timeout
        self._mirror = Mirror(spec.queue.name, name, self._runner.report, metrics) if can_export() else None
        if self._mirror is not None:
            self._mirror.start()
        drain_at_sigterm(self.__ray_shutdown__)
        self._runner.start()

    async def where(self) -> dict[str, Any]:
        """Where the worker runs."""
        return {"node": self._node, "pid": os.getpid()}

    async def wait_ready(self) -> None:
        """Until the engine is built. Raises `EngineFailed`."""
        await asyncio.wrap_future(self._ready)

    async def wait_closed(self) -> bool:
        """True when the worker has left, False after `LOOK_S`: ask again. While it is pending, the caller learns at
        once of the process's death."""
        closed = asyncio.wrap_future(self._closed)
        await asyncio.wait([closed], timeout=LOOK_S)
        if not closed.done():
            return False
        await closed  # raises what ended the worker
        return True

    async def status(self) -> dict[str, Any]:
        """What the worker does now."""
        runner = self._runner
        return {
            **runner.report.shown(),
            "consumer": runner.consumer,
            "holds": runner.holds,
            "pid": os.getpid(),
            "node": self._node,
        }

    async def drain(self, timeout_s: float) -> bool:
        """Finish the running job, give back the others, leave. See `Runner.drain`."""
        return await asyncio.to_thread(self._runner.drain, timeout_s)

    def __ray_shutdown__(self) -> None:
        self._runner.drain(min(self._drain_s, SHUTDOWN_S))

    def _start_lean(self) -> None:
        make_lean()
        self._ready.set_result(None)

    def _end(self, error: BaseException | None) -> None:
        if self._mirror is not None:
            self._mirror.stop()
        if error is None or isinstance(error, Overdue):
            if not self._ready.done():
                self._ready.set_result(None)
            self._closed.set_result(None)
            return
        failed = engine_failed(error)
        if not self._ready.done():
            self._ready.set_exception(failed)
        self._closed.set_exception(failed)


def engine_failed(error: BaseException) -> EngineFailed:
    """The error that a pool shows when a worker's engine, or its loop, ended with an exception."""
    failure = describe(error)
    return EngineFailed(
        f"a worker could not start or go on: {failure.type_name}: {failure.text}\n\n{failure.traceback}",
        type_name=failure.type_name,
        remote_traceback=failure.traceback,
    )
