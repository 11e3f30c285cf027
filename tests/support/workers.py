"""Workers without Ray: a runner in this process, or one in a process of its own that a test may kill."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, AnyStr

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.runner import Runner
from pullet_workers.runs import Overdue

ROOT = Path(__file__).parents[2]


class Kit:
    """An engine that does what its methods say, and remembers it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        """The first argument of each call, in order."""
        self.started, self.go = threading.Event(), threading.Event()
        self.closed = 0
        self._failures: dict[str, int] = {}

    def echo(self, value: Any) -> Any:
        self.calls.append(value)
        return value

    def hold(self, value: Any) -> Any:
        """Runs until the test lets it go."""
        self.calls.append(value)
        self.started.set()
        if not self.go.wait(60):
            raise TimeoutError("nobody let this job go")
        return value

    def nap(self, seconds: float) -> float:
        threading.Event().wait(seconds)
        self.calls.append(seconds)
        return seconds

    def count(self, n: int, rest_s: float) -> Iterator[int]:
        for i in range(n):
            yield i
            threading.Event().wait(rest_s)

    def moments(self, n: int, rest_s: float) -> Iterator[float]:
        """When each item is yielded, on the clock that all processes of a machine share."""
        for _ in range(n):
            yield time.monotonic()
            threading.Event().wait(rest_s)

    def boom(self, text: str = "boom") -> None:
        raise ValueError(text)

    def fail_first(self, name: str, times: int) -> int:
        """Raises `times` times; then returns how often it was called."""
        self.calls.append(name)
        self._failures[name] = self._failures.get(name, 0) + 1
        if self._failures[name] <= times:
            raise ConnectionError(name)
        return self._failures[name]

    def huge(self, size: int) -> bytes:
        return b"x" * size

    def opaque(self) -> object:
        return object()

    def die(self, spare: int) -> None:
        """The worker's process ends at once, unless it is the test's own."""
        if os.getpid() == spare:
            raise AssertionError("this would have killed the tests")
        os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        self.closed += 1


class Worker:
    """A runner in a thread of this process."""

    def __init__(
        self,
        queue: Queue,
        address: Address,
        factory: Callable[[], Any],
        name: str,
        place: str | None = None,
        concurrency: int | None = None,
        drain_s: float = 30.0,
    ) -> None:
        self.ready = threading.Event()
        self.ended: Future[BaseException | None] = Future()
        self.runner = Runner(
            queue,
            address,
            factory,
            name=name,
            concurrency=concurrency,
            place=place,
            drain_s=drain_s,
            on_ready=self.ready.set,
            on_end=self.ended.set_result,
        )

    @property
    def consumer(self) -> str:
        assert self.runner.consumer
        return self.runner.consumer

    @property
    def state(self) -> str:
        return self.runner.report.state

    @property
    def lives(self) -> bool:
        return not self.ended.done()


@contextmanager
def running(
    queue: Queue,
    address: Address,
    engine: Kit | Callable[[], Any] = Kit,
    *,
    name: str = "worker",
    place: str | None = None,
    concurrency: int | None = None,
) -> Iterator[Worker]:
    """A worker that is ready. At the end it is drained, and must have ended well."""
    factory = (lambda: engine) if isinstance(engine, Kit) else engine
    worker = Worker(queue, address, factory, name, place, concurrency)
    worker.runner.start()
    try:
        assert worker.ready.wait(10), "the worker did not become ready"
        yield worker
    finally:
        if isinstance(engine, Kit):
            engine.go.set()
        worker.runner.drain(10)
        error = worker.ended.result(10)
    assert error is None, f"the worker ended with {error!r}"


@contextmanager
def doomed(
    queue: Queue, address: Address, factory: Callable[[], Any], *, concurrency: int | None = None, drain_s: float = 30.0
) -> Iterator[Worker]:
    """A worker that is ready, and has to be replaced before the end."""
    worker = Worker(queue, address, factory, "doomed", None, concurrency, drain_s)
    worker.runner.start()
    try:
        assert worker.ready.wait(10), "the worker did not become ready"
        yield worker
        assert isinstance(worker.ended.result(20), Overdue)
    finally:
        worker.runner.drain(1)


@contextmanager
def calling(queue: Queue, address: Address, engine: Any = Kit) -> Iterator[Client[Any]]:
    """A client of the queue; what is still open at the end is cancelled."""
    client: Client[Any] = Client(engine, queue, address)
    try:
        yield client
    finally:
        client.close(wait=False)


@contextmanager
def worker_process(queue: Queue, address: Address, *, name: str = "worker") -> Iterator[subprocess.Popen[str]]:
    """A worker with a `Kit` in a process of its own, as soon as it runs; `registered` tells when it is ready."""
    given = pickle.dumps((queue, address, name)).hex()
    command = [sys.executable, "-c", "from tests.support.workers import main; main()", given]
    with until_closed(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)) as process:
        yield process


@contextmanager
def until_closed(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """A process that ends when its input is closed; it is killed if it does not."""
    try:
        yield process
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(15)
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """The other process: works until the test closes our input, or is gone itself."""
    queue, address, name = pickle.loads(bytes.fromhex(sys.argv[1]))
    runner = Runner(queue, address, Kit, name=name)
    runner.start()
    sys.stdin.read()
    runner.drain(10)


def registered(link: Link, queue: Queue) -> dict[str, str]:
    """Consumer -> name of all workers that the queue knows."""
    flat = link.execute("HGETALL", queue.keys.fixed("workers"))
    return {name.decode(): json.loads(record)["name"] for name, record in zip(flat[::2], flat[1::2], strict=True)}


def consumers(link: Link, queue: Queue) -> set[str]:
    """All consumers of all lanes, as the server sees them."""
    found = set()
    for lane in queue.keys.lanes:
        if link.execute("EXISTS", lane):
            found |= {row[1].decode() for row in link.execute("XINFO", "CONSUMERS", lane, "workers")}
    return found


def kill_connections(link: Link, name: str) -> int:
    """Cut all connections whose name contains this; says how many there were."""
    killed = 0
    for line in link.execute("CLIENT", "LIST").decode().splitlines():
        fields = dict(field.partition("=")[::2] for field in line.split())
        if name in fields["name"]:
            killed += int(link.execute("CLIENT", "KILL", "ID", fields["id"]))
    return killed


def everything_shown(error: BaseException) -> str:
    """All that a user, a log or a crash report may show of an error."""
    shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    seen: BaseException | None = error
    while seen is not None:
        shown += repr(seen) + repr(seen.args) + repr(getattr(seen, "evidence", ""))
        seen = seen.__cause__ or seen.__context__
    return shown
