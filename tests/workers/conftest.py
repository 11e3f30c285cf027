"""What the tests of workers share: a queue with short times, so that nothing has to be waited for long."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_broker.settings import Lease, Queue


@pytest.fixture
def quick(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The test's queue with ten beats and ticks a second, and workers that hear of a pause as fast."""
    monkeypatch.setattr("pullet_workers.loop.BLOCK_MS", 100)
    return dataclasses.replace(queue, lease=Lease(beat_s=0.1, tick_ms=90, ticks=50))


@pytest.fixture(autouse=True)
def _drains_are_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every test ends with the drain of an idle worker, which waits this long before it is woken."""
    monkeypatch.setattr("pullet_workers.runner.NUDGE_S", 0.02)
