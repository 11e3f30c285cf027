"""What may go wrong between the threads of a worker, or between it and a server that is no longer the one it knew."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from pullet import Options
from pullet_broker.address import Address
from pullet_broker.codec import encode_call
from pullet_broker.job import Job, new_client_id, new_job_id
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.moves.cycle import wait_for_work
from pullet_broker.moves.submit import submit
from pullet_broker.scripting import Call
from pullet_broker.settings import Lease, Queue
from pullet_workers.consumer import Consumer as Taker
from pullet_workers.courier import NOTHING, Courier
from pullet_workers.ear import Ear
from pullet_workers.errands import Errand
from pullet_workers.exchange import Exchange
from pullet_workers.hand import Finished, Hand
from pullet_workers.heart import Heart
from pullet_workers.report import Record, Report
from tests.support.leaks import wait_until
from tests.support.scribe import Worker as Consumer
from tests.support.workers import Kit, calling, kill_connections, running

pytestmark = pytest.mark.timeout(40)


def call(method: str, *args: Any, priority: int = 0) -> Job:
    return Options(priority=priority).job(new_job_id(), method, encode_call(args, {}, limit=1000))


def pending(link: Link, lane: str) -> list[bytes]:
    return [row[1] for row in link.execute("XPENDING", lane, GROUP, "-", "+", 10)]


def test_what_is_being_fetched_is_not_taken_for_stranded(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has answered a take whose jobs are not in hand yet, just when the worker compares."""
    run_all = Link.run_all

    def slowly(link: Link, calls: Sequence[Call[Any]]) -> list[Any]:
        answers = run_all(link, calls)
        threading.Event().wait(0.004)
        return answers

    monkeypatch.setattr("pullet_workers.consumer.COMPARE_S", 0.002)
    monkeypatch.setattr(Link, "run_all", slowly)
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        futures = [client.submit(Kit.nap, 0.008) for _ in range(100)]
        for future in futures:
            future.result(20)
    assert len(kit.calls) == 100


def test_an_idle_worker_that_is_given_two_jobs_keeps_the_first_lanes(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come just before it waits: a read of several lanes gets one of each."""
    jobs = [call("hold", "low", priority=-1), call("hold", "high", priority=1)]

    def at_the_last_moment(*args: Any, **options: Any) -> Any:
        if jobs:
            link.run(submit(queue, new_client_id(), 1, 1, [jobs.pop(0), jobs.pop(0)]))
        return wait_for_work(*args, **options)

    monkeypatch.setattr("pullet_workers.consumer.wait_for_work", at_the_last_moment)
    kit = Kit()
    with running(queue, address, kit):
        assert kit.started.wait(10)
        again = queue.keys.lane("again")
        assert wait_until(lambda: link.execute("XLEN", again) == 1)
        assert kit.calls == ["high"]
        assert pending(link, again) == [], "whoever is free may have it"


def test_urgent_jobs_are_not_starved_by_those_that_were_given_back(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        others = [client.submit(Kit.nap, 0.006) for _ in range(40)]
        assert client.flush(10)
        giver = Consumer(link, queue, "giver").register()
        assert giver.give_back(*giver.take(40)) == 40
        urgent = [client.options(priority=1).submit(Kit.nap, 0.007) for _ in range(5)]
        assert client.flush(10)
        with running(queue, address, kit):
            for future in others + urgent:
                future.result(20)
    places = [n for n, seconds in enumerate(kit.calls) if seconds == 0.007]
    assert len(places) == 5
    assert max(places) < 30, "every fourth take begins with the urgent ones"


def test_an_outcome_does_not_end_another_job_under_the_same_entry(queue: Queue, address: Address, link: Link) -> None:
    """A server that lost its last second gives an entry's id again. Then the old outcome must not be committed."""
    lane, kit = queue.keys.lane("normal"), Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        client.submit(Kit.hold, "first")
        assert kit.started.wait(10)
        ((entry, fields),) = link.execute("XRANGE", lane, "-", "+")
        link.execute("DEL", lane)
        link.execute("XGROUP", "CREATE", lane, GROUP, "0", "MKSTREAM")
        fields[1] = new_job_id()
        link.execute("XADD", lane, entry, *fields)
        link.execute("XREADGROUP", "GROUP", GROUP, "other", "STREAMS", lane, ">")
        assert kill_connections(link, f"pullet:{queue.name}:take") == 1
        kit.go.set()

        assert client.submit(Kit.echo, "second").result(10) == "second"
        assert pending(link, lane) == [b"other"]
        assert link.execute("XLEN", lane) == 1


def test_no_second_connection_ends_another_job_under_the_same_entry(queue: Queue, address: Address, link: Link) -> None:
    """The courier commits beside a running job. When its connection broke, it must look what is still the worker's."""
    lane, worker, hand = queue.keys.lane("normal"), Consumer(link, queue, "w").register(), Hand()
    link.run(submit(queue, new_client_id(), 1, 1, [call("echo", n) for n in range(3)]))
    taken = worker.take(3)
    hand.take(taken)
    for entry in taken[:2]:
        hand.start(0.0)
        hand.finish(entry, Finished(entry, b"ok 1 w 0\n"))
    hand.start(0.0)
    exchange, errands = Exchange(queue, hand, lambda: "w"), Link.to(queue, address, "errands")
    errands.open()
    link.execute("XGROUP", "SETID", lane, GROUP, "0")
    link.execute("XACK", lane, GROUP, *(entry.id for entry in taken[:2]))
    link.execute("XREADGROUP", "GROUP", GROUP, "other", "COUNT", 2, "STREAMS", lane, ">")

    errands.close()
    exchange.run(errands, 0, alone=False)

    assert pending(link, lane) == [b"other", b"other", b"w"]
    assert [entry.id for entry in hand.held()] == [taken[2].id]
    errands.close()


def test_what_waits_is_not_given_back_when_the_job_before_it_has_just_ended(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The courier is to free what waits, and has to wait for the right to do so while the loop refills the hand."""
    hand, asks, enter = Hand(), threading.Event(), Exchange.__enter__
    link.run(submit(queue, new_client_id(), 1, 1, [call("echo", n) for n in range(3)]))
    hand.take(Consumer(link, queue, "w").register().take(3))
    exchange = Exchange(queue, hand, lambda: "w")
    consumer = Taker(queue, address, hand, Record("w", {}), Report(hand), lambda: None)
    courier = Courier(queue, hand, exchange, consumer)

    def noted(self: Exchange) -> None:
        asks.set()
        enter(self)

    courier.start()
    try:
        with exchange:
            monkeypatch.setattr(Exchange, "__enter__", noted)
            courier.follow(((time.monotonic(), Errand.FREE),))
            assert asks.wait(10)
            courier.follow(NOTHING)
    finally:
        courier.stop()
    assert len(hand.queued) == 3
    assert pending(link, queue.keys.lane("normal")) == [b"w"] * 3


def test_a_worker_whose_runner_is_gone_stops_beating(queue: Queue, address: Address, link: Link) -> None:
    fast = Queue(name=queue.name, lease=Lease(beat_s=0.01))
    Consumer(link, queue, "w").register()
    runner_lives = True
    heart = Heart(fast, address, lambda: ("w", "{}"), Ear(fast, address, lambda stops: None), lambda: runner_lives)

    def beats() -> int:
        return int(link.execute("HGET", queue.keys.fixed("beats"), "w"))

    heart.start()
    try:
        assert wait_until(lambda: beats() > 3)
        runner_lives = False
        assert wait_until(lambda: not heart._thread.is_alive())
        last = beats()
        assert not wait_until(lambda: beats() != last, 0.1)
    finally:
        heart.stop()
