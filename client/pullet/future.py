"""The handle of one job: a `concurrent.futures.Future` that can also be awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Generator
from typing import Any, TypeVar

R = TypeVar("R")


class Future(concurrent.futures.Future[R]):
    """What `submit` returns. Use it as any other future: `result`, `wait`, `as_completed`, `await`, `gather`.

    `result()` raises what the engine raised, with the remote traceback as its cause.
    """

    def __init__(self, job_id: str, ask_to_cancel: Callable[[str], None]) -> None:
        super().__init__()
        self.job_id = job_id
        self.accepted = False
        """Redis has stored the job. See also `Client.flush`."""
        self.attempts = 0
        """Which attempt brought the outcome; 0 until there is one."""
        self.worker: str | None = None
        """The consumer name of the worker that brought the outcome."""
        self.run_s: float | None = None
        """Seconds that the engine's method ran."""
        self._asks = [ask_to_cancel]  # popped by whichever thread is the first to cancel

    def __await__(self) -> Generator[Any, None, R]:
        return asyncio.wrap_future(self).__await__()

    def cancel(self) -> bool:
        """Stop waiting for the job and ask that it does not run. False when its outcome is already here."""
        ask = self.end_cancelled()
        if ask is not None:
            ask(self.job_id)
        return self.cancelled()

    def end_cancelled(self) -> Callable[[str], None] | None:
        """The job ended as cancelled. The first call gets the function that asks the server to cancel it."""
        if not super().cancel():
            return None
        try:
            ask = self._asks.pop()
        except IndexError:
            return None
        self.set_running_or_notify_cancel()
        return ask

    def __repr__(self) -> str:
        state = (
            "cancelled" if self.cancelled() else "done" if self.done() else "accepted" if self.accepted else "sending"
        )
        return f"<pullet.Future {self.job_id} {state}>"
