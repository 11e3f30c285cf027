"""One connection to Redis, used by one thread: no pool, no automatic retry, typed errors.

redis-py does the address, TLS and authentication; commands are packed and replies are read without its command
layer, which costs more per call than the call. Nothing is repeated here: only the caller knows whether it may be.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import MovedError
from redis.retry import Retry

from pullet_broker.address import Address
from pullet_broker.discovery import finder
from pullet_broker.errors import PulletError, ServerError, ServerRefused, ServerUnavailable
from pullet_broker.parts import pack
from pullet_broker.scripting import Arg, Call, Script
from pullet_broker.settings import Queue
from pullet_broker.translation import ScriptMissing, translated

T = TypeVar("T")

REPLY_TIMEOUT_S = 10.0
"""How long a reply may take; a blocking read that the server may keep for longer goes by `wait`."""
CONNECT_TIMEOUT_S = 5.0
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
"""Seconds of silence until a probe, between two, and how many may stay unanswered. Kernels send and answer them: the
server is not woken."""


class Link:
    """A connection that opens at its first use, and again at the next use after it broke.

    After `ServerUnavailable` it is closed, whatever the reason: the next use finds the server that serves by then, and
    no reply is left over.
    """

    def __init__(self, address: Address, name: str, timeout_s: float | None = None, *, key: str = "") -> None:
        """`key` is any key of the queue that is meant: it tells the node of a cluster."""
        self.address, self.name = address, name
        self.opened = 0
        """How often it has connected."""
        timeout_s = timeout_s or REPLY_TIMEOUT_S
        ours = {
            "client_name": name,
            "protocol": 2,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s),
            "retry": Retry(NoBackoff(), 0),
        }
        self._timeout_s = timeout_s
        self._finder = finder(address, key, ours)
        self._connection: Any = None

    @classmethod
    def to(cls, queue: Queue, address: Address, role: str, timeout_s: float | None = None) -> Link:
        """To the server that has a queue, under the name `pullet:<queue>:<role>`."""
        return cls(address, f"pullet:{queue.name}:{role}", timeout_s, key=queue.keys.fixed("config"))

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        """Connect now. Raises `ServerUnavailable` or `ServerRefused`."""
        if self._connection is None:
            try:
                connection = self._finder.connect()
            except (redis.RedisError, OSError) as error:
                raise self._translated(error) from error
            _set_timeout(connection, self._timeout_s)
            _keep_alive(connection)
            self._connection = connection
            self.opened += 1

    def post(self, *calls: Call[Any]) -> None:
        """Write script calls, each behind its drafts; for each, read `receive_drafts` and then one `receive()`."""
        self.send(*(command for call in calls for command in (*call.drafts, call.command())))

    def receive_drafts(self, call: Call[Any]) -> ServerError | None:
        """The replies to a call's drafts: why one was refused, if one was. The call goes on without it, and says so."""
        refusal: ServerError | None = None
        for _ in call.drafts:
            try:
                self.receive()
            except ServerError as error:
                if not self.is_open:
                    raise
                refusal = refusal or error
        return refusal

    def send(self, *commands: Sequence[Arg]) -> None:
        """Write commands without waiting for their replies; read one `receive()` for each."""
        self.open()
        packed = [part for command in commands for part in pack(command)]
        try:
            self._connection.send_packed_command(packed, check_health=False)
        except (redis.RedisError, OSError) as error:
            self.close()
            raise self._translated(error) from error

    def receive(self) -> Any:
        """The next reply. An error reply raises, and leaves the connection usable unless it is `ServerUnavailable`."""
        if self._connection is None:
            raise ServerUnavailable(f"the connection to {self.address} was closed", server=str(self.address))
        try:
            return self._connection.read_response(disable_decoding=True)
        except redis.ResponseError as error:
            problem = self._translated(error)
            if isinstance(problem, ServerUnavailable) or not self._connection.is_connected:
                self._leave(error)
            raise problem from error
        except (redis.RedisError, OSError, AttributeError) as error:
            self.close()
            raise self._translated(error) from error

    def poll(self, timeout_s: float) -> bool:
        """Wait until a reply begins to arrive, at most so long. Raises `ServerUnavailable` where none can come."""
        if self._connection is None:
            return False
        try:
            return bool(self._connection.can_read(timeout_s))
        except (redis.RedisError, OSError, AttributeError) as error:
            self.close()
            raise self._translated(error) from error

    def execute(self, *command: Arg) -> Any:
        """One command, one reply."""
        self.send(command)
        return self.receive()

    def wait(self, seconds: float, *command: Arg) -> Any:
        """A blocking read, which the server ends after `seconds`: its answer may come that much later than others."""
        if seconds <= self._timeout_s / 2:
            return self.execute(*command)
        self.open()
        _set_timeout(self._connection, seconds + self._timeout_s)
        try:
            return self.execute(*command)
        finally:
            _set_timeout(self._connection, self._timeout_s)

    def run(self, call: Call[T]) -> T:
        """One script call. A script that the server does not know is loaded and called: nothing had run."""
        answer: T = self.run_all([call])[0]
        return answer

    def run_all(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Several calls in one round trip; the first error is raised after all replies are read."""
        self.post(*calls)
        answers: list[Any] = []
        problem: PulletError | None = None
        for call in calls:
            try:
                self.receive_drafts(call)
                answers.append(call.parse(self.receive()))
            except ScriptMissing:
                answers.append(call)
            except PulletError as error:
                if not self.is_open:
                    raise
                answers.append(None)
                problem = problem or error
        if problem:
            raise problem
        return [self._load_and_run(answer) if isinstance(answer, Call) else answer for answer in answers]

    def bring(self, scripts: Sequence[Script]) -> None:
        """Make the server know these scripts, for accounts that may load none."""
        known = self.execute("SCRIPT", "EXISTS", *(script.sha for script in scripts))
        for script, there in zip(scripts, known, strict=True):
            if not there:
                self.execute("SCRIPT", "LOAD", script.text)

    def interrupt(self) -> None:
        """From another thread: make a blocked `receive` raise at once. Loses what the server sends meanwhile."""
        connection = self._connection
        sock = _socket_of(connection)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already, which is what was wanted

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _load_and_run(self, call: Call[Any]) -> Any:
        try:
            self.execute("SCRIPT", "LOAD", call.script.text)
        except ServerRefused as error:
            self.close()
            raise ServerUnavailable(
                f"{self.address} does not know the script {call.script.name!r} yet, and this account may load none: "
                "the first worker of the queue brings it; start a pool",
                server=str(self.address),
            ) from error
        return call.parse(self.execute(*call.command()))

    def _leave(self, error: redis.ResponseError) -> None:
        if isinstance(error, MovedError):
            self._finder.moved(error, self._connection)
        self.close()

    def _translated(self, error: Exception) -> PulletError:
        return translated(error, str(self.address))


def _socket_of(connection: Any) -> Any:
    return getattr(connection, "_sock", None)


def _set_timeout(connection: Any, seconds: float) -> None:
    """Before each send and receive Python polls a socket that has a timeout: one more call of the system, which is 3 of
    the 21 us of a round trip. So a plain socket has its timeout in the kernel instead."""
    sock = _socket_of(connection)
    if sock is None:
        return
    if type(sock) is not socket.socket or os.name != "posix":
        sock.settimeout(seconds)
    else:
        sock.settimeout(None)
        timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def _keep_alive(connection: Any) -> None:
    """Where the machine of the server is gone, a read that waits hears of it from the kernel, within some 15 s."""
    sock = _socket_of(connection)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not every system lets them be set
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
