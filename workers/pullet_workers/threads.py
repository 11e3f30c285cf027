"""Threads that call an engine: n calls at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """Daemons, unlike those of a ThreadPoolExecutor: a method that hangs must not keep its process from ending."""

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._ending, self._left = threading.Lock(), count
        self._last: Callable[[], object] | None = None
        self._problem: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"pullet-engine-{n}", daemon=True) for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def start(self, call: Callable[[], object]) -> None:
        """Run `call` in the next free thread. It must not raise."""
        self._calls.put(call)

    def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread and wait for what it returns or raises."""
        done: Future[T] = Future()

        def settle() -> None:
            try:
                done.set_result(call())
            except BaseException as error:  # raised again in the thread that waits
                done.set_exception(error)

        self.start(settle)
        return done.result()

    def close(self, last: Callable[[], object] = lambda: None) -> None:
        """Wait for what runs, then call `last` in the thread that ends last; raises what it raised."""
        if self._last is None:
            self._last = last
            for _ in self._threads:
                self._calls.put(None)
        for thread in self._threads:
            thread.join()
        if self._problem is not None:
            raise self._problem

    def forsake(self) -> None:
        """End the threads that can be ended, and wait for none."""
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
        with self._ending:
            self._left -= 1
            if self._left or self._last is None:
                return
        try:
            self._last()
        except BaseException as error:  # raised again where `close` was called
            self._problem = error
