"""An event loop in a thread of its own, for engines with async methods."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

log = logging.getLogger("pullet.worker")

PATIENCE_S = 5.0
"""How long a task that was cancelled may take to end."""


class EventLoop:
    """Other threads start coroutines on it, many with one wake-up."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = self._forsaken = False
        self._thread = threading.Thread(target=self._run, name="pullet-loop", daemon=True)
        self._thread.start()

    def start(self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Make each of them a task: one wake-up of the loop for all. They must not raise."""
        self._loop.call_soon_threadsafe(self._start_all, calls)

    def run(self, call: Callable[[], Any]) -> Any:
        """Make a call on the loop, await what it returns where that can be awaited, and wait for the outcome."""
        value, error = asyncio.run_coroutine_threadsafe(_outcome(call), self._loop).result()
        if error is not None:
            raise error
        return value

    def cancel(self) -> None:
        """Cancel all tasks."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    def settle(self) -> None:
        """Wait for the tasks that were started here, but not for ever for one that will not be cancelled."""
        self.run(self._settled)

    def close(self) -> None:
        """Cancel what is left, whoever started it, and end the thread."""
        if not self._closed:
            self._closed = True
            self.run(_cancel_all)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def forsake(self) -> None:
        """The same without waiting: something may block the loop for ever."""
        if not self._closed:
            self._closed = self._forsaken = True
            over = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
            over.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))

    def _run(self) -> None:
        while True:
            try:
                self._loop.run_forever()
            except BaseException:  # SystemExit in a task that the engine started: the worker must outlive it
                log.exception("a task of the engine tried to end the event loop")
            else:
                break
        if self._forsaken:
            self._loop.close()

    def _start_all(self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        for call in calls:
            task = self._loop.create_task(call())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settled(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE_S)


async def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Never raises: a task that raises SystemExit would end the loop."""
    try:
        value = call()
        return (await value if isinstance(value, Awaitable) else value), None
    except BaseException as error:
        return None, error


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=PATIENCE_S)
    await asyncio.get_running_loop().shutdown_asyncgens()
