"""pullet: `Pool(Engine, workers=n)` on Ray; callers without Ray, with `pullet.connect`."""

from __future__ import annotations

import functools
import os
from typing import Any

from benchmarks.engine import Engine, speeds
from pullet import Future
from pullet import connect as connect_client

SETTINGS = "Pool(workers=n), connect(); all defaults"
VERSION_OF = "pullet"
TOGETHER = True
RECOVERY = "by Ray's death signal; else a lease of 10 s"

QUEUE = "bench"


def work() -> None:
    from benchmarks.ray_side import connect, until_told
    from pullet_workers import Pool

    connect()
    engine = functools.partial(Engine, os.environ["BENCH_SEATS"], speeds())
    with Pool(engine, workers=len(speeds()), num_cpus=1, queue=QUEUE, redis=os.environ["BENCH_URL"]):
        until_told()


class Caller:
    def __init__(self) -> None:
        self._client = connect_client(Engine, os.environ["BENCH_URL"], queue=QUEUE)

    def submit(self, task: str, values: list[Any]) -> list[Future[Any]]:
        method = Engine.echo if task == "echo" else Engine.nap
        return [self._client.submit(method, value) for value in values]

    def result(self, future: Future[Any]) -> Any:
        return future.result()

    def close(self) -> None:
        self._client.close(wait=False)


def connect() -> Caller:
    return Caller()
