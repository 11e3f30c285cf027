"""The thread that runs errands beside the engine, on a connection of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.cycle import RETURNS, give_back
from pullet_broker.settings import Queue
from pullet_workers.commit import commit
from pullet_workers.consumer import Consumer
from pullet_workers.errands import SOON_S, Errand, Step
from pullet_workers.exchange import Exchange
from pullet_workers.hand import Aside, Hand

log = logging.getLogger("pullet.worker")

NOTHING: tuple[Step, ...] = ()
OVER: Step = (float("inf"), Errand.LOOK)
"""Stands behind the last step of a plan."""
LINGER_S = 0.01
"""How long it is ready for another plan after the last one. Rows of tiny jobs follow each other within that, and to
wake a thread that sleeps for ever takes as long as three jobs."""

RETRY_S = 0.2


class Courier:
    """Follows the plan of the running job; a new plan replaces the one before. A lazy timer: a plan does not wake a
    thread that will be awake by itself when the first step is due, or soon after."""

    def __init__(self, queue: Queue, hand: Hand, exchange: Exchange, consumer: Consumer) -> None:
        self._queue, self._hand, self._exchange, self._consumer = queue, hand, exchange, consumer
        self._link = Link.to(queue, consumer.link.address, "errands")
        self._bell = threading.Lock()  # rung between two jobs: a condition takes five times as long
        self._bell.acquire()
        self._plan = NOTHING
        self._ahead = 1
        self._sleeps_until: float | None = None  # None: awake; infinity: until somebody calls
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pullet-courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, plan: tuple[Step, ...], ahead: int = 1) -> None:
        """Called by the loop when a job starts, or with `NOTHING` when there is none. `ahead`: jobs to fetch."""
        self._ahead = ahead
        self._plan = plan
        until = self._sleeps_until
        if plan and until is not None and plan[0][0] + SOON_S < until:
            self._ring()

    def stop(self) -> None:
        self._stopping.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(5)
        self._link.close()

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it rings already
            self._bell.release()

    def _run(self) -> None:
        plan, place, lingers = NOTHING, 0, False
        while not self._stopping.is_set():
            if self._plan is not plan:
                plan, place = self._plan, 0
            at, errand = step = plan[place] if place < len(plan) else OVER
            if at <= time.monotonic():
                self._do(errand, plan)
                place += 1
            else:
                self._sleep(plan, time.monotonic() + LINGER_S if step is OVER and lingers else at)
                lingers = step is not OVER

    def _sleep(self, plan: tuple[Step, ...], until: float) -> None:
        self._sleeps_until = until
        if self._plan is plan and not self._stopping.is_set():  # else it changed before we were seen to sleep
            self._bell.acquire(timeout=-1 if until == float("inf") else max(0.0, until - time.monotonic()))
        self._sleeps_until = None

    def _do(self, errand: Errand, plan: tuple[Step, ...]) -> None:
        try:
            if errand is Errand.FREE:
                self._free(plan)
            elif errand is not Errand.LOOK:
                self._swap(fetch=errand is Errand.FETCH)
        except ServerError as error:
            log.info("an errand failed", extra={"queue": self._queue.name, "error": str(error)})
            self._consumer.compare_soon()

    def _swap(self, fetch: bool) -> None:
        with self._exchange:
            wanted = fetch and self._hand.runs > 0 and not self._hand.queued
            self._exchange.run(self._link, self._ahead if wanted else 0, alone=False)

    def _free(self, plan: tuple[Step, ...]) -> None:
        """Repeated until it is answered: giving back and committing twice changes nothing."""
        aside: Aside | None = None
        while not self._stopping.is_set():
            try:
                if aside is None:
                    aside = self._set_aside(plan)
                if aside:
                    self._hand_in(aside)
                    self._hand.put_away(aside)
                return
            except ServerError as error:
                log.info("cannot give back yet", extra={"queue": self._queue.name, "error": str(error)})
                self._consumer.compare_soon()
                self._stopping.wait(RETRY_S)

    def _set_aside(self, plan: tuple[Step, ...]) -> Aside:
        """Everything that waits, with what is on its way, and what an answer that got lost has brought. Nothing, where
        the job of the plan has ended by the time that the right to take is had: then nothing waits behind it."""
        with self._exchange:
            if self._plan is not plan:
                return Aside()
            if self._consumer.is_compare_due():
                self._consumer.compare()
            return self._hand.set_aside()

    def _hand_in(self, aside: Aside) -> None:
        self._exchange.reopen(self._link)
        if aside.finished:
            commit(self._link, self._queue, self._consumer.label, aside.finished)
        for start in range(0, len(aside.queued), RETURNS):
            self._link.run(give_back(self._queue, self._consumer.label, aside.queued[start : start + RETURNS]))
