"""The items of one stream between the receiver, which brings them, and whoever iterates."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Any

from pullet.future import Future
from pullet_broker.codec import decode
from pullet_broker.errors import DecodeError, TooLarge
from pullet_broker.reply import read_reply


class Arrivals:
    """Encoded items in the order of their numbers, each once. Ends with the future of its job."""

    def __init__(self, future: Future[Any]) -> None:
        self.expected = 0
        """The number of the next item to come, so also how many have come."""
        self._future = future
        self._items: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        future.add_done_callback(lambda _: self._wake())

    # -- the receiver

    def feed(self, index: int, raw: bytes) -> bool:
        """An item has come; False when one before it is missing, or when it is only the notice of a large one."""
        if index < self.expected:
            return True  # an earlier attempt had sent it too, or the inbox was read again
        if index > self.expected or not raw:
            return False
        self._items.append(raw)
        self.expected += 1
        self._wake()
        return True

    def is_complete(self, reply: bytes) -> bool:
        """This reply says that there are no more items than have come."""
        try:
            read = read_reply(reply)
            return read.outcome == "ok" and bool(decode(read.payload) == self.expected)
        except (DecodeError, TooLarge):
            return False

    # -- whoever iterates

    def next(self) -> bytes | None:
        """Wait for the next item; None when there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._future.done())
        return self._pop()

    async def next_async(self) -> bytes | None:
        while not self._items and not self._future.done():
            await self._arrival()
        return self._pop()

    async def _arrival(self) -> None:
        loop = asyncio.get_running_loop()
        waiter = (loop, loop.create_future())
        with self._changed:
            if self._items or self._future.done():
                return
            self._waiters.append(waiter)
        try:
            await waiter[1]
        finally:
            with self._changed, contextlib.suppress(ValueError):  # it is gone once it was woken
                self._waiters.remove(waiter)

    def _pop(self) -> bytes | None:
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def _wake(self) -> None:
        with self._changed:
            waiters, self._waiters = self._waiters, []
            self._changed.notify_all()
        for loop, waiter in waiters:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_end, waiter)


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
