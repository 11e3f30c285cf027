"""One connection to Redis, used by one thread: no pool, no automatic retry, typed errors.

redis-py does the address, TLS and authentication; commands are packed and replies are read without its command
layer, which costs more per call than the call. Nothing is repeated here: only the caller knows whether it may be.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, NoScriptError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

from pullet_broker.address import Address
from pullet_broker.errors import PulletError, ServerError, ServerFull, ServerRefused, ServerUnavailable
from pullet_broker.parts import pack
from pullet_broker.scripting import Arg, Call

T = TypeVar("T")

REPLY_TIMEOUT_S = 10.0
"""How long a reply may take; a blocking read must ask for clearly less."""


class Link:
    """A connection that opens at its first use, and again at the next use after it broke."""

    def __init__(self, address: Address, name: str, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        self.address = address
        self.opened = 0
        """How often it has connected."""
        self._pool = _pool(address, name, timeout_s)
        self._connection: Any = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        """Connect now. Raises `ServerUnavailable` or `ServerRefused`."""
        if self._connection is None:
            # not make_connection(): the pool counts those, and refuses after max_connections reconnects
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            try:
                connection.connect()
            except (redis.RedisError, OSError) as error:
                raise self._translated(error) from error
            self._connection = connection
            self.opened += 1

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
        """The next reply. An error reply raises, and leaves the connection usable."""
        if self._connection is None:
            raise ServerUnavailable(f"the connection to {self.address} was closed", server=str(self.address))
        try:
            return self._connection.read_response(disable_decoding=True)
        except redis.ResponseError as error:
            if not self._connection.is_connected:
                self.close()
            raise self._translated(error) from error
        except (redis.RedisError, OSError, AttributeError) as error:
            self.close()
            raise self._translated(error) from error

    def execute(self, *command: Arg) -> Any:
        """One command, one reply."""
        self.send(command)
        return self.receive()

    def run(self, call: Call[T]) -> T:
        """One script call. A script that the server does not know is loaded and called: nothing had run."""
        answer: T = self.run_all([call])[0]
        return answer

    def run_all(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Several calls in one round trip; the first error is raised after all replies are read."""
        self.send(*(call.command() for call in calls))
        answers: list[Any] = []
        problem: PulletError | None = None
        for call in calls:
            try:
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

    def load(self, calls: Iterable[Call[Any]]) -> None:
        """Make the server know the scripts of these calls."""
        for script in {call.script for call in calls}:
            self.execute("SCRIPT", "LOAD", script.text)

    def interrupt(self) -> None:
        """From another thread: make a blocked `receive` raise at once. Loses what the server sends meanwhile."""
        connection = self._connection
        sock = getattr(connection, "_sock", None)
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
        self.load([call])
        return call.parse(self.execute(*call.command()))

    def _translated(self, error: Exception) -> PulletError:
        where = str(self.address)
        text = str(error)
        if isinstance(error, NoScriptError):
            return ScriptMissing("the server does not know a script", server=where)
        if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
            return ServerFull(
                f"{where} is at its maxmemory and takes no new jobs; raise maxmemory or let workers drain it",
                server=where,
            )
        if isinstance(error, (redis.AuthenticationError, NoPermissionError)) or _is_refusal(text):
            return ServerRefused(f"{where} refused: {text}; check user, password and ACL rights", server=where)
        if isinstance(error, redis.ResponseError) and not (isinstance(error, ReadOnlyError) or _is_passing(text)):
            return ServerError(f"{where} answered: {text}", server=where, answer=text)
        return ServerUnavailable(f"no answer from {where}: {text}; is the server running there?", server=where)


def _pool(address: Address, name: str, timeout_s: float) -> redis.ConnectionPool:
    """redis-py's reading of the URL; only its recipe for a connection is used."""
    with contextlib.suppress(ValueError):  # its text may quote the password, so it must not even be our context
        return redis.ConnectionPool.from_url(
            address.url,
            client_name=name,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=min(5.0, timeout_s),
            retry=Retry(NoBackoff(), 0),
            **({} if address.url.startswith("unix:") else {"socket_keepalive": True}),
            **address.credentials(),
        )
    raise ServerRefused(
        f"{address} is not the URL of a server: expected redis://host:port/db, rediss:// or unix:///path, with "
        "/ ? # @ of a password written as %2F %3F %23 %40"
    )


class ScriptMissing(ServerError):
    """NOSCRIPT: the server lost its scripts, as it does at every restart."""


def _is_refusal(text: str) -> bool:
    refusals = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "ACL failure")
    return text.startswith(refusals) or "can't run this command" in text


def _is_passing(text: str) -> bool:
    """Errors of a server that is loading, failing over or short of disk: it will answer again."""
    return text.startswith(
        ("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED force", "MISCONF")
    )
