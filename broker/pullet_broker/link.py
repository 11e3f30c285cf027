"""One connection to Redis, used by one thread: no pool, no automatic retry, typed errors.

redis-py does the address, TLS and authentication; commands are packed and replies are read without it (`parts`,
`wire`). Nothing is repeated here: only the caller knows whether it may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import MovedError
from redis.retry import Retry

from pullet_broker.address import Address
from pullet_broker.discovery import finder
from pullet_broker.errors import PulletError, ServerError, ServerRefused, ServerUnavailable
from pullet_broker.parts import Buffer, pack
from pullet_broker.scripting import Arg, Call, Command, Script
from pullet_broker.settings import Queue
from pullet_broker.translation import ScriptMissing, translated
from pullet_broker.wire import Wire

T = TypeVar("T")

REPLY_TIMEOUT_S = 10.0
"""How long a reply may take; a blocking read that the server may keep for longer goes by `wait`."""
CONNECT_TIMEOUT_S = 5.0


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
        self._wire: Wire | None = None

    @classmethod
    def to(cls, queue: Queue, address: Address, role: str, timeout_s: float | None = None) -> Link:
        """To the server that has a queue, under the name `pullet:<queue>:<role>`."""
        return cls(address, f"pullet:{queue.name}:{role}", timeout_s, key=queue.keys.fixed("config"))

    @property
    def is_open(self) -> bool:
        return self._wire is not None

    def open(self) -> None:
        """Connect now. Raises `ServerUnavailable` or `ServerRefused`."""
        self._opened()

    def _opened(self) -> Wire:
        if self._wire is None:
            try:
                self._wire = Wire(self._finder.connect(), self._timeout_s)
            except (redis.RedisError, OSError) as error:
                raise self._translated(error) from error
            self.opened += 1
        return self._wire

    def post(self, *calls: Call[Any]) -> None:
        """Write script calls, each behind its drafts; for each, read `receive_drafts` and then one `receive()`."""
        commands: list[Command] = []
        for call in calls:
            commands += call.drafts
            commands.append(call.command())
        self.send(*commands)

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
        wire = self._wire or self._opened()
        pieces: list[Buffer] = []
        for command in commands:
            pieces += pack(command)
        try:
            wire.write(pieces)
        except BaseException as error:
            self._fail(error)

    def receive(self, wait: bool = True) -> Any:
        """The next reply. An error reply raises, and leaves the connection usable unless it is `ServerUnavailable`.

        Where it is not to `wait`, and not all of the reply is here: `MISSING`.
        """
        wire = self._wire
        if wire is None:
            raise ServerUnavailable(f"the connection to {self.address} was closed", server=str(self.address))
        try:
            reply = wire.read(wait)
        except BaseException as error:
            self._fail(error)
        if isinstance(reply, redis.RedisError):
            self._refuse(reply)
        return reply

    def poll(self, timeout_s: float) -> bool:
        """Wait until `receive` has something to read, at most so long: a reply begins to arrive, or none can come."""
        wire = self._wire
        return wire is not None and wire.poll(timeout_s)

    def execute(self, *command: Arg) -> Any:
        """One command, one reply."""
        self.send(command)
        return self.receive()

    def wait(self, seconds: float, *command: Arg) -> Any:
        """A blocking read, which the server ends after `seconds`: its answer may come that much later than others."""
        if seconds <= self._timeout_s / 2:
            return self.execute(*command)
        self._opened().set_timeout(seconds + self._timeout_s)
        try:
            return self.execute(*command)
        finally:
            if self._wire is not None:
                self._wire.set_timeout(self._timeout_s)

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
        wire = self._wire
        if wire is not None:
            wire.interrupt()

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

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

    def _refuse(self, error: redis.RedisError) -> NoReturn:
        """An error reply. redis-py has other errors than `ResponseError` where it leaves the connection."""
        problem = self._translated(error)
        if isinstance(problem, ServerUnavailable) or not isinstance(error, redis.ResponseError):
            if isinstance(error, MovedError) and self._wire is not None:
                self._finder.moved(error, self._wire.connection)
            self.close()
        raise problem from error

    def _fail(self, error: BaseException) -> NoReturn:
        """A command or a reply is there in part. An interrupt by the user, too, may have come in the middle of one."""
        self.close()
        if isinstance(error, (redis.RedisError, OSError)):
            raise self._translated(error) from error
        raise error

    def _translated(self, error: Exception) -> PulletError:
        return translated(error, str(self.address))
