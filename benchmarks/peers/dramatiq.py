"""dramatiq with its Redis broker and results backend."""

from __future__ import annotations

import os
import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import engine

SETTINGS = "1 process, 1 thread, prefetch 1 (64 for echo); results in Redis, get_result(block=True)"
REQUIRES = ["dramatiq[redis]==2.2.*", "hiredis"]
VERSION_OF = "dramatiq"
RECOVERY = "heartbeat_timeout 60 s, then a maintenance run drawn by chance (1 in 1,000 commands)"

broker = RedisBroker(url=os.environ["BENCH_URL"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_URL"])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def echo(value: str) -> str:
    return engine.echo(value)


@dramatiq.actor(store_results=True)
def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    prefetch = "1" if engine.speeds()[0] else "64"
    environment = {**os.environ, "dramatiq_queue_prefetch": prefetch, "dramatiq_prom_port": "0"}
    command = [sys.executable, "-m", "dramatiq", "--processes=1", "--threads=1", "--skip-logging", __name__]
    os.execve(sys.executable, command, environment)


class Caller:
    def submit(self, task: str, values: list[Any]) -> list[Message[Any]]:
        actor = echo if task == "echo" else nap
        return [actor.send(value) for value in values]

    def result(self, handle: Message[Any]) -> Any:
        return handle.get_result(block=True, timeout=60_000)

    def close(self) -> None:
        broker.close()


def connect() -> Caller:
    return Caller()
