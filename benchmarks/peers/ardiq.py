"""ardiq, Redis Streams with a core in Rust. Needs Python 3.12."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from ardiq import Ardiq
from ardiq.tasks import Job

from benchmarks import engine

SETTINGS = "concurrency 1, prefetch 1 (its defaults for echo); enqueue_many, job.result(), 100 at once"
REQUIRES = ["ardiq==1.2.*", "uvloop"]
PYTHON = "3.12"
VERSION_OF = "ardiq"
RECOVERY = "idle_timeout 60 s"

WAITS = 100
"""Results waited for at once: each takes a connection."""

TUNED: dict[str, Any] = {"concurrency": 1, "prefetch": 1} if engine.speeds()[0] else {}
app = Ardiq(redis_url=os.environ["BENCH_URL"], queue_name="bench", **TUNED)


@app.task()
async def echo(value: str) -> str:
    return engine.echo(value)


@app.task()
async def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    import uvloop

    uvloop.run(app.run())


class Caller:
    def __init__(self) -> None:
        self._waits = asyncio.Semaphore(WAITS)

    async def submit(self, task: str, values: list[Any]) -> list[Job]:
        chosen: Any = echo if task == "echo" else nap
        return await app.enqueue_many([chosen.prepare(value) for value in values])

    async def result(self, handle: Job) -> Any:
        async with self._waits:
            found = await handle.result(timeout=60)
        return found.value if found is not None and found.success else found

    async def close(self) -> None:
        return


async def connect() -> Caller:
    return Caller()
