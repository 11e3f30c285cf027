"""Bad input fails its job and never the worker: calls that do not fit, values that cannot travel, entries by hand."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

import pullet
from pullet import Client
from pullet_broker.address import Address
from pullet_broker.codec import encode_call
from pullet_broker.errors import EncodeError, JobUnreadable, TooLarge, UnknownMethod
from pullet_broker.job import new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.reply import read_failure, read_reply
from pullet_broker.settings import Limits, Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, Worker, calling, running

pytestmark = pytest.mark.timeout(40)


def assert_works(worker: Worker, client: Client[Any]) -> None:
    assert client.submit("echo", "still here").result(5) == "still here"
    assert worker.lives


@pytest.mark.parametrize("name", ["nothing_there", "calls", "calls.append", "echo ", "", "é" * 1000])
def test_an_unknown_method_fails_its_job(queue: Queue, address: Address, name: str) -> None:
    with running(queue, address) as worker, calling(queue, address, None) as client:
        with pytest.raises(UnknownMethod):
            client.submit(name).result(10)
        assert_works(worker, client)


def test_arguments_that_do_not_fit_are_seen_at_submit_or_by_the_worker(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit) as worker:
        with calling(queue, address) as client, pytest.raises(TypeError, match=r"echo\(value"):
            client.submit(Kit.echo, 1, 2)  # type: ignore[call-arg]
        with calling(queue, address, None) as client:
            with pytest.raises(TypeError, match="positional argument"):
                client.submit("echo", 1, 2).result(10)
            with pytest.raises(TypeError, match="unexpected keyword"):
                client.submit("echo", 1, more=2).result(10)
            assert_works(worker, client)
    assert kit.calls == ["still here"]


@pytest.mark.parametrize(
    "value",
    [object(), [{"deep": {1, object}}], lambda: 1, "\udc80"],
    ids=["object", "a class in a set", "lambda", "half a character"],
)
def test_arguments_that_cannot_travel_raise_at_submit(queue: Queue, address: Address, value: Any) -> None:
    with running(queue, address) as worker, calling(queue, address) as client:
        with pytest.raises(EncodeError):
            client.submit(Kit.echo, value)
        assert_works(worker, client)
        assert worker.runner.report.done == 1


def test_arguments_that_hold_themselves_are_refused_in_no_time(queue: Queue, address: Address) -> None:
    """`submit` may run on an event loop, which must not stand still while the place of the fault is looked for."""
    value: list[Any] = [1]
    value.append(value)
    with calling(queue, address) as client:
        start = time.process_time()
        with pytest.raises(EncodeError, match="contains itself"):
            client.submit(Kit.echo, value)
        assert time.process_time() - start < 0.5


def test_a_result_that_cannot_travel_fails_its_job(queue: Queue, address: Address) -> None:
    with running(queue, address) as worker, calling(queue, address) as client:
        with pytest.raises(EncodeError, match=r"result.* builtins\.object|result of opaque"):
            client.submit(Kit.opaque).result(10)
        assert_works(worker, client)


def test_arguments_over_the_limit_raise_at_submit(queue: Queue, address: Address) -> None:
    small = dataclasses.replace(queue, limits=Limits(args_bytes=1000))
    with running(small, address) as worker, calling(small, address) as client:
        with pytest.raises(TooLarge, match="the limit is 1000"):
            client.submit(Kit.echo, b"x" * 1000)
        assert_works(worker, client)


def test_arguments_over_the_workers_limit_fail_their_job(queue: Queue, address: Address) -> None:
    """A client with other settings than the worker."""
    small = dataclasses.replace(queue, limits=Limits(args_bytes=1000))
    with running(small, address) as worker, calling(queue, address) as client:
        for size in (2_000, 50_000):
            with pytest.raises(JobUnreadable, match="the limit is 1000"):
                client.submit(Kit.echo, b"x" * size).result(10)
        assert_works(worker, client)


def test_a_result_over_the_limit_fails_its_job_alone(queue: Queue, address: Address) -> None:
    small = dataclasses.replace(queue, limits=Limits(result_bytes=1000))
    with running(small, address) as worker, calling(small, address) as client:
        jobs = [client.submit(Kit.huge, size) for size in (10, 5000, 20)]
        with pytest.raises(TooLarge, match="result of huge"):
            jobs[1].result(10)
        assert (jobs[0].result(10), jobs[2].result(10)) == (b"x" * 10, b"x" * 20)
        assert_works(worker, client)


GOOD = {"id": "0" * 32, "method": "echo", "args": encode_call((1,), {}), "client": new_client_id(), "opts": ""}
BY_HAND: dict[str, dict[str, Any]] = {
    "nothing we know": {"hello": "world"},
    "only an id": {"id": "0" * 32},
    "no args": {**GOOD, "args": None},
    "no id": {**GOOD, "id": None},
    "fields in another order": dict(reversed(GOOD.items())),
    "args are garbage": {**GOOD, "args": b"\xc1\xff\x00garbage"},
    "args are empty": {**GOOD, "args": b""},
    "args are no call": {**GOOD, "args": b"\x01"},
    "args nest deeply": {**GOOD, "args": b"\x91" * 100_000 + b"\xc0"},
    "id is binary": {**GOOD, "id": b"\xff\xfe\x00"},
    "id is empty": {**GOOD, "id": ""},
    "id is long": {**GOOD, "id": "x" * 100_000},
    "id has other signs": {**GOOD, "id": "}:{\r\n*1 é"},
    "client is no id": {**GOOD, "client": "}:evil"},
    "client is binary": {**GOOD, "client": b"\xff" * 32},
    "method is binary": {**GOOD, "method": b"\xff\x00"},
    "method is private": {**GOOD, "method": "__init__"},
    "method is a path": {**GOOD, "method": "calls.append"},
    "opts are garbage": {**GOOD, "opts": "{", "method": "boom"},
    "opts ask for too much": {**GOOD, "opts": '{"retries":1e999}', "method": "boom"},
    "opts are binary": {**GOOD, "opts": b"\xff"},
    "attempt is no number": {**GOOD, "attempt": "many"},
    "attempt is huge": {**GOOD, "attempt": "9" * 400},
    "raised is hugely negative": {**GOOD, "raised": "-" + "9" * 400, "opts": '{"retries":1}', "method": "boom"},
    "ttl is negative": {**GOOD, "ttl": "-5"},
    "ttl is no number": {**GOOD, "ttl": "soon"},
    "ttl is huge": {**GOOD, "ttl": "9" * 40},
    "ttl is huge and it fails": {**GOOD, "ttl": "9" * 40, "method": "boom"},
    "ttl is hexadecimal": {**GOOD, "ttl": "0x10"},
    "blob is missing": {**GOOD, "blob": "1"},
    "lane is unknown": {**GOOD, "lane": "express", "method": "boom", "opts": '{"retries":1}'},
    "crashes is no number": {**GOOD, "crashes": "often"},
    "expires is no number": {**GOOD, "expires": "never"},
    "a field twice": {**GOOD, "method ": "echo"},
}


@pytest.mark.parametrize("what", BY_HAND)
def test_an_entry_by_hand_harms_neither_worker_nor_neighbours(
    queue: Queue, address: Address, link: Link, what: str
) -> None:
    """Once taken together with others, once read by a worker that waits: these are different ways in."""
    fields = {name: value for name, value in BY_HAND[what].items() if value is not None}
    add = ("XADD", queue.keys.lane("normal"), "*", *(part for pair in fields.items() for part in pair))

    def is_settled() -> bool:
        return link.execute("XLEN", queue.keys.lane("normal")) == 0

    with calling(queue, address) as client:
        neighbours = [client.submit(Kit.echo, n) for n in range(3)]
        assert client.flush(10)
        link.execute(*add)
        neighbours += [client.submit(Kit.echo, n) for n in range(3, 6)]
        assert client.flush(10)
        with running(queue, address) as worker:
            assert [future.result(5) for future in neighbours] == list(range(6))
            assert_works(worker, client)
            assert wait_until(is_settled, 3), "the entry has come to its end"

            assert wait_until(lambda: worker.state == "idle")
            link.execute(*add)
            assert_works(worker, client)
            assert wait_until(is_settled, 3), "the entry has come to its end"
    link.execute("DEL", queue.keys.reply_prefix.encode() + b"\xff\xfe\x00")  # else no name for the check of keys


def test_an_unreadable_job_is_a_dead_letter_that_says_why(queue: Queue, address: Address, link: Link) -> None:
    job = new_job_id()
    bad = {**GOOD, "id": job, "args": b"\xc1"}
    with running(queue, address):
        link.execute("XADD", queue.keys.lane("normal"), "*", *(part for pair in bad.items() for part in pair))
        assert wait_until(lambda: link.execute("EXISTS", queue.keys.reply(job)) == 1)
    reply = read_reply(link.execute("GET", queue.keys.reply(job)))
    assert (reply.outcome, read_failure(reply.payload).kind) == ("error", "unreadable")
    ((_, letter),) = link.execute("XRANGE", queue.keys.fixed("dead"), "-", "+")
    assert letter[letter.index(b"id") + 1] == job.encode()


def test_who_passes_the_wrong_things_hears_it_with_the_name_of_the_queue(queue: Queue, address: Address) -> None:
    with calling(queue, address) as client, pytest.raises(ValueError, match="retries"):
        client.options(retries=-1)
    with pytest.raises(pullet.NameRefused, match="not allowed"):
        Queue(name="no/slash")
