"""docket (pydocket), Redis Streams."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

from docket import Docket, Worker
from docket.execution import Execution

from benchmarks import engine

SETTINGS = "concurrency 1 (10, its default, for echo); add(), get_result() by pub/sub, 50 at once"
REQUIRES = ["pydocket==0.27.*", "uvloop", "hiredis"]
VERSION_OF = "pydocket"
RECOVERY = "redelivery_timeout 300 s, and a sweep of up to 75 s"

WAITS = 50
"""Results waited for at once: each takes a connection, of which its pool has 100."""


async def echo(value: str) -> str:
    return engine.echo(value)


async def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


async def _work() -> None:
    async with Docket(name="bench", url=os.environ["BENCH_URL"]) as docket:
        docket.register(echo)
        docket.register(nap)
        async with Worker(docket, concurrency=1 if engine.speeds()[0] else 10) as worker:
            await worker.run_forever()


def work() -> None:
    import uvloop

    uvloop.install()
    asyncio.run(_work())


class Caller:
    def __init__(self, docket: Docket) -> None:
        self._docket = docket
        self._waits = asyncio.Semaphore(WAITS)

    async def submit(self, task: str, values: list[Any]) -> list[Execution]:
        function: Any = echo if task == "echo" else nap
        return [await self._docket.add(function)(value) for value in values]

    async def result(self, handle: Execution) -> Any:
        async with self._waits:
            return await handle.get_result(timeout=timedelta(seconds=60))

    async def close(self) -> None:
        await self._docket.__aexit__(None, None, None)


async def connect() -> Caller:
    docket = Docket(name="bench", url=os.environ["BENCH_URL"])
    await docket.__aenter__()
    return Caller(docket)
