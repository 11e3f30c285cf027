"""What is going on in the pool, looked at a few times a second."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self

from pullet_broker.address import Address
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_console.demo.collect import Caller
from pullet_console.demo.engine import SLOW_PLACES, Digits
from pullet_workers import Pool

BUSY_OVER_S = 5.0
"""The busy share of a worker is that of the last so many seconds."""


@dataclass
class Row:
    """One worker, also after its death."""

    name: str
    pid: int | None = None
    speed: str = ""
    state: str = "starting"
    jobs: int = 0
    job: str = ""
    job_s: float = 0.0
    """How long it has been at its current job."""
    history: deque[tuple[float, float]] = field(default_factory=deque, repr=False)
    """(when, busy seconds until then) of the last looks."""

    @property
    def busy(self) -> float:
        """Share of the last `BUSY_OVER_S` in which it ran a job."""
        if len(self.history) < 2:
            return 0.0
        (begin, before), (end, after) = self.history[0], self.history[-1]
        return min(1.0, max(0.0, (after - before) / (end - begin)))


@dataclass(frozen=True)
class Picture:
    """Everything that a view shows."""

    elapsed_s: float
    done: int
    jobs: int
    backlog: int
    rows: Sequence[Row]
    callers: Sequence[tuple[str, int, int]]
    """Name, answers, share."""
    news: Sequence[str] = ()
    """What has happened, one line each."""


class Watch:
    """Looks at a pool and its callers. `killed` names the worker that was killed."""

    def __init__(self, pool: Pool[Digits], callers: Sequence[Caller]) -> None:
        self._pool, self._callers = pool, callers
        self._queue = Queue(name=pool.queue)
        self._link = Link(Address.from_environment() or Address(pool.redis), "pullet:demo")
        self._rows: dict[str, Row] = {}
        self._begun = time.monotonic()
        self.killed = ""

    @property
    def done(self) -> int:
        return sum(len(caller.answers) for caller in self._callers)

    @property
    def ready(self) -> int:
        """Workers that can take jobs."""
        return sum(row.state in ("idle", "busy") for row in self._rows.values())

    def look(self, news: Sequence[str] = ()) -> Picture:
        records = self._pool.workers()
        self._update(records, time.monotonic())
        self._count()
        return Picture(
            elapsed_s=time.monotonic() - self._begun,
            done=self.done,
            jobs=sum(caller.share for caller in self._callers),
            backlog=backlog(self._link, self._queue),
            rows=list(self._rows.values()),
            callers=[(caller.name, len(caller.answers), caller.share) for caller in self._callers],
            news=news,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._link.close()

    def _update(self, records: Sequence[dict[str, Any]], now: float) -> None:
        for record in records:
            row = self._rows.setdefault(record["name"], Row(record["name"]))
            update(row, record, now)
        listed = {record["name"] for record in records}
        for row in self._rows.values():
            if row.name == self.killed:
                row.state, row.job = "killed", ""
            elif row.name not in listed:
                row.state, row.job = "gone", ""

    def _count(self) -> None:
        answers = [answer for caller in self._callers for answer in list(caller.answers)]
        jobs = Counter(answer.worker for answer in answers)
        places = {answer.worker: answer.reading["place"] for answer in answers if answer.reading}
        for row in self._rows.values():
            row.jobs = jobs[row.name]
            if row.name in places:
                row.speed = "slow" if places[row.name] in SLOW_PLACES else "fast"


def update(row: Row, record: dict[str, Any], now: float) -> None:
    """Put one record of `Pool.workers` into a worker's row; `now` is the monotonic time of this machine."""
    row.pid, row.state = record["pid"], record["state"]
    since = record.get("job_since")
    row.job = (record.get("job") or "") if since else ""
    row.job_s = max(0.0, now - since) if since else 0.0
    row.history.append((now, (record.get("busy_s") or 0.0) + row.job_s))
    while row.history[0][0] < now - BUSY_OVER_S:
        row.history.popleft()


def backlog(link: Link, queue: Queue) -> int:
    """Jobs that wait for a worker: those on the lanes less those that a worker has."""
    lanes = queue.keys.lanes
    link.send(*(("XLEN", lane) for lane in lanes), *(("XPENDING", lane, GROUP) for lane in lanes))
    held = sum(int(link.receive()) for _ in lanes)
    taken = sum(int(link.receive()[0]) for _ in lanes)
    return max(0, held - taken)
