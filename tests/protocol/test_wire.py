"""Wire: replies that come in pieces, in time or not; and what becomes of a Link that was interrupted amid one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import MovedError

from pullet_broker.address import Address
from pullet_broker.errors import ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.wire import MISSING, READ_BYTES, Wire

PATIENCE_S = 30.0


class Connection:
    """As much of redis-py's as a wire looks at."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def disconnect(self) -> None:
        self._sock.close()


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    """A wire, and the server at its other end."""
    near, far = socket.socketpair()
    wire = Wire(Connection(near), PATIENCE_S)
    with far:
        yield wire, far
    wire.close()


def test_a_reply_in_pieces_is_not_here_until_its_last_byte_is(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    started = time.monotonic()
    assert not wire.poll(0)
    for piece in (b"*2\r\n$2\r\nab\r\n$", b"3\r", b"\ncde\r"):
        server.sendall(piece)
        assert wire.poll(5)
        assert wire.read(wait=False) is MISSING
    server.sendall(b"\n:7\r\n")
    assert wire.read(wait=False) == [b"ab", b"cde"]
    assert wire.poll(0), "another one came along"
    assert wire.read() == 7
    assert not wire.poll(0)
    assert time.monotonic() < started + PATIENCE_S, "nobody has waited"


def test_what_was_read_in_part_without_waiting_is_read_on_by_who_waits(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    large = b"x" * (3 * READ_BYTES)
    server.sendall(b"$%d\r\n%s" % (len(large), large[:-5]))
    assert wire.read(wait=False) is MISSING
    server.sendall(large[-5:] + b"\r\n$-1\r\n")
    assert (wire.read(), wire.read()) == (large, None)


def test_an_error_reply_is_returned_as_redis_py_has_it(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"-MOVED 7 host:1\r\n-OOM no room\r\n")
    moved, full = wire.read(), wire.read(wait=False)
    assert (type(moved), moved.host, moved.port) == (MovedError, "host", 1)
    assert (type(full), str(full)) == (redis.OutOfMemoryError, "no room")


@pytest.mark.parametrize("waits", [True, False])
def test_a_server_that_ends_the_connection_or_talks_nonsense(ends: tuple[Wire, socket.socket], waits: bool) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(redis.InvalidResponse):
        wire.read(waits)
    again = Wire(wire.connection, PATIENCE_S)
    server.close()
    assert again.poll(5)
    with pytest.raises(ConnectionResetError, match="closed the connection"):
        again.read(waits)


def test_a_wait_that_is_over_says_how_long_it_was(ends: tuple[Wire, socket.socket]) -> None:
    wire, _ = ends
    wire.set_timeout(0.05)
    with pytest.raises(TimeoutError, match=r"nothing came within 0\.05 s"):
        wire.read()
    with pytest.raises(TimeoutError, match=r"took nothing for 0\.05 s"):
        wire.write([bytes(64 << 20)])


@pytest.mark.parametrize("step", ["write", "read"])
def test_an_interrupt_by_the_user_leaves_no_half_of_a_command_or_reply(
    address: Address, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    link = Link(address, "test")
    link.open()

    def interrupted(*given: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Wire, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            link.send(("PING",))
            link.receive()
    assert not link.is_open
    assert (link.execute("ECHO", "whole"), link.opened) == (b"whole", 2)
    link.close()


def test_a_link_without_a_connection_gets_nothing(address: Address) -> None:
    link = Link(address, "test")
    assert not link.poll(0)
    for waits in (True, False):
        with pytest.raises(ServerUnavailable, match="was closed"):
            link.receive(waits)
