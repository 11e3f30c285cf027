"""Write a story on a real queue: callers submit, workers take, finish and die, and anybody may look.

Thin wrappers over the moves. `Scribe` belongs to one queue; its callers and workers share its connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.job import Entry, Job, new_client_id, new_job_id
from pullet_broker.keys import GROUP, LANES
from pullet_broker.link import Link
from pullet_broker.moves.cancel import Heard, Stop, cancel, read_stops
from pullet_broker.moves.cycle import (
    Cycled,
    Outcome,
    Reconciled,
    claim,
    cycle,
    fail,
    give_back,
    read_waited,
    reconcile,
    wait_for_work,
)
from pullet_broker.moves.dead import Replayed, purge, replay
from pullet_broker.moves.life import Beaten, Reaped, beat, forget, promote, reap, spill
from pullet_broker.moves.submit import Answer, Submitted, submit
from pullet_broker.reply import Reply, pack_reply, read_reply
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue


def a_job(args: bytes = b"\x90", **options: Any) -> Job:
    """A job of its own, with `Job`'s fields as options."""
    return Job(new_job_id(), "work", args, **options)


def outcome(entry: Entry, value: bytes = b"\x01", worker: str = "w") -> Outcome:
    """The entry ended well."""
    return Outcome(entry, pack_reply("ok", entry.attempt, worker, 7, value))


def error(entry: Entry, worker: str = "w", note: str = "") -> Outcome:
    """The entry raised."""
    return Outcome(entry, pack_reply("error", entry.attempt, worker, 7, b"\x80"), note)


@dataclass
class Caller:
    """A client process. It numbers its jobs and knows how often it has connected."""

    link: Link
    queue: Queue
    id: str = field(default_factory=new_client_id)
    connection: int = 1
    last: int = 0

    def call(self, first: int, *jobs: Job, connection: int | None = None) -> Call[Submitted]:
        return submit(self.queue, self.id, connection or self.connection, first, jobs)

    def send(self, first: int, *jobs: Job, connection: int | None = None) -> Submitted:
        """One `submit`, whatever comes of it."""
        return self.link.run(self.call(first, *jobs, connection=connection))

    def announce(self) -> Submitted:
        return self.send(self.last + 1)

    def submit(self, *jobs: Job) -> list[str]:
        """Submit the next jobs and see them accepted; returns their ids."""
        answer = self.send(self.last + 1, *jobs)
        assert answer.answer is Answer.OK, answer
        self.last = answer.mark
        return [job.id for job in jobs]

    def one(self, **options: Any) -> str:
        """Submit one job; returns its id."""
        return self.submit(a_job(**options))[0]

    def inbox(self) -> list[tuple[str, bytes]]:
        """Job and reply of everything that was sent to this client, oldest first."""
        found = []
        for _, flat in self.link.execute("XRANGE", self.queue.keys.inbox(self.id), "-", "+"):
            pairs = zip(flat[::2], flat[1::2], strict=True)
            found += [(name.decode(), value) for name, value in pairs if name != b":open"]
        return found


@dataclass
class Worker:
    """One consumer."""

    link: Link
    queue: Queue
    name: str
    beats: int = 0

    def register(self) -> Worker:
        self.beats = 0
        self.link.run(beat(self.queue, self.name, self.beats, '{"node":"here"}'))
        return self

    def beat(self) -> Beaten:
        self.beats += 1
        return self.link.run(beat(self.queue, self.name, self.beats))

    def cycle(self, *outcomes: Outcome, want: int = 0, alone: bool = False, high_first: bool = False) -> Cycled:
        return self.link.run(cycle(self.queue, self.name, outcomes, want, alone=alone, high_first=high_first))

    def take(self, want: int = 1, *, alone: bool = False, high_first: bool = False) -> list[Entry]:
        return self.cycle(want=want, alone=alone, high_first=high_first).entries

    def take_one(self, *, alone: bool = False) -> Entry:
        (entry,) = self.take(alone=alone)
        return entry

    def finish(self, *entries: Entry) -> list[int]:
        """Commit these; returns the places of those that did not count."""
        return self.cycle(*(outcome(entry, worker=self.name) for entry in entries)).fenced

    def fail(self, entry: Entry, retry_after_ms: int | None = None, note: str = "") -> str:
        outcome = error(entry, self.name, note)
        return self.link.run(fail(self.queue, self.name, outcome, retry_after_ms=retry_after_ms))

    def give_back(self, *entries: Entry) -> int:
        return self.link.run(give_back(self.queue, self.name, entries))

    def reconcile(self, *held: Entry) -> Reconciled:
        return self.link.run(reconcile(self.queue, self.name, held))

    def claim(self, entry: Entry) -> bool:
        return self.link.run(claim(self.queue, self.name, entry))

    def wait(self, block_ms: int = 1) -> list[Entry]:
        """The plain read of an idle worker."""
        return read_waited(self.queue, self.link.execute(*wait_for_work(self.queue, self.name, block_ms)))

    def read_blindly(self) -> None:
        """A plain read whose answer gets lost: what it delivers is pending here, and nobody knows it."""
        lanes = self.queue.keys.lanes
        self.link.execute("XREADGROUP", "GROUP", GROUP, self.name, "STREAMS", *lanes, *(">" for _ in lanes))


@dataclass
class Scribe:
    """Who acts on a queue, and what can be seen of it."""

    link: Link
    queue: Queue

    def caller(self) -> Caller:
        return Caller(self.link, self.queue)

    def worker(self, name: str = "w", place: str = "") -> Worker:
        """A registered worker, at a place or at none."""
        return Worker(self.link, self.queue.at(place), name).register()

    def succession(self) -> tuple[Caller, str, tuple[Worker, Entry], tuple[Worker, Entry]]:
        """A worker is late: it was taken for dead, and its heir has the job now. Each with its entry."""
        caller, late, heir = self.caller(), self.worker("late"), self.worker("heir")
        job = caller.one()
        old = late.take_one()
        self.reap("late", blame=False)
        return caller, job, (late, old), (heir, heir.take_one())

    def tick(self, *vouched: str) -> Beaten:
        """A watcher makes a tick now, whenever the last one was."""
        self.link.execute("DEL", self.key("tick"))
        return self.link.run(beat(self.queue, "watcher", None, vouched=vouched))

    def reap(self, consumer: str, *, blame: bool = True) -> Reaped:
        return self.link.run(reap(self.queue, consumer, blame=blame))

    def forget(self, consumer: str) -> bool:
        return self.link.run(forget(self.queue, consumer))

    def promote(self) -> int:
        return self.link.run(promote(self.queue, "watcher"))

    def spill(self, place: str) -> int:
        return self.link.run(spill(self.queue, "watcher", place))

    def cancel(self, job: str, *, force: bool = False) -> str:
        return self.link.run(cancel(self.queue, job, force=force))

    def stops(self) -> list[Stop]:
        """What workers are told of jobs that were cancelled."""
        return self.heard().stops

    def heard(self) -> Heard:
        """All that workers are told."""
        return read_stops([(b"", self.link.execute("XRANGE", self.key("stops"), "-", "+"))])

    def replay(self, job: str) -> Replayed:
        return self.link.run(replay(self.queue, job))

    def purge(self, job: str) -> bool:
        return self.link.run(purge(self.queue, job))

    def calm(self) -> None:
        """The storm of suspects has passed."""
        self.link.execute("DEL", self.key("storm"))

    def lose_drafts(self) -> None:
        """Their time is over."""
        if names := self.drafts():
            self.link.execute("UNLINK", *map(self.key, names))

    def make_due(self) -> None:
        """The time of every delayed job has come."""
        for job in self.delayed():
            self.link.execute("ZADD", self.key("delayed"), 1, job)

    # -- what can be seen

    def key(self, name: str) -> str:
        return self.queue.keys.fixed(name)

    def reply(self, job: str) -> Reply | None:
        raw = self.link.execute("GET", self.queue.keys.reply(job))
        return None if raw is None else read_reply(raw)

    def ended(self, job: str) -> str | None:
        """How a job ended, or None while it did not."""
        reply = self.reply(job)
        return reply and reply.outcome

    def on_lane(self, lane: str) -> list[dict[str, str]]:
        """The fields of each entry on a lane."""
        return self._fields(self.lanes()[lane])

    def lanes(self) -> dict[str, str]:
        """The key of each lane by its name; that of a place is called at:<place>."""
        keys = self.queue.keys
        return dict(zip(LANES, keys.lanes, strict=True)) | {f"at:{place}": keys.at(place) for place in self.places()}

    def places(self) -> list[str]:
        return sorted(place.decode() for place in self.link.execute("SMEMBERS", self.key("places")))

    def home(self, key: str) -> str | None:
        """Where a key lives."""
        place = self.link.execute("GET", self.queue.keys.home(key))
        return None if place is None else str(place.decode())

    def where(self, job: str) -> list[str]:
        """The lanes that hold an entry of a job: never more than one."""
        return [lane for lane in self.lanes() for entry in self.on_lane(lane) if entry["id"] == job]

    def letters(self) -> list[dict[str, str]]:
        """The dead letters."""
        return self._fields(self.key("dead"))

    def entries(self) -> int:
        return sum(self.link.execute("XLEN", lane) for lane in self.lanes().values())

    def pending(self) -> int:
        return sum(self.link.execute("XPENDING", lane, GROUP)[0] for lane in self.lanes().values())

    def delayed(self) -> list[str]:
        return [job.decode() for job in self.link.execute("ZRANGE", self.key("delayed"), 0, -1)]

    def tombstones(self) -> list[str]:
        return [job.decode() for job in self.link.execute("ZRANGE", self.key("cancelled"), 0, -1)]

    def names(self) -> set[str]:
        """The queue's keys that exist now, without their common part."""
        base = self.key("")
        pattern = base.replace("{", "\\{") + "*"
        return {name.decode().removeprefix(base) for name in self.link.execute("KEYS", pattern)}

    def drafts(self) -> list[str]:
        """Large values that wait for their script."""
        return sorted(name for name in self.names() if name.startswith("draft:"))

    def dump(self) -> dict[str, Any]:
        """Everything that is in the queue, to see whether anything changed: all but the times of consumers, and the
        tick, which ends by itself."""
        return {name: self._content(self.key(name)) for name in sorted(self.names() - {"tick"})}

    def check_refusal(self, call: Call[Any]) -> None:
        """The server refuses it, and nothing has changed."""
        before = self.dump()
        with pytest.raises(ServerError):
            self.link.run(call)
        assert self.dump() == before

    @staticmethod
    def with_argument(call: Call[Any], name: str, value: str) -> Call[Any]:
        """The same call with another value of one of its named arguments."""
        args = list(call.args)
        args[call.script.args.index(name)] = value
        return replace(call, args=args)

    def clock_ms(self) -> int:
        seconds, micros = self.link.execute("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def _content(self, key: str) -> Any:
        if self.link.execute("TYPE", key) != b"stream":
            return self.link.execute("DUMP", key)
        pending = []
        if self.link.execute("XINFO", "GROUPS", key):
            pending = self.link.execute("XPENDING", key, GROUP, "-", "+", 1000)
        return self.link.execute("XRANGE", key, "-", "+"), [(entry, name) for entry, name, _, _ in pending]

    def _fields(self, stream: str) -> list[dict[str, str]]:
        rows = self.link.execute("XRANGE", stream, "-", "+")
        return [
            {name.decode(): value.decode(errors="replace") for name, value in zip(flat[::2], flat[1::2], strict=True)}
            for _, flat in rows
        ]
