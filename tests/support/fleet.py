"""A cluster without Ray for the controller: workers that start, live and die as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from typing import Any

from pullet_broker.errors import EngineFailed
from pullet_broker.moves.life import beat
from pullet_workers.controller import Controller
from pullet_workers.placement import Node, Target
from pullet_workers.spec import PoolSpec
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, Worker, a_job


class Gone(Exception):
    """What the cluster says when the process of a worker is no more."""


class FakeWorker:
    """A worker of which only the outside exists."""

    def __init__(self, name: str, node: str = "node-1") -> None:
        self.name, self.node = name, node
        self.placed: Future[dict[str, Any]] = Future()
        self.ready: Future[None] = Future()
        self.closed: Future[None] = Future()
        self.target = Target()
        self.drains: list[float] = []
        self.killed = 0
        self.on_drain: Callable[[], bool] = self._leave
        self.on_status: Callable[[], Any] = lambda: {"done": 7}

    # -- what the controller calls

    async def wait_placed(self) -> dict[str, Any]:
        return await _answer(self.placed)  # type: ignore[no-any-return]

    async def wait_ready(self) -> None:
        await _answer(self.ready)

    async def wait_closed(self) -> None:
        await _answer(self.closed)

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.on_status)  # type: ignore[no-any-return]

    async def drain(self, timeout_s: float) -> bool:
        self.drains.append(timeout_s)
        return await asyncio.to_thread(self.on_drain)

    def kill(self) -> None:
        self.killed += 1
        self.die()

    # -- what the test does

    def get_placed(self) -> None:
        with contextlib.suppress(InvalidStateError):
            self.placed.set_result({"node": self.node, "pid": 1})

    def get_ready(self) -> None:
        self.get_placed()
        with contextlib.suppress(InvalidStateError):
            self.ready.set_result(None)

    def fail(self, text: str) -> None:
        self.get_placed()
        error = EngineFailed(text, remote_traceback="the traceback")
        self.ready.set_exception(error)
        self.closed.set_exception(error)

    def die(self) -> None:
        for future in (self.placed, self.ready, self.closed):
            with contextlib.suppress(InvalidStateError):
                future.set_exception(Gone(self.name))

    def _leave(self) -> bool:
        with contextlib.suppress(InvalidStateError):
            self.closed.set_result(None)
        return True


async def _answer(future: Future[Any]) -> Any:
    """What the process says, also after somebody has stopped listening."""
    inner = asyncio.wrap_future(future)
    inner.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(inner)


class FakeCluster:
    """Starts fake workers; `on_start` is what becomes of each."""

    def __init__(self, on_start: Callable[[FakeWorker], None] = FakeWorker.get_ready) -> None:
        self.on_start = on_start
        self.started: list[FakeWorker] = []
        self.existing: list[FakeWorker] = []
        self.there = [Node("node-1", total={"CPU": 8}, free={"CPU": 8})]
        self.over: set[str] = set()

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.existing + self.started if not worker.closed.done()]

    def start_worker(self, spec: PoolSpec, name: str, target: Target) -> FakeWorker:
        worker = FakeWorker(name, target.node or "node-1")
        worker.target = target
        self.started.append(worker)
        self.on_start(worker)
        return worker

    def find_workers(self, spec: PoolSpec) -> list[FakeWorker]:
        return list(self.existing)

    def nodes(self) -> list[Node]:
        return list(self.there)

    def is_job_over(self, job: str) -> bool:
        return job in self.over


@contextlib.contextmanager
def controlling(spec: PoolSpec, cluster: FakeCluster, *, recovered: bool = False) -> Iterator[Controller]:
    """A controller that runs; at the end it is stopped, if it still does."""
    controller = Controller(spec, cluster, recovered=recovered)
    controller.start()
    try:
        yield controller
    finally:
        if is_running():
            controller.stop(1.0)


def is_running() -> bool:
    return any(one.name == "pullet-controller" for one in threading.enumerate())


def states(controller: Controller) -> list[str]:
    """The states of all workers in order; what one says of itself comes before what is known of it."""
    return sorted(one["state"] for one in controller.status()["workers"])


def all_ready(controller: Controller, count: int) -> bool:
    """Are there, within some time, so many workers and all ready?"""
    return wait_until(lambda: states(controller) == ["ready"] * count)


def register(scribe: Scribe, worker: FakeWorker, incarnation: int = 1, **record: Any) -> Worker:
    """The worker as a consumer of the queue."""
    consumer = f"{worker.name}.{incarnation}"
    scribe.link.run(beat(scribe.queue, consumer, 0, json.dumps({"name": worker.name, **record})))
    return Worker(scribe.link, scribe.queue, consumer)


def give_jobs(scribe: Scribe, worker: FakeWorker, count: int) -> Worker:
    """The worker dies with these in hand, if it dies."""
    scribe.caller().submit(*(a_job() for _ in range(count)))
    consumer = register(scribe, worker)
    assert len(consumer.take(count)) == count
    return consumer
