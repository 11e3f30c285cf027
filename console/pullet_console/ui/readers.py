"""A few connections for what pages ask: each question has one to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from pullet_broker.address import Address
from pullet_console.reading.reader import Reader

T = TypeVar("T")

MOST = 4
"""Questions that are asked at once; the next one waits."""


class Readers:
    """Opens connections as they are needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._free: list[Reader] = []
        self._lock, self._room = threading.Lock(), threading.Semaphore(MOST)

    def ask(self, question: Callable[[Reader], T]) -> T:
        """What the question gets from a reader that nobody else uses meanwhile."""
        with self._room:
            with self._lock:
                reader = self._free.pop() if self._free else Reader(self._address)
            try:
                return question(reader)
            finally:
                with self._lock:
                    self._free.append(reader)

    def close(self) -> None:
        with self._lock:
            for reader in self._free:
                reader.close()
            self._free = []
