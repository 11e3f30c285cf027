"""The thread that sends what jobs have to say while they run, the items of generators and reports of progress: at once
when it is idle, many together when not."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.part import ITEMS, ITEMS_BYTES, Sent, part
from pullet_broker.parts import Buffer
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_workers.reports import Reports

log = logging.getLogger("pullet.worker")


class Halted(Exception):
    """Nobody wants more of this generator: its job was cancelled."""


class Fenced(Exception):
    """Its job is another worker's by now: there is no outcome to commit either."""


class Sending(Protocol):
    """What one job has to say. The emitter calls it, and holds the lock."""

    due: float
    """When it may be sent, on the monotonic clock."""

    @property
    def is_waiting(self) -> bool: ...
    def call(self, queue: Queue) -> Call[Any]:
        """What to send now; the same again until it is answered."""
        ...

    def answered(self, answer: Any) -> None: ...


class Flow:
    """The items of one running job on their way."""

    due = 0.0

    def __init__(
        self, entry: Entry, consumer: str, changed: threading.Condition, offered: Callable[[Flow], None]
    ) -> None:
        self._entry, self._consumer = entry, consumer  # the name that it was taken under, not the newest
        self.count = 0
        """Items offered so far."""
        self._changed, self._offered = changed, offered
        self._unsent: deque[Buffer] = deque()
        self._size = 0
        self._flying: list[Buffer] = []
        self._sent = 0
        self._problem: Exception | None = None
        self._room: Future[None] | None = None
        self._through: Future[None] | None = None

    def offer(self, item: Buffer) -> Future[None] | None:
        """Send an item. What it returns, if anything, ends when there is room for the next one.

        Raises `Halted`, `Fenced`, or the `ServerError` that keeps items from being stored.
        """
        with self._changed:
            if self._problem is not None:
                raise self._problem
            self._unsent.append(item)
            self._size += len(item)
            self.count += 1
            self._offered(self)
            if self._problem is not None:
                raise self._problem
            if len(self._unsent) < ITEMS and self._size < ITEMS_BYTES:
                return None
            self._room = _future()
            return self._room

    def finish(self) -> Future[None]:
        """What it returns ends when every item is stored, or raises as `offer` does."""
        with self._changed:
            self._through = _future()
            self._settle()
            return self._through

    # -- the emitter, which holds the lock

    @property
    def is_waiting(self) -> bool:
        return bool(self._flying or self._unsent) and self._problem is None

    def call(self, queue: Queue) -> Call[Sent]:
        """The next items; the same ones again until they are answered."""
        size = sum(map(len, self._flying))
        while self._unsent and len(self._flying) < ITEMS and (not self._flying or size < ITEMS_BYTES):
            size += len(self._unsent[0])
            self._size -= len(self._unsent[0])
            self._flying.append(self._unsent.popleft())
        self._make_room()
        return part(queue, self._consumer, self._entry, self._sent, self._flying)

    def answered(self, answer: Sent | Exception) -> None:
        if isinstance(answer, Exception):
            self._problem = answer
        elif answer is not Sent.OK:
            self._problem = Halted() if answer is Sent.CANCELLED else Fenced()
        self._sent += len(self._flying)
        self._flying = []
        self._settle()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)

    def _settle(self) -> None:
        if self._problem is not None:
            self._unsent.clear()
            self._make_room()
        if self._through is None or self.is_waiting or self._through.done():
            return
        if self._problem is not None:
            self._through.set_exception(self._problem)
        else:
            self._through.set_result(None)


class Emitter:
    """Its thread and its connection begin with the first job that has something to say."""

    def __init__(self, queue: Queue, address: Address, consumer: Callable[[], str]) -> None:
        self._queue, self._consumer = queue, consumer
        self._link = Link.to(queue, address, "parts")
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._busy: dict[int, Sending] = {}
        self._stopping = self._idle = False
        self._thread: threading.Thread | None = None

    def open(self, entry: Entry) -> Flow:
        """For the items of a job."""
        return Flow(entry, self._consumer(), self._changed, self._take_up)

    def reports(self, entry: Entry) -> Reports:
        """For the progress of a job."""
        return Reports(entry, self._consumer(), self._changed, self._take_up)

    def close(self) -> None:
        """Whatever still waits is given up."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(5)
        self._link.close()

    def _take_up(self, sending: Sending) -> None:
        """Needs the lock, as all that follow but `_send`."""
        if self._stopping:
            return sending.answered(Fenced("the worker leaves"))
        self._busy[id(sending)] = sending
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pullet-emitter", daemon=True)
            self._thread.start()
        elif self._idle:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                ready = self._wait()
                if self._stopping:
                    return self._give_up()
                calls = [sending.call(self._queue) for sending in ready]
            self._send(ready, calls)

    def _wait(self) -> list[Sending]:
        """Until something may be sent."""
        while not self._stopping:
            for sending in [one for one in self._busy.values() if not one.is_waiting]:
                del self._busy[id(sending)]  # a job that has ended
            now = time.monotonic()
            if ready := [one for one in self._busy.values() if one.due <= now]:
                return ready
            self._idle = True
            self._changed.wait(min((one.due - now for one in self._busy.values()), default=None))
            self._idle = False
        return []

    def _send(self, ready: list[Sending], calls: list[Call[Any]]) -> None:
        try:
            answers: list[Any] = list(self._link.run_all(calls))
        except ServerUnavailable as error:
            log.info("what jobs say waits for the server", extra={"queue": self._queue.name, "error": str(error)})
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, self._backoff.next_s())
            return
        except ServerError as error:
            answers = [error] if len(calls) == 1 else [self._send_one(call) for call in calls]
        self._backoff.reset()
        with self._changed:
            for sending, answer in zip(ready, answers, strict=True):
                sending.answered(answer)

    def _send_one(self, call: Call[Any]) -> Any:
        """One of several was refused: which? Items that are stored already are skipped."""
        try:
            return self._link.run(call)
        except ServerError as error:
            return error

    def _give_up(self) -> None:
        for sending in self._busy.values():
            sending.answered(Fenced("the worker leaves"))


def _future() -> Future[None]:
    """One that a cancelled task cannot cancel: the emitter resolves it all the same."""
    made: Future[None] = Future()
    made.set_running_or_notify_cancel()
    return made
