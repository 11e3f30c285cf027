"""What the examples of the guides find when they run: a real server, and workers for whatever they name.

`set_stage` puts `connect` and `Pool` into the packages that start a worker in a thread of this process for each engine:
the real runner on the real server, without Ray. What a page says of Ray itself is tested on a cluster (tests/ray).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pullet
import pullet_workers
from pullet import Client
from pullet.connecting import queue_name
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.settings import Queue
from pullet_workers.group import Part
from pullet_workers.spec import Scale, WorkerOptions
from tests.support.readers import Chess
from tests.support.workers import Worker

SERVER = EmbeddedServer.start()
_serving: dict[str, Worker] = {}
_connect = pullet.connect


def serve(engine: Any, queue: Queue, concurrency: int | None = None) -> None:
    """A worker for the queue, unless it has one."""
    if engine is None or queue.name in _serving:
        return
    worker = _serving[queue.name] = Worker(queue, Address(SERVER.url), engine, "worker-1", concurrency=concurrency)
    worker.runner.start()
    assert worker.ready.wait(10), f"no worker for {queue.name}"


def connect(engine: Any, redis: Any = None, *, queue: Any = None, codec: Any = None, **how: Any) -> Client[Any]:
    """The real one, with a worker at the other end. Whatever server is named, it is that of the stage."""
    settings = Queue.of(queue or queue_name(engine), codec)
    serve(engine, settings)
    return _connect(engine, SERVER.url, queue=settings, **how)


class Pool(Client[Any]):
    """Takes what the real one takes, and has one worker, in a thread."""

    def __init__(
        self,
        engine: Any,
        *,
        workers: Any = 1,
        queue: Any = None,
        redis: Any = None,
        detached: bool = False,
        defaults: Any = None,
        codec: Any = None,
        **worker: Any,
    ) -> None:
        self._scale, options = Scale.of(workers), WorkerOptions(**worker)
        settings = Queue.of(queue or queue_name(engine), codec)
        serve(engine, settings, options.concurrency)
        super().__init__(engine, settings, Address(SERVER.url), defaults)

    @classmethod
    def attach(cls, queue: str, engine: Any = None) -> Pool:
        return cls(engine, queue=queue)

    def status(self) -> dict[str, Any]:
        return {"pending": 0, "trouble": "", "workers": []}

    def scale(self, workers: Any) -> None:
        self._scale = Scale.of(workers)

    def restart(self) -> None: ...

    def drain(self, timeout: float | None = None) -> None: ...


class Group(Mapping[str, Pool]):
    """Each part is a pool; parts get clients of those that they use."""

    def __init__(self, parts: Mapping[str, Part], *, replicas: int = 1, name: str = "group") -> None:
        self._pools: dict[str, Pool] = {}
        for part_name, part in parts.items():
            given = {used: self._pools[used] for used in part.uses}
            pool = self._pools[part_name] = Pool(lambda p=part, g=given: p.engine(**g), queue=f"{name}.{part_name}")
            pool._methods = type(pool._methods)(part.engine)

    def __getitem__(self, part: str) -> Pool:
        return self._pools[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *of: object) -> None:
        for pool in self._pools.values():
            pool.close()


def clear_stage() -> None:
    """Workers, then the server. What examples left open ends with the process."""
    for worker in _serving.values():
        worker.runner.drain(1)
    SERVER.close()
    os._exit(0)


def set_stage() -> dict[str, Any]:
    """The names that a reader has by then: those of `tests.support.examples.GIVEN`."""
    pullet.connect = connect
    pullet_workers.Pool = Pool  # type: ignore[assignment,misc]
    pullet_workers.Group = Group  # type: ignore[assignment,misc]
    os.environ["PULLET_REDIS"] = SERVER.url
    fen = "8/8/8/4k3/8/8/4P3/4K3 w - -"
    chess = connect(Chess, SERVER.url)
    return {
        "url": SERVER.url,
        "node_id": "0" * 56,
        "fen": fen,
        "fens": [fen, fen[::-1]],
        "board": fen,
        "path": "/data/openings",
        "move": "e2e4",
        "batch": ["a", "b"],
        "address": Address(SERVER.url),
        "chess": chess,
        "client": chess,
        "pool": Pool(Chess),
    }
