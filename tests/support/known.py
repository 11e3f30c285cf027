"""A queue in a known state, with one of everything that docs/inspect.md shows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pullet_broker.codec import encode, encode_call
from pullet_broker.job import Entry, Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Outcome, cycle, fail, give_back
from pullet_broker.moves.life import beat, forget, reap
from pullet_broker.moves.submit import Answer, submit
from pullet_broker.reply import Failure, pack_failure, pack_reply
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until

CHESS = Queue(name="chess")
BUSY, SILENT, DOOMED = CONSUMERS = (
    "chess-4f1a.gpu3-4711.a1b2c3",
    "chess-9c20.gpu5-4712.d4e5f6",
    "chess-d07e.gpu3-4713.0718a9",
)
PLACE, KEY = "gpu3", "game-17"
"""Where BUSY is, and what lives there."""
BEATS = 5
"""How often BUSY has beaten. The others did once, at the start."""
ARGS = encode_call(("8/8/8/4k3/8/8/4P3/4K3 w - - 0 1",), {"depth": 15})
LARGE_ARGS = encode_call((b"\0" * 20_000,), {})
HOUR_MS = 3_600_000
REPLY = pack_reply("ok", 1, "chess-4f1a", 48_210, encode(31))
ERROR = pack_reply(
    "error",
    1,
    "chess-4f1a",
    311,
    pack_failure(Failure("builtins.ValueError", "no white king", ["no white king"], "Traceback ...")),
)


def record(consumer: str) -> str:
    name, process, _ = consumer.split(".")
    host, pid = process.split("-")
    about = {"name": name, "pid": int(pid), "host": host, "since": 1763765000.1, "state": "busy"}
    return json.dumps({**about, "done": 0, "failed": 0, "busy_s": 3.1}, separators=(",", ":"))


RECORDS = {consumer: record(consumer) for consumer in CONSUMERS}


def seat(consumer: str) -> Queue:
    """The queue as a worker sees it from its place."""
    return CHESS.at(PLACE if consumer == BUSY else "")


@dataclass
class Known:
    """What the filled queue holds: job ids and entry ids by a short name of the job."""

    link: Link
    client: str = field(default_factory=new_client_id)
    submitted: int = 0
    jobs: dict[str, str] = field(default_factory=dict)
    entries: dict[str, str] = field(default_factory=dict)

    def submit(self, name: str, args: bytes = ARGS, **options: Any) -> None:
        self.jobs[name] = new_job_id()
        job = Job(self.jobs[name], "eval", args, **options)
        answered = self.link.run(submit(CHESS, self.client, 1, self.submitted + 1, [job]))
        assert answered.answer is Answer.OK
        self.submitted = answered.mark

    def take(self, consumer: str, *names: str) -> list[Entry]:
        taken = self.link.run(cycle(seat(consumer), consumer, [], len(names), alone=False, high_first=False))
        assert [entry.job for entry in taken.entries] == [self.jobs[name] for name in names]
        self.entries.update({name: entry.id for name, entry in zip(names, taken.entries, strict=True)})
        return taken.entries

    def find(self, name: str, key: str) -> None:
        """Note the entry id of a job that was issued and that nobody has taken since."""
        for entry_id, fields in self.link.execute("XRANGE", CHESS.keys.fixed(key), "-", "+"):
            if self.jobs[name].encode() in fields:
                self.entries[name] = entry_id.decode()

    def read(self, command: str, key: str, *args: str) -> str:
        return self.link.execute(command, CHESS.keys.fixed(key), *args).decode("latin-1")

    def beat(self, consumer: str, number: int) -> None:
        """A beat that is also a tick: it does not wait for the last tick to pass."""
        self.link.execute("DEL", CHESS.keys.fixed("tick"))
        self.link.run(beat(seat(consumer), consumer, number, RECORDS[consumer]))
        self.link.execute("DEL", CHESS.keys.fixed("tick"))

    def now_ms(self) -> int:
        seconds, micros = self.link.execute("TIME")
        return int(seconds) * 1000 + int(micros) // 1000


def fill(known: Known) -> None:
    """Order matters: a take reads `again` first, and each lane from its oldest job."""
    for number in (0, 1):
        for consumer in (DOOMED, BUSY, SILENT):
            known.beat(consumer, number)
    make_suspect(known)
    make_dead_letter_and_retry(known)
    make_running_finished_and_given_back(known)
    for name, lane in {"waiting": "normal", "next": "normal", "high": "high", "low": "low"}.items():
        known.submit(name, lane=lane)
    known.submit("large", LARGE_ARGS)
    known.submit("later", delay_ms=HOUR_MS)
    known.submit("keyed", key=KEY)
    for name, key in {"suspect": "jobs:suspect", "waiting": "jobs", "next": "jobs", "large": "jobs"}.items():
        known.find(name, key)
    for number in range(2, BEATS + 1):
        known.beat(BUSY, number)
    assert wait_until(lambda: known.now_ms() > int(known.read("ZSCORE", "delayed", known.jobs["retry"])))


def make_suspect(known: Known) -> None:
    known.submit("suspect")
    known.take(DOOMED, "suspect")
    assert known.link.run(reap(CHESS, DOOMED, blame=True)).issued == 1
    assert known.link.run(forget(CHESS, DOOMED))


def make_dead_letter_and_retry(known: Known) -> None:
    for name, answer, retry_after_ms in (("dead", "DEAD", None), ("retry", "PARKED", 1)):
        known.submit(name)
        (entry,) = known.take(BUSY, name)
        outcome = Outcome(entry, ERROR, "builtins.ValueError no white king")
        assert known.link.run(fail(CHESS, BUSY, outcome, retry_after_ms=retry_after_ms)) == answer
    known.entries["taken dead"] = known.entries["dead"]
    known.find("dead", "dead")


def make_running_finished_and_given_back(known: Known) -> None:
    """Two jobs run; one that was taken after the first has finished; the last taken was given back."""
    for name, key in {"run": "", "finished": KEY, "run too": "", "given": ""}.items():
        known.submit(name, key=key)
    _, finished = known.take(BUSY, "run", "finished")
    _, unstarted = known.take(SILENT, "run too", "given")
    done = known.link.run(cycle(CHESS, BUSY, [Outcome(finished, REPLY)], 0, alone=False, high_first=False))
    assert done.fenced == []
    assert known.link.run(give_back(CHESS, SILENT, [unstarted])) == 1


def clean(link: Link) -> None:
    keys = link.execute("KEYS", CHESS.keys.fixed("*"))
    if keys:
        link.execute("DEL", *keys)
