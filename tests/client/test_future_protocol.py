"""A future keeps the protocol of `concurrent.futures.Future` while a real server resolves it.

What CPython tests of its futures, in words of our own. Left out: states set by hand (`set_running_or_notify_cancel`,
`set_result` twice: those are the executor's own calls, see test_future), and the locale of messages in `repr`.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pullet import Client, RemoteTraceback
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def client(queue: Queue, address: Address, kit: Kit) -> Iterator[Client[Kit]]:
    with running(queue, address, kit), calling(queue, address) as made:
        yield made
        kit.go.set()


class Heard:
    """Callbacks that tell what they were given, and whether they came."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.came = threading.Event()

    def __call__(self, future: concurrent.futures.Future[Any]) -> None:
        self.seen.append(future)
        self.came.set()


def test_a_callback_hears_of_a_result_once(client: Client[Kit], kit: Kit) -> None:
    heard, future = Heard(), client.submit(Kit.hold, 5)
    future.add_done_callback(heard)
    assert kit.started.wait(10)
    assert heard.seen == []
    kit.go.set()
    assert heard.came.wait(10)
    assert heard.seen == [future]
    assert heard.seen[0].result(0) == 5


def test_a_callback_hears_of_an_error(client: Client[Kit]) -> None:
    heard, future = Heard(), client.submit(Kit.boom, "test")
    future.add_done_callback(heard)
    assert heard.came.wait(10)
    assert heard.seen[0].exception(0).args == ("test",)


def test_a_callback_hears_of_a_cancel(client: Client[Kit], kit: Kit) -> None:
    client.submit(Kit.hold, 0)
    heard, future = Heard(), client.submit(Kit.echo, 1)
    future.add_done_callback(heard)
    assert future.cancel()
    assert heard.seen == [future]
    assert heard.seen[0].cancelled()


@pytest.mark.parametrize("way", ["echo", "boom", "cancel"])
def test_a_callback_that_comes_late_is_called_at_once(client: Client[Kit], kit: Kit, way: str) -> None:
    if way == "cancel":
        client.submit(Kit.hold, 0)
    future = client.submit(Kit.boom) if way == "boom" else client.submit(Kit.echo, 1)
    if way == "cancel":
        future.cancel()
    concurrent.futures.wait([future], 10)
    heard = Heard()
    future.add_done_callback(heard)
    assert heard.seen == [future]


def test_a_callback_that_raises_harms_nobody(client: Client[Kit], kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    def fail(future: Any) -> None:
        raise RuntimeError("in a callback")

    heard, future = Heard(), client.submit(Kit.hold, 5)
    future.add_done_callback(fail)
    future.add_done_callback(heard)
    kit.go.set()
    assert heard.came.wait(10)
    assert future.result(0) == 5
    assert client.submit(Kit.echo, "next").result(10) == "next", "the receiver lives"
    assert "in a callback" in caplog.text


def test_callbacks_are_called_in_the_order_they_were_given(client: Client[Kit], kit: Kit) -> None:
    seen: list[int] = []
    future, last = client.submit(Kit.hold, 5), Heard()
    for number in range(5):
        future.add_done_callback(lambda _, number=number: seen.append(number))  # type: ignore[misc]
    future.add_done_callback(last)
    kit.go.set()
    assert last.came.wait(10)
    assert seen == list(range(5))


def test_states_of_a_result_an_error_and_a_cancel(client: Client[Kit], kit: Kit) -> None:
    held, result, error = client.submit(Kit.hold, 0), client.submit(Kit.echo, 1), client.submit(Kit.boom)
    gone = client.submit(Kit.echo, 2)
    assert kit.started.wait(10)
    assert [one.done() for one in (held, result, error, gone)] == [False] * 4
    assert gone.cancel()
    assert gone.cancel(), "again is True again"
    assert (gone.cancelled(), gone.done(), gone.running()) == (True, True, False)
    kit.go.set()
    concurrent.futures.wait([held, result, error], 10)
    for one in (held, result, error):
        assert (one.cancelled(), one.done(), one.running(), one.cancel()) == (False, True, False, False)


def test_result_and_exception_time_out(client: Client[Kit], kit: Kit) -> None:
    future = client.submit(Kit.hold, 1)
    for ask in (future.result, future.exception):
        for timeout in (0, 0.01):
            with pytest.raises(concurrent.futures.TimeoutError):
                ask(timeout=timeout)
    kit.go.set()
    assert future.result(timeout=10) == 1
    assert future.exception(timeout=0) is None


def test_result_and_exception_of_a_cancelled_job_raise(client: Client[Kit], kit: Kit) -> None:
    client.submit(Kit.hold, 0)
    future = client.submit(Kit.echo, 1)
    asking = [threading.Thread(target=lambda: concurrent.futures.wait([future], 10)) for _ in range(3)]
    for thread in asking:
        thread.start()
    future.cancel()
    for thread in asking:
        thread.join(5)
        assert not thread.is_alive()
    for ask in (future.result, future.exception):
        with pytest.raises(concurrent.futures.CancelledError):
            ask(timeout=5)


def test_a_thread_that_waits_is_woken(client: Client[Kit], kit: Kit) -> None:
    future, got = client.submit(Kit.hold, "woken"), []
    waiting = threading.Thread(target=lambda: got.append(future.result(20)))
    waiting.start()
    kit.go.set()
    waiting.join(10)
    assert got == ["woken"]


def test_an_error_has_its_remote_traceback_each_time_it_is_raised(client: Client[Kit]) -> None:
    future = client.submit(Kit.boom, "again")
    for _ in range(2):
        with pytest.raises(ValueError, match="again") as caught:
            future.result(10)
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert "in boom" in str(caught.value.__cause__)
    assert future.exception(0) is caught.value
