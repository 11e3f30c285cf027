"""Spilling: a job waits for its place a bounded time, then anybody may run it; a place without workers keeps none."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_broker.link import Link
from pullet_broker.moves.life import REAPED, spill
from pullet_broker.settings import Affinity, Lease, Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Caller, Scribe, Worker, a_job

WAIT_S = 0.02
DAY_MS = 86_400_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    """Ticks are made by `scribe.tick()` alone, and jobs spill after 20 ms."""
    lease = Lease(tick_ms=DAY_MS, ticks=50)
    story = Scribe(link, Queue(name=queue.name, lease=lease, affinity=Affinity(spill_s=WAIT_S)))
    story.tick()
    return story


@pytest.fixture
def caller(scribe: Scribe) -> Caller:
    return scribe.caller()


@pytest.fixture
def at_a(scribe: Scribe, caller: Caller) -> Worker:
    """A worker at the place `a`, where the key `k` lives."""
    worker = scribe.worker("wa", "a")
    caller.one(key="k")
    worker.finish(worker.take_one())
    return worker


def have_waited(scribe: Scribe, seconds: float = WAIT_S) -> None:
    """The jobs that wait now have waited long enough."""
    start = scribe.clock_ms()
    assert wait_until(lambda: scribe.clock_ms() > start + seconds * 1000)


def patient(scribe: Scribe, spill_s: float = 3600) -> Scribe:
    """Where jobs spill so much later."""
    return Scribe(scribe.link, dataclasses.replace(scribe.queue, affinity=Affinity(spill_s=spill_s)))


def test_a_job_that_waited_long_enough_is_anybodys(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    job, at_b = caller.one(key="k"), scribe.worker("wb", "b")
    assert patient(scribe).tick().spill == []
    have_waited(scribe)
    assert scribe.tick().spill == ["a"]
    assert scribe.spill("a") == 1
    (fields,) = scribe.on_lane("normal")
    assert (fields["id"], fields["spilled"]) == (job, "1")
    assert at_b.take_one().job == job
    assert scribe.link.execute("HGET", scribe.key("stats"), "spilled") == b"1"


def test_what_has_not_waited_long_enough_stays(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    old, start = caller.one(key="k"), scribe.clock_ms()
    have_waited(scribe, 0.3)
    young = caller.one(key="k")
    assert patient(scribe).spill("a") == 0
    assert patient(scribe, (scribe.clock_ms() - start) / 1000).spill("a") == 1
    assert (scribe.where(old), scribe.where(young)) == (["normal"], ["at:a"])


def test_what_runs_stays(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    running, waits = caller.submit(a_job(key="k"), a_job(key="k"))
    entry = at_a.take_one()
    have_waited(scribe)
    assert scribe.spill("a") == 1
    assert (scribe.where(running), scribe.where(waits)) == (["at:a"], ["normal"])
    assert scribe.tick().spill == []
    assert at_a.finish(entry) == []


def test_the_oldest_spill_first_and_only_so_many_at_once(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    jobs = caller.submit(*(a_job(key="k") for _ in range(REAPED + 5)))
    have_waited(scribe)
    assert scribe.spill("a") == REAPED
    assert [fields["id"] for fields in scribe.on_lane("normal")] == jobs[:REAPED]
    assert [scribe.spill("a"), scribe.spill("a")] == [5, 0]
    assert (scribe.entries(), scribe.pending()) == (len(jobs), 0)


def test_it_goes_to_the_lane_of_its_priority_behind_what_waits_there(
    scribe: Scribe, caller: Caller, at_a: Worker
) -> None:
    before = caller.one(lane="high")
    high, low = caller.submit(a_job(key="k", lane="high"), a_job(key="k", lane="low"))
    have_waited(scribe)
    scribe.spill("a")
    assert [fields["id"] for fields in scribe.on_lane("high")] == [before, high]
    assert scribe.where(low) == ["low"]


def test_a_spilled_job_is_not_sent_home_again_and_does_not_move_its_key(
    scribe: Scribe, caller: Caller, at_a: Worker
) -> None:
    job, at_b = caller.one(key="k"), scribe.worker("wb", "b")
    have_waited(scribe)
    scribe.spill("a")
    (entry,) = at_b.wait()
    assert (entry.job, at_b.claim(entry), scribe.home("k")) == (job, True, "a")


def test_a_spilled_job_that_fails_is_tried_again_at_its_home(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    job, at_b = caller.one(key="k"), scribe.worker("wb", "b")
    have_waited(scribe)
    scribe.spill("a")
    at_b.fail(at_b.take_one(), 0)
    assert scribe.where(job) == ["at:a"]


def test_a_spilled_job_given_back_is_at_once_for_anybody(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    job, at_b = caller.one(key="k"), scribe.worker("wb", "b")
    have_waited(scribe)
    scribe.spill("a")
    at_b.give_back(at_b.take_one())
    assert scribe.where(job) == ["again"]
    assert at_b.take_one().job == job


def test_a_job_given_back_after_it_has_waited_is_anybodys_too(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    """Each return makes a new entry, so that it would never be seen to have waited."""
    job, at_b = caller.one(key="k"), scribe.worker("wb", "b")
    dataclasses.replace(at_a, queue=patient(scribe).queue.at("a")).give_back(at_a.take_one())
    assert scribe.where(job) == ["at:a"]
    have_waited(scribe)
    at_a.give_back(at_a.take_one())
    assert scribe.where(job) == ["again"]
    assert (at_b.take_one().job, scribe.home("k")) == (job, "a")


def test_an_urgent_one_is_anybodys_where_fewer_wait(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    others = caller.submit(a_job(), a_job())
    at_a.give_back(*at_a.take(2))
    job = caller.one(key="k", lane="high")
    have_waited(scribe)
    *first, last = at_a.take(3)
    assert [entry.job for entry in (*first, last)] == [*others, job]
    at_a.give_back(last)
    assert scribe.where(job) == ["high"]


def test_what_is_cancelled_or_past_its_time_ends_where_it_spills(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    stopped, late = caller.submit(a_job(key="k"), a_job(key="k", expires_ms=1))
    scribe.cancel(stopped)
    have_waited(scribe)
    assert scribe.spill("a") == 2
    assert (scribe.ended(stopped), scribe.ended(late)) == ("cancelled", "expired")
    assert (scribe.entries(), scribe.tombstones()) == (0, [])
    assert [job for job, _ in caller.inbox()][-2:] == [stopped, late]


def test_a_pause_does_not_count_as_waiting(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    caller.one(key="k")
    have_waited(scribe)
    scribe.link.execute("HSET", scribe.key("config"), "paused", 1)
    assert scribe.tick().spill == []


def test_the_helper_is_no_worker_and_leaves_no_trace(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    caller.one(key="k")
    have_waited(scribe)
    scribe.spill("a")
    known = scribe.link.execute("XINFO", "CONSUMERS", scribe.queue.keys.at("a"), "workers")
    assert [row[1] for row in known] == [b"wa"]
    at_a.beat()
    assert scribe.tick().dead == []


def test_a_repeated_spill_changes_nothing(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    caller.one(key="k")
    have_waited(scribe)
    scribe.spill("a")
    before = scribe.dump()
    assert (scribe.spill("a"), scribe.spill("never was")) == (0, 0)
    assert scribe.dump() == before


# -- places without workers


def test_a_place_whose_workers_are_dead_is_emptied_at_once_and_ends(
    scribe: Scribe, caller: Caller, at_a: Worker
) -> None:
    jobs = caller.submit(*(a_job(key="k") for _ in range(REAPED + 1)))
    scribe.reap("wa")
    scribe.forget("wa")
    assert scribe.places() == ["a"], "jobs wait there"
    patiently = patient(scribe)
    assert patiently.tick().spill == ["a"]
    assert [patiently.spill("a"), patiently.spill("a")] == [REAPED, 1]
    assert [fields["id"] for fields in scribe.on_lane("normal")] == jobs
    assert (scribe.places(), "jobs:at:a" in scribe.names()) == ([], False)
    at_b = scribe.worker("wb", "b")
    assert (at_b.take_one().job, scribe.home("k")) == (jobs[0], "b")


def test_a_pause_does_not_keep_jobs_at_a_place_without_workers(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    caller.one(key="k")
    scribe.link.execute("HSET", scribe.key("config"), "paused", 1)
    scribe.reap("wa")
    assert patient(scribe).tick().spill == ["a"]


def test_a_place_stays_while_something_runs_there_that_nobody_recovered(
    scribe: Scribe, caller: Caller, at_a: Worker
) -> None:
    """Its only worker does not count any more, and what it holds is still to be reaped."""
    job = caller.one(key="k")
    at_a.take_one()
    scribe.link.execute("HDEL", scribe.key("workers"), "wa")
    assert scribe.tick().spill == ["a"]
    assert scribe.spill("a") == 0
    assert (scribe.where(job), scribe.places()) == (["at:a"], ["a"])
    assert scribe.reap("wa").issued == 1
    assert scribe.forget("wa")
    assert (scribe.where(job), scribe.places()) == (["suspect"], [])


def test_a_stranger_that_read_late_does_not_keep_a_place(scribe: Scribe, at_a: Worker) -> None:
    scribe.forget("wa")
    scribe.worker("wa2", "a")
    at_a.read_blindly()
    scribe.forget("wa2")
    assert scribe.places() == []


def test_a_place_whose_group_was_removed_by_hand_is_emptied_too(scribe: Scribe, caller: Caller, at_a: Worker) -> None:
    job = caller.one(key="k")
    scribe.link.execute("XGROUP", "DESTROY", scribe.queue.keys.at("a"), "workers")
    scribe.forget("wa")
    assert scribe.tick().spill == ["a"]
    assert scribe.spill("a") == 1
    assert (scribe.where(job), scribe.places()) == (["normal"], [])


@pytest.mark.parametrize(("name", "value"), [("place", ""), ("most", "0"), ("spill_ms", "x"), ("ttl", "0")])
def test_a_malformed_spill_changes_nothing(scribe: Scribe, caller: Caller, at_a: Worker, name: str, value: str) -> None:
    caller.one(key="k")
    have_waited(scribe)
    call = spill(scribe.queue, "watcher", "a")
    scribe.check_refusal(scribe.with_argument(call, name, value))
