"""RQ with SimpleWorker, the one that keeps an engine warm: its default worker forks for each job."""

from __future__ import annotations

import os
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job

from benchmarks import engine

SETTINGS = "SimpleWorker (no fork), enqueue_many, latest_result(timeout=)"
REQUIRES = ["rq==3.*", "hiredis"]
VERSION_OF = "rq"
RECOVERY = (
    "the forking worker's parent sees a dead child; else maintenance every 600 s; the job is failed, not run again"
)

server = Redis.from_url(os.environ["BENCH_URL"], socket_timeout=120)
queue = Queue("bench", connection=server)


def work() -> None:
    SimpleWorker([queue], connection=server).work(logging_level="ERROR")


class Caller:
    def submit(self, task: str, values: list[Any]) -> list[Job]:
        function = engine.echo if task == "echo" else engine.nap_here
        return queue.enqueue_many([Queue.prepare_data(function, args=(value,), result_ttl=600) for value in values])

    def result(self, handle: Job) -> Any:
        found = handle.latest_result(timeout=60)
        return found.return_value if found else None

    def close(self) -> None:
        server.close()


def connect() -> Caller:
    return Caller()
