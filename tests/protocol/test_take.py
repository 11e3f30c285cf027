"""Taking jobs: who may take, in which order, and what is never handed out."""

from __future__ import annotations

import pytest

from pullet_broker.link import Link
from pullet_broker.moves.cycle import SUSPECT, Standing, read_waited, wait_for_work
from pullet_broker.settings import SCHEMA, Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Caller, Scribe, Worker, a_job, outcome


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def make_suspect(scribe: Scribe, caller: Caller) -> str:
    """A job whose worker died with it in hand."""
    job, victim = caller.one(), scribe.worker("victim")
    victim.take_one()
    scribe.reap("victim")
    scribe.forget("victim")
    return job


def one_on_each_lane(scribe: Scribe, caller: Caller, worker: Worker) -> dict[str, str]:
    jobs = {"suspect": make_suspect(scribe, caller), "again": caller.one()}
    worker.give_back(worker.take_one())
    return jobs | {lane: caller.one(lane=lane) for lane in ("low", "normal", "high")}


def test_lanes_are_read_in_order(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    jobs = one_on_each_lane(scribe, caller, worker)
    assert [entry.job for entry in worker.take(10)] == [jobs[lane] for lane in ("again", "high", "normal", "low")]


def test_high_may_come_before_again(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    jobs = one_on_each_lane(scribe, caller, worker)
    taken = [entry.job for entry in worker.take(10, high_first=True)]
    assert taken == [jobs[lane] for lane in ("high", "again", "normal", "low")]


def test_an_urgent_job_that_was_given_back_does_not_wait_behind_others_that_were(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    others = caller.submit(*(a_job() for _ in range(3)))
    worker.give_back(*worker.take(3))
    urgent, next_one = caller.submit(a_job(lane="high"), a_job(lane="high"))
    (entry,) = worker.take(1, high_first=True)
    worker.give_back(entry)
    assert [entry.job for entry in worker.take(5, high_first=True)] == [next_one, urgent, *others]


def test_an_urgent_job_that_was_given_back_comes_before_many_urgent_ones(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    first, *others = caller.submit(*(a_job(lane="high") for _ in range(4)))
    worker.give_back(*worker.take(1))
    assert [entry.job for entry in worker.take(4)] == [first, *others]


@pytest.mark.parametrize("want", [1, 2, 3])
def test_no_more_is_taken_than_was_asked_for(scribe: Scribe, want: int) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    one_on_each_lane(scribe, caller, worker)
    assert len(worker.take(want)) == want
    assert scribe.pending() == want


def test_jobs_of_one_lane_come_in_the_order_of_their_submission(scribe: Scribe) -> None:
    jobs = scribe.caller().submit(*(a_job() for _ in range(5)))
    assert [entry.job for entry in scribe.worker().take(5)] == jobs


def test_a_suspect_is_taken_first_and_alone(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    suspect, other = make_suspect(scribe, caller), make_suspect(scribe, caller)
    caller.submit(a_job(), a_job())
    assert [(entry.lane, entry.job) for entry in worker.take(10, alone=True)] == [(SUSPECT, suspect)]
    assert scribe.where(other) == ["suspect"]


def test_a_worker_that_holds_something_is_given_no_suspect(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    suspect = make_suspect(scribe, caller)
    job = caller.one()
    assert [entry.job for entry in worker.take(10, alone=False)] == [job]
    assert worker.take(10, alone=False) == []
    assert [entry.job for entry in worker.take(1, alone=True)] == [suspect]


def test_an_expired_job_is_settled_at_the_take(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one(expires_ms=1)
    kept = caller.one(expires_ms=3_600_000)
    expiry = int(scribe.on_lane("normal")[0]["expires"])
    assert wait_until(lambda: scribe.clock_ms() > expiry)
    cycled = worker.cycle(want=1)
    assert (cycled.entries, cycled.dropped, scribe.ended(job)) == ([], 1, "expired")
    assert [entry.job for entry in worker.take()] == [kept]
    assert [name for name, _ in caller.inbox()] == [job]


def test_a_cancelled_job_is_settled_at_the_take(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job, kept = caller.submit(a_job(), a_job())
    assert scribe.cancel(job) == "ASKED"
    cycled = worker.cycle(want=2)
    assert ([entry.job for entry in cycled.entries], cycled.dropped) == ([kept], 1)
    assert (scribe.ended(job), scribe.tombstones(), scribe.entries()) == ("cancelled", [], 1)


def test_a_stranger_takes_nothing_but_commits_what_it_holds(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job())
    worker = scribe.worker()
    entry = worker.take_one()
    scribe.link.execute("HDEL", scribe.key("workers"), "w")
    cycled = worker.cycle(outcome(entry), want=1)
    assert (cycled.standing, cycled.fenced, cycled.entries) == (Standing.STRANGER, [], [])
    assert (scribe.ended(entry.job), scribe.pending()) == ("ok", 0)


def test_a_paused_queue_hands_out_nothing_and_commits(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job())
    worker = scribe.worker()
    entry = worker.take_one()
    scribe.link.execute("HSET", scribe.key("config"), "paused", 1)
    cycled = worker.cycle(outcome(entry), want=1)
    assert (cycled.standing, cycled.entries, scribe.ended(entry.job)) == (Standing.PAUSED, [], "ok")
    scribe.link.execute("HDEL", scribe.key("config"), "paused")
    assert len(worker.take()) == 1


def test_lost_lanes_are_said_so_and_a_new_worker_makes_them_again(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.one()
    entry = worker.take_one()
    scribe.link.execute("DEL", *scribe.queue.keys.lanes)
    cycled = worker.cycle(outcome(entry), want=1)
    assert (cycled.standing, cycled.fenced, cycled.entries) == (Standing.NOGROUP, [0], [])
    heir = scribe.worker("heir")
    job = caller.one()
    assert heir.take_one().job == job


def test_another_schema_commits_and_takes_nothing(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job())
    worker = scribe.worker()
    entry = worker.take_one()
    scribe.link.execute("HSET", scribe.key("config"), "schema", SCHEMA + 1)
    before = scribe.dump()
    assert worker.cycle(outcome(entry), want=1).standing is Standing.SCHEMA
    assert scribe.dump() == before


def test_a_worker_that_waits_gets_at_most_one_of_each_lane_in_order(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(*(a_job(lane=lane) for lane in ("low", "low", "high", "normal", "normal")))
    found = read_waited(scribe.queue, scribe.link.execute(*wait_for_work(scribe.queue, "w", 1000)))
    assert [entry.lane for entry in found] == [3, 4, 5]
    assert worker.finish(*found) == []


def test_waiting_in_vain_gives_nothing(scribe: Scribe) -> None:
    scribe.worker()
    assert read_waited(scribe.queue, scribe.link.execute(*wait_for_work(scribe.queue, "w", 1))) == []


def test_a_job_written_by_hand_tells_of_its_problem(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.link.execute("XADD", scribe.queue.keys.lane("normal"), "*", "id", "handmade", "args", b"\xff")
    entry = worker.take_one()
    assert (entry.job, "method" in entry.problem) == ("handmade", True)
    assert worker.finish(entry) == []
    assert scribe.ended("handmade") == "ok"
