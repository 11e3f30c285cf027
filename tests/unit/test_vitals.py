"""What one look at the queue says of the workers. Records are written by anybody, so they may say anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pullet_broker.moves.survey import Survey
from pullet_broker.settings import Lease
from pullet_workers.member import Member
from pullet_workers.rest import longest
from pullet_workers.spec import WorkerOptions
from pullet_workers.vitals import IDLE_HANG_S, Vitals
from tests.support.fleet import FakeWorker

HOSTILE = [
    *("", "5", [], {}, [1], {"a": 1}, None, True, -1, -1e308, 1e308, 10**400),
    *(float("nan"), float("inf"), -float("inf"), "NaN"),
]


def survey(records: dict[str, dict[str, Any]], *, beat: str = "1", **more: Any) -> Survey:
    """A look at a queue with these consumers, all with the same beat."""
    found = {"waiting": 0, "running": 0, "oldest_s": 0.0, "paused": False, "jobs": {}, "tops": [], **more}
    return Survey(records=records, beats=dict.fromkeys(records, beat), **found)


def member(name: str, state: str = "ready") -> Member:
    return Member(FakeWorker(name), state=state)


def record(name: str = "w", **more: Any) -> dict[str, Any]:
    return {"name": name, "done": 0, "failed": 0, "busy_s": 0.0, "rss": 0, **more}


# -- run times


def test_the_run_time_is_what_the_workers_were_busy_by_what_they_did() -> None:
    vitals = Vitals(WorkerOptions(), Lease())
    assert vitals.load(survey({"a": record()})).run_s is None, "nothing has ended yet"
    assert vitals.load(survey({"a": record(done=3, failed=1, busy_s=8.0)})).run_s == 2.0


def test_a_look_counts_what_is_new_since_the_one_before() -> None:
    vitals = Vitals(WorkerOptions(), Lease())
    vitals.load(survey({"a": record(done=10, busy_s=10.0), "b": record()}))
    newer = {"a": record(done=12, busy_s=20.0), "b": record(done=2, busy_s=10.0)}
    assert vitals.load(survey(newer)).run_s == pytest.approx(1.0 + 0.3 * (5.0 - 1.0))
    assert vitals.load(survey(newer)).run_s == pytest.approx(2.2), "nothing new"


def test_the_run_time_follows_the_jobs_within_a_few_looks() -> None:
    vitals = Vitals(WorkerOptions(), Lease())
    for look in range(1, 30):
        load = vitals.load(survey({"a": record(done=look, busy_s=100.0 + look)}))
    assert load.run_s == pytest.approx(1.0, rel=0.05)


def test_the_load_is_what_the_survey_saw() -> None:
    load = Vitals(WorkerOptions(), Lease()).load(survey({}, waiting=3, running=2, oldest_s=1.5))
    assert (load.waiting, load.running, load.oldest_s) == (3, 2, 1.5)


# -- who lives


def examine(options: WorkerOptions, member: Member, records: dict[str, Any], seconds: float, **more: Any) -> bool:
    """Is the worker among the living after so many seconds with a look in each and no beat?"""
    vitals, living = Vitals(options, Lease()), set()
    for now in range(int(seconds) + 1):
        living = vitals.examine(survey(records, **more), [member], float(now))
    return member.name in living


@pytest.mark.parametrize(
    ("hang_timeout", "jobs", "seconds", "lives"),
    [
        (None, 1, 1000, True),
        (None, 0, IDLE_HANG_S, True),
        (None, 0, IDLE_HANG_S + 1, False),
        (5.0, 1, 5, True),
        (5.0, 1, 6, False),
        (5.0, 0, 9, True),
        (5.0, 0, 10, False),
        (1000.0, 1, 100, True),
        (1000.0, 0, IDLE_HANG_S + 1, False),
    ],
)
def test_a_worker_that_shows_no_life(hang_timeout: float | None, jobs: int, seconds: float, lives: bool) -> None:
    worker = member("w")
    found = examine(WorkerOptions(hang_timeout=hang_timeout), worker, {"w.1": record()}, seconds, jobs={"w.1": jobs})
    assert (found, worker.hung, worker.jobs) == (lives, not lives, jobs)


def test_one_that_rests_does_not_hang_nor_does_it_when_it_has_just_taken_a_job() -> None:
    """Its fleet may have shrunk since it heard how long it may rest."""
    rests = round(longest(Lease()).beat_s)
    vitals, worker = Vitals(WorkerOptions(hang_timeout=2.0), Lease()), member("w")
    for now in range(2 * rests):
        look = survey({"w.1": record()}, beat=str(now // (rests + 1)), jobs={"w.1": int(now >= 2 * rests - 2)})
        assert vitals.examine(look, [worker], float(now)) == {"w"}, now


def test_of_several_incarnations_the_liveliest_counts() -> None:
    vitals, worker = Vitals(WorkerOptions(hang_timeout=2.0), Lease()), member("w")
    for now in range(10):
        look = survey({"w.1": record(), "w.2": record()}, jobs={"w.1": 2, "w.2": 3})
        look.beats["w.2"] = str(now)
        assert vitals.examine(look, [worker], float(now)) == {"w"}
    assert worker.jobs == 5


@pytest.mark.parametrize("state", ["pending", "starting", "ready", "leaving"])
def test_all_are_vouched_for_whose_process_is_there(state: str) -> None:
    """One that has not answered yet may have been adopted, one that leaves may have a job that holds the GIL."""
    assert examine(WorkerOptions(), member("w", state), {"w.1": record()}, 50, jobs={"w.1": 1})


def test_one_that_leaves_has_a_time_limit_of_its_own() -> None:
    worker = member("w", "leaving")
    assert examine(WorkerOptions(hang_timeout=1.0), worker, {"w.1": record()}, 50, jobs={"w.1": 1})
    assert not worker.hung


def test_a_worker_that_has_just_finished_a_long_job_lives() -> None:
    """The job held the interpreter, so there was no beat, and the next one is still to come."""
    vitals, worker = Vitals(WorkerOptions(), Lease()), member("w")
    for now in range(100):
        vitals.examine(survey({"w.1": record()}, jobs={"w.1": 1}), [worker], float(now))
    assert vitals.examine(survey({"w.1": record()}), [worker], 100.0) == {"w"}


def test_a_worker_that_is_not_registered_does_not_hang() -> None:
    assert examine(WorkerOptions(hang_timeout=1.0), member("w"), {"other.1": record("other")}, 100)


def test_while_the_server_is_away_nobody_hangs() -> None:
    vitals, worker = Vitals(WorkerOptions(hang_timeout=2.0), Lease()), member("w")
    look = survey({"w.1": record()}, jobs={"w.1": 1})
    for now in (0.0, 1.0, 2.0):
        vitals.examine(look, [worker], now)
    vitals.lose_sight()
    assert vitals.examine(look, [worker], 60.0) == {"w"}


# -- who is worn out


@pytest.mark.parametrize(
    ("options", "says", "retiring"),
    [
        ({"max_jobs_per_worker": 10}, {"done": 9}, None),
        ({"max_jobs_per_worker": 10}, {"done": 10}, "it has run 10 jobs"),
        ({"max_jobs_per_worker": 10}, {"done": 4, "failed": 6}, "it has run 10 jobs"),
        ({"max_rss": 1000}, {"rss": 999}, None),
        ({"max_rss": 1000}, {"rss": 1000}, "its process has more than 1000 bytes in memory"),
        ({}, {"done": 10**9, "rss": 10**12}, None),
    ],
)
def test_worn_out(options: dict[str, Any], says: dict[str, Any], retiring: str | None) -> None:
    worker, other = member("w"), member("other")
    look = survey({"w.1": record(**says), "other.1": record("other")})
    assert Vitals(WorkerOptions(**options), Lease()).examine(look, [worker, other], 0.0) == {"w", "other"}
    assert (worker.retiring, other.retiring) == (retiring, None)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:10])
@pytest.mark.parametrize("field", ["name", "done", "failed", "busy_s", "rss"])
def test_a_record_that_says_nonsense_changes_nothing_for_others(field: str, value: Any) -> None:
    vitals = Vitals(WorkerOptions(max_jobs_per_worker=10**14, max_rss=10**14, hang_timeout=5.0), Lease())
    worker = member("w")
    nonsense = json.loads(json.dumps(record("x") | {field: value}))
    for now in range(5):
        look = survey({"x.1": nonsense, "y.1": {}, "w.1": record(done=now, busy_s=now * 2.0)}, beat=str(now), waiting=3)
        assert vitals.examine(look, [worker], float(now)) == {"w"}
        load = vitals.load(look)
        assert load.run_s is None or 0 <= load.run_s < 1e15
    assert (worker.retiring, worker.hung) == (None, False)
    if not (field in ("done", "failed") and isinstance(value, (bool, float, int))):
        assert load.run_s == 2.0
