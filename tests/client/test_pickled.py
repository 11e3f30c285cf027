"""`codec="pickle"` on a real server: which side asked for it, the pool's or the client's."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.errors import DecodeError, EncodeError, JobUnreadable
from pullet_broker.settings import Queue
from tests.support.workers import calling, running

Point = namedtuple("Point", "x y")


class Odd:
    """Of no kind that travels otherwise."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Odd and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


class Engine:
    def echo(self, value: Any) -> Any:
        return value

    def kind(self, value: Any) -> str:
        return type(value).__name__

    def count(self, value: Any, n: int) -> Iterator[Any]:
        for _ in range(n):
            yield value


def test_both_asked(queue: Queue, address: Address) -> None:
    wanted = Queue.of(queue, "pickle")
    with running(wanted, address, Engine), calling(wanted, address, Engine) as client:
        assert client.submit(Engine.echo, Odd(7)).result(20) == Odd(7)
        assert list(client.stream(Engine.count, Odd(7), 3)) == [Odd(7)] * 3
        assert client.submit(Engine.count, Point(1, 2), 2).result(20) == [Point(1, 2)] * 2


@pytest.mark.filterwarnings("ignore:nothing is persisted")
def test_only_the_client_asked(queue: Queue, address: Address) -> None:
    with running(queue, address, Engine), pullet.connect(Engine, address, queue=queue, codec="pickle") as client:
        error = client.submit(Engine.echo, Odd(7)).exception(20)
    assert isinstance(error, JobUnreadable)
    assert 'say codec="pickle" here too' in str(error)


def test_only_the_pool_asked(queue: Queue, address: Address) -> None:
    with running(Queue.of(queue, "pickle"), address, Engine), calling(queue, address, Engine) as client:
        assert client.submit(Engine.echo, (1, 2)).result(20) == (1, 2)
        assert client.submit(Engine.kind, Point(1, 2)).result(20) == "tuple"
        with pytest.raises(EncodeError, match="plain data"):
            client.submit(Engine.echo, Odd(7))


def test_a_reply_for_another_is_refused_too(queue: Queue, address: Address) -> None:
    wanted = Queue.of(queue, "pickle")
    with running(wanted, address, Engine), calling(wanted, address, Engine) as client:
        future = client.options(keep=True).submit(Engine.echo, Odd(7))
        future.result(20)
        with calling(queue, address, Engine) as other:
            assert isinstance(other.job(future.job_id).future.exception(20), DecodeError)


def test_dead_letters_show_what_their_reader_asked_for(queue: Queue, address: Address) -> None:
    wanted = Queue.of(queue, "pickle")
    with running(queue, address, Engine), calling(wanted, address, Engine) as client:
        client.submit(Engine.echo, Odd(7)).exception(20)
        (letter,) = client.dead
        assert letter.args == (Odd(7),)
        with calling(queue, address, Engine) as other:
            (letter,) = other.dead
            with pytest.raises(JobUnreadable, match="codec"):
                letter.args  # noqa: B018
