"""What is to be done beside a running job, and when: commit, fetch the next job, free what waits. No I/O, no clock."""

from __future__ import annotations

from enum import Enum
from operator import itemgetter
from typing import TypeAlias

from pullet_broker.settings import Prefetch

WORTH_S = 0.001
"""Jobs shorter than this are cheaper to commit together, when their batch is through."""
SOON_S = 0.0004
"""What is due may as well be done so much later. Where jobs take ten times as long, the courier is awake by itself when
the next one has started: to wake it would keep that job from starting for 50 us."""
FREE_AFTER = 2
"""A job waits at most this many budgets behind another."""


class Errand(Enum):
    COMMIT = "commit"
    """Send the outcomes of the jobs before."""
    FETCH = "fetch"
    """The same, and take one job, to have it in hand when the running one ends."""
    FREE = "free"
    """Give back whatever still waits, and send what is finished."""
    LOOK = "look"
    """See whether the next job has started."""


Step: TypeAlias = tuple[float, Errand]
"""When, and what. A plain tuple, because three are made between two jobs."""
_WHEN = itemgetter(0)


def plan(
    now: float, expected_s: float | None, prefetch: Prefetch, *, waits: bool, finished: bool, alone: bool
) -> tuple[Step, ...]:
    """The errands beside a job that starts `now` and should take `expected_s` (None: nobody knows).

    `waits`: another job is in hand behind it; `finished`: outcomes are to be sent; `alone`: nothing may be taken
    beside it. A job is fetched one budget before the running one should end, so that the server's answer is there in
    time and no job waits long behind another, however long jobs are.
    """
    budget = prefetch.budget_s
    free_s = FREE_AFTER * budget
    if expected_s is None or expected_s < WORTH_S:
        return ((now + free_s, Errand.FREE),) if waits else ()
    commit = ((now, Errand.COMMIT),) if finished else ()
    look = ((now + expected_s + SOON_S / 2, Errand.LOOK),) if expected_s >= 10 * SOON_S else ()
    if alone:
        return (*commit, *look)
    if waits:
        return tuple(sorted((*commit, (now + free_s, Errand.FREE), *look), key=_WHEN))
    fetch_at = now + max(0.0, expected_s - budget)
    if fetch_at - now < WORTH_S:
        commit, fetch_at = (), now
    return tuple(sorted((*commit, (fetch_at, Errand.FETCH), (fetch_at + free_s, Errand.FREE), *look), key=_WHEN))
