"""part: items of a generator are stored once each, by the one who holds the entry, and posted to its client."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.part import Sent, part, read_from, read_items
from pullet_broker.settings import Limits, Queue
from tests.support.scribe import Caller, Scribe, Worker


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


@pytest.fixture
def caller(scribe: Scribe) -> Caller:
    return scribe.caller()


@pytest.fixture
def worker(scribe: Scribe) -> Worker:
    return scribe.worker()


def send(worker: Worker, entry: Entry, first: int, *items: bytes) -> Sent:
    return worker.link.run(part(worker.queue, worker.name, entry, first, items))


def stored(scribe: Scribe, job: str, first: int = 0, most: int = 1000) -> list[tuple[int, bytes]]:
    return read_items(scribe.link.execute(*read_from(scribe.queue, job, first, most)))


def test_items_are_stored_and_posted_in_order(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    job = caller.one()
    entry = worker.take_one()
    assert send(worker, entry, 0, b"a", b"b") is Sent.OK
    assert send(worker, entry, 2, b"c") is Sent.OK
    assert stored(scribe, job) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert stored(scribe, job, 1, 1) == [(1, b"b")]
    assert caller.inbox() == [(f"{job}:0", b"a"), (f"{job}:1", b"b"), (f"{job}:2", b"c")]
    assert scribe.link.execute("PTTL", scribe.queue.keys.part(job)) > 0


def test_a_call_that_is_repeated_changes_nothing(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    job = caller.one()
    entry = worker.take_one()
    for _ in range(2):
        assert send(worker, entry, 0, b"a", b"b") is Sent.OK
    assert send(worker, entry, 1, b"b", b"c") is Sent.OK
    assert stored(scribe, job) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert [name for name, _ in caller.inbox()] == [f"{job}:{n}" for n in range(3)]


def test_the_next_attempt_repeats_nothing(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    job = caller.one()
    send(worker, worker.take_one(), 0, b"a", b"b")
    scribe.reap(worker.name)
    other = scribe.worker("other")
    entry = other.take_one(alone=True)
    assert entry.attempt == 2
    assert send(other, entry, 0, b"a", b"b", b"c") is Sent.OK
    assert stored(scribe, job) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert len(caller.inbox()) == 3


def test_whoever_does_not_hold_the_entry_adds_nothing(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    job = caller.one()
    entry = worker.take_one()
    stranger = scribe.worker("stranger")
    assert send(stranger, entry, 0, b"a") is Sent.FENCED
    worker.finish(entry)
    assert send(worker, entry, 0, b"a") is Sent.FENCED
    assert stored(scribe, job) == []
    assert f"{job}:0" not in dict(caller.inbox())


def test_a_cancelled_job_takes_no_more_items(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    job = caller.one()
    entry = worker.take_one()
    send(worker, entry, 0, b"a")
    scribe.cancel(job)
    assert send(worker, entry, 1, b"b") is Sent.CANCELLED
    assert stored(scribe, job) == []


def test_a_large_item_is_only_announced(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    worker.queue = dataclasses.replace(scribe.queue, limits=Limits(inline_bytes=4))
    job = caller.one()
    send(worker, worker.take_one(), 0, b"1234", b"12345")
    assert caller.inbox() == [(f"{job}:0", b"1234"), (f"{job}:1", b"")]
    assert stored(scribe, job) == [(0, b"1234"), (1, b"12345")]


def test_items_are_stored_also_when_the_inbox_is_gone(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    job = caller.one()
    entry = worker.take_one()
    scribe.link.execute("DEL", scribe.queue.keys.inbox(caller.id))
    assert send(worker, entry, 0, b"a") is Sent.OK
    scribe.link.execute("SET", scribe.queue.keys.inbox(caller.id), "no stream", "PX", 60_000)
    assert send(worker, entry, 1, b"b") is Sent.OK
    assert stored(scribe, job) == [(0, b"a"), (1, b"b")]


def test_a_hostile_client_name_builds_no_key(scribe: Scribe, caller: Caller, worker: Worker) -> None:
    caller.one()
    entry = dataclasses.replace(worker.take_one(), client="x}:evil")
    assert send(worker, entry, 0, b"a") is Sent.OK
    assert not any("evil" in name for name in scribe.names())


@pytest.mark.parametrize("wrong", [{"lane": 9}, {"id": "x"}, {"attempt": -1}, {"ttl_ms": -5}])
def test_arguments_of_another_form_are_refused(
    scribe: Scribe, caller: Caller, worker: Worker, wrong: dict[str, object]
) -> None:
    job = caller.one()
    entry = dataclasses.replace(worker.take_one(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ServerError, match="expected form"):
        send(worker, entry, 0, b"a")
    assert stored(scribe, job) == []
