"""The calls of an engine that run now: how each can be stopped, and which were told to stop. No I/O, no clock."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pullet_broker.errors import PulletError
from pullet_broker.job import Entry
from pullet_workers.opts import read_opts


class Overdue(PulletError):
    """A call was told to stop and does not: its worker has left, and its process is to be replaced."""


class Stopped(Exception):
    """Raised where a generator is left that was told to stop."""


@dataclass(slots=True, eq=False)
class Order:
    """A job that runs is to stop, whatever its call returns."""

    entry: Entry
    timeout_s: float | None = None
    """It ran longer than this; None: it was cancelled."""
    settled: bool = False
    """The job has ended, though its call may go on."""


@dataclass(slots=True, eq=False)
class Run:
    """One call of the engine, for one job or a batch."""

    entries: Sequence[Entry]
    task: asyncio.Task[Any] | None = None
    """What can be cancelled. None: it runs in a thread, where nothing can be interrupted."""
    thread: int | None = None
    """The thread's identity; None where nobody noted it."""
    over: bool = False

    def interrupt(self) -> None:
        """From any thread: raise `CancelledError` where the task waits."""
        if self.task is not None:
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)

    def where(self) -> str:
        """What the thread is doing, in lines as those of a traceback."""
        frame = sys._current_frames().get(self.thread or 0)
        lines = traceback.format_stack(frame) if frame is not None and self.task is None and not self.over else []
        return "".join(["Stopped here (most recent call last):\n", *lines]) if lines else ""


class Runs:
    """Knows every task, every batch and every call with a time limit. Others are found in the hand alone: to note each
    would cost tiny jobs something."""

    def __init__(self) -> None:
        self.on_timed: Callable[[Run, Entry, float], None] = lambda run, entry, limit_s: None
        """Called in the thread that runs it when a job with a time limit begins."""
        self.orders: dict[int, Order] = {}
        """By the identity of the running entry."""
        self._runs: dict[int, Run] = {}

    def begin(self, entries: Sequence[Entry], task: asyncio.Task[Any] | None = None) -> Run:
        """A call begins in this thread."""
        run = Run(entries, task, threading.get_ident())
        for entry in entries:
            self._runs[id(entry)] = run
            limit_s = read_opts(entry.opts).timeout if entry.opts else None
            if limit_s is not None:
                self.on_timed(run, entry, limit_s)
        return run

    def end(self, run: Run) -> None:
        run.over = True
        for entry in run.entries:
            self._runs.pop(id(entry), None)

    def find(self, entry: Entry) -> Run:
        return self._runs.get(id(entry)) or Run([entry])

    def order(self, entry: Entry, timeout_s: float | None = None) -> Order:
        """It is to stop. The first order stays."""
        return self.orders.setdefault(id(entry), Order(entry, timeout_s))

    def forget_ended(self, is_running: Callable[[Entry], bool]) -> None:
        """Orders that came when their jobs were just ending."""
        for order in list(self.orders.values()):
            if not is_running(order.entry):
                self.orders.pop(id(order.entry), None)

    def check(self, entry: Entry) -> None:
        """Between two items of a generator: raises `Stopped` when it was told to stop."""
        if self.orders and id(entry) in self.orders:
            raise Stopped

    def forget(self, entry: Entry) -> Order | None:
        """It has ended: was it told to stop?"""
        return self.orders.pop(id(entry), None)
