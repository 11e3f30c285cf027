"""The attempts that ended, as a trace that Perfetto and chrome://tracing open: one row a worker, one bar a job."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pullet_broker.events import Ended
from pullet_console.inert import inert


def chrome_trace(queue: str, attempts: Iterable[Ended]) -> dict[str, Any]:
    """In the JSON object format of the Trace Event specification; times are in microseconds since the epoch.

    A worker that runs several jobs at once gets several rows: bars of one row must not overlap.
    """
    rows = _Rows()
    events = [_bar(one, rows.place(one)) for one in sorted(attempts, key=lambda one: one.started)]
    names = [_name("process_name", 0, f"queue {queue}"), *(_name("thread_name", *row) for row in rows.named())]
    return {"traceEvents": [*names, *events], "displayTimeUnit": "ms", "otherData": {"queue": queue}}


class _Rows:
    """Gives each bar a row of its worker that is free by then."""

    def __init__(self) -> None:
        self._ends: dict[str, list[tuple[int, float]]] = {}
        self._names: dict[int, str] = {}

    def place(self, one: Ended) -> int:
        rows = self._ends.setdefault(one.consumer, [])
        for i, (number, end) in enumerate(rows):
            if end <= one.started:
                rows[i] = (number, one.ended)
                return number
        number = len(self._names) + 1
        self._names[number] = one.consumer if not rows else f"{one.consumer} ({len(rows) + 1})"
        rows.append((number, one.ended))
        return number

    def named(self) -> Iterable[tuple[int, str]]:
        return self._names.items()


def _bar(one: Ended, row: int) -> dict[str, Any]:
    return {
        "name": inert(one.method) or "-",
        "cat": one.outcome,
        "ph": "X",
        "pid": 1,
        "tid": row,
        "ts": round(one.started * 1e6),
        "dur": max(1, round((one.ended - one.started) * 1e6)),
        "cname": "good" if one.outcome == "ok" else "terrible",
        "args": {
            "job": one.job,
            "outcome": one.outcome,
            "attempt": one.attempt,
            "waited_s": round(one.waited_s, 6),
            "batch": one.batch,
            "jobs": one.jobs,
            "client": one.client,
        },
    }


def _name(what: str, row: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": row, "args": {"name": inert(name)}}
