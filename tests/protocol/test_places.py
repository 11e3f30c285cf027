"""The lanes of places: among the others, what becomes of jobs there, and how places come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.keys import PLACE_LANE
from pullet_broker.link import Link
from pullet_broker.moves.cycle import SUSPECT, Standing
from pullet_broker.moves.submit import Answer
from pullet_broker.settings import Affinity, Limits, Queue
from tests.protocol.test_homes import settled
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, Worker, a_job, outcome

HOUR_MS = 3_600_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


# -- the lane of a place, among the others


def test_a_place_comes_before_normal_jobs_and_every_fourth_time_after_them(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    again = caller.one()
    worker.give_back(worker.take_one())
    jobs = [caller.one(lane=lane) for lane in ("high", "normal", "low")] + [caller.one(key="k")]
    high, normal, low, keyed = jobs
    taken = worker.take(9)
    assert [entry.job for entry in taken] == [again, high, keyed, normal, low]
    worker.finish(*taken)
    again = caller.one()
    worker.give_back(worker.take_one())
    high, normal, low, keyed = [caller.one(lane=lane) for lane in ("high", "normal", "low")] + [caller.one(key="k")]
    assert [entry.job for entry in worker.take(9, high_first=True)] == [high, again, normal, keyed, low]


def test_a_blocking_read_brings_a_places_job_in_the_same_order(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    caller.submit(a_job(), a_job(lane="high"), a_job(key="k"))
    assert [entry.lane for entry in worker.wait()] == [3, PLACE_LANE, 4]


def test_no_more_is_taken_than_was_asked_for(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    caller.submit(*(a_job(key="k") for _ in range(3)), a_job(), a_job())
    assert [entry.lane for entry in worker.take(4)] == [PLACE_LANE] * 3 + [4]


def test_a_job_at_a_place_can_expire_and_be_cancelled(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    late, stopped, kept = caller.submit(a_job(key="k", expires_ms=1), a_job(key="k"), a_job(key="k"))
    expiry = int(scribe.on_lane("at:a")[0]["expires"])
    assert scribe.cancel(stopped) == "ASKED"
    assert wait_until(lambda: scribe.clock_ms() > expiry)
    cycled = worker.cycle(want=3)
    assert ([entry.job for entry in cycled.entries], cycled.dropped) == ([kept], 2)
    assert (scribe.ended(late), scribe.ended(stopped), scribe.tombstones()) == ("expired", "cancelled", [])


def test_a_paused_queue_hands_out_nothing_at_a_place_either(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    caller.one(key="k")
    scribe.link.execute("HSET", scribe.key("config"), "paused", 1)
    assert (worker.cycle(want=1).standing, scribe.pending()) == (Standing.PAUSED, 0)


def test_jobs_at_places_count_for_the_backlog(scribe: Scribe) -> None:
    narrow = Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(backlog_jobs=3)))
    caller, worker = narrow.caller(), narrow.worker("w", "a")
    settled(narrow, caller, worker)
    caller.submit(a_job(key="k"), a_job(key="k"))
    answer = caller.send(caller.last + 1, a_job(), a_job(key="k"))
    assert (answer.answer, answer.backlog, answer.mark) == (Answer.FULL, 3, caller.last + 1)


def test_a_suspect_with_a_key_runs_alone_and_wherever_it_may(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    scribe.worker("wc", "a")
    settled(scribe, caller, at_a)
    job = caller.one(key="k")
    at_a.take_one()
    scribe.reap("wa")
    assert scribe.where(job) == ["suspect"]
    (entry,) = at_b.take(9, alone=True)
    assert (entry.lane, entry.job, scribe.home("k")) == (SUSPECT, job, "a")
    assert at_b.give_back(entry) == 1
    assert scribe.where(job) == ["suspect"]


# -- what becomes of a job that was taken


def test_a_late_finish_at_a_place_does_not_count(scribe: Scribe) -> None:
    caller, late, heir = scribe.caller(), scribe.worker("late", "a"), scribe.worker("heir", "a")
    settled(scribe, caller, late)
    job = caller.one(key="k")
    old = late.take_one()
    scribe.reap("late", blame=False)
    assert scribe.where(job) == ["again"]
    new = heir.take_one()
    assert (late.finish(old), heir.finish(new)) == ([0], [])


def test_an_innocent_job_of_the_dead_returns_to_its_place_if_that_lives(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    neighbour = scribe.worker("wc", "a")
    settled(scribe, caller, at_a)
    job = caller.one(key="k")
    at_a.take_one()
    scribe.reap("wa", blame=False)
    scribe.forget("wa")
    assert at_b.take() == []
    assert neighbour.take_one().job == job


def test_a_retry_returns_to_where_its_key_lives(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    now, later = caller.submit(a_job(key="k"), a_job(key="k"))
    first, second = worker.take(2)
    assert (worker.fail(first, 0), worker.fail(second, HOUR_MS)) == ("PARKED", "PARKED")
    assert (scribe.where(now), scribe.where(later)) == (["at:a"], [])
    scribe.make_due()
    assert scribe.promote() == 1
    assert scribe.where(later) == ["at:a"]
    assert [entry.attempt for entry in worker.take(2)] == [2, 2]


def test_a_delayed_job_goes_to_where_its_key_lives_when_it_is_due(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    early = caller.one(key="k", delay_ms=HOUR_MS)
    scribe.make_due()
    scribe.promote()
    assert scribe.where(early) == ["normal"], "it lives nowhere yet"
    worker.finish(worker.take_one())
    job = caller.one(key="k", delay_ms=HOUR_MS)
    scribe.make_due()
    scribe.promote()
    assert scribe.where(job) == ["at:a"]


def test_what_was_not_started_returns_to_its_place(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    job = caller.one(key="k")
    for _ in range(3):
        assert worker.give_back(worker.take_one()) == 1
        assert scribe.where(job) == ["at:a"]


def test_what_was_not_started_and_lives_nowhere_goes_to_anybody(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.submit(a_job(lane="high"), a_job(key="k"))
    _, keyed = worker.wait()
    assert worker.give_back(keyed) == 1
    assert scribe.where(keyed.job) == ["again"]


def test_a_worker_adopts_what_is_pending_for_it_at_its_place(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    one, two = caller.submit(a_job(key="k"), a_job(key="k"))
    held = worker.take_one()
    worker.read_blindly()
    found = worker.reconcile(held)
    assert ([entry.job for entry in found.adopted], found.lost, held.job) == ([two], [], one)
    assert worker.finish(held, *found.adopted) == []
    assert worker.reconcile(held).lost == [0]


@pytest.mark.parametrize("bad", [6, 7])
def test_a_worker_without_a_place_has_no_sixth_lane(scribe: Scribe, bad: int) -> None:
    scribe.caller().one()
    worker = scribe.worker()
    with pytest.raises(ServerError):
        worker.cycle(outcome(replace(worker.take_one(), lane=bad)))


# -- places come and go


def test_a_place_ends_with_its_last_worker(scribe: Scribe) -> None:
    scribe.worker("w1", "a"), scribe.worker("w2", "a"), scribe.worker("w3", "b")
    assert scribe.places() == ["a", "b"]
    assert scribe.forget("w1")
    assert scribe.places() == ["a", "b"]
    assert scribe.forget("w2")
    assert (scribe.places(), "jobs:at:a" in scribe.names()) == (["b"], False)
    assert scribe.forget("w3")
    assert "places" not in scribe.names()


def test_nobody_is_forgotten_who_holds_something_at_a_place(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w1", "a")
    scribe.worker("w2", "a")
    settled(scribe, caller, worker)
    caller.one(key="k")
    entry = worker.take_one()
    assert not scribe.forget("w1")
    assert worker.finish(entry) == []
    assert scribe.forget("w1")
    known = scribe.link.execute("XINFO", "CONSUMERS", scribe.queue.keys.at("a"), "workers")
    assert [row[1] for row in known] == [b"w2"]


def test_a_key_moves_when_its_place_is_gone(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    settled(scribe, caller, at_a)
    scribe.forget("wa")
    job = caller.one(key="k")
    assert scribe.where(job) == ["normal"]
    assert at_b.take_one().job == job
    assert scribe.home("k") == "b"


def test_an_entry_id_is_not_used_again_when_a_place_is_made_again(scribe: Scribe) -> None:
    """All of this is done within a millisecond or two: without care the second job gets the entry id of the first."""
    caller, queue = scribe.caller(), scribe.queue.at("a")
    seen = []
    for n in range(50):
        worker = Worker(scribe.link, queue, f"w{n}").register()
        seen.append(last_id(scribe, queue.keys.at("a")))
        scribe.link.execute("SET", queue.keys.home("k"), "a", "PX", 60_000)
        caller.one(key="k")
        entry = worker.take_one()
        seen.append(tuple(map(int, entry.id.split("-"))))
        worker.finish(entry)
        scribe.forget(worker.name)
    assert seen == sorted(set(seen))


def last_id(scribe: Scribe, lane: str) -> tuple[int, ...]:
    info = scribe.link.execute("XINFO", "STREAM", lane)
    found = dict(zip(info[::2], info[1::2], strict=True))[b"last-generated-id"]
    return tuple(map(int, found.decode().split("-")))


def test_an_entry_delivered_after_its_worker_was_forgotten_is_found(scribe: Scribe) -> None:
    """A read of the dead that was on its way: nobody knows its place any more."""
    caller, dead, other = scribe.caller(), scribe.worker("dead", "a"), scribe.worker("other", "a")
    settled(scribe, caller, other)
    scribe.reap("dead")
    scribe.forget("dead")
    job = caller.one(key="k")
    dead.read_blindly()
    looks = [scribe.tick("other").dead for _ in range(3)]
    assert looks == [[], [], ["dead"]]
    assert scribe.reap("dead", blame=False).issued == 1
    assert scribe.forget("dead")
    assert other.take_one().job == job


def test_a_queue_that_never_saw_a_key_is_not_marked(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.one()
    worker.finish(worker.take_one())
    keyed = ("HGET", scribe.key("config"), "keyed")
    assert scribe.link.execute(*keyed) is None
    caller.one(key="k")
    assert scribe.link.execute(*keyed) == b"1"


def test_how_long_a_key_stays_is_a_setting(scribe: Scribe) -> None:
    short = Scribe(scribe.link, Queue(name=scribe.queue.name, affinity=Affinity(home_s=5)))
    settled(short, short.caller(), short.worker("w", "a"))
    assert 0 < scribe.link.execute("PTTL", scribe.queue.keys.home("k")) <= 5000
