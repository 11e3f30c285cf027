"""SIGTERM: the worker drains first, and Ray's own way to end comes after that, once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from ray._private import worker as ray_worker

from pullet_workers.farewell import EXIT, drain_at_sigterm
from tests.support.leaks import wait_until


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The exit codes with which Ray would have ended this process. Its handler looks for `EXIT` at each signal."""
    codes: list[int] = []
    monkeypatch.setattr(ray_worker, EXIT, lambda message, exit_code: codes.append(exit_code))
    before = signal.signal(signal.SIGTERM, lambda number, frame: getattr(ray_worker, EXIT)("SIGTERM", exit_code=1))
    yield codes
    signal.signal(signal.SIGTERM, before)


def test_jobs_are_finished_before_ray_hears_of_it(ended: list[int]) -> None:
    asked, go = [], threading.Event()
    drain_at_sigterm(lambda: asked.append(1) or go.wait(10))
    os.kill(os.getpid(), signal.SIGTERM)
    assert wait_until(lambda: asked == [1])
    os.kill(os.getpid(), signal.SIGTERM)
    assert not wait_until(lambda: bool(ended), 0.1), "also a second signal has to wait"
    go.set()
    assert wait_until(lambda: ended == [1])
    assert asked == [1]


def test_a_drain_that_fails_keeps_nobody_from_ending(ended: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def fail() -> None:
        raise ConnectionError

    drain_at_sigterm(fail)
    os.kill(os.getpid(), signal.SIGTERM)
    assert wait_until(lambda: ended == [1])


def test_a_release_of_ray_that_ends_otherwise_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(ray_worker, EXIT)
    drain_at_sigterm(lambda: None)
    assert not hasattr(ray_worker, EXIT)
    assert "does not let a worker finish its jobs" in caplog.text
