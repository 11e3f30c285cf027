"""reap, forget and reconcile: what the dead held runs elsewhere, and nothing is stranded."""

from __future__ import annotations

import pytest

from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing
from pullet_broker.moves.life import Reaped
from pullet_broker.settings import Lifetimes, Limits, Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, Worker, a_job


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


@pytest.mark.parametrize(("blame", "lane", "crashes"), [(True, "suspect", "1"), (False, "again", "0")])
def test_the_jobs_of_the_dead_wait_again(scribe: Scribe, blame: bool, lane: str, crashes: str) -> None:
    worker, job = scribe.worker(), scribe.caller().one(lane="low")
    first = worker.take_one()
    assert scribe.reap("w", blame=blame) == Reaped(1, 0, False)
    (fields,) = scribe.on_lane(lane)
    assert (fields["id"], fields["crashes"], fields["attempt"], fields["lane"]) == (job, crashes, "2", "low")
    assert fields["since"] == first.id.split("-")[0]
    assert (scribe.entries(), scribe.pending()) == (1, 0)


def test_what_nobody_has_taken_is_left_where_it_is(scribe: Scribe) -> None:
    worker = scribe.worker()
    taken, waiting = scribe.caller().submit(a_job(), a_job())
    worker.take_one()
    scribe.reap("w")
    assert (scribe.where(taken), scribe.where(waiting)) == (["suspect"], ["normal"])


def test_the_jobs_of_the_living_are_left_to_them(scribe: Scribe) -> None:
    dead, alive = scribe.worker("dead"), scribe.worker("alive")
    scribe.caller().submit(a_job(), a_job())
    dead.take_one()
    kept = alive.take_one()
    assert scribe.reap("dead").issued == 1
    assert alive.finish(kept) == []


def test_a_suspect_whose_worker_was_stopped_stays_a_suspect(scribe: Scribe) -> None:
    scribe.caller().one()
    scribe.worker("first").take_one()
    scribe.reap("first", blame=True)
    scribe.worker("second").take_one(alone=True)
    scribe.reap("second", blame=False)
    (fields,) = scribe.on_lane("suspect")
    assert (fields["crashes"], fields["attempt"]) == ("1", "3")


def test_a_repeated_reap_finds_nothing_more(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().one()
    worker.take_one()
    assert [scribe.reap("w").issued for _ in range(3)] == [1, 0, 0]
    assert scribe.entries() == 1


def test_one_reap_is_bounded_and_says_that_there_is_more(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(*(a_job(lane=("high", "low")[n % 2]) for n in range(130)))
    worker.take(64), worker.take(64), worker.take(64)
    assert [scribe.reap("w"), scribe.reap("w")] == [Reaped(100, 0, True), Reaped(30, 0, False)]
    assert (scribe.pending(), len(scribe.on_lane("suspect"))) == (0, 130)


def crash(scribe: Scribe, times: int) -> Worker:
    """The one job there is kills that many workers; returns the last of them."""
    for n in range(times):
        worker = scribe.worker(f"victim-{n}")
        assert len(worker.take(alone=True)) == 1
        scribe.reap(worker.name)
        scribe.forget(worker.name)
    return worker


def test_a_job_that_kills_worker_after_worker_becomes_a_dead_letter(scribe: Scribe) -> None:
    caller = scribe.caller()
    job = caller.one()
    limit = scribe.queue.limits.max_crashes
    crash(scribe, limit - 1)
    assert (scribe.where(job), scribe.ended(job)) == (["suspect"], None)
    last = scribe.worker("last")
    last.take_one(alone=True)
    assert scribe.reap("last") == Reaped(0, 1, False)
    reply = scribe.reply(job)
    assert reply is not None
    assert (reply.outcome, reply.attempt, reply.worker) == ("crashed", limit, "last")
    assert [name for name, _ in caller.inbox()] == [job]
    (letter,) = scribe.letters()
    assert (letter["id"], letter["worker"], letter["error"].split()[0]) == (job, "last", "crashed")
    assert scribe.entries() == 0


def test_stopped_workers_do_not_bring_a_job_nearer_to_its_end(scribe: Scribe) -> None:
    job = scribe.caller().one()
    for n in range(scribe.queue.limits.max_crashes + 2):
        scribe.worker(f"stopped-{n}").take_one()
        scribe.reap(f"stopped-{n}", blame=False)
    assert (scribe.where(job), scribe.ended(job)) == (["again"], None)


def test_a_dead_letter_of_a_crash_keeps_its_large_arguments_for_a_while(scribe: Scribe) -> None:
    settings = Queue(
        name=scribe.queue.name,
        limits=Limits(blob_over_bytes=1, max_crashes=1),
        lifetimes=Lifetimes(dead_ms=7_200_000),
    )
    narrow = Scribe(scribe.link, settings)
    job = narrow.caller().one(args=b"large")
    crash(narrow, 1)
    assert 7_000_000 < narrow.link.execute("PTTL", settings.keys.blob(job)) <= 7_200_000


def test_a_reaped_worker_takes_nothing_more_and_its_late_finish_is_fenced(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().submit(a_job(), a_job())
    entry = worker.take_one()
    scribe.reap("w")
    cycled = worker.cycle(want=1)
    assert (cycled.standing, cycled.entries) == (Standing.STRANGER, [])
    assert worker.finish(entry) == [0]
    assert worker.beat().standing is Standing.STRANGER


def test_what_reaches_the_dead_late_is_found_by_the_ticks(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.reap("w")
    assert scribe.forget("w")
    job = scribe.caller().one()
    worker.read_blindly()
    looks = [scribe.tick().dead for _ in range(3)]
    assert looks == [[], [], ["w"]]
    assert scribe.reap("w", blame=False).issued == 1
    assert (scribe.where(job), scribe.forget("w"), scribe.tick().dead) == (["again"], True, [])


def test_a_lost_answer_is_adopted_and_run(scribe: Scribe) -> None:
    worker = scribe.worker()
    lost, held = scribe.caller().submit(a_job(b"args", lane="high"), a_job())
    worker.take(1)
    mine = worker.take_one()
    found = worker.reconcile(mine)
    assert ([entry.job for entry in found.adopted], found.lost) == ([lost], [])
    assert (mine.job, found.adopted[0].args) == (held, b"args")
    assert worker.finish(mine, *found.adopted) == []


def test_what_is_no_longer_pending_is_told_by_its_place(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().submit(a_job(), a_job(), a_job())
    entries = worker.take(3)
    worker.finish(entries[0], entries[2])
    found = worker.reconcile(*entries)
    assert (found.adopted, found.lost) == ([], [0, 2])


def test_a_reconcile_looks_only_at_its_own_worker(scribe: Scribe) -> None:
    worker, other = scribe.worker(), scribe.worker("other")
    scribe.caller().submit(a_job(), a_job())
    theirs = other.take_one()
    assert worker.reconcile(theirs).lost == [0]
    assert worker.reconcile().adopted == []
    assert other.reconcile(theirs).lost == []


def test_an_entry_that_was_deleted_by_hand_is_not_pending_for_ever(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().one()
    entry = worker.take_one()
    scribe.link.execute("XDEL", scribe.queue.keys.lane("normal"), entry.id)
    assert (worker.reconcile().adopted, scribe.pending()) == ([], 0)


def test_a_worker_that_holds_something_is_not_forgotten(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.caller().one()
    entry = worker.take_one()
    assert not scribe.forget("w")
    assert worker.finish(entry) == []


def test_a_forgotten_worker_leaves_no_trace(scribe: Scribe) -> None:
    scribe.caller().submit(*(a_job(lane=lane) for lane in ("low", "normal", "high")))
    worker = scribe.worker()
    worker.finish(*worker.take(3, alone=True))
    scribe.tick()
    assert scribe.forget("w")
    assert scribe.names().isdisjoint({"workers", "beats", "missed"})
    for lane in scribe.queue.keys.lanes:
        assert scribe.link.execute("XINFO", "CONSUMERS", lane, "workers") == []


@pytest.mark.parametrize("ttl", ["-5", "0", "1.5", "1e30", "soon"])
@pytest.mark.parametrize("limit", [1, 3])
def test_a_senseless_ttl_in_an_entry_loses_neither_it_nor_its_neighbours(scribe: Scribe, ttl: str, limit: int) -> None:
    strict = Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(max_crashes=limit)))
    caller, worker = strict.caller(), strict.worker()
    fields = ("id", "odd", "method", "work", "args", b"\x90", "client", caller.id, "opts", "", "ttl", ttl)
    strict.link.execute("XADD", strict.queue.keys.lane("normal"), "*", *fields)
    job = caller.one()
    assert len(worker.take(2)) == 2
    strict.reap("w")
    if limit == 1:
        assert (strict.ended("odd"), strict.ended(job), strict.entries()) == ("crashed", "crashed", 0)
    else:
        assert (strict.where("odd"), strict.where(job)) == (["suspect"], ["suspect"])


def test_an_entry_with_thousands_of_fields_does_not_stop_the_recovery_of_its_neighbours(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    before = caller.one()
    fields = ("id", "odd", "method", "work", "args", b"\x90", "client", caller.id, "opts", "", *["x"] * 10_000)
    scribe.link.execute("XADD", scribe.queue.keys.lane("normal"), "*", *fields)
    after = caller.one()
    assert len(worker.take(3)) == 3
    assert scribe.reap("w").issued == 3
    assert [scribe.where(job) for job in (before, "odd", after)] == [["suspect"]] * 3


def test_a_reaped_worker_is_named_until_it_is_forgotten(scribe: Scribe) -> None:
    """Or it would leave its name behind for ever when whoever reaped it dies before it forgets it."""
    scribe.worker()
    scribe.reap("w")
    assert wait_until(lambda: scribe.tick().dead == ["w"], timeout_s=1)
    assert scribe.forget("w")
    assert scribe.tick().dead == []
