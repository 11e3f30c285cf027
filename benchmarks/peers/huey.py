"""huey with RedisHuey; results by notification."""

from __future__ import annotations

import os
from typing import Any

from huey import RedisHuey
from huey.api import Result

from benchmarks import engine

SETTINGS = "1 thread worker, notify_result=True, no scheduler polling (scheduler_interval 60 s)"
REQUIRES = ["huey==3.5.*", "redis", "hiredis"]
VERSION_OF = "huey"
RECOVERY = "none: a task that was taken is lost"

huey = RedisHuey("bench", url=os.environ["BENCH_URL"], notify_result=True)


@huey.task()
def echo(value: str) -> str:
    return engine.echo(value)


@huey.task()
def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    huey.create_consumer(workers=1, worker_type="thread", periodic=False, scheduler_interval=60).run()


class Caller:
    def submit(self, task: str, values: list[Any]) -> list[Result]:
        return [(echo if task == "echo" else nap)(value) for value in values]

    def result(self, handle: Result) -> Any:
        return handle.get(blocking=True, timeout=60)

    def close(self) -> None:
        huey.storage.close()


def connect() -> Caller:
    return Caller()
