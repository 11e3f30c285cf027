"""Link: one connection that loads scripts where they are missing, and opens again after whatever broke it."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import PulletError, ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.moves.life import Beaten, beat
from pullet_broker.moves.submit import submit
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_broker.translation import ScriptMissing
from pullet_broker.wire import KEEPALIVE
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job


@pytest.fixture
def worker(address: Address) -> Iterator[Link]:
    """A connection beside the test's own."""
    opened = Link(address, "worker")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def call(queue: Queue) -> Call[object]:
    return beat(queue, "w", None)


# -- scripts


def test_scripts_that_the_server_forgot_are_loaded_again(worker: Link, call: Call[object]) -> None:
    for _ in range(2):
        worker.execute("SCRIPT", "FLUSH")
        assert {type(worker.run(call)) for _ in range(2)} == {Beaten}
    assert worker.opened == 1


def test_calls_in_one_round_trip_are_answered_in_order_with_some_forgotten(worker: Link, queue: Queue) -> None:
    story = Scribe(worker, queue)
    caller = story.caller()
    worker.execute("SCRIPT", "FLUSH")
    worker.bring([beat(queue, "w", None).script])
    calls: list[Call[object]] = [
        beat(queue, "w", 0, "{}"),
        submit(queue, caller.id, 1, 1, [a_job()]),
        beat(queue, "w", 1),
    ]
    first, second, third = worker.run_all(calls)
    assert [type(answer).__name__ for answer in (first, second, third)] == ["Beaten", "Submitted", "Beaten"]
    assert story.entries() == 1


def test_who_reads_for_himself_learns_that_a_script_is_missing(worker: Link, call: Call[object]) -> None:
    worker.execute("SCRIPT", "FLUSH")
    worker.send(call.command(), ("PING",))
    with pytest.raises(ScriptMissing):
        worker.receive()
    assert worker.receive() == b"PONG"


def test_an_error_among_several_calls_is_raised_and_no_answer_is_left_over(worker: Link, call: Call[object]) -> None:
    worker.run(call)
    bad = Call(call.script, call.keys, call.args[:3], call.parse)
    with pytest.raises(ServerError, match="PULLET beat") as raised:
        worker.run_all([call, bad, call])
    assert "expected form" in raised.value.answer
    assert worker.execute("PING") == b"PONG"
    assert worker.opened == 1


# -- connections


def test_nothing_at_the_address_is_unavailable(tmp_path: Path) -> None:
    for url in ("redis://127.0.0.1:1/0", f"unix://{tmp_path}/none"):
        with pytest.raises(ServerUnavailable, match="no answer from"):
            Link(Address(url), "test").execute("PING")


def test_it_opens_at_the_first_use_under_its_name_and_again_after_close(address: Address) -> None:
    link = Link(address, "pullet:q:w1")
    assert (link.is_open, link.opened) == (False, 0)
    assert link.execute("CLIENT", "GETNAME") == b"pullet:q:w1"
    link.close()
    link.close()
    assert not link.is_open
    with pytest.raises(ServerUnavailable, match="closed"):
        link.receive()
    assert (link.execute("PING"), link.opened) == (b"PONG", 2)
    link.close()


def test_an_answer_that_takes_too_long_ends_the_connection(address: Address) -> None:
    """Or the late answer would be read as that of the next command."""
    link = Link(address, "test", timeout_s=0.05)
    with pytest.raises(ServerUnavailable):
        link.execute("BLPOP", "nothing", 5)
    assert not link.is_open
    assert link.execute("PING") == b"PONG"
    link.close()


def test_a_plain_socket_has_its_timeout_in_the_kernel(address: Address) -> None:
    link = Link(address, "test", timeout_s=1.5)
    link.open()
    assert (sock_of(link).gettimeout(), kernel_timeout(link)) == (None, (1, 500_000))
    link.close()


def sock_of(link: Link) -> socket.socket:
    assert link._wire is not None
    return link._wire.sock


def kernel_timeout(link: Link) -> tuple[int, ...]:
    """Seconds and microseconds that a receive may take."""
    size = struct.calcsize("@ll")
    return struct.unpack("@ll", sock_of(link).getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, size))


def test_a_blocking_read_may_take_as_long_as_it_was_to_and_the_next_command_may_not(address: Address) -> None:
    link = Link(address, "test", timeout_s=0.2)
    assert link.wait(0.6, "BLPOP", "nothing", 0.6) is None
    assert kernel_timeout(link) == (0, 200_000)
    with pytest.raises(ServerUnavailable):
        link.wait(0.2, "BLPOP", "nothing", 5)
    assert (link.execute("PING"), link.opened) == (b"PONG", 2)
    link.close()


def test_the_kernel_asks_whether_the_machine_at_the_other_end_is_there(server: EmbeddedServer) -> None:
    link = Link(Address(server.tcp_url), "test")
    link.open()
    sock = sock_of(link)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    for name, value in KEEPALIVE.items():
        assert not hasattr(socket, name) or sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
    link.close()


def is_blocked(link: Link, name: str) -> bool:
    """CLIENT LIST marks a client that waits for data with the flag b."""
    clients = link.execute("CLIENT", "LIST").decode().splitlines()
    return any(f" name={name} " in client and " flags=b" in client for client in clients)


def test_an_interrupt_wakes_a_blocked_reader_at_once(link: Link, worker: Link) -> None:
    raised: list[PulletError] = []

    def read() -> None:
        try:
            worker.execute("BLPOP", "nothing", 60)
        except PulletError as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert wait_until(lambda: is_blocked(link, "worker"))
    worker.interrupt()
    reader.join(5)
    assert not reader.is_alive()
    assert [type(error) for error in raised] == [ServerUnavailable]
    assert worker.execute("PING") == b"PONG"


def test_an_interrupt_of_a_closed_connection_does_nothing(worker: Link) -> None:
    worker.close()
    worker.interrupt()
    assert worker.execute("PING") == b"PONG"


def test_a_killed_server_is_unavailable_and_its_successor_is_found(call: Call[object]) -> None:
    with EmbeddedServer.start() as first:
        link = Link(Address(first.tcp_url), "test")
        link.run(call)
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises(ServerUnavailable):
            link.execute("BLPOP", "nothing", 5)
        with pytest.raises(ServerUnavailable):
            link.run(call)
    with EmbeddedServer.start() as second:
        boss = Link(Address(second.url), "boss")
        boss.execute("CONFIG", "SET", "port", urlsplit(first.tcp_url).port or 0)
        boss.close()
        link.run(call)
        assert link.opened == 2
    link.close()
