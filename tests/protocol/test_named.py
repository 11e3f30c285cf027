"""Jobs whose callers chose the id, so that a second submit is the same job; and jobs that must not be repeated."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_broker.job import Job
from pullet_broker.link import Link
from pullet_broker.moves.dead import Replay
from pullet_broker.moves.finding import PAGE, find
from pullet_broker.moves.submit import Answer
from pullet_broker.settings import Limits, Queue
from tests.support.scribe import Scribe, a_job

HOUR = 3_600_000
ID = "order-4711"


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def named(args: bytes = b"\x90", **options: object) -> Job:
    return Job(ID, "work", args, named=True, **options)  # type: ignore[arg-type]


def open_names(scribe: Scribe) -> list[str]:
    return [name.decode() for name in scribe.link.execute("HKEYS", scribe.key("named"))]


@pytest.mark.parametrize("options", [{}, {"delay_ms": HOUR}, {"lane": "low"}, {"key": "k"}])
def test_while_a_job_is_open_a_second_one_with_its_id_only_waits_for_it(
    scribe: Scribe, options: dict[str, object]
) -> None:
    first, second, worker = scribe.caller(), scribe.caller(), scribe.worker()
    first.submit(named(**options))
    second.submit(named(b"other arguments"), a_job())
    assert len(scribe.where(ID)) + len(scribe.delayed()) == 1
    assert scribe.entries() + len(scribe.delayed()) == 2
    scribe.make_due()
    scribe.promote()
    assert worker.finish(*worker.take(5)) == []
    assert {ID} < {name for name, _ in second.inbox()}
    assert [name for name, _ in first.inbox()] == [ID]
    assert dict(first.inbox())[ID] == dict(second.inbox())[ID]
    assert open_names(scribe) == []


def test_afterwards_it_is_told_the_outcome_as_long_as_the_reply_lives(scribe: Scribe) -> None:
    first, second, worker = scribe.caller(), scribe.caller(), scribe.worker()
    first.submit(named())
    worker.finish(worker.take_one())
    second.submit(named())
    assert second.inbox() == first.inbox()
    assert scribe.entries() == 0
    scribe.link.execute("DEL", scribe.queue.keys.reply(ID))
    second.submit(named())
    assert scribe.where(ID) == ["normal"], "it is a new job"


@pytest.mark.parametrize("how", ["error", "cancelled", "crashed"])
def test_every_outcome_counts_and_closes_the_name(scribe: Scribe, how: str) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(named())
    if how == "cancelled":
        scribe.cancel(ID)
        assert worker.take() == []
    elif how == "error":
        worker.fail(worker.take_one())
    else:
        for n in range(3):
            scribe.worker(f"v{n}").take_one(alone=True)
            scribe.reap(f"v{n}")
            scribe.calm()
    assert scribe.ended(ID) == how
    assert open_names(scribe) == []
    caller.submit(named())
    assert [name for name, _ in caller.inbox()] == [ID, ID]
    assert scribe.entries() == 0


def test_a_repeated_batch_and_one_client_twice_are_one_job(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(named(), named())
    caller.send(1, named(), named())
    assert scribe.entries() == 1
    worker.finish(worker.take_one())
    assert {name for name, _ in caller.inbox()} == {ID}


def test_on_a_full_queue_one_may_still_wait_for_what_is_there(scribe: Scribe) -> None:
    queue = dataclasses.replace(scribe.queue, limits=Limits(backlog_jobs=1))
    first, second = Scribe(scribe.link, queue).caller(), Scribe(scribe.link, queue).caller()
    first.submit(named())
    assert second.send(1, named()).answer is Answer.OK
    assert second.send(2, a_job()).answer is Answer.FULL


def test_ids_that_were_not_chosen_are_not_compared(scribe: Scribe) -> None:
    caller = scribe.caller()
    job = a_job()
    caller.submit(job, dataclasses.replace(job))
    assert scribe.entries() == 2
    assert "named" not in scribe.names()


def test_a_replayed_job_has_its_name_again_and_never_two_at_once(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    caller.submit(named())
    worker.fail(worker.take_one())
    scribe.link.execute("DEL", scribe.queue.keys.reply(ID))
    caller.submit(named())
    assert scribe.replay(ID).answer is Replay.MISSING, "a new job has the id"
    worker.fail(worker.take_one())
    assert scribe.replay(ID).answer is Replay.OK
    caller.submit(named())
    assert scribe.where(ID) == ["normal"]
    assert open_names(scribe) == [ID]
    worker.finish(worker.take_one())
    assert open_names(scribe) == []


def test_it_is_found_at_once_in_a_long_queue_though_its_id_tells_no_time(scribe: Scribe) -> None:
    caller = scribe.caller()
    for _ in range(3):
        caller.submit(*(a_job() for _ in range(PAGE)))
    scribe.link.execute("PING")
    job = dataclasses.replace(named(), id="f" * 32)  # as that of a client of the far future
    caller.submit(job)
    found = scribe.link.run(find(scribe.queue, job.id, f"{int('f' * 12, 16)}-0"))
    while found.where == "more":
        found = scribe.link.run(find(scribe.queue, job.id, f"{int('f' * 12, 16)}-0", found.lane, found.start))
    assert found.where == "lane"


def test_it_is_looked_for_from_the_very_entry_on(scribe: Scribe) -> None:
    """The server's clock may go on by a millisecond between the entry and the note of when the id was chosen."""
    caller = scribe.caller()
    for call in range(500):
        caller.submit(dataclasses.replace(named(), id=f"job-{call}"), *(a_job() for _ in range(4)))
    noted = scribe.link.execute("HGETALL", scribe.key("named"))
    entries = scribe.link.execute("XRANGE", scribe.queue.keys.lane("normal"), "-", "+")
    begun = {fields[1]: entry.partition(b"-")[0] for entry, fields in entries}
    assert len(noted) == 1000
    assert [job for job, at in zip(noted[::2], noted[1::2], strict=True) if at != begun[job]] == []


# -- jobs that must not be repeated


@pytest.mark.parametrize("blame", [True, False])
def test_a_job_that_must_not_be_repeated_ends_with_its_worker(scribe: Scribe, blame: bool) -> None:
    caller, worker = scribe.caller(), scribe.worker("gpu3")
    job, other = caller.submit(a_job(once=True), a_job())
    assert len(worker.take(2)) == 2
    assert scribe.reap("gpu3", blame=blame).buried == 1
    reply = scribe.reply(job)
    assert reply is not None
    assert (reply.outcome, reply.attempt, reply.worker) == ("lost", 1, "gpu3")
    assert scribe.where(job) == []
    assert scribe.where(other) == ["suspect" if blame else "again"]
    assert [letter["id"] for letter in scribe.letters()] == [job]


def test_one_that_did_not_start_is_given_back_as_any_other(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one(once=True)
    worker.give_back(worker.take_one())
    entry = worker.take_one()
    assert (entry.job, entry.once) == (job, True)
    assert worker.finish(entry) == []
