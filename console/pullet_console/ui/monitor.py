"""The thread that looks once a second at all queues and follows their events."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from pullet_broker.address import Address
from pullet_broker.errors import NameRefused, PulletError, ServerError, ServerFull, ServerRefused
from pullet_broker.events import PAGE, WATCH_MS, events_after, read_events, watch_until
from pullet_broker.keys import check_queue_name
from pullet_broker.settings import Queue
from pullet_console.reading.reader import Reader
from pullet_console.ui.history import BOUNDS_S, Histogram, History
from pullet_console.ui.timeline import SPAN_S

log = logging.getLogger("pullet.console")

TURN_S = 1.0
NAMES_S = 5.0
"""How often queues are looked for: a SCAN over all keys of the server."""
NAMES_SHARE = 50
"""It may take one part in so many of the time."""
BEHIND_PAGES = 40
"""Pages of events that one turn reads of one queue. What is behind that has nobody to read it, and is passed over."""


class Monitor:
    """Keeps a `History` for each queue. `names` are the queues to look at; without them all of the server."""

    def __init__(self, address: Address, names: tuple[str, ...] = ()) -> None:
        self.histories: dict[str, History] = {}
        self.problem = ""
        """Why the last look failed; empty when it did not."""
        self.deaf = ""
        """Why there are no events; empty when there are."""
        self.roundtrip_s = 0.0
        self.roundtrips = Histogram(BOUNDS_S)
        self.turns = 0
        self.on_turn: Callable[[], None] = lambda: None
        """Called in the monitor's thread after each look."""
        self._given, self._address = names, address
        self._reader = Reader(address)
        self._cursors: dict[str, str] = {}
        self._names: list[str] = list(names)
        self._names_due = 0.0
        self._sought: set[str] = set()
        """Queues that open pages wait for, said from the server's thread; begun anew at each turn."""
        self._watch_due: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pullet-monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._reader.close()

    def look_for(self, name: str) -> None:
        """Somebody waits for a queue that may come: the next turn looks whether it is there. To be said each turn."""
        if name not in self.histories:
            with contextlib.suppress(NameRefused):  # there will never be such a queue
                self._sought.add(check_queue_name(name))

    def turn(self) -> None:
        """One look."""
        now = time.monotonic()
        if not self._given and now >= self._names_due:
            self._names = self._reader.queues()
            taken_s = time.monotonic() - now
            self._names_due = now + max(NAMES_S, NAMES_SHARE * taken_s)
            self.histories = {name: self.histories.get(name) or History(name) for name in self._names}
        sought = self._take_sought()
        begun = time.perf_counter()
        looks = [look for look in self._reader.looks(self._names + sought) if look.exists or look.name not in sought]
        self.roundtrip_s = time.perf_counter() - begun
        self.roundtrips.add(self.roundtrip_s)
        self._names += [look.name for look in looks if look.name in sought]
        self._follow({look.name: look.at_ms for look in looks if look.exists})
        for look in looks:
            self.histories.setdefault(look.name, History(look.name)).look(look)
        self.turns += 1

    def _take_sought(self) -> list[str]:
        names, self._sought = self._sought, set()
        return [] if self._given else [name for name in tuple(names) if name not in self.histories]  # it may still grow

    def _follow(self, at_ms: dict[str, int]) -> None:
        try:
            for name, now_ms in at_ms.items():
                if time.monotonic() >= self._watch_due.get(name, 0.0):
                    self._reader.ask(*watch_until(Queue(name=name), now_ms + WATCH_MS))
                    self._watch_due[name] = time.monotonic() + WATCH_MS / 3000
                self._hear(name, now_ms)
            self.deaf = ""
        except (ServerRefused, ServerFull) as error:  # it may only be read: all but events and bars is there
            self.deaf = str(error)

    def _hear(self, name: str, now_ms: int) -> None:
        queue = Queue(name=name)
        history = self.histories.setdefault(name, History(name))
        cursor = self._cursors.get(name) or f"{now_ms - int(SPAN_S * 1000)}-0"
        for _ in range(BEHIND_PAGES):
            entries = self._ask_events(queue, cursor)
            ended, last = read_events(entries)
            cursor = last or cursor
            history.hear(ended)
            if len(entries) < PAGE:
                break
        else:
            cursor = f"{now_ms}-0"
        self._cursors[name] = cursor

    def _ask_events(self, queue: Queue, cursor: str) -> list[object]:
        try:
            found: list[object] = self._reader.ask(*events_after(queue, cursor))
            return found
        except ServerError as error:
            if str(error.evidence.get("answer", "")).startswith("WRONGTYPE"):
                return []
            raise

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                self.turn()
                self.problem = ""
            except PulletError as error:
                if not self.problem:
                    log.warning("cannot look at the queues", extra={"error": str(error)})
                self.problem = str(error)
            self.on_turn()
            due = max(due + TURN_S, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))
