"""Celery with Redis as broker and result backend, as its "Optimizing" page says for short tasks."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from benchmarks import engine

SETTINGS = "pool=solo, prefetch 1 (64 for echo), acks_late, JSON, results by pub/sub, no gossip, mingle or events"
REQUIRES = ["celery[redis]==5.7.*", "hiredis"]
VERSION_OF = "celery"
RECOVERY = "visibility_timeout 3600 s (with acks_late; else the job is lost)"

app = Celery("bench", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_URL"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1 if engine.speeds()[0] else 64,
    worker_send_task_events=False,
    result_expires=600,
)


@app.task
def echo(value: str) -> str:
    return engine.echo(value)


@app.task
def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    app.worker_main(
        ["worker", "--pool=solo", "--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=error"]
    )


class Caller:
    def submit(self, task: str, values: list[Any]) -> list[AsyncResult]:
        with app.producer_pool.acquire(block=True) as producer:
            chosen = echo if task == "echo" else nap
            return [chosen.apply_async((value,), producer=producer) for value in values]

    def result(self, handle: AsyncResult) -> Any:
        return handle.get(timeout=60)

    def close(self) -> None:
        app.close()


def connect() -> Caller:
    return Caller()
