"""What the workers run: jobs that note when they begin and end, and some that do harm."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.history import Recorder
from tests.chaos.plan import TINY_S

LARGE_BYTES = 100_000


class Work:
    """Each execution has a token of its own, which is in its result: so it shows whose result a caller got."""

    def __init__(self, folder: str) -> None:
        self._recorder = Recorder(Path(folder), "worker")

    def tiny(self, name: str) -> list[str]:
        with self._execution(name) as token:
            time.sleep(TINY_S)
        return [name, token]

    def long(self, name: str, seconds: float) -> list[str]:
        """Longer than a lease."""
        with self._execution(name) as token:
            time.sleep(seconds)
        return [name, token]

    def large(self, name: str, data: bytes) -> tuple[str, str, bytes]:
        with self._execution(name) as token:
            return name, token, data

    def raising(self, name: str) -> None:
        with self._execution(name) as token:
            raise ValueError(name, token)

    def poison(self, name: str) -> None:
        with self._execution(name):
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def _execution(self, name: str) -> Iterator[str]:
        token = os.urandom(6).hex()
        self._recorder.note("begin", name=name, token=token)
        try:
            yield token
        finally:
            self._recorder.note("end", name=name, token=token)
