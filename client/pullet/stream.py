"""What `Client.stream` returns: the items of a generator that runs in a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from pullet.arrivals import Arrivals
from pullet.future import Future
from pullet_broker.codec import decode, is_pickled
from pullet_broker.errors import JobLost
from pullet_broker.progress import Progress
from pullet_broker.settings import Queue

R = TypeVar("R")


class Stream(Generic[R]):
    """Iterate it once, in sync code or with `async for`. Items that nobody has taken yet are kept in memory.

    The loop ends with the generator, and raises what it raised, with the remote traceback as its cause. Leaving the
    loop early cancels the job.
    """

    def __init__(
        self,
        future: Future[Any],
        arrivals: Arrivals,
        queue: Queue,
        build: Callable[[Any], Any] | None = None,
    ) -> None:
        self.job_id = future.job_id
        self._future, self._arrivals, self._queue, self._build = future, arrivals, queue, build
        self._closed = False

    def __iter__(self) -> Iterator[R]:
        try:
            while (raw := self._arrivals.next()) is not None and not self._closed:
                yield self._decoded(raw)
            self._end()
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[R]:
        try:
            while (raw := await self._arrivals.next_async()) is not None and not self._closed:
                yield self._decoded(raw)
            self._end()
        finally:
            self.close()

    @property
    def progress(self) -> Progress | None:
        """What the engine said last of how far it is, as `Future.progress`."""
        return self._future.progress

    def add_progress_callback(self, call: Callable[[Progress], object]) -> None:
        """As `Future.add_progress_callback`."""
        self._future.add_progress_callback(call)

    def cancel(self, *, force: bool = False) -> bool:
        """Ask that the generator is closed. False when it has ended. The loop raises `CancelledError`, if it is still
        going on, after the items that are here. `force`: replace the worker of one that never comes to its next item.
        """
        return self._future.cancel(force=force)

    def close(self) -> None:
        """The same, but the loop just ends."""
        self._closed = True
        self._future.cancel()

    def __repr__(self) -> str:
        far = "" if self.progress is None else f" {self.progress}"
        return f"<pullet.Stream {self.job_id} {self._arrivals.expected} items{far}>"

    def _decoded(self, raw: bytes) -> R:
        queue, build = self._queue, self._build
        item = decode(raw, limit=queue.limits.result_bytes, pickles=queue.encoding.reads_pickles)
        return item if build is None or is_pickled(raw) else build(item)  # type: ignore[no-any-return]

    def _end(self) -> None:
        if self._closed:
            return
        count = self._future.result()
        if count != self._arrivals.expected:
            raise JobLost(
                f"of the {count} items of job {self.job_id} only {self._arrivals.expected} came: the server has lost "
                "the others (it was emptied, or they waited longer than Lifetimes.reply_ms)",
                job=self.job_id,
            )
