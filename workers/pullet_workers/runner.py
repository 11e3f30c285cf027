"""One worker without Ray: an engine, the loop that brings it jobs, in a thread of its own, and a heart."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.moves.cycle import RETURNS, Standing, give_back
from pullet_broker.moves.life import Beaten
from pullet_broker.settings import Queue
from pullet_workers.commit import finish
from pullet_workers.concurrent_loop import ConcurrentLoop
from pullet_workers.consumer import Consumer
from pullet_workers.crew import Crew, check_class
from pullet_workers.ear import Ear
from pullet_workers.emitter import Emitter
from pullet_workers.engine import Engine, Factory, Pickled, resolve_factory
from pullet_workers.exchange import Exchange
from pullet_workers.hand import Finished, Hand
from pullet_workers.health import Unhealthy
from pullet_workers.heart import Heart
from pullet_workers.job_log import name_jobs_in_records
from pullet_workers.loop import Loop
from pullet_workers.report import Record, Report
from pullet_workers.runs import Order, Overdue, Run, Runs
from pullet_workers.traits import Traits, class_of, traits_of
from pullet_workers.watchdog import Watchdog

log = logging.getLogger("pullet.worker")

NUDGE_S = 0.2
"""How often a draining worker is woken: it may have been just about to wait for work."""


class Work(Protocol):
    """A loop around an engine."""

    @property
    def engine(self) -> Engine: ...
    def start(self) -> None: ...
    def turn(self) -> None: ...
    def leave(self) -> None: ...
    def wake(self) -> None: ...
    def abandon(self) -> None: ...
    def give_up(self, link: Link) -> bool: ...
    def close_engine(self) -> None: ...
    def close(self) -> None: ...


class Runner:
    """Starts, drains and ends a worker.

    `concurrency` is how many jobs run at once: threads for plain methods, tasks for async ones. By default 1 and 1000.

    `on_ready` is called once the engine is built and registered, `on_end` with the error that ended the loop, or None.
    `Overdue` is a worker that has left because a call does not stop: its process is to be replaced. What ran beside
    that call had `drain_s` seconds to end, and was then given back.
    `about` is added to the worker's record in Redis. Jobs with the same key run at the same `place`: the node in
    `about` unless given, and without a node the worker's name.
    """

    def __init__(
        self,
        queue: Queue,
        address: Address,
        factory: Factory | Pickled | str,
        *,
        name: str = "worker",
        concurrency: int | None = None,
        about: dict[str, Any] | None = None,
        place: str | None = None,
        drain_s: float = 30.0,
        on_ready: Callable[[], None] = lambda: None,
        on_end: Callable[[BaseException | None], None] = lambda error: None,
    ) -> None:
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency={concurrency}: expected at least 1 job at a time, or None")
        queue = queue.at(place or (about or {}).get("node") or name)
        self._queue, self._address, self._factory, self._name = queue, address, factory, name
        self._drain_s = drain_s
        self._concurrency, self._on_ready, self._on_end = concurrency, on_ready, on_end
        record, self._hand = Record(name, about or {}), Hand()
        self.report = Report(self._hand)
        self._consumer = Consumer(queue, address, self._hand, record, self.report, self._pass_time)
        self._exchange = Exchange(queue, self._hand, lambda: self._consumer.label)
        self._emitter = Emitter(queue, address, lambda: self._consumer.label)
        self._work: Work | None = None
        self._runs = Runs()
        self._watchdog = Watchdog(
            queue, address, self._hand, self._runs, lambda: self._consumer.label, self._stopped, self._replace
        )
        self._runs.on_timed = self._watchdog.watch
        self._heart = Heart(
            queue,
            address,
            lambda: (self.consumer, record.text(self.report)),
            Ear(queue, address, self._watchdog.heed, self._heed_call),
            lambda: self._thread.is_alive(),
            lambda: not self.holds,
            self._heed_beat,
        )
        self._backoff = Backoff(most_s=min(1.0, queue.lease.seconds / 3))
        self._stopping, self._ended, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._overdue: Overdue | None = None
        self._closed, self._closing = False, threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pullet-runner", daemon=True)

    def start(self) -> None:
        name_jobs_in_records()
        self._thread.start()

    @property
    def consumer(self) -> str | None:
        """The name under which it takes now; new with each incarnation."""
        return self._consumer.name

    @property
    def holds(self) -> int:
        """Jobs in hand, running or waiting."""
        return len(self._hand.queued) + self._hand.runs

    def drain(self, timeout_s: float) -> bool:
        """Stop taking, finish the running job, give back the rest, leave. True when all that was done in time.

        Otherwise the running job is given back as well: another worker runs it, and this one's outcome will not count.
        """
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        if self._work is not None:
            self._work.wake()
        while not self._ended.wait(min(NUDGE_S, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                self._abandon()
                return False
            self._wake()
        return True

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            begun = time.monotonic()
            self._work = work = self._build()
            self.report.start_s = round(time.monotonic() - begun, 3)
            work.start()
            self._begin()
            self._on_ready()
            error = self._turn_until_told(work)
            self._end(work)
            if self._overdue is None:
                work.close_engine()
            self.report.state = "failed" if error else "left"
        except BaseException as problem:  # an engine may raise anything; whoever waits for this worker hears of it
            error, self.report.state = problem, "failed"
        finally:
            self._close(self._overdue or error)

    def _close(self, error: BaseException | None) -> None:
        """Once: a call that never ended may end after all, in the thread that was given up with it."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._heart.stop()
        self._watchdog.close()
        if self._work is not None:
            self._work.close()
        self._emitter.close()
        self._consumer.link.close()
        self._ended.set()
        self._on_end(error)

    def _turn_until_told(self, work: Work) -> Unhealthy | None:
        """Work until it is to stop, or the engine says that it cannot go on."""
        try:
            while not self._stopping.is_set():
                self._try(work.turn)
        except Unhealthy as unwell:
            log.warning("the engine is not well", extra={"queue": self._queue.name, "error": str(unwell)})
            self._stopping.set()
            return unwell
        return None

    def _build(self) -> Work:
        """The engine, and the loop that suits its methods."""
        factory = resolve_factory(self._factory)
        known = class_of(factory)
        traits = traits_of(known) if known else Traits()

        def build() -> Engine:
            emitter = self._emitter
            return Engine(factory(), self._name, self._queue, emitter.open, emitter.reports, self._runs)

        parts = (self._consumer, self._exchange, self._hand, self.report, self._stopping)
        if not traits.is_simple(self._concurrency):
            return ConcurrentLoop(self._queue, Crew(traits, self._concurrency, build), *parts)
        engine = build()
        check_class(engine, traits)
        return Loop(self._queue, engine, *parts)

    def _begin(self) -> None:
        while self.consumer is None and not self._stopping.is_set():
            self._try(self._consumer.register)
        self._heart.start()

    def _end(self, work: Work) -> None:
        self.report.state = "draining"
        done = self._given_up.is_set
        while self.consumer is not None and not self._closed and not self._try(work.leave) and not done():
            continue

    def _try(self, step: Callable[[], None]) -> bool:
        """Run a step; when the server is away, wait, and compare before anything else."""
        try:
            step()
        except ServerUnavailable as error:
            log.info("waiting for the server", extra={"queue": self._queue.name, "error": str(error)})
            self._consumer.compare_soon()
            (self._given_up if self._stopping.is_set() else self._stopping).wait(self._backoff.next_s())
            return False
        self._backoff.reset()
        return True

    # -- other threads

    def _stopped(self, order: Order, run_s: float, where: str) -> Finished | None:
        """What becomes of a job that the watchdog ends."""
        if self._work is None:
            return None
        done = self._work.engine.stopped(order, run_s, where)
        return finish(order.entry, done, self.report.witness.note(done))

    def _replace(self, run: Run) -> None:
        """The watchdog's: a call does not stop. Its jobs have ended or are given back, and this worker leaves.

        Repeated when the server was away.
        """
        work, link = self._work, self._watchdog.link
        if work is None:
            return
        names = ", ".join(sorted({entry.method for entry in run.entries}))
        self._overdue = Overdue(f"a call of {names} was told to stop and does not: the worker is to be replaced")
        self._stopping.set()
        others = [entry for entry in run.entries if not (self._runs.order(entry).settled or entry.once)]
        for start in range(0, len(others), RETURNS):
            link.run(give_back(self._queue, self._consumer.label, others[start : start + RETURNS]))
        for entry in run.entries:
            self._runs.order(entry).settled = True  # nothing comes of the call any more
            self._hand.finish(entry, None)
        if work.give_up(link):
            self.report.state = "failed"
            return self._close(self._overdue)
        self._wake()
        self._watchdog.later(self._drain_s, self._abandon)

    def _pass_time(self) -> None:
        self._heart.wait_for_beat()

    def _heed_beat(self, beaten: Beaten) -> None:
        """An idle worker must hear of a pause, or that it counts as dead, before a job finds it."""
        self.report.witness.heed(beaten.watched_us)
        self._consumer.rest = self._heart.rest
        stormy = self._consumer.waits_for_suspects and not beaten.calm
        if beaten.paused or stormy or beaten.standing is not Standing.OK:
            self._consumer.end_wait()

    def _heed_call(self) -> None:
        """The queue was paused, or goes on: whatever the worker waits in ends, and it finds out."""
        self._heart.call()
        self._consumer.end_wait()

    def _wake(self) -> None:
        if self._work is not None:
            self._work.wake()
        self._consumer.end_wait()

    def _abandon(self) -> None:
        self._given_up.set()
        link = Link.to(self._queue, self._address, "abandon")
        try:
            running = [entry for entry in self._hand.running if not entry.once]  # such a one ends, or is lost
            for start in range(0, len(running), RETURNS):
                link.run(give_back(self._queue, self.consumer or "-", running[start : start + RETURNS]))
        except ServerError as error:
            log.warning("jobs are not given back, they return with the lease", extra={"error": str(error)})
        finally:
            link.close()
        if self._work is not None:
            self._work.abandon()
