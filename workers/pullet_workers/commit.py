"""From finished jobs to the calls that commit them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pullet_broker.job import Entry
from pullet_broker.moves.cycle import Outcome, cycle, fail
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_workers.engine import Done
from pullet_workers.hand import Finished
from pullet_workers.opts import read_opts

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 300.0


def finish(entry: Entry, done: Done) -> Finished | None:
    """What becomes of an attempt: its outcome, or another try where `retries` allow one. None: it is not ours."""
    if done.reply is None:
        return None
    finished = Finished(Outcome(entry, done.reply), failed=done.error is not None)
    if finished.failed and entry.opts and entry.raised < read_opts(entry.opts).retries:
        finished.retry_after_ms = retry_delay_ms(entry.raised)
    return finished


def retry_delay_ms(raised: int) -> int:
    """Exponential back-off with full jitter: up to 1 s, 2 s, 4 s, ... 5 min."""
    return round(1000 * random.random() * min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** max(0, min(raised, 20))))


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
