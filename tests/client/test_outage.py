"""The server goes away and comes back: what was submitted is delivered once, and what is open ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pullet.receiver import Receiver
from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.workers import Kit, calling, kill_connections, running

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def proxy(server: EmbeddedServer) -> Iterator[Proxy]:
    """A proxy before the server that all tests share."""
    with Proxy(server.tcp_url) as made:
        yield made


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_restart_loses_nothing_and_doubles_nothing(queue: Queue, tmp_path: Path, how: signal.Signals) -> None:
    kit, first = Kit(), EmbeddedServer.start(tmp_path)
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(first.tcp_url))
        servers = stack.enter_context(ExitStack())  # the second one outlives worker and client
        address = Address(proxy.url)
        stack.enter_context(running(queue, address, kit))
        client = stack.enter_context(calling(queue, address))
        assert list(client.map(Kit.echo, range(10))) == list(range(10))
        held = client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        waiting = [client.submit(Kit.echo, n) for n in range(10, 20)]
        assert client.flush(10)

        proxy.go_down()
        os.kill(first.pid, how)
        first.close()
        kit.go.set()
        during = [client.submit(Kit.echo, n) for n in range(20, 400)]
        assert not client.flush(0.1)
        proxy.come_up(servers.enter_context(EmbeddedServer.start(tmp_path)).tcp_url)

        assert client.flush(20)
        assert [future.result(20) for future in waiting + during] == list(range(10, 400))
        assert held.result(20) == "held"
        assert Counter(kit.calls) == Counter([*range(400), "held"])


@pytest.mark.parametrize("late", [False, True], ids=["after its first connection for replies", "before it"])
def test_a_server_that_comes_back_empty_gets_the_newest_jobs_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    kit, first, look, may_look = Kit(), EmbeddedServer.start(), Receiver._look, threading.Event()
    monkeypatch.setattr(Receiver, "_look", lambda self: (may_look.wait(20), look(self)))
    with EmbeddedServer.start() as second, Proxy(first.tcp_url) as proxy, calling(queue, Address(proxy.url)) as client:
        futures = [client.submit(Kit.echo, n) for n in range(300)]
        assert client.flush(10)
        if not late:
            may_look.set()
            assert wait_until(lambda: client._core._receiver._link.is_open)
        proxy.go_down()
        first.close()
        proxy.come_up(second.tcp_url)
        may_look.set()
        with running(queue, Address(second.url), kit):
            assert [future.result(10) for future in futures] == list(range(300))
    assert sorted(kit.calls) == list(range(300))


def test_connections_die_in_mid_stream_and_each_job_runs_once(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        futures = []
        for n in range(2000):
            futures.append(client.submit(Kit.echo, n))
            if n % 100 == 50:
                assert wait_until(lambda n=n: len(kit.calls) > n // 2)  # type: ignore[misc]
                assert wait_until(lambda: kill_connections(link, f"pullet:{queue.name}:") > 0)
        assert [future.result(20) for future in futures] == list(range(2000))
        doubled = {call: count for call, count in Counter(kit.calls).items() if count > 1}
        assert not doubled
        assert len(kit.calls) == 2000


@pytest.mark.parametrize("name", [":send", ":inbox"])
def test_a_connection_that_dies_again_and_again_is_made_again_each_time(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each reconnect succeeds, so the waits before them do not grow: 0.05 s, and not up to 3 s."""
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.05, 3.0, lambda: 1.0))
    with running(queue, address), calling(queue, address) as client:
        assert client.submit(Kit.echo, 0).result(10) == 0
        start = time.monotonic()
        for n in range(8):
            assert kill_connections(link, f"pullet:{queue.name}{name}") == 1
            assert client.submit(Kit.echo, n).result(10) == n
        assert time.monotonic() - start < 5


def test_what_is_delivered_late_by_a_dead_connection_does_not_count(
    queue: Queue, address: Address, link: Link, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open: the jobs are sent into a connection that carries nothing, again on a new one, and then all arrive."""
    monkeypatch.setattr("pullet_broker.link.REPLY_TIMEOUT_S", 0.3)
    kit = Kit()
    with running(queue, address, kit), calling(queue, Address(proxy.url)) as client:
        assert client.submit(Kit.echo, "before").result(10) == "before"
        (held,) = proxy.hold(f"pullet:{queue.name}:send")

        futures = [client.submit(Kit.echo, n) for n in range(100)]
        assert [future.result(20) for future in futures] == list(range(100))
        sent = _commands(link)
        held.release()
        assert wait_until(lambda: _commands(link) > sent, 5), "the late batch has arrived"

        assert client.submit(Kit.echo, "after").result(10) == "after"
        assert kit.calls == ["before", *range(100), "after"]


def _commands(link: Link) -> int:
    """How many scripts the server has run."""
    stats = link.execute("INFO", "commandstats").decode()
    (line,) = [line for line in stats.splitlines() if line.startswith("cmdstat_evalsha:")]
    return int(line.split("calls=")[1].split(",")[0])


@pytest.mark.parametrize("silent", [False, True], ids=["others come", "silence"])
def test_an_inbox_that_vanished_costs_no_reply(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 200)
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        (inbox,) = link.execute("KEYS", queue.keys.inbox_prefix.replace("{", "\\{") + "*")
        link.execute("DEL", inbox)
        later = None if silent else client.submit(Kit.echo, 1)
        kit.go.set()

        assert future.result(10) == "held"
        assert later is None or later.result(10) == 1


def test_while_the_server_is_away_it_is_asked_with_patience(queue: Queue, address: Address, proxy: Proxy) -> None:
    with calling(queue, Address(proxy.url)) as client:
        client.submit(Kit.echo, 1)
        assert client.flush(10)
        before = proxy.accepted
        proxy.go_down()
        assert wait_until(lambda: proxy.accepted > before)
        client._core._receiver.look()  # as after its inbox had vanished
        storm = wait_until(lambda: proxy.accepted - before > 60, 0.8)
        proxy.come_up()
        assert not storm, f"{proxy.accepted - before} connections in less than a second"


def test_a_server_that_answers_again_is_used_at_once_after_a_short_outage(
    queue: Queue, address: Address, proxy: Proxy
) -> None:
    with running(queue, address), calling(queue, Address(proxy.url)) as client:
        assert client.submit(Kit.echo, 0).result(10) == 0
        for n in range(1, 4):
            proxy.go_down()
            future = client.submit(Kit.echo, n)
            assert not client.flush(0.05)
            proxy.come_up()
            assert future.result(5) == n


def test_an_outage_may_last_for_any_number_of_attempts(
    queue: Queue, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of failed connections for client and worker: ten minutes of an outage, without the waits between."""
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.05, 3.0, lambda: 0.001))
    address = Address(proxy.url)
    with running(queue, address) as worker, calling(queue, address) as client:
        assert client.submit(Kit.echo, 0).result(10) == 0
        before = proxy.accepted
        proxy.go_down()
        futures = [client.submit(Kit.echo, n) for n in range(10)]
        assert wait_until(lambda: proxy.accepted - before > 500)
        proxy.come_up()
        assert [future.result(10) for future in futures] == list(range(10))
        assert worker.lives


def test_during_an_outage_submit_waits_or_fails_as_asked(queue: Queue, address: Address, proxy: Proxy) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, Address(proxy.url)) as client:
        assert client.submit(Kit.echo, "before").result(10) == "before"
        proxy.go_down()
        hasty = client.options(when_down="raise")
        waiting = client.submit(Kit.echo, "waits")
        assert wait_until(lambda: not client._core._sender._line.is_open), "what is sent into it now gets lost"
        failing = [hasty.submit(Kit.echo, n) for n in range(3)]
        for future in failing:
            with pytest.raises(ServerUnavailable, match="was not submitted: no answer from") as raised:
                future.result(10)
            assert (raised.value.stored, raised.value.job) == (False, future.job_id)
        assert not waiting.done()
        proxy.come_up()
        assert waiting.result(10) == "waits"
        assert hasty.submit(Kit.echo, "after").result(10) == "after"
    assert kit.calls == ["before", "waits", "after"]


def test_a_hasty_job_whose_answer_got_lost_says_that_it_may_run(
    queue: Queue, address: Address, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_broker.link.REPLY_TIMEOUT_S", 0.3)
    kit = Kit()
    with running(queue, address, kit), calling(queue, Address(proxy.url)) as client:
        assert client.submit(Kit.echo, "before").result(10) == "before"
        assert client.flush(10), "the answer to that one has come"
        hasty = client.options(when_down="raise").submit
        proxy.mute(":send")
        proxy.refuse()
        future = hasty(Kit.hold, "lost")
        with pytest.raises(ServerUnavailable, match="was sent, and may run, but the answer got lost") as raised:
            future.result(10)
        assert raised.value.stored is None
        assert kit.started.wait(10)
        proxy.come_up()
        kit.go.set()
        assert client.submit(Kit.echo, "after").result(10) == "after"
    assert kit.calls == ["before", "lost", "after"], "it ran, and was not submitted again"


def test_who_waits_is_told_what_keeps_workers_from_starting(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 20)
    link.execute("HSET", queue.keys.fixed("pool"), "trouble", "a worker could not start: no licence")
    with calling(queue, address) as client:
        client.submit(Kit.echo, 1)
        said = f"1 jobs wait for queue {queue.name!r}: a worker could not start: no licence"
        assert wait_until(lambda: said in caplog.messages)
        assert not wait_until(lambda: caplog.messages.count(said) > 1, 0.2), "once is enough"
    link.execute("DEL", queue.keys.fixed("pool"))
