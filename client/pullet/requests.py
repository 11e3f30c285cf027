"""Scripts that others ask the sender to run on its connection, beside the jobs: to cancel, to watch, to pause."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import Any

from pullet.line import Line
from pullet_broker.errors import PulletError, ServerUnavailable
from pullet_broker.scripting import Call


class Requests(deque["tuple[Call[Any], Future[Any]]"]):
    """In the order in which they came. `add` may be called by any thread, the rest by the one that sends."""

    def add(self, call: Call[Any]) -> Future[Any]:
        asked: Future[Any] = Future()
        self.append((call, asked))
        return asked

    def run_first(self, line: Line) -> None:
        """Raises `ServerUnavailable`, and then it is still the first."""
        call, asked = self[0]
        try:
            answer = line.run(call)
        except ServerUnavailable:
            raise
        except PulletError as error:
            asked.set_exception(error)
        else:
            asked.set_result(answer)
        self.popleft()

    def refuse(self, error: PulletError) -> None:
        """All of them end with it."""
        while self:
            self.popleft()[1].set_exception(error)
