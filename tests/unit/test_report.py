"""What a worker says of itself: with several jobs at once it shows the one that runs longest."""

from __future__ import annotations

import json

from pullet_broker.job import Entry
from pullet_workers.engine import Done
from pullet_workers.hand import Hand
from pullet_workers.report import Record, Report


def entry(name: str) -> Entry:
    return Entry(4, "1-0", name, f"method-{name}", b"", "", "")


def shown(report: Report) -> tuple[int, str | None, str | None, float | None]:
    now = report.shown()
    return now["running"], now["job"], now["method"], now["job_since"]


def test_it_shows_the_job_that_runs_longest() -> None:
    hand, a, b, c = Hand(), entry("a"), entry("b"), entry("c")
    report = Report(hand)
    hand.take([a, b, c])
    for now in (7.0, 8.0, 9.0):
        hand.start(now)
    assert shown(report) == (3, "a", "method-a", 7.0)
    hand.finish(b, None)
    assert shown(report) == (2, "a", "method-a", 7.0)
    hand.finish(a, None)
    assert shown(report) == (1, "c", "method-c", 9.0)
    hand.put_back(c)
    assert shown(report) == (0, None, None, None)


def test_it_counts_jobs_and_their_time() -> None:
    report = Report(Hand())
    report.finished(Done(b"", None, 0.5))
    report.finished(Done(b"", ValueError(), 0.25))
    assert (report.done, report.failed, report.busy_s) == (1, 1, 0.75)


def test_the_record_holds_what_other_hosts_can_read() -> None:
    hand = Hand()
    report = Report(hand)
    hand.take([entry("a")])
    hand.start(7.0)
    told = json.loads(Record("w", {"node": "n"}).text(report))
    assert (told["name"], told["node"], told["running"], told["job"]) == ("w", "n", 1, "a")
    assert "job_since" not in told
