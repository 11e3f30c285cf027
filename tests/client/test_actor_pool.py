"""`compat.ActorPool` keeps the promises of `ray.util.ActorPool` over a shared pool: what Ray tests of its own, in words
of our own. Left out: an actor that dies (a worker is replaced, and its job runs again), and usage statistics."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pullet import Client
from pullet.compat import Actor, ActorPool
from pullet_broker.address import Address
from pullet_broker.errors import UnknownMethod
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


class Desk(Kit):
    def double(self, value: int) -> int:
        return 2 * value

    def f(self, one: int, other: int = 0) -> int:
        return one + other


@pytest.fixture
def kit() -> Desk:
    return Desk()


@pytest.fixture
def client(queue: Queue, address: Address, kit: Desk) -> Iterator[Client[Desk]]:
    with running(queue, address, kit), calling(queue, address, Desk) as made:
        yield made
        kit.go.set()


def double(actor: Any, value: Any) -> Any:
    return actor.double.remote(value)


def test_map_keeps_the_order_and_map_unordered_keeps_all(client: Client[Desk]) -> None:
    pool = ActorPool(client)
    assert list(pool.map(lambda a, v: a.double.remote(v), range(20))) == [2 * n for n in range(20)]
    assert sorted(pool.map_unordered(lambda a, v: a.f.remote(v, other=1), range(20))) == list(range(1, 21))
    assert list(pool.map(double, [])) == []


@pytest.mark.parametrize("actors", [1, 2, 5])
def test_more_values_than_actors(client: Client[Desk], actors: int) -> None:
    pool = ActorPool(client, actors)
    assert list(pool.map(double, range(20))) == [2 * n for n in range(20)]
    assert sorted(pool.map_unordered(double, range(20))) == [2 * n for n in range(20)]


def test_get_next_goes_by_submission(client: Client[Desk]) -> None:
    pool = ActorPool(client, 2)
    for n in range(6):
        pool.submit(double, n)
    found = []
    while pool.has_next():
        found.append(pool.get_next())
    assert found == [2 * n for n in range(6)]


def test_get_next_unordered_takes_what_is_there(client: Client[Desk], kit: Desk) -> None:
    pool = ActorPool(client)
    with running(Queue(name=client.queue), client._address, kit, name="second"):
        pool.submit(lambda a, v: a.hold.remote(v), "slow")
        assert kit.started.wait(10)
        pool.submit(double, 1)
        assert pool.get_next_unordered(timeout=10) == 2
        kit.go.set()
        assert pool.get_next_unordered(timeout=10) == "slow"


def test_a_timeout_leaves_the_result_or_drops_it(client: Client[Desk], kit: Desk) -> None:
    for get in ("get_next", "get_next_unordered"):
        kit.go.clear()
        pool = ActorPool(client, 1)
        pool.submit(lambda a, v: a.hold.remote(v), "held")
        with pytest.raises(TimeoutError, match="Timed out"):
            getattr(pool, get)(timeout=0.05)
        assert pool.has_next()
        with pytest.raises(TimeoutError, match="has been ignored"):
            getattr(pool, get)(timeout=0.05, ignore_if_timedout=True)
        assert not pool.has_next()
        assert pool.has_free()
        kit.go.set()
        pool.submit(double, 4)
        assert getattr(pool, get)(timeout=10) == 8


def test_nothing_left_and_mixed_orders_are_errors(client: Client[Desk]) -> None:
    pool = ActorPool(client)
    for get in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(StopIteration, match="No more results"):
            get()
    pool.submit(double, 1)
    assert pool.get_next_unordered() == 2
    for n in (2, 3):
        pool.submit(double, n)
    assert {pool.get_next_unordered(timeout=10) for _ in range(2)} == {4, 6}
    pool.submit(double, 5)
    assert pool.get_next() == 10
    mixed = ActorPool(client)
    for n in range(2):
        mixed.submit(double, n)
    mixed._flying[0], mixed._flying[1] = mixed._flying[1], mixed._flying[0]
    mixed._next_return = 2
    with pytest.raises(ValueError, match=r"not allowed to call get_next\(\) after"):
        mixed.get_next()


def test_an_actor_is_free_again_when_its_result_was_fetched(client: Client[Desk]) -> None:
    pool = ActorPool(client, 1)
    assert pool.has_free()
    pool.submit(double, 1)
    assert not pool.has_free()
    assert pool.pop_idle() is None
    assert pool.get_next() == 2
    assert pool.has_free()
    actor = pool.pop_idle()
    assert isinstance(actor, Actor)
    assert not pool.has_free()
    pool.submit(double, 2)
    assert not pool.has_next(), "it waits for an actor"
    pool.push(actor)
    assert pool.get_next() == 4


def test_an_actor_can_be_pushed_only_once(client: Client[Desk]) -> None:
    pool = ActorPool(client, 1)
    actor = pool.pop_idle()
    assert actor is not None
    pool.push(actor)
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(actor)
    pool.submit(double, 1)
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(actor)
    pool.push(client)
    assert pool.has_free()
    assert pool.get_next() == 2


def test_an_error_is_raised_where_it_is_fetched_and_frees_the_actor(client: Client[Desk]) -> None:
    pool = ActorPool(client, 1)
    pool.submit(lambda a, v: a.boom.remote(v), "bad")
    pool.submit(double, 3)
    with pytest.raises(ValueError, match="bad"):
        pool.get_next()
    assert pool.get_next() == 6
    with pytest.raises(UnknownMethod):
        pool.submit(lambda a, v: a.missing.remote(v), 1)
    with pytest.raises(TypeError, match=r"what actor\.method\.remote"):
        pool.submit(lambda a, v: v, 1)
    assert pool.has_free(), "what could not be submitted holds no actor"


def test_a_new_map_drops_what_was_not_fetched(client: Client[Desk], kit: Desk) -> None:
    pool = ActorPool(client, 2)
    for n in range(5):
        pool.submit(lambda a, v: a.echo.remote(("old", v)), n)
    assert list(pool.map(double, [1, 2])) == [2, 4]
    pool.submit(lambda a, v: a.echo.remote(("old", v)), 9)
    assert sorted(pool.map_unordered(double, [1, 2, 3])) == [2, 4, 6]
    assert not pool.has_next()


def test_a_map_submits_at_once_and_does_not_wait_for_what_it_drops(client: Client[Desk], kit: Desk) -> None:
    pool = ActorPool(client, 2)
    with running(Queue(name=client.queue), client._address, kit, name="second"):
        pool.submit(lambda a, v: a.hold.remote(v), "long")
        assert kit.started.wait(10)
        results = pool.map(lambda a, v: a.echo.remote(v), ["one", "two"])
        assert wait_until(lambda: "one" in kit.calls), "before anybody asks for a result"
        assert list(results) == ["one", "two"]
        kit.go.set()


def test_an_actor_that_is_pushed_takes_what_waits(client: Client[Desk]) -> None:
    pool = ActorPool(client, 1)
    for n in range(3):
        pool.submit(double, n)
    assert len(pool._waiting) == 2
    pool.push(client)
    assert len(pool._waiting) == 1
    assert not pool.has_free(), "it has work already"
    assert [pool.get_next() for _ in range(3)] == [0, 2, 4]


def test_a_function_may_give_a_list(client: Client[Desk]) -> None:
    pool = ActorPool(client, 1)
    for n in (1, 2):
        pool.submit(lambda a, v: [a.double.remote(v), a.f.remote(v)], n)
    assert [pool.get_next(), pool.get_next_unordered()] == [[2, 1], [4, 2]]


def test_several_callers_share_the_workers(client: Client[Desk], kit: Desk) -> None:
    found: dict[int, list[int]] = {}

    def call(caller: int) -> None:
        actors = (pickle.loads(pickle.dumps(caller)) and ActorPool(client)) or ActorPool(client)
        found[caller] = list(actors.map(lambda a, v: a.double.remote(v), range(50)))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == {n: [2 * v for v in range(50)] for n in range(4)}


def test_it_arrives_empty_and_usable_where_it_is_sent(client: Client[Desk]) -> None:
    pool = ActorPool(client, 3)
    pool.submit(double, 1)
    again = pickle.loads(pickle.dumps(pool))
    assert not again.has_next()
    assert len(again._idle) == 3
    assert list(again.map(double, [1, 2, 3])) == [2, 4, 6]
    assert pool.get_next() == 2
    from pullet.core import _shared

    _shared.pop((client.queue, client._address)).close(wait=True)


@pytest.mark.parametrize("name", ["_private", "__class_getitem__"])
def test_private_names_are_no_methods(client: Client[Desk], name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(Actor(client), name)
