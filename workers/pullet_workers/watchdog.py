"""The thread that frees what waits behind a long job: gives queued jobs back, commits finished ones."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.cycle import RETURNS, give_back
from pullet_broker.settings import Queue

from pullet_workers.commit import commits
from pullet_workers.hand import Aside, Finished, Hand

log = logging.getLogger("pullet.worker")


class Watchdog:
    """Armed by the loop when it starts on jobs while others wait. It is a lazy timer: one wake-up a budget at the
    most, and none for a busy worker whose jobs keep ending in time."""

    def __init__(self, queue: Queue, address: Address, hand: Hand, consumer: Callable[[], str]) -> None:
        self._queue, self._hand, self._consumer = queue, hand, consumer
        self._link = Link(address, f"pullet:{queue.name}:watchdog")
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._waiting = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pullet-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def arm(self, deadline: float) -> None:
        """Look at `deadline` (monotonic) whether something still waits. Cheap: wakes the thread only from its sleep."""
        self._deadline = deadline
        if self._waiting:
            with self._changed:
                self._changed.notify()

    def disarm(self) -> None:
        self._deadline = None

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(5)
        self._link.close()

    def _run(self) -> None:
        while self._await_deadline():
            aside = self._hand.set_aside()
            if aside:
                self._free(aside)

    def _await_deadline(self) -> bool:
        """True when the deadline that is armed has passed; False at the end."""
        with self._changed:
            while not self._stopping:
                deadline = self._deadline
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    self._deadline = None
                    return True
                self._waiting = left is None
                if self._deadline is deadline:  # armed since we looked: `arm` saw us awake, so look again
                    self._changed.wait(left)
                self._waiting = False
        return False

    def _free(self, aside: Aside) -> None:
        """Repeated until it is answered: giving back and committing twice changes nothing."""
        while True:
            try:
                self._commit(aside.finished)
                for start in range(0, len(aside.queued), RETURNS):
                    self._link.run(give_back(self._queue, self._consumer(), aside.queued[start : start + RETURNS]))
                break
            except ServerError as error:
                log.info("watchdog waits for the server", extra={"queue": self._queue.name, "error": str(error)})
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopping, 0.2):
                        break
        self._hand.put_away(aside)

    def _commit(self, finished: list[Finished]) -> None:
        if finished:
            self._link.run_all(commits(self._queue, self._consumer(), finished, want=0))
