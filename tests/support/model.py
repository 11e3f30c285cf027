"""A model of a queue: it makes every call, says beforehand what the answer must be, and remembers what follows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pullet_broker.job import Entry, Job
from pullet_broker.link import Link
from pullet_broker.moves.cycle import SUSPECT, Outcome, fail
from pullet_broker.moves.submit import Answer
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Lease, Limits, Queue
from tests.support.glance import Glance, Place, glance
from tests.support.scribe import Caller, Scribe, Worker

HOUR = 3_600_000
LIMITS = Limits(backlog_jobs=8, blob_over_bytes=4, max_crashes=2)
LEASE = Lease(tick_ms=HOUR, ticks=2)
_numbers = itertools.count(1)


@dataclass
class Author:
    """A client: what it wants to say, and what it knows was heard."""

    caller: Caller
    jobs: list[Job] = field(default_factory=list)
    heard: int = 0
    """The mark as it knows it."""
    mark: int = 0
    """The mark as it is."""
    connection: int = 1
    """The newest connection that the server has seen."""


@dataclass
class Hand:
    """A worker, what it holds, and the calls that it has no answer to, with the entries that were in them."""

    worker: Worker
    held: list[Entry] = field(default_factory=list)
    unanswered: list[tuple[Callable[[], list[Entry]], list[Entry]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.worker.name


def places_of(entries: list[Entry]) -> set[Place]:
    return {(entry.lane, entry.id) for entry in entries}


class Model:
    def __init__(self, link: Link) -> None:
        self.scribe = Scribe(link, Queue(name=f"story-{next(_numbers)}", limits=LIMITS, lease=LEASE))
        self.authors = [Author(self.scribe.caller()) for _ in range(2)]
        self.hands: list[Hand | None] = [None, None, None]
        self.zombies: list[Hand] = []
        self.jobs: dict[str, Job] = {}
        self.accepted: set[str] = set()
        self.replies: dict[str, bytes] = {}
        self.read: set[str] = set()
        self.numbers = itertools.count(1)
        self.sound = False
        """The promises held when they were last looked at, and nothing was done since."""
        for author in self.authors:
            author.caller.announce()

    def new_hand(self) -> Hand:
        return Hand(Worker(self.scribe.link, self.scribe.queue, f"w{next(self.numbers):04}"))

    def outcome(self, word: str, entry: Entry, hand: Hand) -> Outcome:
        """One that can be told from every other."""
        return Outcome(entry, pack_reply(word, entry.attempt, hand.name, 0, b"%d" % next(self.numbers)))

    def look(self) -> Glance:
        self.sound = False
        clients = [author.caller.id for author in self.authors]
        return glance(self.scribe.link, self.scribe.queue, list(self.jobs), clients)

    def die(self, slot: int) -> None:
        if hand := self.hands[slot]:
            self.hands[slot] = None
            self.zombies.append(hand)

    # -- calls

    def submit(self, author: Author, connection: int, first: int, batch: list[Job]) -> None:
        seen = self.look()
        answer = author.caller.send(first, *batch, connection=connection)
        expected, accepted = Answer.OK, batch[max(0, author.mark + 1 - first) :]
        if connection < author.connection:
            expected, accepted = Answer.STALE, []
        elif batch and first > author.mark + 1:
            expected, accepted = Answer.GAP, []
        elif len(accepted) > (room := LIMITS.backlog_jobs - len(seen.live)):
            expected, accepted = Answer.FULL, accepted[: max(0, room)]
        author.connection = max(author.connection, connection)
        author.mark += len(accepted)
        self.accepted |= {job.id for job in accepted}
        assert (answer.answer, answer.mark) == (expected, author.mark)

    def cancel(self, job: str) -> None:
        seen = self.look()
        expected = "CANCELLED" if job in seen.parked else "DONE" if job in seen.replies else "ASKED"
        assert self.scribe.cancel(job) == expected

    def cycle(self, hand: Hand, outcomes: list[Outcome], want: int, alone: bool, high_first: bool) -> list[Entry]:
        counted = self._fence([one.entry for one in outcomes])
        cycled = hand.worker.cycle(*outcomes, want=want, alone=alone, high_first=high_first)
        assert cycled.fenced == [n for n, counts in enumerate(counted) if not counts]
        for one, counts in zip(outcomes, counted, strict=True):
            if counts:
                self._ended(one)
        assert len(cycled.entries) <= want
        if any(entry.lane == SUSPECT for entry in cycled.entries):
            assert alone
            assert len(cycled.entries) == 1
        return cycled.entries

    def fail(self, hand: Hand, outcome: Outcome, retry_after_ms: int | None) -> list[Entry]:
        (counts,) = self._fence([outcome.entry])
        call = fail(self.scribe.queue, hand.name, outcome, retry_after_ms=retry_after_ms)
        answer = self.scribe.link.run(call)
        assert (answer != "FENCED") is counts
        if answer == "DEAD":
            self._ended(outcome)
        return []

    def give_back(self, hand: Hand, entries: list[Entry]) -> list[Entry]:
        counted = self._fence(entries)
        assert hand.worker.give_back(*entries) <= sum(counted)
        return []

    def reap(self, name: str, blame: bool) -> None:
        for slot, hand in enumerate(self.hands):
            if hand and hand.name == name:
                self.die(slot)
        while self.scribe.reap(name, blame=blame).more:
            continue
        assert self.scribe.forget(name)

    def _fence(self, entries: list[Entry]) -> list[bool]:
        """Which of these attempts still count."""
        pending = self.look().pending
        return [(entry.lane, entry.id) in pending for entry in entries]

    def _ended(self, outcome: Outcome) -> None:
        job = outcome.entry.job
        assert job not in self.replies, "a second outcome"
        self.replies[job] = outcome.reply

    def knows_all(self, hand: Hand) -> bool:
        """Nothing is pending for a worker that it does not hold."""
        return places_of(hand.held) == self.pending_at(hand, self.look())

    def pending_at(self, hand: Hand, seen: Glance) -> set[Place]:
        return {place for place, name in seen.pending.items() if name == hand.name}

    # -- what must hold after each of them

    def check(self) -> None:
        seen = self.look()
        places = Counter(seen.live)
        for job in self.jobs:
            over = job in seen.replies or job in self.read
            assert places[job] + over == (job in self.accepted), f"{job}: {places[job]} places, ended: {over}"
        assert seen.pending.keys() <= seen.entries.keys()
        assert sorted(seen.parked) == sorted(seen.due)
        for job, reply in seen.replies.items():
            assert self.replies.setdefault(job, reply) == reply
            assert job not in self.read
        assert Counter(seen.mail) == Counter(self.replies.keys())
        large = {job for job in places if len(self.jobs[job].args) > LIMITS.blob_over_bytes}
        assert {job for job, passing in seen.blobs.items() if not passing} == large
        for hand in filter(None, self.hands):
            assert places_of(hand.held) <= self.pending_at(hand, seen)
        self.sound = True

    def clean(self) -> None:
        base = self.scribe.key("")
        self.scribe.link.execute("UNLINK", *(base + name for name in self.scribe.names()))
