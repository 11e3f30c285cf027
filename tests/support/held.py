"""Engines whose calls a test can see, and that it lets go of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Seen:
    """Its calls are in `calls`; what waits for `go` goes on when the test sets it."""

    go: threading.Event
    calls: list[str]

    def __init__(self) -> None:
        self._go, self._calls = self.go, self.calls


class Held(Seen):
    """Plain methods, one of which takes as long as the test wants."""

    def echo(self, value: str) -> str:
        self._calls.append(value)
        return value

    def hold(self, value: str) -> str:
        self._calls.append(value)
        assert self._go.wait(40), "nobody let this job go"
        return value


@contextmanager
def fresh(*engines: type[Seen]) -> Iterator[None]:
    """They have no calls yet. At the end all are let go of."""
    for engine in engines:
        engine.go, engine.calls = threading.Event(), []
    yield
    for engine in engines:
        engine.go.set()
