"""The thread that beats: shows about once a second that the worker lives, and does a tick's work in its turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing
from pullet_broker.moves.life import REAPED, Beaten, beat, forget, promote, reap, spill
from pullet_broker.settings import Queue
from pullet_workers.ear import Ear

log = logging.getLogger("pullet.worker")

PAUSE_S = 0.01
"""After it has heard something: however many jobs are cancelled, a worker wakes at most so often for them."""
NUDGE_S = 0.05


class Heart:
    """Beats under whatever name the worker has now, as long as `alive` says that its runner works.

    `heed` hears what the queue answered. Between two beats it listens with the `ear`.
    """

    def __init__(
        self,
        queue: Queue,
        address: Address,
        consumer: Callable[[], str | None],
        record: Callable[[], str],
        ear: Ear,
        alive: Callable[[], bool] = lambda: True,
        heed: Callable[[Beaten], None] = lambda beaten: None,
    ) -> None:
        self._queue, self._consumer, self._record, self._alive = queue, consumer, record, alive
        self._heed, self._ear = heed, ear
        self._link = Link.to(queue, address, "beat")
        self._number = 0
        self._told: tuple[str, str] | None = None
        self._stop = threading.Event()
        self._beaten = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="pullet-heart", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        deadline = time.monotonic() + 5
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._ear.interrupt()  # it may have been just about to listen
            self._thread.join(NUDGE_S)
        self._ear.close()
        self._link.close()

    def wait_for_beat(self, timeout_s: float) -> None:
        """Wait until the next beat: how a paused worker passes the time."""
        with self._beaten:
            self._beaten.wait(timeout_s)

    def _run(self) -> None:
        while self._alive() and self._pass_time():
            try:
                self.beat_once()
            except ServerError as error:
                log.info("a beat was missed", extra={"queue": self._queue.name, "error": str(error)})
            with self._beaten:
                self._beaten.notify_all()

    def _pass_time(self) -> bool:
        """Until the next beat, with an ear open for jobs that are to stop. False when there will be no more beats."""
        deadline = time.monotonic() + self._queue.lease.beat_s
        while (left := deadline - time.monotonic()) > 0 and not self._stop.is_set():
            try:
                if self._ear.listen(left):
                    self._stop.wait(min(left, PAUSE_S))
            except ServerError as error:
                log.info("cannot hear what is to stop", extra={"queue": self._queue.name, "error": str(error)})
                self._stop.wait(left)
        self._ear.look_again()
        return not self._stop.is_set()

    def beat_once(self) -> None:
        """One beat, and the tick's work where this beat made the tick."""
        consumer, record = self._consumer(), self._record()
        if consumer is None:
            return
        self._number += 1
        news = record if self._told != (consumer, record) else ""
        beaten = self._link.run(beat(self._queue, consumer, self._number, news))
        self._heed(beaten)
        if beaten.standing is Standing.OK:
            self._told = (consumer, record)
            tend(self._link, self._queue, consumer, beaten)


def tend(link: Link, queue: Queue, by: str, beaten: Beaten) -> None:
    """What a tick asks for: recover the jobs of the dead, promote what is due, spill what waits too long at a place."""
    for dead in beaten.dead:
        log.warning("a worker is silent and counts as dead", extra={"queue": queue.name, "consumer": dead})
        bury_consumer(link, queue, dead, blame=True)
    while beaten.due and link.run(promote(queue, by)) == REAPED:
        continue
    for place in beaten.spill:
        while link.run(spill(queue, by, place)) == REAPED:
            continue


def bury_consumer(link: Link, queue: Queue, consumer: str, *, blame: bool) -> int:
    """Issue all jobs of a dead consumer again and forget it; says how many jobs there were."""
    jobs = 0
    while True:
        reaped = link.run(reap(queue, consumer, blame=blame))
        jobs += reaped.issued + reaped.buried
        if not reaped.more:
            break
    link.run(forget(queue, consumer))
    return jobs
