"""An open connection: bytes out, replies in. Knows nothing of commands and of errors.

redis-py made it and ends it. What it does for each command and each reply would cost more than the system's calls, most
of all after a sleep, when the processor's caches are empty: so the socket is read here, and hiredis parses.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Any

import hiredis
import redis
from redis.connection import DefaultParser

from pullet_broker.parts import Buffer

READ_BYTES = 64 << 10
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
"""Seconds of silence until a probe, between two, and how many may stay unanswered. Kernels send and answer them: the
server is not woken."""

MISSING: Any = object()
"""No reply is here."""


class Wire:
    """Used by one thread; `interrupt` is for others. Raises what sockets raise, and `redis.InvalidResponse`."""

    def __init__(self, connection: Any, timeout_s: float) -> None:
        self.connection = connection
        """That of redis-py."""
        self.sock = connection._sock
        self._is_plain = type(self.sock) is socket.socket and os.name == "posix"
        self._reader = hiredis.Reader(
            replyError=DefaultParser.parse_error, protocolError=redis.InvalidResponse, notEnoughData=MISSING
        )
        self._buffer = bytearray(READ_BYTES)
        self.set_timeout(timeout_s)
        self._keep_alive()

    def set_timeout(self, seconds: float) -> None:
        """Before each send and receive Python polls a socket that has a timeout: one more call of the system, which is
        3 of the 21 us of a round trip. So a plain socket has its timeout in the kernel instead."""
        self._timeout_s = seconds
        if not self._is_plain:
            self.sock.settimeout(seconds)
            return
        self.sock.settimeout(None)
        timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)

    def write(self, pieces: Iterable[Buffer]) -> None:
        try:
            for piece in pieces:
                self.sock.sendall(piece)
        except BlockingIOError:  # the kernel's word for it
            raise TimeoutError(f"it took nothing for {self._timeout_s:g} s") from None

    def read(self, wait: bool = True) -> Any:
        """The next reply; an error reply is an exception of redis-py, and is returned.

        Where it is not to `wait`, and not all of the reply is here: `MISSING`.
        """
        while (reply := self._reader.gets()) is MISSING:
            try:
                if wait or self._is_plain:
                    size = self.sock.recv_into(self._buffer, 0, 0 if wait else socket.MSG_DONTWAIT)
                else:
                    size = self._receive_now()
            except (BlockingIOError, ssl.SSLWantReadError):
                if not wait:
                    break
                raise TimeoutError(f"nothing came within {self._timeout_s:g} s") from None
            if not size:
                raise ConnectionResetError("it closed the connection")
            self._reader.feed(self._buffer, 0, size)  # type: ignore[arg-type]  # it takes any buffer
        return reply

    def poll(self, timeout_s: float) -> bool:
        """Wait until there is something to read, at most so long: a part of a reply, or the end."""
        if self._reader.has_data() or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            return True
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))

    def interrupt(self) -> None:
        """Make a blocked `read` raise at once."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already, which is what was wanted

    def close(self) -> None:
        self.connection.disconnect()

    def _receive_now(self) -> int:
        """By TLS, which knows no flags."""
        self.sock.settimeout(0)
        try:
            return int(self.sock.recv_into(self._buffer))
        finally:
            self.sock.settimeout(self._timeout_s)

    def _keep_alive(self) -> None:
        """Where the machine of the server is gone, a read that waits hears of it from the kernel, within some 15 s."""
        if self.sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # not every system lets them be set
                self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
