"""streaq, Redis Streams."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from streaq import Worker
from streaq.task import Task

from benchmarks import engine

SETTINGS = "concurrency 1, prefetch 1 (16 and 16, its defaults, for echo); enqueue_many, task.result(), 16 at once"
REQUIRES = ["streaq==7.*", "uvloop"]
VERSION_OF = "streaq"
RECOVERY = "idle_timeout 60 s"

WAITS = 16
"""Results waited for at once: each takes a connection, and 300 of them never came back."""

IS_ECHO = not engine.speeds()[0]
worker = Worker(redis_url=os.environ["BENCH_URL"], concurrency=16 if IS_ECHO else 1, prefetch=16 if IS_ECHO else 1)


@worker.task()
async def echo(value: str) -> str:
    return engine.echo(value)


@worker.task()
async def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    import uvloop

    uvloop.install()
    worker.run_sync()


class Caller:
    def __init__(self) -> None:
        self._waits = asyncio.Semaphore(WAITS)

    async def submit(self, task: str, values: list[Any]) -> list[Task[Any, Any]]:
        chosen: Any = echo if task == "echo" else nap
        tasks = [chosen.enqueue(value) for value in values]
        await worker.enqueue_many(tasks)
        return tasks

    async def result(self, handle: Task[Any, Any]) -> Any:
        async with self._waits:
            return (await handle.result(60)).result

    async def close(self) -> None:
        await worker.__aexit__(None, None, None)


async def connect() -> Caller:
    await worker.__aenter__()
    return Caller()
