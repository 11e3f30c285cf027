"""The outbox against the server's rule for numbers, with everything going wrong between them.

Promised: each job is accepted exactly once, or reported as rejected or lost, and jobs are accepted in their order.
Those that wait for room are never rejected; others may overtake them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pullet.future import Future
from pullet.outbox import Outbox, Pending
from pullet_broker.job import Job
from pullet_broker.moves.submit import Answer, Submitted
from pullet_broker.settings import Limits

PLENTY = 1_000_000


@dataclass
class Server:
    """`submit` as the script does it: mark + 1 only, skip what is in, refuse old connections, stop at the limit."""

    mark: int = 0
    link: int = 0
    room: int = PLENTY
    highest: int = 0
    """The highest mark there ever was."""
    log: list[tuple[int, str]] = field(default_factory=list)
    """Number and job, as accepted."""

    def submit(self, link: int, first: int, jobs: list[str]) -> Submitted:
        if link < self.link:
            return self.answer(Answer.STALE)
        self.link = link
        if jobs and first > self.mark + 1:
            return self.answer(Answer.GAP)
        for number, job in enumerate(jobs, first):
            if number > self.mark:
                if job:
                    if self.room == 0:
                        return self.answer(Answer.FULL)
                    self.log.append((number, job))
                    self.room -= 1
                self.mark = number
                self.highest = max(self.highest, number)
        return self.answer(Answer.OK)

    def answer(self, kind: Answer) -> Submitted:
        return Submitted(kind, self.mark, new_inbox=False, backlog=0, limit=0)

    def forget(self, mark: int) -> None:
        self.mark = mark
        self.log = [(number, job) for number, job in self.log if number <= mark]


class Sending(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(Limits(batch_jobs=3))
        self.server, self.earlier = Server(), []
        self.link, self.now = 1, 100.0
        self.wire: deque[tuple[int, int, list[str]]] = deque()
        self.late: deque[tuple[int, int, list[str]]] = deque()
        self.answers: deque[Submitted] = deque()
        self.items: dict[str, Pending] = {}
        self.ended: dict[str, str] = {}
        """Job -> done, rejected, lost or withdrawn."""

    # -- the client

    @rule(jobs=st.lists(st.booleans(), min_size=1, max_size=5))
    def put(self, jobs: list[bool]) -> None:
        for waits in jobs:
            name = f"{len(self.items):04}"
            self.items[name] = Pending(Job(name, "m", b""), Future(name, lambda job: None), waits=waits)
            self.outbox.put(self.items[name])

    @rule()
    def probe(self) -> None:
        if (batch := self.outbox.probe()) is not None:
            (job,) = batch.items
            assert job.waits
            self.wire.append((self.link, batch.first, [job.job.id]))

    @rule(batches=st.integers(1, 4))
    def send(self, batches: int) -> None:
        for _ in range(batches):
            if (batch := self.outbox.next_batch()) is None:
                return
            assert [item.number for item in batch.items] == list(range(batch.first, batch.first + len(batch.items)))
            self.wire.append((self.link, batch.first, [job.id for job in batch.jobs]))

    @precondition(lambda self: self.answers)
    @rule()
    def read(self) -> None:
        verdict = self.outbox.answered(self.answers.popleft(), self.now)
        for item in verdict.rejected:
            assert not item.waits
            if not item.future.done():
                self.end(item.future.job_id, "rejected")
        self.heed(verdict.forgotten)

    @rule()
    def exchange(self) -> None:
        """All at once: what mostly happens."""
        self.send(4)
        while self.wire:
            self.deliver()
        while self.answers:
            self.read()

    @rule(seconds=st.sampled_from([0.1, 3.0, 6.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name in self.items if name not in self.ended] or ["none"]))
        if self.outbox.withdraw(name):
            self.end(name, "withdrawn")

    # -- the network and the server

    @precondition(lambda self: self.wire)
    @rule()
    def deliver(self) -> None:
        self.answers.append(self.server.submit(*self.wire.popleft()))

    @rule(delivered=st.integers(0, 4), late=st.booleans())
    def reconnect(self, delivered: int, late: bool) -> None:
        """What was on its way is delivered without an answer, or comes when nobody expects it, or never."""
        for _ in range(min(delivered, len(self.wire))):
            self.server.submit(*self.wire.popleft())
        if late:
            self.late.extend(self.wire)
        self.announce()

    @precondition(lambda self: self.late)
    @rule()
    def deliver_late(self) -> None:
        assert self.server.submit(*self.late.popleft()).answer is Answer.STALE

    @rule(room=st.integers(0, 4))
    def limit(self, room: int) -> None:
        self.server.room = room

    @precondition(lambda self: self.server.log)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        _, name = data.draw(st.sampled_from(self.server.log))
        if name not in self.ended:
            self.end(name, "done")

    @rule(back=st.integers(1, 20), connected=st.booleans())
    def forget(self, back: int, connected: bool) -> None:
        """A restart, or a FLUSHALL that leaves connections open."""
        self.server.forget(max(0, self.server.mark - back))
        self.late.clear()
        if not connected:
            self.announce()

    # -- what the sender does with it

    def announce(self) -> None:
        self.wire.clear()
        self.answers.clear()
        self.link += 1
        self.heed(self.outbox.resume(self.server.submit(self.link, 0, []).mark, 0.0))

    def heed(self, forgotten: tuple[int, int] | None) -> None:
        if forgotten is None:
            return
        first, last = forgotten
        assert self.server.mark < first <= last <= self.server.highest, f"{forgotten}: the server never had them"
        for name, item in self.items.items():
            if first <= item.number <= last and name not in self.ended:
                self.end(name, "lost")
        self.outbox.renew()
        self.earlier += [name for _, name in self.server.log]
        self.server = Server(room=self.server.room)
        self.wire.clear()
        self.answers.clear()
        self.late.clear()

    def end(self, name: str, how: str) -> None:
        self.ended[name] = how
        self.items[name].future.set_result(None)

    # -- what must hold

    @invariant()
    def no_job_is_accepted_twice_or_out_of_order(self) -> None:
        log = [name for _, name in self.server.log]
        assert len(log) == len(set(log))
        patient = {name for name, item in self.items.items() if item.waits}
        assert [name for name in log if name not in patient] == sorted({*log} - patient)
        assert not set(log) & set(self.earlier)

    @invariant()
    def what_was_rejected_or_withdrawn_is_not_accepted(self) -> None:
        for _, name in self.server.log:
            assert self.ended.get(name) in (None, "done"), f"{name} is {self.ended[name]}"

    def teardown(self) -> None:
        self.server.room = PLENTY
        self.announce()
        for _ in range(1000):
            self.probe()
            self.exchange()
            if not len(self.outbox):
                break
        assert not self.outbox.size
        accepted = {name for _, name in self.server.log} | set(self.earlier)
        missing = set(self.items) - accepted - set(self.ended)
        assert not missing, f"neither accepted nor reported: {sorted(missing)}"


Sending.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_every_job_is_accepted_once_or_reported = Sending.TestCase
