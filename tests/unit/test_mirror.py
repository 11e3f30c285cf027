"""What Ray's metrics are told of a worker."""

from __future__ import annotations

from typing import Any

import pytest
from ray.util import metrics

from pullet_workers.hand import Hand
from pullet_workers.mirror import Mirror
from pullet_workers.report import Report

TAGS = {"queue": "q", "worker": "w"}


class Metrics:
    """Ray's metrics as far as they are used; they take what Ray's take."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, dict[str, str]]] = []

    def Counter(self, name: str, text: str, tags: tuple[str, ...]) -> Any:
        return _Metric(self, metrics.Counter(name, text, tags), name)

    def Gauge(self, name: str, text: str, tags: tuple[str, ...]) -> Any:
        return _Metric(self, metrics.Gauge(name, text, tags), name)


class _Metric:
    def __init__(self, all: Metrics, real: Any, name: str) -> None:
        self._all, self._real, self._name = all, real, name

    def inc(self, value: float, tags: dict[str, str]) -> None:
        self._real.inc(value, tags)
        self._all.told.append((self._name, value, tags))

    def set(self, value: float, tags: dict[str, str]) -> None:
        self._real.set(value, tags)


def test_only_what_is_new_is_told() -> None:
    report, told = Report(Hand()), Metrics()
    report.done, report.failed, report.busy_s = 5, 1, 2.0
    mirror = Mirror("q", "w", report, told)
    mirror.update()
    mirror.update()
    report.done, report.busy_s = 8, 2.5
    mirror.update()
    assert told.told == [
        ("pullet_attempts_finished_total", 5, {**TAGS, "outcome": "ok"}),
        ("pullet_attempts_finished_total", 1, {**TAGS, "outcome": "error"}),
        ("pullet_worker_busy_seconds_total", 2.0, TAGS),
        ("pullet_attempts_finished_total", 3, {**TAGS, "outcome": "ok"}),
        ("pullet_worker_busy_seconds_total", pytest.approx(0.5), TAGS),
    ]
