"""From finished jobs to their outcomes on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pullet_broker.events import Note
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Cycled, Outcome, cycle, fail, in_one_piece
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_workers.engine import Done
from pullet_workers.hand import Finished
from pullet_workers.retrying import note, retry_after_ms


def finish(entry: Entry, done: Done, event: Note | None = None) -> Finished | None:
    """What becomes of an attempt: its outcome, or another try where the options allow one. None: it is not ours.

    `event` is what to tell whoever watches.
    """
    if done.reply is None:
        return None
    if done.error is None or done.failure is None:
        return Finished(entry, done.reply, "", event)
    again_ms = retry_after_ms(entry, done.error, done.failure)
    return Finished(entry, done.reply, note(done.failure), event, done.log, failed=True, retry_after_ms=again_ms)


@dataclass(slots=True)
class Take:
    """What a worker takes when it commits: see `cycle`."""

    want: int = 0
    alone: bool = False
    high_first: bool = False
    yields: bool = False


NOTHING = Take()


def commit(link: Link, queue: Queue, consumer: str, finished: Sequence[Finished], take: Take = NOTHING) -> Cycled:
    """Send outcomes, and take. When the link breaks, nobody knows which of them count: commit them all again."""
    cycled: Cycled = link.run_all(commits(queue, consumer, finished, take))[-1]
    if cycled.missing:
        outcomes = [one for one in finished if not one.failed]
        whole = [in_one_piece(outcomes[place]) for place in cycled.missing]
        again = link.run(cycle(queue, consumer, whole, 0, alone=False, high_first=False))
        cycled.fenced.extend(cycled.missing[place] for place in again.fenced)
    return cycled


def commits(queue: Queue, consumer: str, finished: Sequence[Finished], take: Take) -> list[Call[Any]]:
    """One `fail` for each job that raised, then one `cycle` for the others, which also takes."""
    calls: list[Call[Any]] = []
    outcomes: list[Outcome] = []
    for one in finished:
        if one.failed:
            calls.append(fail(queue, consumer, one, retry_after_ms=one.retry_after_ms))
        else:
            outcomes.append(one)
    how = {"alone": take.alone, "high_first": take.high_first, "yields": take.yields}
    calls.append(cycle(queue, consumer, outcomes, take.want, **how))
    return calls
