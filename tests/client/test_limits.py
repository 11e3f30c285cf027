"""Limits on the way in: a full queue, server or buffer. A clear error, and what was accepted is unharmed."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest

from pullet import Client
from pullet.line import Line
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import QueueFull, ServerFull
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


def errors(client: Client[Kit], count: int) -> list[Exception | None]:
    futures = [client.submit(Kit.echo, n) for n in range(count)]
    assert client.flush(10)
    assert wait_until(lambda: all(future.accepted or future.done() for future in futures))
    return [future.exception(0) if future.done() else None for future in futures]  # type: ignore[misc]


def test_flush_waits_until_redis_has_the_jobs(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        assert client.flush(0), "there is nothing to wait for"
        futures = [client.submit(Kit.echo, n) for n in range(1000)]
        assert client.flush(10)
        assert all(future.accepted for future in futures)
        assert link.execute("XLEN", queue.keys.lane("normal")) == 1000


def test_flush_gives_up_when_its_time_is_over(queue: Queue, server: EmbeddedServer) -> None:
    with Proxy(server.tcp_url) as proxy, calling(queue, Address(proxy.url)) as client:
        proxy.go_down()
        future = client.submit(Kit.echo, 1)
        assert not client.flush(0.05)
        assert not future.accepted
        proxy.come_up()
        assert client.flush(10)
        assert future.accepted


def test_a_full_queue_rejects_the_newest_jobs_and_says_what_is_wrong(
    queue: Queue, address: Address, link: Link
) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "backlog", 3)
    with calling(queue, address) as client:
        first = errors(client, 5)

    assert first[:3] == [None] * 3
    for error in first[3:]:
        assert isinstance(error, QueueFull)
        assert (error.queue, error.limit, error.backlog) == (queue.name, 3, 3)
        assert "raise the limit" in str(error)


def test_a_full_queue_takes_jobs_again_when_there_is_room(queue: Queue, address: Address, link: Link) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "backlog", 3)
    kit = Kit()
    with calling(queue, address) as client:
        accepted = [client.submit(Kit.echo, n) for n in range(3)]
        assert client.flush(10)
        for _ in range(3):
            (error,) = errors(client, 1)
            assert isinstance(error, QueueFull)
        with running(queue, address, kit):
            assert [future.result(10) for future in accepted] == [0, 1, 2], "it still hears of what was accepted"
            assert client.submit(Kit.echo, 3).result(10) == 3
        assert len(link.execute("KEYS", queue.keys.client("*").replace("{", "\\{"))) == 1, "and is the same client"
    assert kit.calls == [0, 1, 2, 3]


def test_many_batches_meet_a_full_queue_and_no_job_is_left_without_an_end(
    queue: Queue, address: Address, link: Link
) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "backlog", 700)
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        futures = [client.submit(Kit.echo, n) for n in range(5000)]
        outcome = {True: [], False: []}  # type: ignore[var-annotated]
        for n, future in enumerate(futures):
            outcome[isinstance(future.exception(20), QueueFull)].append(n)
    assert sorted(kit.calls) == outcome[False]


def test_a_job_may_wait_until_a_full_queue_has_room(queue: Queue, address: Address, link: Link) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "backlog", 3)
    kit = Kit()
    with calling(queue, address) as client:
        patient = client.options(when_full="wait")
        futures = [patient.submit(Kit.echo, n) for n in range(1000)]
        assert wait_until(lambda: sum(future.accepted for future in futures) == 3)
        assert not client.flush(0)
        (error,) = [client.submit(Kit.echo, -1).exception(10)]
        assert isinstance(error, QueueFull), "others are told at once"
        link.execute("HSET", queue.keys.fixed("config"), "backlog", 300)
        with running(queue, address, kit):
            assert [future.result(20) for future in futures] == list(range(1000))
    assert sorted(kit.calls) == list(range(1000))


def test_while_the_queue_is_full_the_server_is_asked_with_patience(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "backlog", 1)
    with calling(queue, address) as client:
        first, *others = [client.options(when_full="wait").submit(Kit.echo, n) for n in range(5000)]
        assert wait_until(lambda: first.accepted)
        assert wait_until(lambda: len(client._core._sender._outbox) == client._core._sender._outbox.stuck == 4999)

        def calls() -> int:
            stats = link.execute("INFO", "commandstats").decode()
            return sum(int(line.split("calls=")[1].split(",")[0]) for line in stats.splitlines() if "evalsha" in line)

        turns, turn = [], client._core._sender._turn
        monkeypatch.setattr(client._core._sender, "_turn", lambda: turns.append(0) or turn())
        before = calls()
        assert not wait_until(lambda: max(calls() - before, len(turns)) > 30, 1.0)
        assert wait_until(lambda: turns), "but it is asked"
        for future in others:
            assert future.cancel()
        assert client.flush(10)


def test_a_job_that_waits_for_room_can_be_cancelled_and_ends_with_its_client(
    queue: Queue, address: Address, link: Link
) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "backlog", 1)
    client: Client[Kit] = Client(Kit, queue, address)
    patient = client.options(when_full="wait")
    first, second, third = [patient.submit(Kit.echo, n) for n in range(3)]
    assert wait_until(lambda: first.accepted)
    assert second.cancel()
    client.close(wait=False)
    assert third.cancelled()
    assert link.execute("XLEN", queue.keys.lane("normal")) == 1


def test_jobs_may_wait_until_a_full_server_has_room(queue: Queue, own: Link) -> None:
    kit = Kit()
    with calling(queue, own.address) as client:
        assert client.submit(Kit.echo, 0)
        assert client.flush(10)
        own.execute("CONFIG", "SET", "maxmemory", "1")
        patient = [client.options(when_full="wait").submit(Kit.echo, n) for n in range(1, 4)]
        with pytest.raises(ServerFull):
            client.submit(Kit.echo, -1).result(10)
        assert not any(future.done() for future in patient)
        own.execute("CONFIG", "SET", "maxmemory", "0")
        with running(queue, own.address, kit):
            assert [future.result(10) for future in patient] == [1, 2, 3]


def test_a_full_server_refuses_new_jobs_and_finishes_the_old_ones(queue: Queue, own: Link) -> None:
    kit = Kit()
    with calling(queue, own.address) as client:
        accepted = [client.submit(Kit.echo, n) for n in range(3)]
        assert client.flush(10)
        own.execute("CONFIG", "SET", "maxmemory", "1")
        refused = [client.submit(Kit.echo, n) for n in range(3)]
        for future in refused:
            with pytest.raises(ServerFull, match="maxmemory"):
                future.result(10)

        with running(queue, own.address, kit):
            assert [future.result(10) for future in accepted] == [0, 1, 2]
            own.execute("CONFIG", "SET", "maxmemory", "0")
            assert client.submit(Kit.echo, 3).result(10) == 3
    assert kit.calls == [0, 1, 2, 3]


@pytest.mark.parametrize("when_full", ["raise", "wait"])
def test_a_job_whose_answer_got_lost_is_not_refused_by_a_server_that_is_full_by_now(
    queue: Queue, own: Link, when_full: Literal["raise", "wait"]
) -> None:
    """Nobody knows whether it is stored: it is, here, and must not run twice, nor count as refused."""
    port = own.execute("CONFIG", "GET", "port")[1].decode()
    with Proxy(f"redis://127.0.0.1:{port}/0") as proxy, calling(queue, Address(proxy.url)) as client:
        client.submit(Kit.echo, 0)
        assert client.flush(10)
        muted = proxy.mute(":send")
        lost = client.options(when_full=when_full).submit(Kit.echo, 1)
        assert wait_until(lambda: own.execute("XLEN", queue.keys.lane("normal")) == 2)
        own.execute("CONFIG", "SET", "maxmemory", "1")
        for pipe in muted:
            pipe.cut()
        new = client.submit(Kit.echo, 2)
        with pytest.raises(ServerFull):
            new.result(10)
        assert not lost.done()
        own.execute("CONFIG", "SET", "maxmemory", "0")
        assert client.flush(10)
        assert lost.accepted
        assert own.execute("XLEN", queue.keys.lane("normal")) == 2


def test_who_comes_to_a_full_server_hears_how_a_job_ends(queue: Queue, own: Link) -> None:
    kit = Kit()
    with running(queue, own.address, kit), calling(queue, own.address) as client, calling(queue, own.address) as other:
        held = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        own.execute("CONFIG", "SET", "maxmemory", "1")
        with ThreadPoolExecutor(1) as threads:
            found = threads.submit(other.job(held.job_id).result, 10)
            assert wait_until(lambda: own.execute("HLEN", queue.keys.fixed("watched")) == 1)
            kit.go.set()
            assert found.result() == 1


def test_an_answer_from_before_there_was_room_refuses_no_job_that_came_after_it(
    queue: Queue, own: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client asks a full server what it has got. While the answer is on its way there is room, and a job comes."""
    announce, came = Line.announce, []

    def late(line: Line, *about: Any) -> Any:
        try:
            return announce(line, *about)
        except ServerFull:
            own.execute("CONFIG", "SET", "maxmemory", "0")
            came.append(client.submit(Kit.echo, 2))
            raise

    with calling(queue, own.address) as client:
        client.submit(Kit.echo, 1)
        assert client.flush(10)
        own.execute("CONFIG", "SET", "maxmemory", "1")
        monkeypatch.setattr(Line, "announce", late)
        client._core._sender.check_mark()
        assert wait_until(lambda: came != [])
        assert client.flush(10)
        assert came[0].accepted


def test_jobs_can_be_cancelled_while_the_server_is_full(queue: Queue, own: Link) -> None:
    with calling(queue, own.address) as client:
        waiting = client.submit(Kit.echo, 1)
        assert client.flush(10)
        own.execute("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ServerFull):
            client.submit(Kit.echo, 2).result(10)
        assert client.job(waiting.job_id).cancel()
        assert wait_until(lambda: own.execute("ZCARD", queue.keys.fixed("cancelled")) == 1)


def test_a_thread_that_fills_the_buffer_waits_for_room(
    queue: Queue, address: Address, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.sender.BUFFER_JOBS", 10)
    submitted: list[int] = []
    with Proxy(server.tcp_url) as proxy, running(queue, address), calling(queue, Address(proxy.url)) as client:
        client.submit(Kit.echo, 0).result(10)
        proxy.go_down()

        def submit_many() -> None:
            for n in range(100):
                client.submit(Kit.echo, n)
                submitted.append(n)

        thread = threading.Thread(target=submit_many)
        thread.start()
        assert wait_until(lambda: len(submitted) >= 10)
        assert not wait_until(lambda: len(submitted) == 100, 0.1)
        proxy.come_up()
        thread.join(10)
        assert len(submitted) == 100


def test_on_an_event_loop_a_full_buffer_raises_instead_of_waiting(
    queue: Queue, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.sender.BUFFER_JOBS", 10)

    async def story(client: Client[Kit]) -> None:
        with pytest.raises(QueueFull, match="must not block an event loop"):
            for n in range(2000):
                client.submit(Kit.echo, n)

    with Proxy(server.tcp_url) as proxy, calling(queue, Address(proxy.url)) as client:
        proxy.go_down()
        asyncio.run(story(client))
        proxy.come_up()
        assert client.flush(10)
