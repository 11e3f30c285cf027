"""What a worker says of itself: with several jobs at once it shows the one that runs longest."""

from __future__ import annotations

import json

from pullet_broker.job import Entry
from pullet_workers.engine import Done
from pullet_workers.report import Record, Report


def entry(name: str) -> Entry:
    return Entry(4, "1-0", name, f"method-{name}", b"", "", "")


def shown(report: Report) -> tuple[int, str | None, str | None, bool]:
    return report.running, report.job, report.method, report.job_since is not None


def test_it_shows_the_job_that_runs_longest() -> None:
    report, a, b, c = Report(), entry("a"), entry("b"), entry("c")
    for one in (a, b, c):
        report.started(one)
    assert shown(report) == (3, "a", "method-a", True)
    first = report.job_since
    report.finished(b, Done(b"", None, 0.5))
    assert shown(report) == (2, "a", "method-a", True)
    assert report.job_since == first
    report.finished(a, Done(b"", ValueError(), 0.25))
    assert shown(report) == (1, "c", "method-c", True)
    report.dropped(c)
    assert shown(report) == (0, None, None, False)
    assert (report.done, report.failed, report.busy_s) == (1, 1, 0.75)


def test_the_record_holds_what_other_hosts_can_read() -> None:
    report = Report()
    report.started(entry("a"))
    told = json.loads(Record("w", {"node": "n"}).text(report))
    assert (told["name"], told["node"], told["running"], told["job"]) == ("w", "n", 1, "a")
    assert "job_since" not in told
