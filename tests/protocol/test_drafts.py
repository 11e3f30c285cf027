"""Large values go past Lua as drafts: they count when their script does, and leave nothing behind whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pullet_broker.address import Address
from pullet_broker.drafts import TTL_MS
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerFull
from pullet_broker.job import Entry, Job
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Cycled, Outcome, cycle, in_one_piece
from pullet_broker.moves.submit import Answer, Submitted, submit
from pullet_broker.parts import LARGE
from pullet_broker.reply import pack_reply
from pullet_broker.scripting import Call
from pullet_broker.settings import Limits, Queue
from pullet_workers.commit import commit
from pullet_workers.hand import Finished
from tests.support.leaks import check_keys
from tests.support.scribe import Caller, Scribe, a_job, outcome

HOUR = 3_600_000
BIG, OTHER = b"x" * (LARGE + 1), b"y" * (LARGE + 1)
ID = "order-4711"


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def blob(scribe: Scribe, job: str) -> bytes | None:
    found: bytes | None = scribe.link.execute("GET", scribe.queue.keys.blob(job))
    return found


def sent(caller: Caller, first: int, *jobs: Job, connection: int = 1) -> Call[Submitted]:
    return submit(caller.queue, caller.id, connection, first, jobs)


def only_drafts(link: Link, call: Call[object]) -> None:
    """The connection ends before the script."""
    for one in call.drafts:
        link.execute(*one)


def without_drafts(link: Link, call: Call[Submitted]) -> Submitted:
    """They have expired, or were refused."""
    return link.run(replace(call, drafts=()))


def finished(entry: Entry, value: bytes = BIG) -> Outcome:
    return Outcome(entry, pack_reply("ok", entry.attempt, "w", 7, value))


def held(one: Outcome) -> Finished:
    """The same, as a worker holds it."""
    return Finished(one.entry, one.reply)


def ended(scribe: Scribe, job: str) -> bytes | None:
    reply = scribe.reply(job)
    return None if reply is None else bytes(reply.payload)


# -- arguments


def test_large_arguments_become_the_blob_of_their_job_and_nothing_else_is_left(scribe: Scribe) -> None:
    job = scribe.caller().one(args=BIG)
    assert (blob(scribe, job), scribe.drafts()) == (BIG, [])
    assert scribe.link.execute("PTTL", scribe.queue.keys.blob(job)) == -1, "a job may wait for long"
    assert scribe.worker().take_one().large


def test_a_draft_whose_script_never_comes_ends_by_itself(scribe: Scribe) -> None:
    caller = scribe.caller()
    only_drafts(scribe.link, sent(caller, 1, a_job(BIG)))
    (name,) = scribe.drafts()
    assert TTL_MS - 30_000 < scribe.link.execute("PTTL", scribe.key(name)) <= TTL_MS
    assert scribe.entries() == 0


def test_without_its_draft_a_job_is_a_gap_and_may_be_sent_again(scribe: Scribe) -> None:
    caller = scribe.caller()
    jobs = [a_job(), a_job(BIG), a_job()]
    answer = without_drafts(scribe.link, sent(caller, 1, *jobs))
    assert (answer.answer, answer.mark, scribe.entries()) == (Answer.GAP, 1, 1)
    assert caller.send(2, *jobs[1:]).mark == 3
    assert [entry["id"] for entry in scribe.on_lane("normal")] == [job.id for job in jobs]
    assert blob(scribe, jobs[1].id) == BIG


def test_a_repeat_changes_no_arguments_and_leaves_no_draft(scribe: Scribe) -> None:
    caller, job = scribe.caller(), a_job(BIG)
    assert caller.send(1, job).mark == 1
    assert caller.send(1, replace(job, args=OTHER)).answer is Answer.OK
    assert (blob(scribe, job.id), scribe.drafts(), scribe.entries()) == (BIG, [], 1)


def test_a_repeat_after_the_job_has_ended_leaves_no_arguments(scribe: Scribe) -> None:
    caller, worker, job = scribe.caller(), scribe.worker(), a_job(BIG)
    caller.send(1, job)
    assert worker.finish(worker.take_one()) == []
    caller.send(1, job)
    assert (blob(scribe, job.id), scribe.drafts()) == (None, [])


def test_a_batch_that_is_refused_leaves_no_draft(scribe: Scribe) -> None:
    full = Caller(scribe.link, Queue(name=scribe.queue.name, limits=Limits(backlog_jobs=1)))
    first, second = a_job(BIG), a_job(BIG)
    assert full.send(1, first, second).answer is Answer.FULL
    assert (blob(scribe, first.id), blob(scribe, second.id), scribe.drafts()) == (BIG, None, [])
    assert full.send(5, a_job(BIG)).answer is Answer.GAP
    assert scribe.drafts() == []


@pytest.mark.parametrize("over", [False, True])
def test_a_second_job_with_a_chosen_id_leaves_the_arguments_of_the_first(scribe: Scribe, over: bool) -> None:
    first, second, worker = scribe.caller(), scribe.caller(), scribe.worker()
    first.submit(Job(ID, "work", BIG, named=True))
    entry = worker.take_one() if over else None
    if entry:
        assert worker.finish(entry) == []
    second.submit(Job(ID, "work", OTHER, named=True))
    assert (blob(scribe, ID), scribe.drafts()) == (None if over else BIG, [])
    assert scribe.entries() == (not over)


def test_of_two_jobs_with_one_id_in_a_batch_the_first_has_its_own_arguments(scribe: Scribe) -> None:
    scribe.caller().submit(Job(ID, "work", BIG, named=True), Job(ID, "work", OTHER, named=True))
    assert (blob(scribe, ID), scribe.drafts(), scribe.entries()) == (BIG, [], 1)


def test_what_a_dead_connection_delivers_late_gives_no_job_other_arguments(scribe: Scribe) -> None:
    """Its number has been given to another job since, and the late draft comes between that job's draft and script."""
    caller, job = scribe.caller(), a_job(BIG)
    late, now = sent(caller, 1, a_job(OTHER)), sent(caller, 1, job, connection=2)
    assert scribe.link.run(sent(caller, 1, connection=2)).answer is Answer.OK
    only_drafts(scribe.link, now)
    only_drafts(scribe.link, late)
    assert without_drafts(scribe.link, now).mark == 1
    assert blob(scribe, job.id) == BIG


# -- replies


def test_a_large_reply_is_stored_whole_and_only_announced(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one(ttl_ms=2 * HOUR)
    assert worker.cycle(finished(worker.take_one())).fenced == []
    raw = scribe.link.execute("GET", scribe.queue.keys.reply(job))
    assert raw == b"ok 1 w 7\n" + BIG
    assert HOUR < scribe.link.execute("PTTL", scribe.queue.keys.reply(job)) <= 2 * HOUR
    assert caller.inbox() == [(job, b"")]
    assert (scribe.drafts(), scribe.link.execute("HGET", scribe.key("stats"), "done")) == ([], b"1")


def test_a_small_reply_in_parts_is_only_announced_too(scribe: Scribe) -> None:
    """What its draft holds is no business of the script."""
    caller, worker = scribe.caller(), scribe.worker()
    job, entry = caller.one(), worker.take_one()
    worker.cycle(Outcome(entry, (b"ok 1 w 7\n", b"value")))
    assert (caller.inbox(), ended(scribe, job)) == ([(job, b"")], b"value")


def test_a_reply_without_a_ttl_of_its_own_has_the_queues(scribe: Scribe) -> None:
    worker, job = scribe.worker(), scribe.caller().one()
    worker.cycle(finished(worker.take_one()))
    left = scribe.link.execute("PTTL", scribe.queue.keys.reply(job))
    assert TTL_MS < left <= scribe.queue.lifetimes.reply_ms


def test_a_late_worker_overwrites_nothing_and_leaves_no_draft(scribe: Scribe) -> None:
    caller, job, (late, old), (heir, new) = scribe.succession()
    assert late.cycle(finished(old, OTHER)).fenced == [0]
    assert (ended(scribe, job), scribe.drafts()) == (None, [])
    assert heir.cycle(finished(new)).fenced == []
    assert late.cycle(finished(old, OTHER)).fenced == [0]
    assert (ended(scribe, job), scribe.drafts(), len(caller.inbox())) == (BIG, [], 1)


def test_drafts_of_several_workers_and_lanes_are_told_apart(scribe: Scribe) -> None:
    """Entries of two lanes may have one id."""
    scribe.caller().announce()
    for job, lane in (("one", "normal"), ("other", "high")):
        fields = ("id", job, "method", "work", "args", "", "client", "", "opts", "")
        scribe.link.execute("XADD", scribe.queue.keys.lane(lane), "7-7", *fields)
    worker = scribe.worker()
    one, other = sorted(worker.take(2), key=lambda entry: entry.job)
    assert one.id == other.id
    only_drafts(scribe.link, cycle(scribe.queue, "v", [finished(one, OTHER)], 0, alone=False, high_first=False))
    assert worker.cycle(finished(one), finished(other, OTHER)).fenced == []
    assert (ended(scribe, "one"), ended(scribe, "other")) == (BIG, OTHER)


def without_draft(scribe: Scribe, *outcomes: Outcome) -> Cycled:
    call = cycle(scribe.queue, "w", outcomes, 0, alone=False, high_first=False)
    return scribe.link.run(replace(call, drafts=()))


def test_without_its_draft_an_outcome_is_as_it_was_and_its_neighbours_count(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    one, two, three = caller.submit(a_job(), a_job(BIG), a_job())
    entries = worker.take(3)
    outcomes = [outcome(entries[0]), finished(entries[1]), outcome(entries[2])]
    cycled = without_draft(scribe, *outcomes)
    assert (cycled.fenced, cycled.missing) == ([], [1])
    assert [scribe.ended(job) for job in (one, two, three)] == ["ok", None, "ok"]
    assert (scribe.where(two), scribe.pending(), blob(scribe, two)) == (["normal"], 1, BIG)
    assert worker.cycle(in_one_piece(outcomes[1])).fenced == []
    assert (ended(scribe, two), blob(scribe, two), scribe.entries()) == (BIG, None, 0)


def test_what_a_watcher_is_told_leaves_out_the_outcome_without_its_draft(scribe: Scribe) -> None:
    scribe.link.execute("HSET", scribe.key("config"), "watched", 10**14)
    worker, job = scribe.worker(), scribe.caller().one()
    entry = worker.take_one()
    noted = replace(finished(entry), event=(1, 0.1, 1))
    without_draft(scribe, noted)
    assert scribe.ended(job) is None
    ((_, flat),) = scribe.link.execute("XRANGE", scribe.key("events"), "-", "+")
    assert flat[flat.index(b"fenced") + 1] == b"1"


class Lossy(Link):
    """Drafts get lost."""

    def post(self, *calls: Call[object]) -> None:
        super().post(*(replace(call, drafts=()) for call in calls))

    def receive_drafts(self, call: Call[object]) -> None:
        return None


@pytest.fixture
def lossy(address: Address) -> Iterator[Link]:
    link = Lossy(address, "lossy")
    yield link
    link.close()


def test_a_worker_sends_what_is_missing_in_the_call_itself(scribe: Scribe, lossy: Link) -> None:
    worker, jobs = scribe.worker(), scribe.caller().submit(a_job(), a_job(), a_job())
    entries = worker.take(3)
    outcomes = [held(outcome(entries[0])), held(finished(entries[1])), held(finished(entries[2], OTHER))]
    cycled = commit(lossy, scribe.queue, "w", outcomes)
    assert (cycled.fenced, cycled.missing) == ([], [1, 2])
    assert [ended(scribe, job) for job in jobs] == [b"\x01", BIG, OTHER]


def test_what_is_missing_and_came_too_late_is_told_by_its_place(scribe: Scribe, lossy: Link) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    one, other = caller.submit(a_job(), a_job())
    entries = worker.take(2)
    outcomes = [held(finished(entry)) for entry in entries]
    assert worker.cycle(finished(entries[1], OTHER)).fenced == []
    cycled = commit(lossy, scribe.queue, "w", outcomes)
    assert (cycled.fenced, cycled.missing) == ([1], [0, 1])
    assert (ended(scribe, one), ended(scribe, other)) == (BIG, OTHER)


# -- a full server


@pytest.fixture
def full() -> Iterator[Scribe]:
    """On a server of its own, which a test may fill."""
    with EmbeddedServer.start() as server:
        link = Link(Address(server.url), "test")
        made = Scribe(link, Queue(name="full"))
        yield made
        link.execute("CONFIG", "SET", "maxmemory", 0)
        check_keys(link, made.queue)
        link.close()


def test_a_full_server_takes_large_replies_too(full: Scribe) -> None:
    jobs, worker = full.caller().submit(a_job(), a_job(BIG)), full.worker()
    entries = worker.take(2)
    full.link.execute("CONFIG", "SET", "maxmemory", 1)
    cycled = commit(full.link, full.queue, "w", [held(outcome(entries[0])), held(finished(entries[1]))])
    assert (cycled.fenced, cycled.missing) == ([], [1])
    assert [ended(full, job) for job in jobs] == [b"\x01", BIG]
    assert full.entries() == 0


def test_a_full_server_refuses_large_jobs_and_keeps_nothing_of_them(full: Scribe) -> None:
    caller, job = full.caller(), a_job(BIG)
    caller.announce()
    before = full.dump()
    full.link.execute("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(ServerFull):
        caller.send(1, job)
    assert full.dump() == before
    full.link.execute("CONFIG", "SET", "maxmemory", 0)
    assert caller.send(1, job).mark == 1
    assert blob(full, job.id) == BIG
