"""progress: how far a job is, kept and told under the fence of whoever runs it."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.job import Entry, new_client_id
from pullet_broker.link import Link
from pullet_broker.moves.finding import find, watch
from pullet_broker.moves.progress import progress
from pullet_broker.settings import Queue
from tests.support.scribe import Scribe, Worker


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def tell(worker: Worker, entry: Entry, value: str) -> bool:
    return worker.link.run(progress(worker.queue, worker.name, entry, value))


def kept(scribe: Scribe) -> dict[str, str]:
    flat = scribe.link.execute("HGETALL", scribe.key("progress"))
    return {job.decode(): value.decode() for job, value in zip(flat[::2], flat[1::2], strict=True)}


def test_the_client_hears_and_anybody_may_look(scribe: Scribe) -> None:
    caller, worker, other = scribe.caller(), scribe.worker(), scribe.caller()
    job = caller.one()
    other.announce()
    scribe.link.run(watch(scribe.queue, job, other.id))
    entry = worker.take_one()
    assert tell(worker, entry, "1 1 0.4 loading")
    for one in (caller, other):
        assert one.inbox() == [(f"{job}:progress", b"1 1 0.4 loading")]
    found = scribe.link.run(find(scribe.queue, job, "0-0"))
    assert (found.consumer, found.progress) == (worker.name, b"1 1 0.4 loading")
    assert 0 < scribe.link.execute("PTTL", scribe.key("progress")) <= scribe.queue.lifetimes.client_ms
    assert worker.finish(entry) == []
    assert kept(scribe) == {}


def test_it_outlives_an_attempt_and_ends_with_the_job(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job, other = caller.one(), caller.one()
    entry, neighbour = worker.take(2)
    assert tell(worker, entry, "1 1 0.4 a")
    assert tell(worker, neighbour, "1 1 0.5 b")
    worker.fail(entry, retry_after_ms=60_000)
    assert scribe.link.run(find(scribe.queue, job, "0-0")).progress == b"1 1 0.4 a"
    scribe.cancel(job)
    assert kept(scribe) == {other: "1 1 0.5 b"}
    worker.fail(neighbour)
    assert kept(scribe) == {}


def test_whoever_lost_the_entry_says_nothing(scribe: Scribe) -> None:
    caller, zombie = scribe.caller(), scribe.worker("zombie")
    job = caller.one()
    entry = zombie.take_one()
    scribe.reap("zombie")
    assert not tell(zombie, entry, "1 1 0.9 late")
    second = scribe.worker("second")
    again = second.take_one(alone=True)
    assert not tell(zombie, entry, "1 1 0.9 late")
    assert not tell(zombie, again, "1 1 0.9 late"), "the entry is another one's"
    second.finish(again)
    assert not tell(second, again, "2 1 0.9 late")
    assert kept(scribe) == {}
    assert [name for name, _ in caller.inbox()] == [job]


def test_a_client_without_an_inbox_and_a_hostile_name_harm_nobody(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    entry = dataclasses.replace(worker.take_one(), client="x}:evil")
    assert tell(worker, entry, "1 1 0.4 a")
    scribe.link.execute("DEL", scribe.queue.keys.inbox(caller.id))
    assert tell(worker, dataclasses.replace(entry, client=new_client_id()), "1 2 0.4 a")
    assert not any("evil" in name for name in scribe.names())
    assert kept(scribe) == {job: "1 2 0.4 a"}


@pytest.mark.parametrize("wrong", [{"lane": 9}, {"id": "x"}])
def test_arguments_of_another_form_are_refused(scribe: Scribe, wrong: dict[str, object]) -> None:
    scribe.caller().one()
    worker = scribe.worker()
    entry = dataclasses.replace(worker.take_one(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ServerError, match="expected form"):
        tell(worker, entry, "1 1 0.4 a")
    assert kept(scribe) == {}
