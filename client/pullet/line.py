"""The connection that jobs go out on: batches on their way, and the answers to them in order."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeVar

from pullet.outbox import Batch
from pullet_broker.address import Address
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.moves.submit import Answer, Submitted, submit
from pullet_broker.schema import schema_mismatch
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_broker.wire import MISSING

T = TypeVar("T")


class Heard(NamedTuple):
    """The answer to a batch, and why the server refused one of its drafts, if it did."""

    answer: Submitted
    refusal: ServerError | None


class Line:
    """Used by one thread at a time; only `interrupt` is for others."""

    def __init__(self, queue: Queue, address: Address) -> None:
        self._queue, self._address = queue, address
        self._link = Link.to(queue, address, "send")
        self._connections = 0
        self._calls: deque[Call[Submitted]] = deque()  # of each batch without an answer
        self._kept: Heard | None = None

    @property
    def is_open(self) -> bool:
        return self._link.is_open

    def announce(self, client: str, first: int) -> Submitted:
        """First call on a connection: overtake whatever an older one still delivers, and learn the mark."""
        self._link.open()
        self._calls.clear()
        self._kept = None
        self._connections += 1
        answer = self._link.run(submit(self._queue, client, self._connections, first, []))
        self._check(answer)
        return answer

    def send(self, client: str, *batches: Batch) -> None:
        calls: list[Call[Submitted]] = []
        for batch in batches:
            call = submit(self._queue, client, self._connections, batch.first, batch.jobs)
            self._calls.append(call)
            calls.append(call)
        self._link.post(*calls)

    def hear(self) -> Heard:
        """Wait for the answer to the oldest batch."""
        if self._kept is not None:
            heard, self._kept = self._kept, None
            return heard
        call = self._calls[0]
        refusal = self._link.receive_drafts(call)
        answer = call.parse(self._link.receive())
        self._calls.popleft()
        self._check(answer)
        return Heard(answer, refusal)

    def hear_plain(self) -> Submitted | None:
        """The answer to the oldest batch, where it is here and plain. Any other is left to `hear`."""
        if self._kept is not None or self._calls[0].drafts:
            return None
        raw = self._link.receive(wait=False)
        if raw is MISSING:
            return None
        answer = self._calls.popleft().parse(raw)
        if answer.answer is Answer.OK and not answer.new_inbox:
            return answer
        self._check(answer)
        self._kept = Heard(answer, None)
        return None

    def run(self, call: Call[T]) -> T:
        """Another script, while no batch is on its way."""
        return self._link.run(call)

    def interrupt(self) -> None:
        self._link.interrupt()

    def close(self) -> None:
        self._link.close()

    def _check(self, answer: Submitted) -> None:
        if answer.answer is Answer.SCHEMA:
            raise schema_mismatch(self._queue)
        if answer.answer is Answer.STALE:
            self._link.close()
            raise ServerUnavailable("a newer connection of this client has taken over", server=str(self._address))
