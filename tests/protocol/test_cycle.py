"""cycle: outcomes are committed once, by whoever holds the entry, and the next jobs come in the same answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing, cycle
from pullet_broker.settings import Limits, Queue
from tests.support.scribe import Scribe, a_job, outcome


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def test_one_call_commits_the_old_job_and_takes_the_next(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    first, second = caller.submit(a_job(), a_job())
    cycled = worker.cycle(outcome(worker.take_one()), want=1)
    assert (cycled.standing, cycled.fenced, cycled.dropped) == (Standing.OK, [], 0)
    assert [entry.job for entry in cycled.entries] == [second]
    assert (scribe.ended(first), scribe.ended(second)) == ("ok", None)


def test_a_finished_job_leaves_a_reply_and_no_entry(scribe: Scribe) -> None:
    worker, job = scribe.worker(), scribe.caller().one()
    worker.cycle(outcome(worker.take_one(), b"value"))
    reply = scribe.reply(job)
    assert reply is not None
    assert (reply.outcome, reply.attempt, reply.payload) == ("ok", 1, b"value")
    assert (scribe.entries(), scribe.pending()) == (0, 0)


@pytest.mark.parametrize(("asked", "expected"), [(0, 3_600_000), (7_200_000, 7_200_000)])
def test_a_reply_lives_as_long_as_the_job_asked_for(scribe: Scribe, asked: int, expected: int) -> None:
    worker, job = scribe.worker(), scribe.caller().one(ttl_ms=asked)
    worker.finish(worker.take_one())
    assert expected - 60_000 < scribe.link.execute("PTTL", scribe.queue.keys.reply(job)) <= expected


def test_a_small_reply_travels_in_the_inbox_and_a_large_one_is_only_announced(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    small, large = caller.submit(a_job(), a_job())
    head, limit = len(b"ok 1 w 7\n"), scribe.queue.limits.inline_bytes
    one, other = worker.take(2)
    worker.cycle(outcome(one, b"x" * (limit - head)), outcome(other, b"x" * (limit - head + 1)))
    inbox = dict(caller.inbox())
    assert (len(inbox[small]), inbox[large]) == (limit, b"")
    assert scribe.ended(large) == "ok"


def test_the_replies_of_one_cycle_reach_each_client_and_no_other(scribe: Scribe) -> None:
    one, other, worker = scribe.caller(), scribe.caller(), scribe.worker()
    first, second, third = one.one(), other.one(), one.one()
    worker.finish(*worker.take(3))
    assert [job for job, _ in one.inbox()] == [first, third]
    assert [job for job, _ in other.inbox()] == [second]


def test_large_arguments_go_with_the_job(scribe: Scribe) -> None:
    narrow = Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(blob_over_bytes=1)))
    worker, job = narrow.worker(), narrow.caller().one(args=b"large")
    entry = worker.take_one()
    assert (entry.large, narrow.link.execute("EXISTS", narrow.queue.keys.blob(job))) == (True, 1)
    worker.finish(entry)
    assert narrow.link.execute("EXISTS", narrow.queue.keys.blob(job)) == 0


def test_a_late_finish_does_not_count(scribe: Scribe) -> None:
    caller, job, (late, old), (heir, new) = scribe.succession()
    before = scribe.dump()
    assert late.cycle(outcome(old, b"old")).fenced == [0]
    assert scribe.dump() == before
    assert heir.cycle(outcome(new, b"new")).fenced == []
    assert late.cycle(outcome(old, b"old")).fenced == [0]
    assert [value for _, value in caller.inbox()] == [b"ok 2 w 7\nnew"]
    reply = scribe.reply(job)
    assert reply is not None
    assert reply.payload == b"new"


def test_outcomes_that_do_not_count_are_told_by_their_places(scribe: Scribe) -> None:
    scribe.caller().submit(*(a_job() for _ in range(4)))
    worker = scribe.worker()
    entries = worker.take(4)
    worker.finish(entries[0], entries[2])
    assert worker.finish(*entries) == [0, 2]
    assert scribe.entries() == 0


def test_a_cycle_repeated_after_a_lost_answer_commits_nothing_again(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    call = cycle(scribe.queue, "w", [outcome(worker.take_one())], 1, alone=True, high_first=False)
    assert scribe.link.run(call).fenced == []
    before = scribe.dump()
    assert scribe.link.run(call).fenced == [0]
    assert scribe.dump() == before
    assert [name for name, _ in caller.inbox()] == [job]


def test_a_client_without_an_inbox_gets_none_but_its_reply_is_kept(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one()
    scribe.link.execute("DEL", scribe.queue.keys.inbox(caller.id))
    worker.finish(worker.take_one())
    assert scribe.link.execute("EXISTS", scribe.queue.keys.inbox(caller.id)) == 0
    assert scribe.ended(job) == "ok"


def test_a_broken_inbox_does_not_stop_the_neighbours(scribe: Scribe) -> None:
    broken, fine, worker = scribe.caller(), scribe.caller(), scribe.worker()
    jobs = [broken.one(), fine.one(), broken.one()]
    scribe.link.execute("SET", scribe.queue.keys.inbox(broken.id), "no stream", "PX", 60_000)
    assert worker.finish(*worker.take(3)) == []
    assert [scribe.ended(job) for job in jobs] == ["ok"] * 3
    assert [job for job, _ in fine.inbox()] == [jobs[1]]
    assert scribe.entries() == 0


@pytest.mark.parametrize("client", ["", "a}b", "f" * 31, "f" * 33, "}" * 32, "g" * 32, "*" * 32, "ü" * 16])
def test_a_client_field_that_is_no_client_builds_no_key(scribe: Scribe, client: str) -> None:
    worker, job = scribe.worker(), scribe.caller().one()
    entry = worker.take_one()
    scribe.link.execute("DEL", scribe.key("stats"))
    before = scribe.names()
    assert worker.finish(replace(entry, client=client)) == []
    assert scribe.names() == before | {f"reply:{job}", "stats"}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"lane": 0}, id="lane 0"),
        pytest.param({"lane": 6}, id="lane 6"),
        pytest.param({"lane": "jobs"}, id="lane name"),
        pytest.param({"ttl_ms": "soon"}, id="ttl word"),
        pytest.param({"ttl_ms": -5}, id="ttl negative"),
        pytest.param({"ttl_ms": 1.5}, id="ttl fraction"),
        pytest.param({"ttl_ms": 10**19}, id="ttl huge"),
    ],
)
def test_one_malformed_outcome_changes_nothing_at_all(scribe: Scribe, bad: dict[str, object]) -> None:
    scribe.caller().submit(a_job(), a_job(), a_job())
    worker = scribe.worker()
    one, two, three = worker.take(3)
    before = scribe.dump()
    with pytest.raises(ServerError):
        worker.cycle(outcome(one), outcome(replace(two, **bad)), outcome(three), want=1)  # type: ignore[arg-type]
    assert scribe.dump() == before
    assert worker.finish(one, two, three) == []


@pytest.mark.parametrize("bad", ["x-0", f"{10**20}-0", "", "*", "-"])
def test_what_is_no_id_of_an_entry_is_the_outcome_of_none_and_harms_no_other(scribe: Scribe, bad: str) -> None:
    scribe.caller().submit(a_job(), a_job(), a_job())
    worker = scribe.worker()
    one, two, three = worker.take(3)
    assert worker.finish(one, replace(two, id=bad), three) == [1]
    assert scribe.pending() == 1
    assert worker.finish(two) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("want", "x"),
            ("inline", ""),
            ("inline", "1 1"),
            ("home_ms", "0"),
            ("ttl", "x"),
            ("ttl", "0"),
            ("ttl", "-1"),
        ),
        *((name, "1" * 16) for name in ("want", "inline", "home_ms", "ttl")),
    ],
)
def test_malformed_arguments_change_nothing(scribe: Scribe, name: str, value: str) -> None:
    scribe.caller().submit(a_job(), a_job())
    worker = scribe.worker()
    call = cycle(scribe.queue, "w", [outcome(worker.take_one())], 1, alone=False, high_first=False)
    scribe.check_refusal(scribe.with_argument(call, name, value))


def test_a_truncated_outcome_changes_nothing(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job())
    worker = scribe.worker()
    call = cycle(scribe.queue, "w", [outcome(entry) for entry in worker.take(2)], 0, alone=False, high_first=False)
    scribe.check_refusal(replace(call, args=call.args[:-1]))
