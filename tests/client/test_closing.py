"""The end of a client: what it waits for, what it cancels, and that nothing of it stays."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import CancelledError

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ClientClosed
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(30)


def threads() -> list[str]:
    return sorted(one.name for one in threading.enumerate() if one.name in ("pullet-sender", "pullet-receiver"))


def test_leaving_the_block_waits_for_the_open_jobs(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit):
        with Client(Kit, queue, address) as client:
            futures = [client.submit(Kit.nap, 0.05), *(client.submit(Kit.echo, n) for n in range(20))]
        assert all(future.done() for future in futures)
        assert [future.result(0) for future in futures] == [0.05, *range(20)]


def test_leaving_the_block_by_an_error_cancels_the_open_jobs(queue: Queue, address: Address) -> None:
    with pytest.raises(KeyError), Client(Kit, queue, address) as client:
        future = client.submit(Kit.echo, 1)
        raise KeyError
    assert future.cancelled()


def test_an_end_in_good_order_has_nothing_to_say(
    queue: Queue, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    """The threads are woken by breaking their connections: that is no server that does not answer."""
    caplog.set_level(logging.DEBUG, "pullet")
    with running(queue, address), running(queue, address, concurrency=2), calling(queue, address) as client:
        assert list(client.map(Kit.echo, range(20))) == list(range(20))
    assert [one.getMessage() for one in caplog.records if one.name.startswith("pullet")] == []


def test_closing_without_waiting_cancels_what_has_not_started(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit) as worker:
        client = Client(Kit, queue, address)
        held = client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        waiting = [client.submit(Kit.echo, n) for n in range(5)]
        assert client.flush(10)

        client.close(wait=False)

        assert all(future.cancelled() for future in (held, *waiting))
        kit.go.set()
        with calling(queue, address) as other:
            assert other.submit(Kit.echo, "other").result(10) == "other"
        assert wait_until(lambda: link.execute("XLEN", queue.keys.lane("normal")) == 0)
        assert kit.calls == ["held", "other"], "the server was told before the client went"
        assert worker.lives


def test_what_was_cancelled_just_before_the_end_is_cancelled(queue: Queue, address: Address, link: Link) -> None:
    client = Client(Kit, queue, address)
    futures = [client.submit(Kit.echo, n) for n in range(50)]
    assert client.flush(10)
    for future in futures:
        future.cancel()
    client.close()
    assert link.execute("ZCARD", queue.keys.fixed("cancelled")) == 50


def test_after_close_submit_is_refused_and_starts_nothing(queue: Queue, address: Address) -> None:
    with running(queue, address):
        client = Client(Kit, queue, address)
        client.submit(Kit.echo, 1).result(10)
        client.close()
        before = threads()
        for make in (client, client.options(retries=1)):
            with pytest.raises(ClientClosed, match="after close"):
                make.submit(Kit.echo, 1)
        assert threads() == before == []


def test_a_client_that_never_submitted_closes_and_refuses(queue: Queue, address: Address) -> None:
    client = Client(Kit, queue, address)
    client.close()
    with pytest.raises(ClientClosed):
        client.submit(Kit.echo, 1)
    assert threads() == []


def test_close_may_be_repeated_also_by_several_threads(queue: Queue, address: Address) -> None:
    with running(queue, address):
        client = Client(Kit, queue, address)
        future = client.submit(Kit.echo, 1)
        closers = [threading.Thread(target=client.close) for _ in range(4)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(10)
        client.close()
        assert future.result(0) == 1
        assert threads() == []


def test_closing_in_the_first_moment_is_prompt(queue: Queue, address: Address) -> None:
    """While the threads are still connecting."""
    for _ in range(30):
        client = Client(Kit, queue, address)
        client.submit(Kit.echo, 1)
        start = time.monotonic()
        client.close(wait=False)
        assert time.monotonic() - start < 2.0
        assert threads() == []


def test_a_thread_that_is_about_to_connect_sees_the_close(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go, really_open = threading.Event(), threading.Event(), Link.open

    def slow(self: Link) -> None:
        if threading.current_thread().name == "pullet-receiver" and not self.is_open:
            opening.set()
            assert go.wait(10)
        really_open(self)

    monkeypatch.setattr(Link, "open", slow)
    client = Client(Kit, queue, address)
    client.submit(Kit.echo, 1)
    assert opening.wait(10)
    closer = threading.Thread(target=client.close, kwargs={"wait": False})
    closer.start()
    wait_until(lambda: not closer.is_alive(), 0.3)  # by now it waits for the thread
    link.execute("UNLINK", "nothing", *[key for key in _keys(link, queue) if b":inbox:" in key])
    go.set()
    closer.join(3)
    late = closer.is_alive()
    closer.join(20)
    assert not late, "its read went on although the client was closed"


def test_closing_without_a_server_ends_everything_soon(
    queue: Queue, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.core.CLOSE_S", 0.5)
    with Proxy(server.tcp_url) as proxy:
        client = Client(Kit, queue, Address(proxy.url))
        stored = client.submit(Kit.echo, 1)
        assert client.flush(10)
        proxy.go_down()
        unsent = client.submit(Kit.echo, 2)
        start = time.monotonic()
        client.close(wait=False)
        assert time.monotonic() - start < 4
        for future in (stored, unsent):
            with pytest.raises((CancelledError, ClientClosed)):
                future.result(0)
    assert threads() == []


def test_options_share_the_connections_of_their_client(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address), calling(queue, address) as client:
        for priority in range(-3, 4):
            assert client.options(priority=priority).submit(Kit.echo, priority).result(10) == priority
        listed = link.execute("CLIENT", "LIST").decode()
        assert listed.count(f"name=pullet:{queue.name}:send") == 1
        assert listed.count(f"name=pullet:{queue.name}:inbox") == 1


def test_nothing_of_a_client_is_left_but_its_mark(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address), Client(Kit, queue, address) as client:
        assert list(client.map(Kit.echo, range(100))) == list(range(100))
        client.close()
        names = {key.decode().removeprefix(queue.keys.fixed("")) for key in _keys(link, queue)}
        assert not [name for name in names if name.startswith(("reply:", "inbox:", "blob:"))]


def _keys(link: Link, queue: Queue) -> list[bytes]:
    found: list[bytes] = link.execute("KEYS", queue.keys.fixed("").replace("{", "\\{") + "*")
    return found


def test_a_reply_that_is_to_be_kept_stays_for_its_time(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address), Client(Kit, queue, address) as client:
        kept = client.options(keep=60).submit(Kit.echo, "kept")
        read = client.submit(Kit.echo, "read")
        assert (kept.result(10), read.result(10)) == ("kept", "read")
        client.close()
        assert 0 < link.execute("PTTL", queue.keys.reply(kept.job_id)) <= 60_000
        assert not link.execute("EXISTS", queue.keys.reply(read.job_id))
