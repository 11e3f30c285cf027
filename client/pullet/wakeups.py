"""How futures wake event loops: each loop once for a batch of replies, however many of its tasks wait for them.

`asyncio.wrap_future` wakes the loop once for every future, and then runs all that was woken in one turn of the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

TURN = 200
"""Waiters resumed in one turn of a loop. A task takes some 10 us to go on: the loop is its own again in 2 ms."""


class Mailbox:
    """What other threads have for one event loop: waiters that may go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._ready: deque[asyncio.Future[None]] = deque()
        self._rung = False

    def put(self, waiter: asyncio.Future[None]) -> None:
        """From any thread. The loop is woken now, or at the end of the batch that this thread is in."""
        self._ready.append(waiter)  # before the look at `_rung`: `_deliver` goes the other way round
        if self._rung:
            return
        if _here.batch is None:
            self.ring()
        else:
            _here.batch.add(self)

    def ring(self) -> None:
        """Wake the loop, unless it is about to wake up."""
        if self._rung or self.loop.is_closed():
            return
        self._rung = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            if not self.loop.is_closed():  # else nobody waits there any more
                raise

    def _deliver(self) -> None:
        self._rung = False
        for _ in range(min(TURN, len(self._ready))):
            waiter = self._ready.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if self._ready:
            self._rung = True
            self.loop.call_soon(self._deliver)


class _Here(threading.local):
    mailbox: Mailbox | None = None
    """Of the event loop that ran last in this thread."""
    batch: set[Mailbox] | None = None
    """Whom to ring when the batch that this thread resolves is over."""


_here = _Here()


def mailbox() -> Mailbox:
    """The mailbox of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _here.mailbox
    if found is None or found.loop is not loop:
        found = _here.mailbox = Mailbox(loop)
    return found


class Batch:
    """Futures that this thread resolves inside wake each loop once, at the end."""

    def __enter__(self) -> None:
        _here.batch = set()

    def __exit__(self, *raised: object) -> None:
        rings, _here.batch = _here.batch, None
        for box in rings or ():
            box.ring()


def until_done(future: Future[Any]) -> Generator[Any, None, None]:
    """`yield from` it in a coroutine: goes on when the future has an outcome, whatever it is."""
    box = mailbox()
    waiter: asyncio.Future[None] = box.loop.create_future()
    future.add_done_callback(lambda _: box.put(waiter))
    yield from waiter.__await__()
