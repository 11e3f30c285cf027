"""SAQ on Redis."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from saq import Queue, Worker

from benchmarks import engine

SETTINGS = "concurrency 1 (100 for echo), queue.map(poll_interval=0.005), default 0.5"
REQUIRES = ["saq[redis,hiredis]==0.26.*", "typing_extensions", "uvloop"]
VERSION_OF = "saq"
RECOVERY = "sweep of 60 s; the job is aborted, not run again (retries=1)"

POLL_S = 0.005


async def echo(context: Any, *, value: str) -> str:
    return engine.echo(value)


async def nap(context: Any, *, value: float) -> list[float]:
    return engine.nap_here(value)


def work() -> None:
    import uvloop

    uvloop.install()
    worker = Worker(
        Queue.from_url(os.environ["BENCH_URL"]),
        functions=[echo, nap],
        concurrency=1 if engine.speeds()[0] else 100,
    )
    asyncio.run(worker.start())


class Caller:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def submit(self, task: str, values: list[Any]) -> list[tuple[asyncio.Future[list[Any]], int]]:
        jobs = [{"value": value} for value in values]
        results = asyncio.ensure_future(self._queue.map(task, jobs, timeout=60, poll_interval=POLL_S))
        return [(results, place) for place in range(len(values))]

    async def result(self, handle: tuple[asyncio.Future[list[Any]], int]) -> Any:
        results, place = handle
        return (await results)[place]

    async def close(self) -> None:
        await self._queue.disconnect()


async def connect() -> Caller:
    queue = Queue.from_url(os.environ["BENCH_URL"])
    await queue.connect()
    return Caller(queue)
