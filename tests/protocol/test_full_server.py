"""A server at its maxmemory takes no new jobs; what it holds can still run, finish and be recovered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerFull
from pullet_broker.link import Link
from pullet_broker.moves.part import part
from pullet_broker.moves.submit import Answer
from pullet_broker.settings import Queue
from tests.support.scribe import Scribe, a_job


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start() as server:
        yield server


@pytest.fixture
def scribe(own_server: EmbeddedServer) -> Iterator[Scribe]:
    link = Link(Address(own_server.url), "test")
    link.execute("FLUSHALL")
    yield Scribe(link, Queue(name="full"))
    room(link)
    link.close()


def fill(link: Link) -> None:
    link.execute("CONFIG", "SET", "maxmemory", 1)


def room(link: Link) -> None:
    link.execute("CONFIG", "SET", "maxmemory", 0)


def test_a_batch_is_refused_whole_and_may_be_sent_again(scribe: Scribe) -> None:
    caller, jobs = scribe.caller(), [a_job(), a_job()]
    caller.announce()
    before = scribe.dump()
    fill(scribe.link)
    with pytest.raises(ServerFull, match="maxmemory"):
        caller.send(1, *jobs)
    assert scribe.dump() == before
    room(scribe.link)
    assert caller.send(1, *jobs).answer is Answer.OK
    assert scribe.entries() == 2


def test_running_jobs_finish_and_waiting_ones_are_taken(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    jobs = caller.submit(a_job(), a_job())
    fill(scribe.link)
    for _ in jobs:
        assert worker.finish(worker.take_one()) == []
    assert [scribe.ended(job) for job in jobs] == ["ok", "ok"]
    assert len(caller.inbox()) == 2


def test_beats_and_ticks_go_on(scribe: Scribe) -> None:
    worker = scribe.worker("a")
    fill(scribe.link)
    assert scribe.worker("b").beat().dead == []
    for _ in range(scribe.queue.lease.ticks + 2):
        worker.beat()
        dead = scribe.tick().dead
    assert dead == ["b"]


def test_the_dead_are_reaped_and_what_they_held_is_run_elsewhere(scribe: Scribe) -> None:
    caller, dead = scribe.caller(), scribe.worker("dead")
    job = caller.one()
    dead.take_one()
    fill(scribe.link)
    assert (scribe.reap("dead").issued, scribe.forget("dead")) == (1, True)
    heir = scribe.worker("heir")
    assert heir.finish(heir.take_one(alone=True)) == []
    assert scribe.ended(job) == "ok"


def test_failures_retries_and_gifts_go_through(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    for_good, later, back = caller.submit(a_job(), a_job(), a_job())
    entries = worker.take(3)
    fill(scribe.link)
    assert worker.fail(entries[0]) == "DEAD"
    assert worker.fail(entries[1], retry_after_ms=3_600_000) == "PARKED"
    assert worker.give_back(entries[2]) == 1
    room(scribe.link)
    scribe.make_due()
    fill(scribe.link)
    assert scribe.promote() == 1
    assert scribe.cancel(later) == "ASKED"
    assert (scribe.ended(for_good), scribe.where(later), scribe.where(back)) == ("error", ["normal"], ["again"])


def test_items_of_a_generator_are_refused_like_new_jobs(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    entry = worker.take_one()
    fill(scribe.link)
    with pytest.raises(ServerFull, match="maxmemory"):
        scribe.link.run(part(scribe.queue, worker.name, entry, 0, [b"item"]))
    assert worker.finish(entry) == []
    assert scribe.ended(job) == "ok"
