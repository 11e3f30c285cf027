"""Ctrl-C: ends the demo once, in order, and never in the middle of what must not be cut short."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Turns the first SIGINT into a `KeyboardInterrupt`. Those that follow must not end the tidying up."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._held = ""
        signal.signal(signal.SIGINT, self._handle)

    def wait(self, seconds: float) -> None:
        """Sleep. Raises `KeyboardInterrupt` also for one that was held, or that got lost in some callback."""
        if self._asked.wait(seconds):
            raise KeyboardInterrupt

    @contextmanager
    def held(self, reason: str) -> Iterator[None]:
        """Raise it only at the end of this block; `reason` is shown meanwhile."""
        self._held = reason
        yield
        self._held = ""
        self.wait(0)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            return
        self._asked.set()
        if not self._held:
            raise KeyboardInterrupt
        os.write(sys.stderr.fileno(), f"{self._held}\n".encode())
