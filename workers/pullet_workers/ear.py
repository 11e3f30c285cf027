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
"""How long the server keeps a read that brings nothing; see `rest.py` for longer ones. To begin and end one with each
beat was a third of all commands of an idle worker."""
LATE_S = 10.0
"""How much later an answer may come, until the connection counts as broken."""


class Ear:
    """Used by one thread, which does something else between two calls; only `interrupt` is for others."""

    def __init__(
        self,
        queue: Queue,
        address: Address,
        on_stops: Callable[[Sequence[Stop]], None],
        on_call: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_call`: somebody asks all workers to look at the queue."""
        self._queue, self._on_stops, self._on_call = queue, on_stops, on_call
        self._link = Link.to(queue, address, "stops")
        self._heard, self._heard_at = "0-0", float("-inf")
        self._answer_by: float | None = None  # a read is under way

    def listen(self, seconds: float, times: float = 1.0) -> bool:
        """Until something is heard, at most so long; passes it on. Was there anything?

        A read that it begins lasts so many `times` longer than `LISTEN_S`, over several calls.
        """
        try:
            if self._answer_by is None or not self._link.is_open:
                self._ask(times * LISTEN_S)
            if not self._link.poll(seconds):
                self._check_patience()
                return False
            heard = read_stops(self._link.receive())
        except ServerError:
            self._answer_by, self._heard = None, "0-0"
            raise
        self._answer_by = None
        if heard.last is None:
            return False
        self._heard, self._heard_at = heard.last, time.monotonic()
        self._on_stops(heard.stops)
        if heard.is_call:
            self._on_call()
        return True

    def look_again(self) -> None:
        """Those that were not in hand when they were heard may have arrived by now."""
        self._on_stops(())

    def interrupt(self) -> None:
        """From another thread: end `listen`."""
        self._link.interrupt()

    def close(self) -> None:
        self._link.close()

    def _ask(self, seconds: float) -> None:
        if time.monotonic() > self._heard_at + STOPS_LIVE_S:
            self._heard = "0-0"  # what was there has ended, and new ids may be lower where a clock was set back
        self._link.send(wait_for_stops(self._queue, self._heard, int(1000 * seconds)))
        self._answer_by = time.monotonic() + seconds + LATE_S

    def _check_patience(self) -> None:
        if self._answer_by is not None and time.monotonic() > self._answer_by:
            self._link.close()
            raise ServerUnavailable(
                f"a read that {self._link.address} was to end has no answer {LATE_S:.0f} s after that; "
                "is the server running there?",
                server=str(self._link.address),
            )
