"""arq. It polls on both sides, every 0.5 s by default: here every 5 ms."""

from __future__ import annotations

import os
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from arq.worker import Worker

from benchmarks import engine

SETTINGS = "poll_delay 0.005 s at worker and caller (default 0.5), max_jobs 1 (100 for echo)"
REQUIRES = ["arq==0.28.*", "uvloop", "hiredis"]
VERSION_OF = "arq"
RECOVERY = "310 s (job_timeout + 10 s)"

POLL_S = 0.005
SERVER = RedisSettings.from_dsn(os.environ["BENCH_URL"])


async def echo(context: Any, value: str) -> str:
    return engine.echo(value)


async def nap(context: Any, factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    Worker(
        functions=[echo, nap], redis_settings=SERVER, poll_delay=POLL_S, max_jobs=1 if engine.speeds()[0] else 100
    ).run()


class Caller:
    def __init__(self, server: ArqRedis) -> None:
        self._server = server

    async def submit(self, task: str, values: list[Any]) -> list[Job | None]:
        return [await self._server.enqueue_job(task, value) for value in values]

    async def result(self, handle: Job) -> Any:
        return await handle.result(timeout=60, poll_delay=POLL_S)

    async def close(self) -> None:
        await self._server.aclose()


async def connect() -> Caller:
    return Caller(await create_pool(SERVER))
