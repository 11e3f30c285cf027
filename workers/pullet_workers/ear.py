"""Hears what callers ask to stop, wherever its jobs run: a blocking read on a connection of its own, always open."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pullet_broker.address import Address
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.moves.cancel import STOPS_LIVE_S, Stop, read_stops, wait_for_stops
from pullet_broker.settings import Queue

LISTEN_S = 5.0
"""How long the server keeps a read that brings nothing. To begin and end one with each beat was a third of all commands
of an idle worker."""
LATE_S = 10.0
"""How much later an answer may come, until the connection counts as broken."""


class Ear:
    """Used by one thread, which does something else between two calls; only `interrupt` is for others."""

    def __init__(self, queue: Queue, address: Address, on_stops: Callable[[Sequence[Stop]], None]) -> None:
        self._queue, self._on_stops = queue, on_stops
        self._link = Link.to(queue, address, "stops")
        self._heard, self._heard_at = "0-0", float("-inf")
        self._asked_at: float | None = None  # a read is under way since then

    def listen(self, seconds: float) -> bool:
        """Until something is heard, at most so long; passes it on. Was there anything?"""
        try:
            if self._asked_at is None or not self._link.is_open:
                self._ask()
            if not self._link.poll(seconds):
                self._check_patience()
                return False
            stops, last = read_stops(self._link.receive())
        except ServerError:
            self._asked_at, self._heard = None, "0-0"
            raise
        self._asked_at = None
        if last is None:
            return False
        self._heard, self._heard_at = last, time.monotonic()
        self._on_stops(stops)
        return True

    def look_again(self) -> None:
        """Those that were not in hand when they were heard may have arrived by now."""
        self._on_stops(())

    def interrupt(self) -> None:
        """From another thread: end `listen`."""
        self._link.interrupt()

    def close(self) -> None:
        self._link.close()

    def _ask(self) -> None:
        if time.monotonic() > self._heard_at + STOPS_LIVE_S:
            self._heard = "0-0"  # what was there has ended, and new ids may be lower where a clock was set back
        self._link.send(wait_for_stops(self._queue, self._heard, int(1000 * LISTEN_S)))
        self._asked_at = time.monotonic()

    def _check_patience(self) -> None:
        if self._asked_at is not None and time.monotonic() > self._asked_at + LISTEN_S + LATE_S:
            self._link.close()
            raise ServerUnavailable(
                f"no answer from {self._link.address} for {LISTEN_S + LATE_S:.0f} s; is the server running there?",
                server=str(self._link.address),
            )
