"""What a worker does in its loop: cycle (commit and take), fail, give_back, reconcile, the wait for work, claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any

from pullet_broker.drafts import draft
from pullet_broker.events import Note, tell
from pullet_broker.job import Entry, read_entry, read_handed_out
from pullet_broker.keys import GROUP, LANES, PLACE_LANE, Keys
from pullet_broker.moves.settling import burying, settling
from pullet_broker.parts import Parts
from pullet_broker.reply import first_line
from pullet_broker.scripting import Arg, Call, Command, fixed_keys, load
from pullet_broker.settings import SCHEMA, Queue

OUTCOMES = 64
"""The most outcomes in one cycle."""
RETURNS = 100
"""The most entries in one give_back."""
SUSPECT = LANES.index("suspect") + 1
"""The number of the suspects' lane."""
READ_ORDER = (1, SUSPECT, 3, PLACE_LANE, 4, 5)
"""Numbers of the lanes in the order in which `cycle` reads them."""


class Standing(Enum):
    """How the queue sees a worker that takes."""

    OK = b"OK"
    STRANGER = b"STRANGER"
    """Not registered, or counted as dead: start anew under a new name."""
    PAUSED = b"PAUSED"
    YIELD = b"YIELD"
    """A suspect waits for a worker that holds nothing: this one is to take nothing until then."""
    NOGROUP = b"NOGROUP"
    """The lanes were lost (FLUSHALL): register again."""
    SCHEMA = b"SCHEMA"


_STANDINGS = {standing.value: standing for standing in Standing}


@dataclass(slots=True, eq=False)  # not frozen: one is made for every job, and that would take 0.6 us more
class Outcome:
    """A finished entry and its reply, ready to commit."""

    entry: Entry
    reply: bytes | Parts
    note: str = ""
    """What was raised, in one short line: kept for the dead letter."""
    event: Note | None = None
    """How it went, for whoever watches: see `pullet_broker.events`."""
    log: str = ""
    """What the engine had logged at last: kept for the dead letter."""


@dataclass(slots=True)
class Cycled:
    standing: Standing
    fenced: list[int]
    """Places of the outcomes that did not count: those entries were no longer this worker's."""
    entries: list[Entry]
    dropped: int
    """Jobs that ended here as cancelled or expired, or went to where their key lives; there may be more to take."""
    missing: list[int]
    """Places of the outcomes that came without their draft: commit these again, `in_one_piece`."""
    calm: bool
    """Suspects do not kill worker after worker just now: a worker that waits may wait for them too."""


def cycle(
    queue: Queue,
    consumer: str,
    outcomes: Sequence[Outcome],
    want: int,
    *,
    alone: bool,
    high_first: bool,
    yields: bool = False,
) -> Call[Cycled]:
    """Commit up to `OUTCOMES` outcomes and take up to `want` jobs, in one step. A reply in parts goes as a draft.

    `alone`: the worker will hold nothing else, so it may get a suspect. `yields`: take nothing while a suspect waits
    for such a worker; a worker that always fetches the next job before it ends one would never be alone.
    """
    script = load("cycle")
    args = [*_settled(queue, consumer), want, int(alone), int(yields), int(high_first), tell(outcomes)]
    drafts: list[Command] = []
    for outcome in outcomes:
        entry, reply, traits = outcome.entry, outcome.reply, "b" if outcome.entry.large else ""
        if type(reply) is tuple:
            drafts.append(draft(queue.keys.draft_reply(consumer, entry.lane, entry.id), reply))
            reply, traits = first_line(reply), traits + "d"
        args += (entry.lane, entry.id, entry.job, entry.client, entry.ttl_ms, traits, reply)
    return Call(script, fixed_keys(script, queue.keys), args, _read_cycled, drafts)


@lru_cache(maxsize=256)
def _settled(queue: Queue, consumer: str) -> tuple[Arg, ...]:
    """The ARGV that never change, which come first: to put them together takes longer than all else."""
    script = load("cycle")
    varying: dict[str, Arg] = {"want": 0, "alone": 0, "yields": 0, "high_first": 0, "events": ""}
    named = script.arguments(
        schema=SCHEMA,
        consumer=consumer,
        draft=queue.keys.draft_reply_prefix,
        home_ms=queue.affinity.home_ms,
        **settling(queue),
        **varying,
    )
    assert script.args[-len(varying) :] == (*varying,), "cycle.lua must have these ARGV last, in this order"
    return tuple(named[: -len(varying)])


def _read_cycled(raw: Any) -> Cycled:
    if type(raw) is bytes:
        return Cycled(_STANDINGS[raw], [], [], 0, [], calm=True)
    standing, fenced, entries, dropped, calm, missing = raw
    found = read_handed_out(entries)
    if fenced or missing:
        fenced, missing = [n - 1 for n in fenced], [n - 1 for n in missing]
    return Cycled(_STANDINGS[standing], fenced, found, dropped, missing, calm == 1)


def in_one_piece(outcome: Outcome) -> Outcome:
    """The same, with its reply in the call itself, which a full server takes too."""
    return replace(outcome, reply=b"".join(outcome.reply)) if type(outcome.reply) is tuple else outcome


def fail(queue: Queue, consumer: str, outcome: Outcome, *, retry_after_ms: int | None) -> Call[str]:
    """End an attempt that raised: run it again after `retry_after_ms`, or for good with None.

    Answers DEAD, PARKED, CANCELLED or FENCED.
    """
    script = load("fail")
    args = script.arguments(
        consumer=consumer,
        lane=outcome.entry.lane,
        entry=outcome.entry.id,
        retry=int(retry_after_ms is not None),
        delay_ms=retry_after_ms or 0,
        error=outcome.reply,
        note=outcome.note,
        log=outcome.log,
        events=tell([outcome]),
        **burying(queue),
        **settling(queue),
    )
    return Call(script, fixed_keys(script, queue.keys), args, _read_word)


def give_back(queue: Queue, consumer: str, entries: Iterable[Entry]) -> Call[int]:
    """Return up to `RETURNS` entries that were not started."""
    script = load("give_back")
    args = script.arguments(consumer=consumer, spill_ms=queue.affinity.spill_ms, **settling(queue)) + places(entries)
    return Call(script, fixed_keys(script, queue.keys), args, int)


@dataclass(frozen=True, slots=True)
class Reconciled:
    adopted: list[Entry]
    """Pending for the worker, but not held: a reply that got lost carried them."""
    lost: list[int]
    """Places of held entries that are not pending: committed before, or somebody else's by now."""


def reconcile(queue: Queue, consumer: str, held: Iterable[Entry], most: int = 1000) -> Call[Reconciled]:
    """Compare what is pending for `consumer` with what it holds."""
    script = load("reconcile")
    args = script.arguments(consumer=consumer, most=most) + places(held)
    return Call(script, fixed_keys(script, queue.keys), args, _read_reconciled)


def _read_reconciled(raw: Any) -> Reconciled:
    return Reconciled([read_entry(entry) for entry in raw[0]], [n - 1 for n in raw[1]])


def wait_for_work(queue: Queue, consumer: str, block_ms: int, *, suspects: bool = True) -> tuple[Arg, ...]:
    """The plain blocking read of a worker on its lanes; read it with `read_waited`.

    `suspects` is False for a worker that holds something, which must not get one, and for all while suspects kill
    worker after worker: then only `cycle` hands them out.
    """
    head = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, "BLOCK", block_ms)
    return head + _streams(queue.keys, suspects)


@lru_cache(maxsize=1024)
def _streams(keys: Keys, suspects: bool) -> tuple[Arg, ...]:
    """The end of that command; remembered, because it never changes."""
    lanes = [lane for number, lane in enumerate(keys.lanes, 1) if suspects or number != SUSPECT]
    return ("STREAMS", *lanes, *[">"] * len(lanes))


def read_waited(queue: Queue, raw: Any) -> list[Entry]:
    """The entries of a blocking read in the order of a take: COUNT is per stream, so there may be several."""
    found: list[Entry] = []
    for stream, entries in raw or ():
        lane = queue.keys.lane_numbers[stream]
        for entry_id, fields in entries:
            found.append(read_entry((lane, entry_id, fields)))
    if len(found) > 1:
        found.sort(key=lambda entry: READ_ORDER.index(entry.lane))
    return found


def needs_claim(entry: Entry) -> bool:
    """Did an idle worker get a job with a key from a common lane? Then its key may live elsewhere: `claim` it."""
    return entry.key != "" and entry.lane not in (SUSPECT, PLACE_LANE)


def claim(queue: Queue, consumer: str, entry: Entry) -> Call[bool]:
    """Make this place the home of the job's key, if it has none. False when the job belongs elsewhere: give it back."""
    script = load("claim")
    args = script.arguments(consumer=consumer, lane=entry.lane, entry=entry.id, home_ms=queue.affinity.home_ms)
    return Call(script, fixed_keys(script, queue.keys), args, bool)


def places(entries: Iterable[Entry]) -> list[Arg]:
    """Lane and id of each entry."""
    return [part for entry in entries for part in (entry.lane, entry.id)]


def _read_word(raw: Any) -> str:
    return str(raw.decode())
