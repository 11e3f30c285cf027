"""What Prometheus gets at `/metrics`: from the dashboard alone, no worker is scraped.

Counters of jobs are Redis' own: they count all jobs since the queue was made, whenever the dashboard was started, and
however many dashboards there are. Histograms hold what this dashboard has heard since it started.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pullet_console.ui.history import Histogram, History
from pullet_console.ui.monitor import Monitor

if TYPE_CHECKING:
    from prometheus_client.core import Metric

OUTCOMES = {
    "done": "ok",
    "error": "error",
    "cancelled": "cancelled",
    "expired": "expired",
    "crashed": "lost",
    "lost": "lost",
}
"""The fields of a queue's `stats` that count outcomes, and their labels. A run that took too long is an error."""
RETRIES, REPLAYS, RECOVERIES, ACCEPTED = "retried", "replayed", "recovered", "submitted"
STATES = {"silent": "lost"}
"""Workers' states that have another name here."""


class Exposition:
    """The text of `/metrics`, made anew for each scrape."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.media_type = "text/plain; version=0.0.4; charset=utf-8"

    def text(self) -> bytes:
        if importlib.util.find_spec("prometheus_client") is None:
            return b'# metrics need the package prometheus-client: pip install "pullet[metrics]"\n'
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._monitor))
        return generate_latest(registry)


class _Collector:
    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        histories = [one for one in list(self._monitor.histories.values()) if one.summary is not None]
        yield from _server(self._monitor)
        yield from _jobs(histories)
        yield from _queues(histories)
        yield from _workers(histories)
        yield from _times(histories)


def _server(monitor: Monitor) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    up = GaugeMetricFamily("pullet_redis_up", "1 when the last look at Redis succeeded.")
    up.add_metric([], 0 if monitor.problem else 1)
    yield up
    yield _histogram(
        "pullet_redis_roundtrip_seconds", "How long one look at all queues took.", {(): monitor.roundtrips}
    )


def _jobs(histories: Iterable[History]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    finished = CounterMetricFamily("pullet_jobs_finished", "Jobs that ended, by outcome.", labels=["queue", "outcome"])
    others = {
        ACCEPTED: CounterMetricFamily("pullet_jobs_submitted", "Jobs that were accepted.", labels=["queue"]),
        RETRIES: CounterMetricFamily("pullet_job_retries", "Attempts that were tried again.", labels=["queue"]),
        REPLAYS: CounterMetricFamily("pullet_job_replays", "Dead letters that were run again.", labels=["queue"]),
        RECOVERIES: CounterMetricFamily(
            "pullet_job_recoveries", "Jobs issued again after their worker was lost.", labels=["queue"]
        ),
    }
    for history in histories:
        counts = Counter(dict.fromkeys(OUTCOMES.values(), 0))
        for field, outcome in OUTCOMES.items():
            counts[outcome] += _whole(history.counters, field)
        for outcome, count in counts.items():
            finished.add_metric([history.name, outcome], count)
        for field, family in others.items():
            family.add_metric([history.name], _whole(history.counters, field))
    yield finished
    yield from others.values()


def _queues(histories: Iterable[History]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    told = {
        "waiting": ("pullet_queue_waiting", "Jobs that nobody has taken: the backlog."),
        "running": ("pullet_queue_running", "Jobs that workers have taken."),
        "delayed": ("pullet_queue_delayed", "Jobs that are not due yet."),
        "dead": ("pullet_queue_dead", "Dead letters that are kept."),
        "oldest_s": ("pullet_queue_oldest_seconds", "How long the oldest waiting job has waited."),
        "paused": ("pullet_queue_paused", "1 while the queue is paused."),
    }
    for field, (name, text) in told.items():
        family = GaugeMetricFamily(name, text, labels=["queue"])
        for history in histories:
            family.add_metric([history.name], float(getattr(history.summary, field)))
        yield family


def _workers(histories: Iterable[History]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    states = GaugeMetricFamily("pullet_workers", "Workers that are registered, by state.", labels=["queue", "state"])
    busy = CounterMetricFamily(
        "pullet_worker_busy_seconds",
        "Run time of a worker's jobs; its rate is how busy it is.",
        labels=["queue", "worker"],
    )
    for history in histories:
        counts = Counter({"idle": 0, "busy": 0, "starting": 0, "lost": 0})
        counts.update(STATES.get(worker.state, worker.state) for worker in history.workers)
        for state, count in counts.items():
            states.add_metric([history.name, state], count)
        seconds: Counter[str] = Counter()
        for worker in history.workers:
            seconds[worker.name] += worker.busy_s  # type: ignore[assignment]
        for name, run_s in seconds.items():
            busy.add_metric([history.name, name], run_s)
    yield states
    yield busy


def _times(histories: Iterable[History]) -> Iterator[Metric]:
    told = {
        "wait_s": ("pullet_job_wait_seconds", "How long attempts waited for a worker."),
        "run_s": ("pullet_job_run_seconds", "How long attempts ran."),
        "batches": ("pullet_batch_size", "Jobs in one call of a batch method."),
    }
    for field, (name, text) in told.items():
        found: dict[tuple[str, ...], Histogram] = {
            (one.name, method): histogram
            for one in histories
            for method, histogram in list(getattr(one, field).items())
        }
        yield _histogram(name, text, found, ["queue", "method"])
    starts: dict[tuple[str, ...], Histogram] = {(one.name,): one.starts for one in histories}
    yield _histogram("pullet_engine_start_seconds", "How long engines took to be built.", starts, ["queue"])


def _histogram(
    name: str, text: str, found: Mapping[tuple[str, ...], Histogram], labels: list[str] | None = None
) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, text, labels=labels or [])
    for values, histogram in found.items():
        seen: float = 0
        buckets = []
        for place, bound in enumerate((*histogram.bounds, float("inf"))):
            seen += histogram.counts.get(place, 0)
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(seen)))
        family.add_metric(list(values), buckets, histogram.total)
    return family


def _whole(counters: Mapping[str, Any], field: str) -> int:
    text = str(counters.get(field, "0"))
    return int(text) if text.isdecimal() and len(text) < 16 else 0
