"""What each worker was doing when: bars of the last minutes. No I/O, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from pullet_broker.events import Ended

SPAN_S = 300.0
MOST = 20_000
"""Bars that are kept."""
MOST_ROWS = 2_000
"""Workers whose last bar is remembered."""
JOIN_GAP_S, JOIN_S, SHORT_S = 0.002, 0.25, 0.05
"""Short jobs that follow each other this closely are one bar, up to this length: nobody could tell them apart."""
NEVER_RAN = ("cancelled", "expired")


@dataclass(slots=True)
class Bar:
    """One attempt, or several short ones in a row."""

    row: str
    consumer: str
    method: str
    outcome: str
    start: float
    end: float
    jobs: int
    job: str
    """The id of the first of them."""

    def as_list(self) -> list[object]:
        return [
            self.row,
            self.method,
            self.outcome,
            round(self.start, 4),
            round(self.end, 4),
            self.jobs,
            self.job,
            self.consumer,
        ]


def row_of(consumer: str) -> str:
    """The worker's own name: a consumer is that, its host and process, and a part that is new with each incarnation."""
    return consumer.rsplit(".", 2)[0]


class Timeline:
    """Collects bars; `turn` gives those that came since the last one."""

    def __init__(self) -> None:
        self.last_end: dict[str, float] = {}
        """When the last attempt of each row ended."""
        self._open: dict[str, Bar] = {}
        self._fresh: list[Bar] = []
        self._kept: deque[Bar] = deque(maxlen=MOST)

    def add(self, one: Ended) -> None:
        if one.outcome in NEVER_RAN and one.ended <= one.started:
            return
        row = row_of(one.consumer)
        self.last_end[row] = max(one.ended, self.last_end.get(row, 0.0))
        bar = self._open.get(row)
        if bar is not None and _continues(bar, one):
            bar.end, bar.jobs = max(bar.end, one.ended), bar.jobs + one.jobs
            return
        if bar is not None:
            self._fresh.append(bar)
        self._open[row] = Bar(row, one.consumer, one.method, one.outcome, one.started, one.ended, one.jobs, one.job)

    def turn(self) -> list[Bar]:
        """The bars that are new; whatever comes later begins new ones."""
        fresh = [*self._fresh, *self._open.values()]
        self._fresh, self._open = [], {}
        self._kept.extend(fresh)
        if len(self.last_end) > MOST_ROWS:
            self.last_end = dict(sorted(self.last_end.items(), key=lambda item: item[1])[-MOST_ROWS // 2 :])
        return fresh

    def kept(self, since: float) -> Iterator[Bar]:
        """Those that ended after this time."""
        return (bar for bar in self._kept if bar.end >= since)


def _continues(bar: Bar, one: Ended) -> bool:
    if (bar.method, bar.outcome, bar.consumer) != (one.method, one.outcome, one.consumer):
        return False
    if one.batch > 1 and abs(one.started - bar.start) < JOIN_GAP_S * 2 and abs(one.ended - bar.end) < JOIN_GAP_S * 2:
        return True  # another job of the same call
    is_next = -JOIN_GAP_S <= one.started - bar.end <= JOIN_GAP_S
    return is_next and one.ended - one.started <= SHORT_S and one.ended - bar.start < JOIN_S
