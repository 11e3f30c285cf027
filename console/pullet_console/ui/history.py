"""What the dashboard remembers of one queue: a quarter of an hour of numbers, minutes of bars. No I/O, no clock."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from pullet_broker.events import Ended
from pullet_console.reading.queues import Look, QueueSummary, Rates, WorkerView, list_workers, rates, summarise
from pullet_console.ui.latency import Recent
from pullet_console.ui.tally import Count, Tally
from pullet_console.ui.timeline import Bar, Timeline, row_of

SAMPLES = 900
"""Looks that are remembered, one a second."""
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""Of the histograms that are exported."""
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FAILED = ("error", "timeout", "crashed", "lost")
RAN = ("ok", "error", "timeout")
"""Of the others nobody knows how long they ran."""


@dataclass(frozen=True)
class Sample:
    """The numbers of one look."""

    at: float
    waiting: int
    running: int
    done_s: float
    failed_s: float
    wait: tuple[float | None, ...]
    """p50, p95, p99 of the last minute, in seconds."""
    run: tuple[float | None, ...]

    def as_list(self) -> list[object]:
        return [round(self.at, 2), self.waiting, self.running, self.done_s, self.failed_s, *self.wait, *self.run]


@dataclass
class Histogram:
    """Counts below bounds, since the dashboard started, as Prometheus wants them."""

    bounds: tuple[float, ...]
    total: float = 0.0
    counts: dict[int, float] = field(default_factory=dict)

    def add(self, value: float, many: float = 1) -> None:
        place = bisect.bisect_left(self.bounds, value)
        self.counts[place] = self.counts.get(place, 0) + many
        self.total += value * many

    @property
    def count(self) -> float:
        return sum(self.counts.values())


class History:
    """One queue as it was seen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.summary: QueueSummary | None = None
        self.rates: Rates | None = None
        self.workers: list[WorkerView] = []
        self.counters: dict[str, str] = {}
        """The queue's `stats`."""
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)
        self.timeline = Timeline()
        self.fresh: list[Bar] = []
        """The bars of the last turn."""
        self.wait, self.run = Recent(), Recent()
        self.methods, self.callers = Tally(), Tally()
        self.wait_s: dict[str, Histogram] = {}
        self.run_s: dict[str, Histogram] = {}
        self.batches: dict[str, Histogram] = {}
        self.starts = Histogram(BOUNDS_S)
        """How long engines took to be built."""
        self.running: list[list[object]] = []
        """Row, method, since, job and consumer of what has been running for a look or more."""
        self._known: set[str] = set()
        self._begun: dict[tuple[str, str], float] = {}

    def hear(self, ended: Iterable[Ended]) -> None:
        """Attempts that ended."""
        for one in ended:
            run_s, wait_s, jobs = one.run_s, one.waited_s, one.jobs
            count = Count(jobs, jobs * (one.outcome in FAILED), run_s * jobs, wait_s * jobs)
            self.timeline.add(one)
            self.methods.add(one.method, count)
            if one.is_last:
                self.callers.add(one.client[:8], count)
            if one.outcome in RAN:
                self.wait.add(wait_s, jobs)
                self.run.add(run_s, jobs)
                _of(self.wait_s, one.method, BOUNDS_S).add(wait_s, jobs)
                _of(self.run_s, one.method, BOUNDS_S).add(run_s, jobs)
                if one.batch > 1:
                    _of(self.batches, one.method, BATCH_BOUNDS).add(one.batch, jobs / one.batch)

    def look(self, look: Look) -> None:
        """The numbers of this second; a turn of all that counts in seconds."""
        summary = summarise(look)
        if self.summary is not None:
            self.rates = rates(self.summary, summary) or self.rates
        self.summary, self.workers, self.counters = summary, list_workers(look), look.stats
        self._greet(look)
        self.fresh = self.timeline.turn()
        self.running = self._see_running(summary.at)
        for counted in (self.wait, self.run, self.methods, self.callers):
            counted.turn()
        self.samples.append(
            Sample(
                summary.at,
                summary.waiting,
                summary.running,
                round(self.rates.done, 2) if self.rates else 0.0,
                round(self.rates.failed, 2) if self.rates else 0.0,
                tuple(self.wait.quantiles()),
                tuple(self.run.quantiles()),
            )
        )

    def _greet(self, look: Look) -> None:
        """Workers that were not there at the last look."""
        for consumer, record in look.survey.records.items():
            start_s = record.get("start_s")
            if consumer not in self._known and isinstance(start_s, (int, float)) and 0 <= start_s < 1e9:
                self.starts.add(float(start_s))
        self._known = set(look.survey.records)

    def _see_running(self, at: float) -> list[list[object]]:
        """Nobody tells when a job begins: after the last bar of its row, or since the look that saw it first."""
        begun: dict[tuple[str, str], float] = {}
        found: list[list[object]] = []
        for worker in self.workers:
            if not worker.job or worker.in_hand == 0:
                continue
            row, which = row_of(worker.consumer), (worker.consumer, worker.job)
            last = self.timeline.last_end.get(row, 0.0)
            since = begun[which] = self._begun.get(which) or (last if at - last < LOOK_S else at)
            if which in self._begun and since >= last - LOOK_S:
                found.append([row, worker.method, max(since, last), worker.job, worker.consumer])
        self._begun = begun
        return found


LOOK_S = 2.5
"""Two looks, and a beat: how late the record of a worker may be."""
MOST_METHODS = 100
"""Methods that get a histogram of their own: names come from whoever submits."""


def _of(histograms: dict[str, Histogram], method: str, bounds: tuple[float, ...]) -> Histogram:
    name = method if method in histograms or len(histograms) < MOST_METHODS else "(others)"
    if name not in histograms:
        histograms[name] = Histogram(bounds)
    return histograms[name]
