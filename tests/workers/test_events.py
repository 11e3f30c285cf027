"""What whoever watches hears of jobs that end; and that nobody pays while nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.events import WATCH_MS, Ended, events_after, read_events, watch_until
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job, outcome
from tests.support.workers import Kit, Worker, calling, running


class Pages:
    @pullet.batch(max_batch_size=8, batch_wait_timeout_s=20)
    def read(self, pages: list[int]) -> list[int]:
        return pages


@pytest.fixture
def watching(scribe: Scribe) -> Callable[[], None]:
    return lambda: scribe.link.execute(*watch_until(scribe.queue, scribe.clock_ms() + WATCH_MS))


def heard(link: Link, queue: Queue) -> list[Ended]:
    found, _ = read_events(link.execute(*events_after(queue, "")))
    return found


def knows(worker: Worker) -> bool:
    """Does it know that somebody watches?"""
    return worker.runner.report.witness.offset_us is not None


@pytest.fixture
def watched(quick: Queue, address: Address, watching: Callable[[], None]) -> Iterator[Worker]:
    watching()
    with running(quick, address) as worker:
        assert wait_until(lambda: knows(worker))
        yield worker


def test_nothing_is_told_while_nobody_watches(quick: Queue, address: Address, link: Link) -> None:
    with running(quick, address), calling(quick, address) as client:
        client.submit(Kit.echo, 1).result(10)
        client.submit(Kit.boom).exception(10)
    assert not link.execute("EXISTS", quick.keys.fixed("events"))


def test_each_job_is_told_with_its_times(quick: Queue, address: Address, link: Link, watched: Worker) -> None:
    with calling(quick, address) as client:
        future = client.submit(Kit.nap, 0.05)
        future.result(10)
        assert wait_until(lambda: bool(heard(link, quick)))
    (one,) = heard(link, quick)
    assert (one.job, one.method, one.outcome, one.attempt, one.batch) == (future.job_id, "nap", "ok", 1, 1)
    assert (one.consumer, one.is_last) == (watched.consumer, True)
    assert 0.05 <= one.run_s < 5
    assert one.queued <= one.started <= one.ended
    assert link.execute("PTTL", quick.keys.fixed("events")) > 0


def test_attempts_that_are_retried_are_told_apart_from_the_last(
    quick: Queue, address: Address, link: Link, watched: Worker
) -> None:
    with calling(quick, address) as client:
        client.options(retries=1, backoff=0.01).submit(Kit.boom).exception(10)
    assert [(one.outcome, one.attempt, one.is_last) for one in heard(link, quick)] == [
        ("error", 1, False),
        ("error", 2, True),
    ]


def test_jobs_of_one_call_say_so(quick: Queue, address: Address, link: Link, watching: Callable[[], None]) -> None:
    watching()
    with running(quick, address, Pages) as worker, calling(quick, address, Pages) as client:
        assert wait_until(lambda: knows(worker))
        assert list(client.map(Pages.read, range(8))) == list(range(8))
    found = heard(link, quick)
    assert sum(one.jobs for one in found) == 8
    assert max(one.batch for one in found) > 1


def test_a_worker_falls_silent_when_nobody_watches_any_more(
    quick: Queue, address: Address, link: Link, watched: Worker
) -> None:
    link.execute(*watch_until(quick, 1))
    assert wait_until(lambda: not knows(watched))
    with calling(quick, address) as client:
        client.submit(Kit.echo, 1).result(10)
    assert heard(link, quick) == []


def test_scripts_tell_what_no_worker_can(scribe: Scribe, watching: Callable[[], None]) -> None:
    watching()
    caller, worker = scribe.caller(), scribe.worker("w.host-1.aaa")
    cancelled, crashed = caller.submit(a_job(), a_job())
    scribe.cancel(cancelled)
    (entry,) = worker.take(2)
    for _ in range(3):
        scribe.reap(worker.name)
        scribe.calm()
        worker.register()
        worker.take(alone=True)
    told = [(one.job, one.outcome, one.attempt, one.is_last, one.consumer) for one in heard(scribe.link, scribe.queue)]
    assert entry.job == crashed
    assert told == [
        (cancelled, "cancelled", 1, True, worker.name),
        (crashed, "crashed", 1, False, worker.name),
        (crashed, "crashed", 2, False, worker.name),
        (crashed, "crashed", 3, True, worker.name),
    ]


def test_an_outcome_that_came_too_late_is_not_told(scribe: Scribe) -> None:
    late = scribe.worker("late")
    scribe.caller().submit(a_job(), a_job())
    lost, kept = late.take(1)[0], late.take(1)[0]
    scribe.link.execute("XACK", scribe.key("jobs"), "workers", lost.id)
    told = [replace(outcome(one), event=(1_000_000 + i, 7e-6, 1)) for i, one in enumerate((lost, kept))]
    assert late.cycle(*told).fenced == [0]
    (one,) = heard(scribe.link, scribe.queue)
    assert one.jobs == 1, "two were told together, one of which came too late"
    scribe.link.execute("DEL", scribe.key("jobs"))


def test_hostile_names_end_no_line(scribe: Scribe, watching: Callable[[], None]) -> None:
    watching()
    name = "<script>\n\x00\x1b[31m ok 1 w 7\u202e" + "x" * 1_000_000
    job = a_job()
    job.method = name
    scribe.caller().submit(job)
    scribe.cancel(job.id)
    scribe.worker().take()
    (one,) = heard(scribe.link, scribe.queue)
    assert (one.job, one.outcome) == (job.id, "cancelled")
    assert len(one.method) <= 200
    assert not set(one.method) & set("\n\x00\x1b ")


def test_a_stream_of_nonsense_is_read_as_nothing(link: Link, queue: Queue) -> None:
    nonsense = [b"", b"a", b"\xff" * 10, b"ok 1 w x y z", b"ok " * 20, b"ok -1 w -5 9e99 0 x-y - - m"]
    entries = [(b"1-1", [b"ended", b"\n".join(nonsense)]), (b"2-1", [b"odd"]), (b"3-1", [b"again", b"\x00"])]
    found, cursor = read_events(entries)
    assert cursor == "3-1"
    assert all(one.run_s == 0 for one in found)


def test_a_key_of_another_type_stops_no_job(quick: Queue, address: Address, link: Link, watched: Worker) -> None:
    link.execute("SET", quick.keys.fixed("events"), "no stream", "PX", 60_000)
    with calling(quick, address) as client:
        assert client.submit(Kit.echo, 5).result(10) == 5


def test_every_end_is_counted_once(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(*(a_job() for _ in range(4)), a_job(expires_ms=1))
    assert wait_until(lambda: scribe.clock_ms() % 10 == 0)  # so that the last one is past its time
    done, failed, retried, cancelled = worker.take(4)
    worker.finish(done)
    worker.fail(failed)
    worker.fail(retried, 0)
    scribe.cancel(cancelled.job)
    worker.give_back(cancelled)
    worker.finish(*worker.take(5))
    flat = scribe.link.execute("HGETALL", scribe.key("stats"))
    stats = {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    assert stats["submitted"] == 5
    assert {name: stats.get(name, 0) for name in ("done", "error", "cancelled", "expired", "crashed")} == {
        "done": 2,
        "error": 1,
        "cancelled": 1,
        "expired": 1,
        "crashed": 0,
    }


def test_tiny_jobs_are_told_together_and_all_are_counted(
    quick: Queue, address: Address, link: Link, watched: Worker
) -> None:
    with calling(quick, address) as client:
        assert list(client.map(Kit.echo, range(500))) == list(range(500))
        client.submit(Kit.boom).exception(10)
    found = heard(link, quick)
    assert sum(one.jobs for one in found) == 501
    assert len(found) < 250, "a line for each of them costs as much as the job"
    assert {one.method for one in found} == {"echo", "boom"}
    assert all(one.run_s < 1 for one in found)
