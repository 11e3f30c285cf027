"""An event loop in a thread of its own, and calls into it that end with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs `main` on a loop, then `after` in the same thread. When the loop is over, calls raise what `ended` makes."""

    def __init__(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        after: Callable[[], None],
        ended: Callable[[], Exception],
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self._main, self._after, self._ended = main, after, ended
        self._calls: set[Future[Any]] = set()
        self._gate = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """From any other thread: run it on the loop and wait for what it returns."""
        with self._gate:
            if self._over:
                work.close()
                raise self._ended()
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
            self._calls.add(future)
        try:
            return future.result()
        except CancelledError:
            raise self._ended() from None
        finally:
            self._calls.discard(future)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        finally:  # nobody may wait for a loop that has ended, however it did
            with self._gate:
                self._over = True
                for call in list(self._calls):
                    call.cancel()
            self.loop.run_until_complete(_cancel_all())
            self.loop.close()
            self._after()


async def _cancel_all() -> None:
    """End what still runs on the loop."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
