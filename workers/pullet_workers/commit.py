"""From finished jobs to the calls that commit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullet_broker.events import Note
from pullet_broker.job import Entry
from pullet_broker.moves.cycle import Outcome, cycle, fail
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
        return Finished(Outcome(entry, done.reply, event=event))
    outcome = Outcome(entry, done.reply, note(done.failure), event, done.log)
    return Finished(outcome, failed=True, retry_after_ms=retry_after_ms(entry, done.error, done.failure))


def commits(
    queue: Queue,
    consumer: str,
    finished: Sequence[Finished],
    want: int,
    *,
    alone: bool = False,
    high_first: bool = False,
    yields: bool = False,
) -> list[Call[Any]]:
    """One `fail` for each job that raised, then one `cycle` for the others, which also takes `want` jobs."""
    failed = [fail(queue, consumer, one.outcome, retry_after_ms=one.retry_after_ms) for one in finished if one.failed]
    outcomes = [one.outcome for one in finished if not one.failed]
    return [*failed, cycle(queue, consumer, outcomes, want, alone=alone, high_first=high_first, yields=yields)]
