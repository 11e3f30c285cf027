"""cancel only asks: whoever touches the job next settles it, a finish that comes first wins, and the outcome is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pullet_broker.job import Entry, Job
from pullet_broker.link import Link
from pullet_broker.moves.cancel import STOPS_LIVE_S, Stop, cancel
from pullet_broker.moves.part import Sent, part
from pullet_broker.settings import Limits, Queue
from tests.support.scribe import Scribe, Worker, a_job

HOUR = 3_600_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def test_a_parked_job_is_closed_at_once(scribe: Scribe) -> None:
    caller = scribe.caller()
    job = caller.one(delay_ms=HOUR)
    assert scribe.cancel(job) == "CANCELLED"
    assert (scribe.ended(job), scribe.delayed(), scribe.tombstones()) == ("cancelled", [], [])
    assert scribe.names().isdisjoint({"parked", "delayed"})
    assert scribe.cancel(job) == "DONE"
    assert [name for name, _ in caller.inbox()] == [job]


def test_a_job_parked_for_a_retry_is_closed_at_once(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    worker.fail(worker.take_one(), retry_after_ms=HOUR)
    assert scribe.cancel(job) == "CANCELLED"
    reply = scribe.reply(job)
    assert reply is not None
    assert (reply.outcome, reply.attempt) == ("cancelled", 2)


def test_large_arguments_end_with_a_cancelled_job(scribe: Scribe) -> None:
    narrow = Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(blob_over_bytes=1)))
    caller = narrow.caller()
    parked, waiting = caller.one(args=b"large", delay_ms=HOUR), caller.one(args=b"large")
    narrow.cancel(parked)
    narrow.cancel(waiting)
    assert narrow.worker().take() == []
    assert not [name for name in narrow.names() if name.startswith("blob:")]


def test_a_waiting_job_ends_at_the_next_take(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    assert [scribe.cancel(job), scribe.cancel(job)] == ["ASKED", "ASKED"]
    assert (scribe.ended(job), scribe.where(job)) == (None, ["normal"])
    assert worker.cycle(want=1).dropped == 1
    assert (scribe.ended(job), scribe.where(job)) == ("cancelled", [])
    assert [name for name, _ in caller.inbox()] == [job]


def test_a_finish_that_comes_first_wins(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    entry = worker.take_one()
    assert scribe.cancel(job) == "ASKED"
    assert worker.finish(entry) == []
    assert (scribe.ended(job), scribe.tombstones()) == ("ok", [])
    assert scribe.cancel(job) == "DONE"
    assert [name for name, _ in caller.inbox()] == [job]


def test_a_failure_for_good_that_comes_first_wins(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    entry = worker.take_one()
    scribe.cancel(job)
    assert (worker.fail(entry), scribe.ended(job), scribe.tombstones()) == ("DEAD", "error", [])


SETTLERS: dict[str, Callable[[Scribe, Worker, Entry], object]] = {
    "a retry": lambda scribe, worker, entry: worker.fail(entry, retry_after_ms=0),
    "a delayed retry": lambda scribe, worker, entry: worker.fail(entry, retry_after_ms=HOUR),
    "a reap": lambda scribe, worker, entry: scribe.reap(worker.name),
    "a reap without blame": lambda scribe, worker, entry: scribe.reap(worker.name, blame=False),
    "a gift": lambda scribe, worker, entry: worker.give_back(entry),
}


@pytest.mark.parametrize("settler", SETTLERS)
def test_a_running_job_ends_when_its_attempt_ends_without_a_result(scribe: Scribe, settler: str) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    entry = worker.take_one()
    scribe.cancel(job)
    SETTLERS[settler](scribe, worker, entry)
    assert (scribe.ended(job), scribe.entries(), scribe.pending()) == ("cancelled", 0, 0)
    assert (scribe.tombstones(), scribe.delayed()) == ([], [])
    assert worker.finish(entry) == [0]
    assert (scribe.ended(job), [name for name, _ in caller.inbox()]) == ("cancelled", [job])


def test_a_fail_answers_that_the_job_was_cancelled(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    scribe.cancel(caller.one())
    worker.read_blindly()
    (entry,) = worker.reconcile().adopted
    assert worker.fail(entry, retry_after_ms=0) == "CANCELLED"


def test_a_crash_at_the_limit_of_a_cancelled_job_is_a_cancellation(scribe: Scribe) -> None:
    strict = Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(max_crashes=1)))
    caller, worker = strict.caller(), strict.worker()
    job = caller.one()
    worker.take_one()
    strict.cancel(job)
    assert strict.reap("w").buried == 0
    assert (strict.ended(job), strict.letters()) == ("cancelled", [])


@pytest.mark.parametrize("delay_ms", [0, HOUR])
def test_a_cancel_that_overtakes_its_job_waits_for_it(scribe: Scribe, delay_ms: int) -> None:
    caller, worker, job = scribe.caller(), scribe.worker(), a_job(delay_ms=delay_ms)
    assert scribe.cancel(job.id) == "ASKED"
    caller.submit(job)
    scribe.make_due()
    assert (scribe.promote(), worker.take()) == (0, [])
    assert (scribe.ended(job.id), scribe.entries(), scribe.tombstones()) == ("cancelled", 0, [])


@pytest.fixture
def late(scribe: Scribe) -> Job:
    """A job whose caller chose the id. One with that id has ended, its reply was read, and it was cancelled then."""
    job = Job("order-1", "work", b"\x90", named=True)
    scribe.caller().submit(job)
    worker = scribe.worker("first")
    worker.finish(worker.take_one())
    scribe.link.execute("DEL", scribe.key("reply:") + job.id)
    assert scribe.cancel(job.id) == "ASKED"
    return job


@pytest.mark.parametrize("delay_ms", [0, HOUR])
def test_a_cancel_that_came_too_late_does_not_meet_a_later_job_with_the_same_id(
    scribe: Scribe, late: Job, delay_ms: int
) -> None:
    """Whatever happens to that: it waits, is tried again, given back, and issued again after a death."""
    worker, heir = scribe.worker(), scribe.worker("heir")
    scribe.caller().submit(replace(late, delay_ms=delay_ms))
    scribe.make_due()
    scribe.promote()
    worker.fail(worker.take_one(), retry_after_ms=0)
    worker.give_back(worker.take_one())
    worker.take_one()
    scribe.reap(worker.name, blame=False)
    entry = heir.take_one()
    assert scribe.link.run(part(scribe.queue, heir.name, entry, 0, [b"\x01"])) is Sent.OK
    heir.finish(entry)
    assert (scribe.ended(late.id), scribe.tombstones()) == ("ok", [])


def test_but_a_cancel_of_that_later_job_does(scribe: Scribe, late: Job) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(late)
    assert scribe.cancel(late.id) == "ASKED"
    caller.submit(late)  # the same job once more
    assert worker.cycle(want=1).dropped == 1
    assert (scribe.ended(late.id), scribe.tombstones()) == ("cancelled", [])


def test_a_late_worker_learns_of_a_cancel_by_its_fence(scribe: Scribe) -> None:
    caller, late, heir = scribe.caller(), scribe.worker("late"), scribe.worker("heir")
    job = caller.one()
    old = late.take_one()
    scribe.reap("late", blame=False)
    scribe.cancel(job)
    assert heir.cycle(want=1).dropped == 1
    assert late.finish(old) == [0]
    assert scribe.ended(job) == "cancelled"


def test_who_runs_a_cancelled_job_is_told_and_not_of_one_that_has_ended(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    parked, runs, done = caller.one(delay_ms=HOUR), caller.one(), caller.one()
    worker.take_one()
    worker.finish(worker.take_one())
    assert [scribe.cancel(job) for job in (parked, runs, done)] == ["CANCELLED", "ASKED", "DONE"]
    assert scribe.cancel(runs, force=True) == "ASKED"
    assert scribe.stops() == [Stop(runs, force=False), Stop(runs, force=True)]
    assert 0 < scribe.link.execute("PTTL", scribe.key("stops")) <= 1000 * STOPS_LIVE_S


@pytest.mark.parametrize(
    ("name", "value"), [("inline", "x"), ("force", "x"), ("force", ""), ("ttl", "x"), ("ttl", "0")]
)
def test_malformed_arguments_change_nothing(scribe: Scribe, name: str, value: str) -> None:
    caller = scribe.caller()
    job = caller.one(delay_ms=HOUR)
    call = cancel(scribe.queue, job)
    scribe.check_refusal(scribe.with_argument(call, name, value))
