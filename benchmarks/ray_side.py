"""What the adapters of Ray's own ways share: the cluster of the run, and named actors of the engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from benchmarks.engine import Engine, speeds

IN_FLIGHT = 1000
"""Calls that a caller has open at once: Ray slows down beyond it."""
NAMESPACE = "bench"


def connect() -> None:
    ray.init(address=os.environ["RAY_ADDRESS"], namespace=NAMESPACE, log_to_driver=False)


@contextmanager
def actors() -> Iterator[list[Any]]:
    """One actor for each speed, under its number."""
    connect()
    made = [
        ray.remote(Engine).options(name=f"worker-{n}", num_cpus=1).remote(os.environ["BENCH_SEATS"], speeds())
        for n in range(len(speeds()))
    ]
    yield made
    ray.shutdown()


def find_actors() -> list[Any]:
    connect()
    return [find(f"worker-{n}") for n in range(len(speeds()))]


def find(name: str) -> Any:
    """An actor that another process is starting."""
    while True:
        try:
            return ray.get_actor(name)
        except ValueError:
            time.sleep(0.05)


def until_told() -> None:
    """SIGTERM, for a process that only holds what it has started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.sigwait([signal.SIGTERM])
