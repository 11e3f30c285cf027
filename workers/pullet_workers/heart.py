"""The thread that beats: shows about once a second that the worker lives, and does a tick's work in its turn.

It looks at the worker that often, and leaves beats out while that one has nothing in hand and nothing to tell, as long
as `rest.py` allows. Who made a tick does not rest: so ticks go on, however few of a large fleet are left.
"""

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
from pullet_workers.rest import rest_among

log = logging.getLogger("pullet.worker")

PAUSE_S = 0.01
"""After it has heard something: however many jobs are cancelled, a worker wakes at most so often for them."""
NUDGE_S = 0.05


class Heart:
    """Beats under whatever name the worker has now, as long as `alive` says that its runner works.

    `who` tells that name, None before it has one, and what the worker says of itself; `is_idle`, whether it has nothing
    in hand. `heed` hears what the queue answered. Between two beats it listens with the `ear`.
    """

    def __init__(
        self,
        queue: Queue,
        address: Address,
        who: Callable[[], tuple[str | None, str]],
        ear: Ear,
        alive: Callable[[], bool] = lambda: True,
        is_idle: Callable[[], bool] = lambda: False,
        heed: Callable[[Beaten], None] = lambda beaten: None,
    ) -> None:
        self.rest = rest_among(1, queue.lease)
        """What the last beat allows."""
        self._queue, self._who, self._alive = queue, who, alive
        self._is_idle, self._heed, self._ear = is_idle, heed, ear
        self._link = Link.to(queue, address, "beat")
        self._number = 0
        self._told: tuple[str | None, str] | None = None
        self._rests_until = 0.0
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

    def wait_for_beat(self) -> None:
        """Wait until the next beat, or until somebody calls: how a paused worker passes the time."""
        with self._beaten:
            self._beaten.wait(self.rest.beat_s + self._queue.lease.beat_s)

    def call(self) -> None:
        """From another thread: whoever waits for a beat is to look at the queue now."""
        with self._beaten:
            self._beaten.notify_all()

    def _run(self) -> None:
        while self._alive() and self._pass_time():
            if self._rests():
                continue
            try:
                self.beat_once()
            except ServerError as error:
                log.info("a beat was missed", extra={"queue": self._queue.name, "error": str(error)})
            self.call()

    def _rests(self) -> bool:
        """Nothing is due: no beat, no job in hand, no news."""
        return time.monotonic() < self._rests_until and self._is_idle() and self._who() == self._told

    def _pass_time(self) -> bool:
        """Until the next look, with an ear open for jobs that are to stop. False when there will be no more beats."""
        now, beat_s = time.monotonic(), self._queue.lease.beat_s
        deadline = now + (min(beat_s, self._rests_until - now) if self._rests_until > now else beat_s)
        while (left := deadline - time.monotonic()) > 0 and not self._stop.is_set():
            try:
                if self._ear.listen(left, self.rest.times if self._is_idle() else 1.0):
                    self._stop.wait(min(left, PAUSE_S))
            except ServerError as error:
                if not self._stop.is_set():  # else it is our own doing
                    log.info("cannot hear what is to stop", extra={"queue": self._queue.name, "error": str(error)})
                self._stop.wait(left)
        self._ear.look_again()
        return not self._stop.is_set()

    def beat_once(self) -> None:
        """One beat, and the tick's work where this beat made the tick."""
        consumer, record = who = self._who()
        if consumer is None:
            return
        self._number += 1
        beaten = self._link.run(beat(self._queue, consumer, self._number, record if self._told != who else ""))
        self.rest = rest_among(beaten.workers, self._queue.lease)
        self._heed(beaten)
        if beaten.standing is Standing.OK:
            self._told = who
            self._rests_until = time.monotonic() + (self._queue.lease.beat_s if beaten.ticked else self.rest.beat_s)
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
