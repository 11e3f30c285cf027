"""What a page hears while it is open: server-sent events, one a second."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from pullet_console.ui.history import History
from pullet_console.ui.inert_json import dump
from pullet_console.ui.latency import columns
from pullet_console.ui.monitor import Monitor
from pullet_console.ui.timeline import SPAN_S

KEEP_ALIVE_S = 15.0
MOST_BARS = 6_000
"""Bars that a page gets when it opens: the newest."""


class Broadcast:
    """Wakes every open page after each turn of the monitor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.closed = False

    def tell(self) -> None:
        """From the monitor's thread."""
        with self._lock:
            for event, loop in self._waiting.items():
                loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """The server ends: so do the pages' streams."""
        self.closed = True
        self.tell()

    async def turns(self) -> AsyncIterator[bool]:
        """True after each turn, False when nothing came for a while."""
        event = asyncio.Event()
        with self._lock:
            self._waiting[event] = asyncio.get_running_loop()
        try:
            while not self.closed:
                try:
                    await asyncio.wait_for(event.wait(), KEEP_ALIVE_S)
                    event.clear()
                    yield not self.closed
                except (TimeoutError, asyncio.TimeoutError):
                    yield False
        finally:
            with self._lock:
                del self._waiting[event]


async def stream(monitor: Monitor, broadcast: Broadcast, name: str) -> AsyncIterator[str]:
    """`start` with all that is remembered of a queue, then `turn` with what is new."""
    monitor.look_for(name)
    yield _event("start", _message(monitor, name, first=True))
    seen = monitor.turns
    async for told in broadcast.turns():
        if not told:
            yield ": still here\n\n"
            continue
        monitor.look_for(name)
        missed = monitor.turns > seen + 1  # the page was slow: what came between is in no `fresh` any more
        seen = monitor.turns
        yield _event("start" if missed else "turn", _message(monitor, name, first=missed))


def _event(kind: str, message: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {dump(message)}\n\n"


def _message(monitor: Monitor, name: str, *, first: bool) -> dict[str, Any]:
    histories = list(monitor.histories.values())
    message: dict[str, Any] = {
        "problem": monitor.problem,
        "deaf": monitor.deaf,
        "roundtrip_s": monitor.roundtrip_s,
        "queues": [_row(one) for one in histories if one.summary],
    }
    history = monitor.histories.get(name)
    if history is not None and history.summary is not None:
        message["queue"] = _queue(history, first=first)
    return message


def _row(history: History) -> dict[str, Any]:
    last = history.samples[-1]
    return {
        "summary": history.summary,
        "rates": history.rates,
        "wait": last.wait,
        "run": last.run,
        "trend": [one.waiting for one in list(history.samples)[-60:]],
    }


def _queue(history: History, *, first: bool) -> dict[str, Any]:
    summary = history.summary
    assert summary is not None
    samples = list(history.samples)
    bars = list(history.timeline.kept(summary.at - SPAN_S))[-MOST_BARS:] if first else history.fresh
    return {
        "name": history.name,
        "workers": history.workers,
        "samples": [one.as_list() for one in (samples if first else samples[-1:])],
        "bars": [bar.as_list() for bar in bars],
        "running": history.running,
        "methods": _counts(history.methods.totals()),
        "callers": _counts(history.callers.totals()),
        "wait": columns(history.wait.spread()),
        "run": columns(history.run.spread()),
    }


def _counts(totals: dict[str, Any]) -> list[list[object]]:
    return [[name, one.jobs, one.failed, one.run_s, one.wait_s] for name, one in list(totals.items())[:50]]
