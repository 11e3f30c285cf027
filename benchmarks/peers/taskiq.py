"""taskiq with RedisStreamBroker, the one that acknowledges."""

from __future__ import annotations

import os
from typing import Any

from taskiq import AsyncTaskiqTask
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks import engine

SETTINGS = (
    "RedisStreamBroker, 1 process, max_async_tasks 1 and xread_count 1 (100 and 100, its defaults, for echo); "
    "wait_result(check_interval=0.005), default 0.2"
)
REQUIRES = ["taskiq==0.13.*", "taskiq-redis==1.2.*", "uvloop", "hiredis"]
VERSION_OF = "taskiq-redis"
RECOVERY = "idle_timeout 600 s, and only when other jobs come"

AT_ONCE = 1 if engine.speeds()[0] else 100
URL = os.environ["BENCH_URL"]
broker = RedisStreamBroker(url=URL, xread_count=AT_ONCE).with_result_backend(
    RedisAsyncResultBackend(redis_url=URL, result_ex_time=600)
)


@broker.task
async def echo(value: str) -> str:
    return engine.echo(value)


@broker.task
async def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    from taskiq.cli.worker.args import WorkerArgs
    from taskiq.cli.worker.run import run_worker

    run_worker(WorkerArgs(broker=f"{__name__}:broker", modules=[], workers=1, max_async_tasks=AT_ONCE))


class Caller:
    async def submit(self, task: str, values: list[Any]) -> list[AsyncTaskiqTask[Any]]:
        chosen: Any = echo if task == "echo" else nap
        return [await chosen.kiq(value) for value in values]

    async def result(self, handle: AsyncTaskiqTask[Any]) -> Any:
        return (await handle.wait_result(check_interval=0.005, timeout=60)).return_value

    async def close(self) -> None:
        await broker.shutdown()


async def connect() -> Caller:
    await broker.startup()
    return Caller()
