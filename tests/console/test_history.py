"""What the dashboard makes of looks and events: percentiles, bars, tallies. No server."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pullet_broker.events import Ended
from pullet_broker.moves.survey import Survey
from pullet_console.reading.queues import Look
from pullet_console.ui.history import Histogram, History
from pullet_console.ui.inert_json import dump, plain
from pullet_console.ui.latency import Recent, bucket, columns, middle
from pullet_console.ui.tally import MOST_NAMES, OTHERS, Count, Tally
from pullet_console.ui.timeline import Timeline, row_of

NOW = 1_700_000_000.0


def ended(start: float, end: float, *, worker: str = "w-1", method: str = "work", **more: Any) -> Ended:
    fields: dict[str, Any] = {
        "job": "j",
        "client": "c" * 32,
        "outcome": "ok",
        "attempt": 1,
        "batch": 1,
        "is_last": True,
    }
    fields |= more
    return Ended(
        method=method,
        consumer=f"{worker}.host-1.abc",
        queued=NOW + start,
        started=NOW + start,
        ended=NOW + end,
        **fields,
    )


def look(at: float, *, records: dict[str, dict[str, Any]] | None = None, **stats: int) -> Look:
    records = records or {}
    survey = Survey(3, 1, 2.5, False, records, {}, dict.fromkeys(records, 1), [])
    return Look("q", int((NOW + at) * 1000), survey, 0, 0, 0, {k: str(v) for k, v in stats.items()}, {}, {}, {})


@pytest.mark.parametrize("seconds", [1e-5, 0.0004, 0.013, 1.0, 77.0, 4000.0])
def test_a_time_is_known_to_eight_per_cent(seconds: float) -> None:
    assert middle(bucket(seconds)) == pytest.approx(seconds, rel=0.08)


def test_percentiles_are_those_of_the_times() -> None:
    recent, times = Recent(), [random.Random(7).lognormvariate(-3, 1) for _ in range(5000)]
    for one in times:
        recent.add(one)
    recent.turn()
    times.sort()
    for wanted, found in zip((2499, 4749, 4949), recent.quantiles(), strict=True):
        assert found == pytest.approx(times[wanted], rel=0.1)
    assert sum(many for _, _, many in columns(recent.spread())) == 5000


def test_old_times_are_forgotten() -> None:
    recent = Recent(slots=2)
    recent.add(1.0)
    recent.turn()
    recent.turn()
    assert recent.quantiles()[0] is not None
    recent.turn()
    assert recent.quantiles() == [None, None, None]


def test_short_jobs_in_a_row_are_one_bar_and_a_gap_is_seen() -> None:
    timeline = Timeline()
    for i in range(5):
        timeline.add(ended(i * 0.010, i * 0.010 + 0.0099))
    timeline.add(ended(0.5, 0.51))
    timeline.add(ended(0.51, 0.52, outcome="error"))
    bars = timeline.turn()
    assert [(bar.jobs, bar.outcome) for bar in bars] == [(5, "ok"), (1, "ok"), (1, "error")]
    assert bars[0].end - bars[0].start == pytest.approx(0.0499, abs=1e-5)
    assert timeline.turn() == []
    assert len(list(timeline.kept(NOW))) == 3


def test_jobs_of_one_call_are_one_bar() -> None:
    timeline = Timeline()
    for _ in range(8):
        timeline.add(ended(0, 2.0, batch=8))
    (bar,) = timeline.turn()
    assert bar.jobs == 8


def test_a_job_that_never_ran_has_no_bar() -> None:
    timeline = Timeline()
    timeline.add(ended(1, 1, outcome="cancelled"))
    assert timeline.turn() == []


def test_a_row_is_named_after_the_worker() -> None:
    assert row_of("gpu.3-chess-2.host-471.a1b2c3") == "gpu.3-chess-2"


def test_names_without_end_take_no_room_without_end() -> None:
    tally = Tally()
    for i in range(5 * MOST_NAMES):
        tally.add(f"method-{i}", Count(1, 0, 0.1, 0.2))
    tally.turn()
    totals = tally.totals()
    assert len(totals) == MOST_NAMES + 1
    assert sum(one.jobs for one in totals.values()) == 5 * MOST_NAMES
    assert totals[OTHERS].jobs == 4 * MOST_NAMES


def test_rates_come_from_counters() -> None:
    history = History("q")
    history.look(look(0, done=10, error=1))
    history.look(look(2, done=30, error=4, crashed=1))
    assert history.rates is not None
    assert (history.rates.done, history.rates.failed) == (10, 2)
    assert [one.waiting for one in history.samples] == [3, 3]


def test_histograms_count_what_is_heard() -> None:
    history = History("q")
    history.hear([ended(0, 0.004), ended(0, 0.2), ended(0, 9, outcome="crashed"), ended(0, 0.4, batch=4)])
    histogram = history.run_s["work"]
    assert histogram.count == 3, "nobody knows how long the crashed one ran"
    assert histogram.total == pytest.approx(0.004 + 0.2 + 0.1)
    assert history.batches["work"].total == 1, "a quarter of a batch of four"


def test_a_value_on_a_bound_counts_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 2.0, 3.0):
        histogram.add(value)
    assert [histogram.counts.get(i) for i in range(3)] == [1, 1, 1]


def test_what_runs_is_shown_when_it_has_been_seen_twice() -> None:
    history = History("q")
    record = {"w-1.host-1.abc": {"name": "w-1", "state": "busy", "job": "long", "method": "work"}}
    history.look(look(0, records=record))
    assert history.running == []
    history.look(look(1, records=record))
    (bar,) = history.running
    assert bar[:3] == ["w-1", "work", NOW]
    record["w-1.host-1.abc"]["job"] = ""
    history.look(look(2, records=record))
    assert history.running == []


def test_engines_are_counted_once() -> None:
    history = History("q")
    record = {"w-1.host-1.abc": {"name": "w-1", "start_s": 1.5}, "odd": {"start_s": "soon"}}
    for at in range(3):
        history.look(look(at, records=record))
    assert (history.starts.count, history.starts.total) == (1, 1.5)


def test_json_for_pages_is_short_and_ascii() -> None:
    hostile = {
        "name": "<script>" * 100_000,
        "traceback": "x" * 1_000_000,
        "odd": "\ud800\x00\u202e",
        "nan": float("nan"),
    }
    text = dump(hostile)
    assert len(text) < 45_000
    assert text.isascii()
    assert plain(hostile)["nan"] is None
    assert plain({"k" * 1000: 1}) != {"k" * 1000: 1}
