"""Which jobs are sent, in what order, under which numbers: the rules of `submit` without I/O, threads or clock.

Jobs are numbered from 1 in the order of their first sending. The server accepts only the number after its mark, so
batches may be sent ahead of each other's answers: where one is refused, all later ones are, and are sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice, takewhile
from operator import attrgetter

from pullet.arrivals import Arrivals
from pullet.future import SETTLED, Future
from pullet_broker.job import Job
from pullet_broker.moves.submit import EMPTY, Answer, Submitted
from pullet_broker.settings import Limits

KEPT_S = 5.0
"""How long accepted jobs are kept to be sent again: more than what a server with `everysec` can forget."""


@dataclass(slots=True, eq=False)
class Pending:
    """A job that has no outcome yet, and its future."""

    job: Job
    future: Future[object]
    keep: bool = False
    arrivals: Arrivals | None = None
    """Where the items of a stream go."""
    waits: bool = False
    """A full queue does not end it: it is held, and offered again."""
    hasty: bool = False
    """A server that is away ends it."""
    number: int = 0
    accepted_at: float = 0.0
    size: int = 0
    """About how many bytes it adds to a `submit`; the outbox asks the job once."""

    @property
    def is_own(self) -> bool:
        """False for a job that was found by its id: somebody else may want it."""
        return self.job.method != ""

    def settle(self) -> Future[object]:
        """Let go of the future, which gets its outcome now, and of the job, which needs not be sent again.

        The outbox may keep their number for long.
        """
        future, self.future, self.job = self.future, SETTLED, EMPTY
        return future


_job_of = attrgetter("job")


@dataclass(slots=True)
class Batch:
    """Jobs with consecutive numbers, sent in one call."""

    first: int
    items: list[Pending]

    @property
    def jobs(self) -> list[Job]:
        return [*map(_job_of, self.items)]


@dataclass(slots=True)
class Verdict:
    """What an answer means for the jobs."""

    rejected: list[Pending] = field(default_factory=list)
    """Not accepted, and not sent again: the queue is full."""
    forgotten: tuple[int, int] | None = None
    """First and last number that the server forgot and we no longer keep. The client needs a new identity."""


class Outbox:
    """The jobs of one client identity on their way to the server."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fresh: deque[Pending] = deque()
        self._held: deque[Pending] = deque()  # refused, or behind such a job, and willing to wait
        self._room = True  # False: the newest answer was that the queue is full
        self._again: deque[Pending] = deque()
        self._sent: deque[Pending] = deque()  # in the order of their numbers, without a gap
        self.flying: deque[Batch] = deque()
        """Batches without an answer."""
        self._last = 0
        self._floor = 0  # numbers up to this are accepted and no longer kept
        self._trusted = True  # False: an answer was a refusal, so the answers still to come are refusals too
        self.size = 0
        """Bytes waiting to be sent for the first time, or held."""

    def __len__(self) -> int:
        """Jobs that the server has not accepted yet, as far as is known."""
        sent = takewhile(lambda item: not item.accepted_at, reversed(self._sent))  # what is not accepted comes last
        return self.waiting + sum(1 for _ in sent)

    @property
    def doubtful(self) -> list[Pending]:
        """Jobs that were sent, and of which nobody knows whether they have got there."""
        sent = len(self._sent) - len(self._again)  # those that are sent again come last
        return [item for item in islice(self._sent, sent) if not item.accepted_at]

    @property
    def has_unsent(self) -> bool:
        """There is something to send."""
        return bool(self._again or self._fresh or (self._held and self._room))

    @property
    def waiting(self) -> int:
        """Jobs not sent yet, or held."""
        return len(self._fresh) + len(self._held)

    @property
    def stuck(self) -> int:
        """Jobs that are held because the queue is full. See `probe`."""
        return 0 if self._room else len(self._held)

    @property
    def next_number(self) -> int:
        """The number of the next job to be sent."""
        return self._again[0].number if self._again else self._last + 1

    def put(self, item: Pending) -> None:
        item.size = item.job.size
        self._fresh.append(item)
        self.size += item.size

    def next_batch(self) -> Batch | None:
        """The jobs to send now, or None: nothing to send, or refusals must come in first."""
        if not self._trusted:
            return None
        items: list[Pending] = []
        room = self._limits.batch_bytes
        while len(items) < self._limits.batch_jobs and (source := self._source()):
            room -= source[0].size
            if room < 0 and items:
                break
            items.append(self._number(source.popleft()))
        return self._fly(items) if items else None

    def probe(self) -> Batch | None:
        """One of the jobs that are held, to learn whether there is room again. Where one is accepted all may go."""
        if self.stuck and self._trusted and not (self.flying or self._again):
            return self._fly([self._number(self._held.popleft())])
        return None

    def hold(self, items: Iterable[Pending]) -> None:
        """The queue is full: keep these, which are not accepted, before all that are held."""
        self._room = False
        for item in reversed([item for item in items if not item.future.done()]):
            item.number, item.accepted_at = 0, 0.0
            self.size += item.size
            self._held.appendleft(item)

    def refuse(self) -> list[Pending]:
        """The server has no room, and does not tell its mark: the jobs that it surely has not, which go.

        Those that wait for room are held. What was sent and not answered stays until `resume` is told the mark.
        """
        again, fresh = [*self._again], [*self._fresh]
        if again:
            self._last = again[0].number - 1
            self._drop(again)
        self._again.clear()
        self._fresh.clear()
        self.flying.clear()
        self.hold(item for item in again if item.waits)
        self._held.extend(item for item in fresh if item.waits)
        self.size -= sum(item.size for item in fresh if not item.waits)
        return [item for item in (*again, *fresh) if not item.waits]

    def _source(self) -> deque[Pending]:
        """Where the next job to send is. One that may wait does not overtake those that are held; others may."""
        if self._again:
            return self._again
        if self._room and self._held:
            return self._held
        while self._held and self._fresh and self._fresh[0].waits:
            self._held.append(self._fresh.popleft())
        return self._fresh

    def _fly(self, items: list[Pending]) -> Batch:
        batch = Batch(items[0].number, items)
        self.flying.append(batch)
        return batch

    def _number(self, item: Pending) -> Pending:
        if item.number == 0:
            self._last += 1
            item.number = self._last
            self._sent.append(item)
            self.size -= item.size
        return item

    def answered(self, answer: Submitted, now: float) -> Verdict:
        """Take the answer to the oldest batch without one."""
        batch = self.flying.popleft()
        verdict = Verdict()
        if answer.answer is Answer.FULL:
            verdict.rejected = [item for item in batch.items if item.number > answer.mark and not item.waits]
            self._drop(verdict.rejected)
        self._accept(batch.items, answer.mark, now)
        if answer.answer is not Answer.GAP:
            self._room = answer.answer is Answer.OK
        if answer.answer is not Answer.OK:
            self._trusted = False
        if not self._trusted and not self.flying:
            verdict.forgotten = self.resume(answer.mark, now)
        if verdict.forgotten is None:
            self._release(now)
        return verdict

    def resume(self, mark: int, now: float) -> tuple[int, int] | None:
        """Send everything above `mark` again: after a reconnect, or when all refusals are in.

        Returns the numbers that cannot be sent again, because they are no longer kept.
        """
        self.flying.clear()
        self._trusted = True
        if mark < self._floor:
            return mark + 1, self._floor
        self._accept(self._sent, mark, now)
        if not self._room:
            refused = [item for item in self._sent if item.number > mark and item.waits]
            self._drop(refused)
            self.hold(refused)
        self._again = deque(item for item in self._sent if item.number > mark)
        for number, item in enumerate(self._again, mark + 1):
            item.number, item.accepted_at = number, 0.0
            if item.future.done():
                item.job = EMPTY
        self._last = self._again[-1].number if self._again else mark
        return None

    def renew(self) -> None:
        """Start at number 1 again under a new identity, with all jobs that are kept and have no outcome."""
        items = [item for item in self._sent if not item.future.done()]
        for item in items:
            item.number, item.accepted_at = 0, 0.0
            self.size += item.size
        self._fresh.extendleft(reversed([*items, *self._held]))
        self._held.clear()
        self._sent.clear()
        self._again.clear()
        self.flying.clear()
        self._last, self._floor, self._trusted = 0, 0, True

    def withdraw(self, job_id: str) -> bool:
        """Take out a job that the server has not: one that was not sent yet, or that would be sent again."""
        for line in (self._fresh, self._held):
            for item in line:
                if item.job.id == job_id:
                    line.remove(item)
                    self.size -= item.size
                    return True
        for item in self._again:
            if item.job.id == job_id:
                item.job = EMPTY
                return True
        return False

    def shed(self) -> tuple[list[Pending], list[Pending]]:
        """The server is away: the hasty jobs that were never sent, which go, and those it may have got."""
        unsent = [item for line in (self._held, self._fresh) for item in line if item.hasty]
        if unsent:
            self._held = deque(item for item in self._held if not item.hasty)
            self._fresh = deque(item for item in self._fresh if not item.hasty)
            self.size -= sum(item.size for item in unsent)
        return unsent, [item for item in self._sent if item.hasty and not item.accepted_at and not item.future.done()]

    def abandon(self) -> list[Pending]:
        """Empty it: the jobs that were never accepted."""
        left = [item for item in (*self._sent, *self._held, *self._fresh) if not item.accepted_at]
        self._floor = max([self._floor, *(item.number for item in self._sent if item.accepted_at)])
        self._fresh.clear()
        self._held.clear()
        self._again.clear()
        self._sent.clear()
        self.flying.clear()
        self.size, self._room = 0, True
        return left

    def _accept(self, items: Iterable[Pending], mark: int, now: float) -> None:
        for item in items:
            if item.number <= mark and not item.accepted_at:
                item.accepted_at = now
                item.future.accepted = True

    def _drop(self, rejected: list[Pending]) -> None:
        gone = set(map(id, rejected))
        self._sent = deque(item for item in self._sent if id(item) not in gone)

    def _release(self, now: float) -> None:
        while self._sent and self._sent[0].accepted_at and self._sent[0].accepted_at < now - KEPT_S:
            self._floor = self._sent.popleft().number
