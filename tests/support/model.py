"""A model of a queue: it makes every call, says beforehand what the answer must be, and remembers what follows."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from typing import Any, TypeVar

from pullet_broker.job import Entry, Job
from pullet_broker.keys import PLACE_LANE
from pullet_broker.link import Link
from pullet_broker.moves.cycle import SUSPECT, Outcome, cycle, fail, in_one_piece, needs_claim
from pullet_broker.moves.dead import Replay
from pullet_broker.moves.life import spill
from pullet_broker.moves.submit import Answer
from pullet_broker.reply import pack_reply, read_reply
from pullet_broker.scripting import Call
from pullet_broker.settings import Affinity, Lease, Limits, Queue
from tests.support.glance import Glance, Place, glance
from tests.support.players import Author, Hand
from tests.support.scribe import Scribe, Worker

HOUR = 3_600_000
LIMITS = Limits(backlog_jobs=8, blob_over_bytes=4, max_crashes=2, dead_letters=3)
LEASE = Lease(tick_ms=HOUR, ticks=2)
PLACES = ("a", "b", "a")
"""Of the worker in each slot; the last one lives at `LAST_PLACE`."""
LAST_PLACE = "c"
KEYS = ("k", "l")
"""Of the jobs that have one."""
NAMES = ("order-1", "order-2")
"""Ids of the jobs whose callers choose them: each may live several times, one life after the other."""
PATIENT, HASTY = Affinity(spill_s=HOUR), Affinity(spill_s=1e-6)
T = TypeVar("T")
_numbers = itertools.count(1)


def lanes_of(job: str, seen: Glance) -> list[str]:
    """The lanes that hold an entry of a job."""
    return [lane for (lane, _), name in seen.entries.items() if name == job]


class Model:
    def __init__(self, link: Link) -> None:
        self.scribe = Scribe(link, Queue(name=f"story-{next(_numbers)}", limits=LIMITS, lease=LEASE, affinity=PATIENT))
        self.authors = [Author(self.scribe.caller()) for _ in range(2)]
        self.hands: list[Hand | None] = [None, None, None]
        self.zombies: list[Hand] = []
        self.jobs: dict[str, Job] = {}
        self.accepted: set[str] = set()
        self.replies: dict[str, bytes] = {}
        self.read: set[str] = set()
        self.mail: Counter[str] = Counter()
        """How often a reply of each job must have been sent, beside the one to the caller of its last outcome."""
        self.readers: dict[str, list[Author]] = {}
        """Who waits, besides, for a job that is open."""
        self.asked: set[str] = set()
        """The jobs that somebody has cancelled; of those with one id the last one."""
        self.dead: dict[str, Job] = {}
        """The jobs of the dead letters, by their places."""
        self.numbers = itertools.count(1)
        self.sound = False
        """The promises held when they were last looked at, and nothing was done since."""
        self.loses_drafts = False
        """Those of the calls that follow do not reach the server."""
        self.drafted: list[Call[Any]] = []
        """The calls that had some."""
        for author in self.authors:
            author.caller.announce()

    def new_hand(self, place: str) -> Hand:
        return Hand(Worker(self.scribe.link, self.scribe.queue.at(place), f"w{next(self.numbers):04}"))

    def write(self, job: Job) -> None:
        """A caller wants to submit it. One with the same id may have been submitted before."""
        self.jobs.setdefault(job.id, job)

    def outcome(self, word: str, entry: Entry, hand: Hand, large: bool = False) -> Outcome:
        """One that can be told from every other."""
        reply = pack_reply(word, entry.attempt, hand.name, 0, b"%d" % next(self.numbers))
        head, end, value = reply.partition(b"\n")  # type: ignore[union-attr,arg-type]
        return Outcome(entry, (head + end, value) if large else reply)  # type: ignore[operator]

    def look(self) -> Glance:
        self.sound = False
        clients = [author.caller.id for author in self.authors]
        places = sorted({*PLACES, LAST_PLACE})
        return glance(self.scribe.link, self.scribe.queue, list(self.jobs), clients, places, KEYS)

    def die(self, slot: int) -> None:
        if hand := self.hands[slot]:
            self.hands[slot] = None
            self.zombies.append(hand)

    # -- calls

    def run(self, call: Call[T]) -> T:
        """Make a call, with its drafts or without."""
        if call.drafts:
            self.drafted.append(call)
        if self.loses_drafts:
            self.scribe.lose_drafts()
            call = dataclasses.replace(call, drafts=())
        return self.scribe.link.run(call)

    def submit(self, author: Author, connection: int, first: int, batch: list[Job]) -> None:
        seen = self.look()
        answer = self.run(author.caller.call(first, *batch, connection=connection))
        expected, offered = Answer.OK, batch[max(0, author.mark + 1 - first) :]
        if connection < author.connection:
            expected, offered = Answer.STALE, []
        elif batch and first > author.mark + 1:
            expected, offered = Answer.GAP, []
        author.connection = max(author.connection, connection)
        accepted, refusal = self._accept(author, offered, seen)
        if accepted < len(offered):
            expected = refusal
        author.mark += accepted
        assert (answer.answer, answer.mark) == (expected, author.mark)
        now = self.look()
        for job in offered[:accepted]:
            if self.jobs[job.id] is job and job.id not in seen.live and job.id not in seen.replies:
                assert lanes_of(job.id, now) == ([] if job.delay_ms else [self.lane_for(job, seen)])

    def _accept(self, author: Author, jobs: list[Job], seen: Glance) -> tuple[int, Answer]:
        """How many of them have their place, as new ones or beside the one that has their id; and why no more."""
        live = [*seen.live]
        for n, job in enumerate(jobs):
            if job.named and job.id in seen.replies:
                self.mail[job.id] += 1
            elif job.named and job.id in live:
                readers = self.readers.setdefault(job.id, [])
                readers += [author] if author not in readers else []
            elif len(live) >= LIMITS.backlog_jobs:
                return n, Answer.FULL
            elif self.loses_drafts and self.is_large(job):
                return n, Answer.GAP
            else:
                if job.named:
                    self.asked.discard(job.id)
                self._begin(job)
                live.append(job.id)
        return len(jobs), Answer.OK

    def _begin(self, job: Job) -> None:
        """A new job, or a new life of one that nobody knows any more."""
        self._forget_outcome(job.id)
        self.jobs[job.id] = job
        self.accepted.add(job.id)

    def _forget_outcome(self, job: str) -> None:
        if self.replies.pop(job, None) is not None:
            self.mail[job] += 1
        self.read.discard(job)

    def is_large(self, job: Job) -> bool:
        return len(job.args) > LIMITS.blob_over_bytes

    def lane_for(self, job: Job, seen: Glance) -> str:
        """Where a job belongs: at the home of its key as long as that is there, else on the lane of its priority."""
        home = seen.homes.get(job.key)
        return self.scribe.queue.keys.at(home) if home in seen.places else self.scribe.queue.keys.lane(job.lane)

    def cancel(self, job: str) -> None:
        seen = self.look()
        expected = "CANCELLED" if job in seen.parked else "DONE" if job in seen.replies else "ASKED"
        assert self.scribe.cancel(job) == expected
        if expected != "DONE":
            self.asked.add(job)

    def cycle(self, hand: Hand, outcomes: list[Outcome], want: int, alone: bool, high_first: bool) -> list[Entry]:
        before = self.look()
        entries = [one.entry for one in outcomes]
        counted = self._fence(hand, entries)
        others = before.pending.keys() - set(hand.places_of(entries))
        call = cycle(hand.worker.queue, hand.name, outcomes, want, alone=alone, high_first=high_first)
        cycled = self.run(call)
        missing = [n for n, one in enumerate(outcomes) if self.loses_drafts and type(one.reply) is tuple]
        assert cycled.missing == missing
        assert cycled.fenced == [n for n, counts in enumerate(counted) if not counts and n not in missing]
        if missing:
            whole = [in_one_piece(outcomes[n]) for n in missing]
            again = self.run(cycle(hand.worker.queue, hand.name, whole, 0, alone=False, high_first=False))
            assert again.fenced == [place for place, n in enumerate(missing) if not counted[n]]
        for one, counts in zip(outcomes, counted, strict=True):
            if counts:
                self._ended(one)
        assert len(cycled.entries) <= want
        if any(entry.lane == SUSPECT for entry in cycled.entries):
            assert alone
            assert len(cycled.entries) == 1
            suspects = self.scribe.queue.keys.lane("suspect")
            running = sum(lane == suspects for lane, _ in others)
            assert not before.storm or running < max(1, before.workers // 4)
        self.check_homes(hand, before, cycled.entries)
        return cycled.entries

    def wait(self, hand: Hand) -> list[Entry]:
        """The blocking read of an idle worker; returns what it may not run itself and has to give back."""
        before = self.look()
        found = hand.worker.wait()
        runs = [entry for entry in found[:1] if not needs_claim(entry) or hand.worker.claim(entry)]
        self.check_homes(hand, before, runs)
        if found and not runs:
            home = before.homes[found[0].key]
            assert home != hand.place
            assert home in before.places
            assert found[0].job not in before.spilled
        return found[len(runs) :]

    def check_homes(self, hand: Hand, before: Glance, taken: list[Entry]) -> None:
        """A key stays where it lives as long as that place is there. A job runs there, unless it waited in vain."""
        after, keys = self.look(), self.scribe.queue.keys
        for key, home in before.homes.items():
            assert home not in before.places or after.homes[key] == home
        for entry in taken:
            if entry.key and entry.lane not in (SUSPECT, PLACE_LANE):
                assert after.homes[entry.key] == hand.place or entry.job in before.spilled
        came = {job for place, job in after.entries.items() if place not in before.entries}
        assert came.isdisjoint(before.spilled)
        for (lane, _), job in after.entries.items():
            assert job not in came or lane == keys.at(after.homes[self.jobs[job].key])

    def spill(self, place: str) -> None:
        """Everything that waits at a place has waited long enough; what runs there is left alone."""
        before, lane = self.look(), self.scribe.queue.keys.at(place)
        hasty = dataclasses.replace(self.scribe.queue, affinity=HASTY)
        while self.scribe.link.run(spill(hasty, "watcher", place)):
            continue
        after = self.look()
        waited = {name for at, name in before.entries.items() if at[0] == lane and at not in before.pending}
        ended = {job for job in waited if job in after.replies}
        assert {at for at in after.entries if at[0] == lane} == {at for at in before.pending if at[0] == lane}
        for job in waited - ended:
            assert lanes_of(job, after) == [self.scribe.queue.keys.lane(self.jobs[job].lane)]

    def fail(self, hand: Hand, outcome: Outcome, retry_after_ms: int | None) -> list[Entry]:
        (counts,) = self._fence(hand, [outcome.entry])
        call = fail(hand.worker.queue, hand.name, outcome, retry_after_ms=retry_after_ms)
        answer = self.scribe.link.run(call)
        assert (answer != "FENCED") is counts
        if answer == "DEAD":
            self._ended(outcome)
        return []

    def give_back(self, hand: Hand, entries: list[Entry]) -> list[Entry]:
        counted = self._fence(hand, entries)
        assert hand.worker.give_back(*entries) <= sum(counted)
        return []

    def reap(self, name: str, blame: bool) -> None:
        for slot, hand in enumerate(self.hands):
            if hand and hand.name == name:
                self.die(slot)
        while self.scribe.reap(name, blame=blame).more:
            continue
        assert self.scribe.forget(name)

    def replay(self, job: str) -> None:
        seen = self.look()
        answer = self.scribe.replay(job).answer
        if job not in seen.buried or job in seen.open_names or self._ended_otherwise(job, seen):
            assert answer is Replay.MISSING
        elif job in seen.large_letters and job not in seen.blobs:
            assert answer is Replay.GONE
        elif len(seen.live) >= LIMITS.backlog_jobs:
            assert answer is Replay.FULL
        else:
            assert answer is Replay.OK
            self.asked.discard(job)
            self._begin(self.dead.get(seen.buried[job], self.jobs[job]))
            assert lanes_of(job, self.look()) == [self.lane_for(self.jobs[job], seen)]

    def _ended_otherwise(self, job: str, seen: Glance) -> bool:
        """A later job with the id of this dead one has ended, and not as a dead letter: its outcome stands."""
        reply = seen.replies.get(job)
        return reply is not None and read_reply(reply).outcome not in ("error", "crashed", "lost")

    def purge(self, job: str) -> None:
        seen = self.look()
        assert self.scribe.purge(job) is (job in seen.buried)

    def _fence(self, hand: Hand, entries: list[Entry]) -> list[bool]:
        """Which of these attempts still count."""
        pending = self.look().pending
        return [place in pending for place in hand.places_of(entries)]

    def _ended(self, outcome: Outcome) -> None:
        job = outcome.entry.job
        assert job not in self.replies, "a second outcome"
        reply = in_one_piece(outcome).reply
        assert isinstance(reply, bytes)
        self.end(job, reply)

    def end(self, job: str, reply: bytes) -> None:
        self.replies[job] = reply
        self.mail[job] += len(self.readers.pop(job, []))

    def knows_all(self, hand: Hand) -> bool:
        """Nothing is pending for a worker that it does not hold."""
        return set(hand.places_of(hand.held)) == self.pending_at(hand, self.look())

    def pending_at(self, hand: Hand, seen: Glance) -> set[Place]:
        return {place for place, name in seen.pending.items() if name == hand.name}

    def clean(self) -> None:
        base = self.scribe.key("")
        self.scribe.link.execute("UNLINK", *(base + name for name in self.scribe.names()))
