"""End a connection, or the whole process, at the nth command of one kind of connection."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence

import pytest

from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.scripting import Arg
from pullet_broker.wire import MISSING


class CutPoint:
    """The nth round trip of the links whose name ends with `role`.

    `when` it is "before", nothing of it reaches the server; "after": the server has done it, and nobody hears of it.
    "amid": only round trips of several commands count, and the server has done all but the last.
    """

    def __init__(self, role: str, nth: int, when: str, *, kills: bool = False) -> None:
        self.reached = False
        self.count = 0
        """Round trips so far."""
        self._role, self._nth, self._when, self._kills = role, nth, when, kills
        self._owed: Counter[int] = Counter()  # replies that each link has not read
        self._lock = threading.Lock()
        self._send, self._receive, self._close = Link.send, Link.receive, Link.close

    def install(self, patch: pytest.MonkeyPatch) -> CutPoint:
        point = self
        patch.setattr(Link, "send", lambda link, *commands: point._sent(link, commands))
        patch.setattr(Link, "receive", lambda link, wait=True: point._received(link, wait))
        patch.setattr(Link, "close", lambda link: point._closed(link))
        return self

    def _sent(self, link: Link, commands: Sequence[Sequence[Arg]]) -> None:
        if not self._is_here(link, commands):
            self._send(link, *commands)
            self._owed[id(link)] += len(commands)
            return
        done = commands if self._when == "after" else commands[:-1] if self._when == "amid" else ()
        if done:
            self._send(link, *done)
            waits = any("BLOCK" in command for command in done)
            for _ in range(0 if waits else self._owed[id(link)] + len(done)):
                with contextlib.suppress(ServerError):  # an answer, too: a script that is not there yet
                    self._receive(link)
        if self._kills:
            os.kill(os.getpid(), signal.SIGKILL)
        link.close()
        raise ServerUnavailable("the test has cut this connection")

    def _is_here(self, link: Link, commands: Sequence[object]) -> bool:
        with self._lock:
            if not link.name.endswith(self._role) or self.reached or (self._when == "amid" and len(commands) < 2):
                return False
            self.count += 1
            self.reached = self.count == self._nth
            return self.reached

    def _received(self, link: Link, wait: bool) -> object:
        reply = MISSING
        try:
            reply = self._receive(link, wait)
        except ServerError:
            self._owed[id(link)] -= 1
            raise
        if reply is not MISSING:
            self._owed[id(link)] -= 1
        return reply

    def _closed(self, link: Link) -> None:
        self._owed.pop(id(link), None)
        self._close(link)
