"""What all systems run: the same two functions, and an engine of them. Only the standard library: every environment
imports it."""

from __future__ import annotations

import os
import time
from pathlib import Path

NOTED_S = 1.5
"""A nap of this length leaves a note of when, at which worker and in which process it began."""
Nap = list[float]
"""Number of the worker, and the seconds that it slept."""


def echo(value: str) -> str:
    return value


def nap(seconds: float, factor: float, worker: int, seats: str) -> Nap:
    """A job that takes `factor` times the `seconds` of its worker. Sleeping, two cores stand in for many machines."""
    begun = time.perf_counter()
    if seconds * factor >= NOTED_S:
        (Path(seats) / f"nap-{time.monotonic()}-{worker}-{os.getpid()}").touch()
    time.sleep(seconds * factor)
    return [worker, time.perf_counter() - begun]


def speeds() -> list[float]:
    """Seconds of a nap of 1 at each worker that this process is to run."""
    return [float(text) for text in os.environ["BENCH_SPEEDS"].split(",")]


def nap_here(factor: float) -> Nap:
    """In a worker's process of its own, which the environment tells who it is."""
    return nap(speeds()[0], factor, int(os.environ["BENCH_WORKER"]), os.environ["BENCH_SEATS"])


class Engine:
    """For actors: each instance takes another seat, and with it a speed."""

    def __init__(self, seats: str, speeds: list[float]) -> None:
        self.seats, self.worker = seats, take_seat(Path(seats))
        self.speed = speeds[self.worker % len(speeds)]

    def echo(self, value: str) -> str:
        return echo(value)

    def nap(self, factor: float) -> Nap:
        return nap(self.speed, factor, self.worker, self.seats)


def take_seat(seats: Path) -> int:
    """The first that is free; a replacement of a dead worker sits behind them all."""
    seat = 0
    while True:
        try:
            (seats / str(seat)).touch(exist_ok=False)
        except FileExistsError:
            seat += 1
        else:
            return seat
