"""Retries, dead letters, gifts and delays: the job goes on as a new attempt, in exactly one place."""

from __future__ import annotations

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.cycle import give_back
from pullet_broker.moves.life import beat
from pullet_broker.settings import Lifetimes, Limits, Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


# -- fail


def test_a_job_that_failed_for_good_has_a_reply_and_a_dead_letter(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w7")
    job = caller.one(args=b"args", lane="high", opts='{"retries":0}')
    entry = worker.take_one()
    assert worker.fail(entry) == "DEAD"
    assert (scribe.ended(job), scribe.entries(), scribe.pending()) == ("error", 0, 0)
    assert [name for name, _ in caller.inbox()] == [job]
    (letter,) = scribe.letters()
    assert letter.pop("errors").split()[::3] == ["1", "raised"]
    assert letter == {
        **{"id": job, "method": "work", "args": "args", "client": caller.id, "opts": '{"retries":0}', "lane": "high"},
        **{"worker": "w7", "error": "error 1 w7 7\n\ufffd", "since": entry.id.split("-")[0]},
    }


def test_dead_letters_keep_large_arguments_for_as_long_as_they_may(scribe: Scribe) -> None:
    settings = Queue(name=scribe.queue.name, limits=Limits(blob_over_bytes=1), lifetimes=Lifetimes(dead_ms=7_200_000))
    narrow = Scribe(scribe.link, settings)
    worker, job = narrow.worker(), narrow.caller().one(args=b"large")
    worker.fail(worker.take_one())
    assert 7_000_000 < narrow.link.execute("PTTL", settings.keys.blob(job)) <= 7_200_000


@pytest.mark.parametrize("lane", ["high", "normal", "low"])
def test_a_retry_without_delay_waits_on_its_own_lane(scribe: Scribe, lane: str) -> None:
    worker, job = scribe.worker(), scribe.caller().one(lane=lane)
    first = worker.take_one()
    assert worker.fail(first, retry_after_ms=0) == "PARKED"
    assert (scribe.where(job), scribe.delayed(), scribe.pending()) == ([lane], [], 0)
    second = worker.take_one()
    assert (second.attempt, second.raised, second.args, second.id) == (2, 1, first.args, second.id)
    assert worker.finish(second) == []
    assert scribe.ended(job) == "ok"


def test_a_retry_with_delay_is_parked_until_it_is_due(scribe: Scribe) -> None:
    worker, job = scribe.worker(), scribe.caller().one(lane="low")
    before = scribe.clock_ms()
    assert worker.fail(worker.take_one(), retry_after_ms=3_600_000) == "PARKED"
    due = float(scribe.link.execute("ZSCORE", scribe.key("delayed"), job))
    assert before + 3_600_000 <= due <= scribe.clock_ms() + 3_600_000
    assert (scribe.entries(), scribe.promote(), scribe.where(job)) == (0, 0, [])
    scribe.make_due()
    assert (scribe.promote(), scribe.where(job), scribe.delayed()) == (1, ["low"], [])


def test_attempts_and_failures_are_counted_and_the_first_time_is_kept(scribe: Scribe) -> None:
    worker, job = scribe.worker(), scribe.caller().one()
    entry = first = worker.take_one()
    for delay in (0, 3_600_000, 0):
        worker.fail(entry, retry_after_ms=delay)
        scribe.make_due()
        scribe.promote()
        (fields,) = scribe.on_lane("normal")
        assert fields["since"] == first.id.split("-")[0]
        entry = worker.take_one()
    assert (entry.job, entry.attempt, entry.raised) == (job, 4, 3)


def test_a_failure_of_an_entry_that_is_gone_changes_nothing(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().one()
    entry = worker.take_one()
    scribe.reap("w")
    before = scribe.dump()
    assert [worker.fail(entry), worker.fail(entry, 0), worker.fail(entry, 10)] == ["FENCED"] * 3
    assert scribe.dump() == before


def test_a_repeated_failure_counts_once(scribe: Scribe) -> None:
    worker, job = scribe.worker(), scribe.caller().one()
    entry = worker.take_one()
    assert [worker.fail(entry, retry_after_ms=0) for _ in range(3)] == ["PARKED", "FENCED", "FENCED"]
    assert scribe.where(job) == ["normal"]


# -- delayed jobs


def test_a_delayed_job_is_due_when_its_time_has_come_and_not_before(scribe: Scribe) -> None:
    caller = scribe.caller()
    soon, later = caller.submit(a_job(delay_ms=20), a_job(delay_ms=3_600_000))
    assert wait_until(lambda: scribe.tick().due)
    assert (scribe.promote(), scribe.where(soon), scribe.delayed()) == (1, ["normal"], [later])
    assert not scribe.tick().due


def test_two_ticks_issue_a_due_job_once(scribe: Scribe) -> None:
    job = scribe.caller().one(delay_ms=3_600_000)
    scribe.make_due()
    due = [scribe.tick().due, scribe.tick().due]
    assert (due, scribe.promote(), scribe.promote(), scribe.where(job)) == ([True, True], 1, 0, ["normal"])


def test_a_worker_that_makes_no_tick_hears_nothing_of_due_jobs(scribe: Scribe) -> None:
    scribe.caller().one(delay_ms=3_600_000)
    scribe.make_due()
    scribe.tick()
    assert not scribe.link.run(beat(scribe.queue, "watcher", None)).due


def test_one_promote_issues_a_bounded_number(scribe: Scribe) -> None:
    scribe.caller().submit(*(a_job(delay_ms=3_600_000) for _ in range(120)))
    scribe.make_due()
    assert [scribe.promote() for _ in range(3)] == [100, 20, 0]


# -- give_back


def test_a_job_given_back_is_read_first_and_is_no_new_attempt(scribe: Scribe) -> None:
    worker, other = scribe.worker(), scribe.worker("other")
    first, second = scribe.caller().submit(a_job(lane="low"), a_job(lane="high"))
    entries = {entry.job: entry for entry in worker.take(2)}
    assert worker.give_back(entries[first]) == 1
    assert (scribe.where(first), scribe.where(second)) == (["again"], ["high"])
    taken = other.take_one()
    assert (taken.job, taken.attempt, taken.raised) == (first, 1, 0)
    assert worker.finish(entries[first]) == [0]
    assert other.finish(taken) == []


def test_a_repeated_gift_gives_nothing_more(scribe: Scribe) -> None:
    worker = scribe.worker()
    jobs = scribe.caller().submit(a_job(), a_job())
    entries = worker.take(2)
    assert [worker.give_back(*entries) for _ in range(2)] == [2, 0]
    assert [scribe.where(job) for job in jobs] == [["again"], ["again"]]


def test_a_suspect_given_back_stays_a_suspect(scribe: Scribe) -> None:
    victim, worker, job = scribe.worker("victim"), scribe.worker(), scribe.caller().one()
    victim.take_one()
    scribe.reap("victim")
    suspect = worker.take_one(alone=True)
    assert (worker.give_back(suspect), scribe.where(job)) == (1, ["suspect"])
    assert worker.take_one(alone=True).attempt == suspect.attempt == 2


def test_a_finished_job_is_not_given_back(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().one()
    entry = worker.take_one()
    worker.finish(entry)
    assert (worker.give_back(entry), scribe.entries()) == (0, 0)


@pytest.mark.parametrize("bad", [(4,), (4, "x"), (4, f"{10**20}-0")])
def test_a_malformed_gift_changes_nothing(scribe: Scribe, bad: tuple[object, ...]) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job, _ = caller.submit(a_job(), a_job())
    entries = worker.take(2)
    scribe.cancel(job)
    before = scribe.dump()
    call = give_back(scribe.queue, "w", entries)
    call.args.extend(bad)  # type: ignore[attr-defined]
    with pytest.raises(ServerError):
        scribe.link.run(call)
    assert scribe.dump() == before
