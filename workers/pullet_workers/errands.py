"""What is to be done beside a running job, and when: commit, fetch the next job, free what waits. No I/O, no clock."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pullet_broker.settings import Prefetch

WORTH_S = 0.001
"""Jobs shorter than this are cheaper to commit together, when their batch is through."""
FREE_AFTER = 2
"""A job waits at most this many budgets behind another."""


class Errand(Enum):
    COMMIT = "commit"
    """Send the outcomes of the jobs before."""
    FETCH = "fetch"
    """The same, and take one job, to have it in hand when the running one ends."""
    FREE = "free"
    """Give back whatever still waits, and send what is finished."""


class Step(NamedTuple):
    at: float
    errand: Errand


def plan(
    now: float, expected_s: float | None, prefetch: Prefetch, *, waits: bool, finished: bool, alone: bool
) -> tuple[Step, ...]:
    """The errands beside a job that starts `now` and should take `expected_s` (None: nobody knows).

    `waits`: another job is in hand behind it; `finished`: outcomes are to be sent; `alone`: nothing may be taken
    beside it. A job is fetched one budget before the running one should end, so that the server's answer is there in
    time and no job waits long behind another, however long jobs are.
    """
    budget = prefetch.budget_s
    if expected_s is None or expected_s < WORTH_S:
        return (Step(now + FREE_AFTER * budget, Errand.FREE),) if waits else ()
    commit = (Step(now, Errand.COMMIT),) if finished else ()
    if alone:
        return commit
    if waits:
        return (*commit, Step(now + FREE_AFTER * budget, Errand.FREE))
    fetch_at = now + max(0.0, expected_s - budget)
    if fetch_at - now < WORTH_S:
        commit, fetch_at = (), now
    return (*commit, Step(fetch_at, Errand.FETCH), Step(fetch_at + FREE_AFTER * budget, Errand.FREE))
