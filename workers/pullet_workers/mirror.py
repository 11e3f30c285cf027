"""The numbers of a worker in Ray's own metrics, which have the labels of its node. Prometheus needs them not: the
dashboard counts all of them (see `pullet_console.metrics`)."""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

from pullet_workers.hand import Hand
from pullet_workers.report import Report

EVERY_S = 5.0
"""Ray exports every 10 s by default."""
NEEDED = ("aiohttp", "prometheus_client")
"""What Ray's agent exports with: `pip install "ray[default]"`."""


def can_export() -> bool:
    """Would Ray export them at all?"""
    return all(importlib.util.find_spec(name) is not None for name in NEEDED)


class Mirror:
    """Tells Ray what has been added to a report since the last time. Ray puts `ray_` in front of the names."""

    def __init__(self, queue: str, worker: str, report: Report, metrics: Any) -> None:
        self._report = report
        self._tags = {"queue": queue, "worker": worker}
        names = tuple(self._tags)
        self._finished = metrics.Counter(
            "pullet_attempts_finished_total", "Attempts that ended, by outcome.", (*names, "outcome")
        )
        self._busy = metrics.Counter("pullet_worker_busy_seconds_total", "Run time of the worker's jobs.", names)
        self._running = metrics.Gauge("pullet_worker_running", "Jobs that run now.", names)
        self._told = Report(Hand())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pullet-mirror", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def update(self) -> None:
        """Tell what is new."""
        now, told = self._report, self._told
        for outcome, more in (("ok", now.done - told.done), ("error", now.failed - told.failed)):
            if more > 0:
                self._finished.inc(more, {**self._tags, "outcome": outcome})
        if now.busy_s > told.busy_s:
            self._busy.inc(now.busy_s - told.busy_s, self._tags)
        self._running.set(now.running, self._tags)
        told.done, told.failed, told.busy_s = now.done, now.failed, now.busy_s

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.update()
