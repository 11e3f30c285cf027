"""One job after the other: sent by the thread that submits it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

import pytest

from pullet import Client
from pullet.line import Line
from pullet.outbox import Batch
from pullet.receiver import UNTIDY
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import QueueFull
from pullet_broker.link import Link
from pullet_broker.parts import Buffer
from pullet_broker.settings import Queue
from pullet_broker.wire import Wire
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many batches each thread has sent."""
    found: Counter[str] = Counter()
    send = Line.send

    def counted(self: Line, client: str, *batches: Batch) -> None:
        found[threading.current_thread().name] += 1
        send(self, client, *batches)

    monkeypatch.setattr(Line, "send", counted)
    return found


def one_by_one(client: Client[Kit], jobs: int) -> None:
    for n in range(jobs):
        assert client.submit(Kit.echo, n).result(20) == n


def test_a_lone_job_is_sent_by_the_thread_that_submits_it(
    queue: Queue, address: Address, senders: Counter[str]
) -> None:
    with running(queue, address, Kit), calling(queue, address) as client:
        one_by_one(client, 100)
    assert senders["MainThread"] > 50


def test_a_large_job_is_sent_by_the_sender(queue: Queue, address: Address, senders: Counter[str]) -> None:
    with running(queue, address, Kit), calling(queue, address) as client:
        for n in range(20):
            assert client.submit(Kit.echo, f"{n}" * 9000).result(20)
    assert senders["MainThread"] == 0


def test_the_answer_to_the_last_lone_job_comes_without_another(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        one_by_one(client, 20)
        future = client.submit(Kit.hold, 20)
        assert wait_until(lambda: future.accepted)
        kit.go.set()
        assert future.result(20) == 20


def test_a_flush_does_not_leave_the_answer_to_others(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.sender.LINGER_S", 60.0)
    with calling(queue, address) as client:
        with running(queue, address, Kit):
            one_by_one(client, 20)
        future = client.submit(Kit.echo, 1)
        assert client.flush(10)
        assert future.accepted
        with running(queue, address, Kit):
            assert future.result(20) == 1


def test_a_connection_that_broke_between_two_lone_jobs_costs_none_and_doubles_none(
    queue: Queue, server: EmbeddedServer, address: Address
) -> None:
    kit = Kit()
    with Proxy(server.tcp_url) as proxy, running(queue, address, kit):
        with calling(queue, Address(proxy.url)) as client:
            for n in range(40):
                assert client.submit(Kit.echo, n).result(20) == n
                if n % 4 == 3:
                    for pipe in proxy.pipes(":send"):
                        pipe.cut()
        assert kit.calls == list(range(40))


def test_answers_that_got_lost_between_two_lone_jobs_cost_none_and_double_none(
    queue: Queue, server: EmbeddedServer, address: Address
) -> None:
    kit = Kit()
    with Proxy(server.tcp_url) as proxy, running(queue, address, kit):
        with calling(queue, Address(proxy.url)) as client:
            one_by_one(client, 10)
            muted = proxy.mute(":send")
            assert client.submit(Kit.echo, 10).result(20) == 10, "its answer is lost, its reply is not"
            for pipe in muted:
                pipe.cut()
            for n in range(11, 20):
                assert client.submit(Kit.echo, n).result(20) == n
        assert kit.calls == list(range(20))


def test_an_interrupt_by_the_user_amid_a_lone_job_costs_none_and_doubles_none(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit, write = Kit(), Wire.write

    def interrupted(wire: Wire, pieces: Iterable[Buffer]) -> None:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        write(wire, pieces)

    with running(queue, address, kit), calling(queue, address) as client:
        one_by_one(client, 20)
        assert wait_until(lambda: client._core._sender._sleeps)
        monkeypatch.setattr(Wire, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.submit(Kit.echo, 20)
        assert wait_until(lambda: kit.calls == list(range(21))), "it is in the outbox"
        monkeypatch.undo()
        one_by_one(client, 20)
    assert kit.calls == [*range(21), *range(20)]


def test_a_lone_job_that_is_refused_is_told_so(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Kit), calling(queue, address) as client:
        one_by_one(client, 20)
        link.execute("HSET", queue.keys.fixed("config"), "backlog", 0)
        for _ in range(3):
            assert isinstance(client.submit(Kit.echo, 0).exception(20), QueueFull)
        link.execute("HDEL", queue.keys.fixed("config"), "backlog")
        one_by_one(client, 20)


def test_replies_of_lone_jobs_are_deleted_some_at_a_time_and_soon(queue: Queue, address: Address, link: Link) -> None:
    replies = queue.keys.reply("*")
    with running(queue, address, Kit), calling(queue, address) as client:
        for n in range(3 * UNTIDY):
            one_by_one(client, 1)
            assert len(link.execute("KEYS", replies)) <= UNTIDY + 1, n
        assert wait_until(lambda: not link.execute("KEYS", replies))
