"""submit: a job is accepted once, in order, however often and however late its batch arrives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hiredis
import pytest

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.keys import LANES
from pullet_broker.link import Link
from pullet_broker.moves.submit import EMPTY, Answer, submit
from pullet_broker.parts import pack
from pullet_broker.scripting import Call
from pullet_broker.settings import SCHEMA, Limits, Queue
from tests.support.scribe import Caller, Scribe, a_job


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def with_limits(scribe: Scribe, **limits: int) -> Scribe:
    return Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(**limits)))


def test_a_batch_is_accepted_once_however_often_it_is_sent(scribe: Scribe) -> None:
    caller, jobs = scribe.caller(), [a_job(), a_job(), a_job()]
    answers = [caller.send(1, *jobs) for _ in range(3)]
    assert [(answer.answer, answer.mark) for answer in answers] == [(Answer.OK, 3)] * 3
    assert [entry["id"] for entry in scribe.on_lane("normal")] == [job.id for job in jobs]


def test_a_repeat_after_the_job_has_ended_does_not_run_it_again(scribe: Scribe) -> None:
    caller, worker, job = scribe.caller(), scribe.worker(), a_job()
    caller.send(1, job)
    worker.finish(worker.take_one())
    assert caller.send(1, job).answer is Answer.OK
    assert scribe.entries() == 0


@pytest.mark.parametrize("first", [3, 4, 100])
def test_numbers_above_the_next_one_are_a_gap_and_store_nothing(scribe: Scribe, first: int) -> None:
    caller = scribe.caller()
    caller.one()
    answer = caller.send(first, a_job())
    assert (answer.answer, answer.mark, scribe.entries()) == (Answer.GAP, 1, 1)


def test_a_forgotten_mark_makes_later_numbers_a_gap(scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.one()
    scribe.link.execute("DEL", scribe.queue.keys.client(caller.id))
    assert caller.send(2, a_job()).answer is Answer.GAP


def test_what_overlaps_is_skipped_and_the_rest_is_accepted(scribe: Scribe) -> None:
    caller, jobs = scribe.caller(), [a_job() for _ in range(4)]
    caller.send(1, *jobs[:2])
    assert caller.send(2, *jobs[1:]).mark == 4
    assert [entry["id"] for entry in scribe.on_lane("normal")] == [job.id for job in jobs]


def test_a_batch_of_an_older_connection_is_stale(scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.send(1, a_job(), connection=1)
    caller.send(2, connection=2)
    answer = caller.send(2, a_job(), connection=1)
    assert (answer.answer, answer.mark, scribe.entries()) == (Answer.STALE, 1, 1)
    assert caller.send(2, a_job(), connection=2).mark == 2


def test_an_empty_call_tells_the_mark(scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.submit(a_job(), a_job())
    answer = caller.announce()
    assert (answer.answer, answer.mark, answer.new_inbox) == (Answer.OK, 2, False)


def test_numbers_of_fifteen_digits_stay_exact(scribe: Scribe) -> None:
    caller, mark = scribe.caller(), 987_654_321_098_761
    scribe.link.execute("SET", scribe.queue.keys.client(caller.id), f"{mark} 1", "PX", 60_000)
    caller.last = mark
    caller.submit(a_job(), a_job())
    caller.submit(a_job())
    assert caller.announce().mark == mark + 3


def test_the_first_call_makes_the_inbox_and_the_groups(scribe: Scribe) -> None:
    caller = scribe.caller()
    answer = caller.announce()
    assert (answer.answer, answer.mark, answer.new_inbox) == (Answer.OK, 0, True)
    assert caller.inbox() == []
    for lane in LANES:
        assert len(scribe.link.execute("XINFO", "GROUPS", scribe.queue.keys.lane(lane))) == 1


def test_a_lost_inbox_is_made_again_and_said_so(scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.one()
    scribe.link.execute("DEL", scribe.queue.keys.inbox(caller.id))
    assert caller.send(2, a_job()).new_inbox
    assert not caller.send(3, a_job()).new_inbox


def test_a_client_that_sends_keeps_its_mark_and_inbox_alive(scribe: Scribe) -> None:
    caller, keys = scribe.caller(), scribe.queue.keys
    caller.one()
    for key in (keys.client(caller.id), keys.inbox(caller.id)):
        scribe.link.execute("PEXPIRE", key, 60_000)
    caller.one()
    for key in (keys.client(caller.id), keys.inbox(caller.id)):
        assert scribe.link.execute("PTTL", key) > 60_000


def test_an_empty_place_counts_and_stores_nothing(scribe: Scribe) -> None:
    caller, job = scribe.caller(), a_job()
    assert caller.send(1, EMPTY, job, EMPTY).mark == 3
    assert [entry["id"] for entry in scribe.on_lane("normal")] == [job.id]


@pytest.mark.parametrize("lane", ["high", "normal", "low"])
def test_a_job_waits_on_the_lane_it_asks_for(scribe: Scribe, lane: str) -> None:
    job = scribe.caller().one(lane=lane)
    assert scribe.where(job) == [lane]


def test_an_entry_can_be_read_by_a_person(scribe: Scribe) -> None:
    caller = scribe.caller()
    job = caller.one(lane="high", ttl_ms=5000, expires_ms=60_000, opts='{"retries":2}')
    (entry,) = scribe.on_lane("high")
    assert abs(int(entry.pop("expires")) - scribe.clock_ms() - 60_000) < 30_000
    assert entry == {
        "id": job,
        "method": "work",
        "args": "\ufffd",
        "client": caller.id,
        "opts": '{"retries":2}',
        "lane": "high",
        "ttl": "5000",
    }


def test_a_delayed_job_is_parked_and_not_on_a_lane(scribe: Scribe) -> None:
    job = scribe.caller().one(delay_ms=3_600_000)
    assert (scribe.delayed(), scribe.entries()) == ([job], 0)


def test_a_full_queue_accepts_what_fits_and_says_where_it_stopped(scribe: Scribe) -> None:
    caller, jobs = with_limits(scribe, backlog_jobs=3).caller(), [a_job() for _ in range(5)]
    answer = caller.send(1, *jobs)
    assert (answer.answer, answer.mark, answer.backlog, answer.limit) == (Answer.FULL, 3, 3, 3)
    assert [entry["id"] for entry in scribe.on_lane("normal")] == [job.id for job in jobs[:3]]


def test_a_full_queue_still_knows_what_it_has_accepted(scribe: Scribe) -> None:
    caller, jobs = with_limits(scribe, backlog_jobs=2).caller(), [a_job(), a_job(), a_job()]
    assert caller.send(1, *jobs).mark == 2
    assert caller.send(1, *jobs[:2]).answer is Answer.OK
    assert scribe.entries() == 2


def test_a_refused_job_may_be_sent_again_when_there_is_room(scribe: Scribe) -> None:
    caller, worker, jobs = with_limits(scribe, backlog_jobs=1).caller(), scribe.worker(), [a_job(), a_job()]
    assert caller.send(1, *jobs).mark == 1
    worker.finish(worker.take_one())
    assert (caller.send(2, jobs[1]).answer, scribe.where(jobs[1].id)) == (Answer.OK, ["normal"])


def test_parked_running_and_waiting_jobs_all_count_towards_the_limit(scribe: Scribe) -> None:
    caller = with_limits(scribe, backlog_jobs=3).caller()
    caller.one()
    scribe.worker().take_one()
    caller.one(delay_ms=3_600_000)
    caller.one(lane="low")
    answer = caller.send(4, a_job())
    assert (answer.answer, answer.backlog) == (Answer.FULL, 3)


@pytest.mark.parametrize(("own", "config", "accepted"), [(100, 2, 2), (2, 100, 4)])
def test_the_limit_in_redis_overrides_the_callers(scribe: Scribe, own: int, config: int, accepted: int) -> None:
    scribe.link.execute("HSET", scribe.key("config"), "backlog", config)
    answer = with_limits(scribe, backlog_jobs=own).caller().send(1, *(a_job() for _ in range(4)))
    assert (answer.mark, scribe.entries()) == (accepted, accepted)


def test_large_arguments_travel_beside_the_entry(scribe: Scribe) -> None:
    limit, keys = scribe.queue.limits.blob_over_bytes, scribe.queue.keys
    small, large = scribe.caller().submit(a_job(b"x" * limit), a_job(b"y" * (limit + 1)))
    lengths = {entry["id"]: (len(entry["args"]), entry.get("blob")) for entry in scribe.on_lane("normal")}
    assert lengths == {small: (limit, None), large: (0, "1")}
    assert scribe.link.execute("GET", keys.blob(large)) == b"y" * (limit + 1)
    assert scribe.link.execute("EXISTS", keys.blob(small)) == 0


def test_a_refused_job_leaves_no_large_arguments_behind(scribe: Scribe) -> None:
    limits = {"backlog_jobs": 1, "blob_over_bytes": 1}
    first, second = a_job(b"large"), a_job(b"large")
    with_limits(scribe, **limits).caller().send(1, first, second)
    assert {name for name in scribe.names() if name.startswith("blob:")} == {f"blob:{first.id}"}


def test_the_first_release_to_come_owns_the_queue(scribe: Scribe) -> None:
    scribe.caller().announce()
    assert scribe.link.execute("HGET", scribe.key("config"), "schema") == b"%d" % SCHEMA


def test_another_schema_is_refused_and_nothing_is_stored(scribe: Scribe) -> None:
    scribe.link.execute("HSET", scribe.key("config"), "schema", SCHEMA + 1)
    assert scribe.caller().send(1, a_job()).answer is Answer.SCHEMA
    assert scribe.names() == {"config"}


def test_an_error_in_mid_batch_keeps_the_mark_of_what_is_in(scribe: Scribe) -> None:
    """Otherwise the repeat of the batch would double it."""
    base = scribe.key("")
    words = "jobs* client:* inbox:* draft:* config stats delayed parked places named watched cancelled"
    open_keys = [f"~{base}{name}" for name in words.split()]
    scribe.link.execute("ACL", "SETUSER", "noblobs", "reset", "on", ">pw", "+@all", *open_keys)
    narrow = Link(Address(scribe.link.address.url.replace("unix://", "unix://noblobs:pw@")), "narrow")
    caller = Caller(narrow, with_limits(scribe, blob_over_bytes=10).queue)
    with pytest.raises(ServerError):
        caller.send(1, a_job(b"small"), a_job(b"much too large"))
    narrow.close()
    scribe.link.execute("ACL", "DELUSER", "noblobs")
    caller.link = scribe.link
    assert (scribe.entries(), caller.announce().mark) == (1, 1)


def without_the_last(args: list[Any]) -> list[Any]:
    return args[:-1]


def with_one_more(args: list[Any]) -> list[Any]:
    return [*args, "1"]


def put(place: int, value: str) -> Callable[[list[Any]], list[Any]]:
    """`place` counts from the first of the fixed arguments, or, below 0, from the end of the last job."""
    return lambda args: [*args[:place], value, *args[place % len(args) + 1 :]]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(without_the_last, id="one too few"),
        pytest.param(with_one_more, id="one too many"),
        pytest.param(put(2, "x"), id="link"),
        pytest.param(put(3, "x"), id="first"),
        pytest.param(put(4, "x"), id="client_ms"),
        pytest.param(put(4, "0"), id="client_ms 0"),
        pytest.param(put(4, "1 1"), id="client_ms twice"),
        pytest.param(put(4, ""), id="no client_ms"),
        pytest.param(put(5, "0"), id="home_ms 0"),
        pytest.param(put(6, "x"), id="backlog"),
        pytest.param(put(10, "-1"), id="inline"),
        pytest.param(put(11, "0"), id="most 0"),
        *(pytest.param(put(place, "1" * 16), id=f"too long {place}") for place in (2, 3, 4, 5, 6, 10, 11)),
        pytest.param(put(-6, "soon"), id="delay"),
        pytest.param(put(-5, ""), id="expires"),
        pytest.param(put(-4, "1h"), id="ttl"),
    ],
)
def test_malformed_arguments_change_nothing(scribe: Scribe, spoil: Callable[[list[Any]], list[Any]]) -> None:
    caller = scribe.caller()
    caller.one()
    before = scribe.dump()
    call = submit(scribe.queue, caller.id, 1, 2, [a_job(), a_job()])
    with pytest.raises(ServerError):
        scribe.link.run(replace(call, args=spoil(unpacked(call))))
    assert scribe.dump() == before


def unpacked(call: Call[Any]) -> list[Any]:
    """The arguments of a call one by one, as the server reads them."""
    reader = hiredis.Reader()
    reader.feed(b"".join(pack(call.command())))
    return list(reader.gets()[3 + len(call.keys) :])
