"""What a worker says of itself: with several jobs at once it shows the one that runs longest."""

from __future__ import annotations

import json

from pullet_broker.job import Entry
from pullet_workers.engine import Done
from pullet_workers.report import Record, Report


def entry(name: str) -> Entry:
    return Entry(4, "1-0", name, f"method-{name}", b"", "", "")


def shown(report: Report) -> tuple[int, str | None, str | None, float | None]:
    now = report.shown()
    return now["running"], now["job"], now["method"], now["job_since"]


def test_it_shows_the_job_that_runs_longest() -> None:
    report, a, b, c = Report(), entry("a"), entry("b"), entry("c")
    for one, now in ((a, 7.0), (b, 8.0), (c, 9.0)):
        report.started(one, now)
    assert shown(report) == (3, "a", "method-a", 7.0)
    report.finished(b, Done(b"", None, 0.5))
    assert shown(report) == (2, "a", "method-a", 7.0)
    report.finished(a, Done(b"", ValueError(), 0.25))
    assert shown(report) == (1, "c", "method-c", 9.0)
    report.dropped(c)
    assert shown(report) == (0, None, None, None)
    assert (report.done, report.failed, report.busy_s) == (1, 1, 0.75)


def test_the_record_holds_what_other_hosts_can_read() -> None:
    report = Report()
    report.started(entry("a"), 7.0)
    told = json.loads(Record("w", {"node": "n"}).text(report))
    assert (told["name"], told["node"], told["running"], told["job"]) == ("w", "n", 1, "a")
    assert "job_since" not in told
