"""The loop of a worker: commit what is finished, take what comes next, run it. For engines with plain methods."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import (
    OUTCOMES,
    RETURNS,
    SUSPECT,
    Cycled,
    Standing,
    give_back,
    read_waited,
    reconcile,
    wait_for_work,
)
from pullet_broker.moves.life import beat, forget
from pullet_broker.settings import Queue

from pullet_workers.commit import commits, finish
from pullet_workers.engine import Engine, Factory, process_name
from pullet_workers.hand import Hand
from pullet_workers.heart import Heart
from pullet_workers.prefetch import Pace
from pullet_workers.watchdog import Watchdog

log = logging.getLogger("pullet.worker")

BLOCK_MS = 2000
"""How long an idle worker waits in one read: what a pause may take to reach it."""
COMPARE_S = 5.0
"""How often a worker compares what is pending for it with what it holds."""
HIGH_EVERY = 4
"""Every fourth take starts with the `high` lane, so that re-issued jobs do not starve urgent ones."""


@dataclass
class Report:
    """What a worker says of itself. Times in seconds."""

    state: str = "starting"
    """starting, idle, busy, paused, draining, left, failed"""
    done: int = 0
    failed: int = 0
    busy_s: float = 0.0
    job: str | None = None
    method: str | None = None
    job_since: float | None = None
    """Monotonic time of the worker's host."""


class Runner:
    """One worker without Ray: an engine, its loop in a thread of its own, a heart and a watchdog.

    `on_ready` is called once the engine is built and registered, `on_end` with the error that ended the loop, or None.
    """

    def __init__(
        self,
        queue: Queue,
        address: Address,
        factory: Factory | str,
        *,
        name: str = "worker",
        about: dict[str, Any] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_end: Callable[[BaseException | None], None] = lambda error: None,
    ) -> None:
        self.report = Report()
        self.consumer: str | None = None
        """The name under which it takes now; new with each incarnation."""
        self._queue, self._factory, self._name = queue, factory, name
        self._about = {"name": name, "pid": os.getpid(), "host": os.uname().nodename, "since": time.time(), **(about or {})}
        self._on_ready, self._on_end = on_ready, on_end
        self._link = Link(address, f"pullet:{queue.name}:take")
        self._hand, self._pace, self._backoff = Hand(), Pace(queue.prefetch), Backoff(most_s=queue.lease.seconds / 3)
        self._heart = Heart(queue, address, lambda: self.consumer, self._record, lambda: self._thread.is_alive())
        self._watchdog = Watchdog(queue, address, self._hand, lambda: self.consumer or "-")
        self._thread = threading.Thread(target=self._run, name="pullet-runner", daemon=True)
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._connection_id = 0
        self._compare_at = 0.0
        self._takes = 0

    def start(self) -> None:
        self._thread.start()

    @property
    def holds(self) -> int:
        """Jobs in hand, running or waiting."""
        return self._hand.queued + (self._hand.running is not None)

    def drain(self, timeout_s: float) -> bool:
        """Stop taking, finish the running job, give back the rest, leave. True when all that was done in time.

        Otherwise the running job is given back as well: another worker runs it, and this one's outcome will not count.
        """
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        while not self._ended.wait(min(0.2, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                self._abandon()
                return False
            self._wake()
        return True

    # -- the thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            engine = Engine(self._factory, self._name, self._queue.limits)
            self._begin()
            self._on_ready()
            while not self._stopping.is_set():
                self._guarded(lambda: self._turn(engine))
            self.report.state = "draining"
            self._leave()
            engine.close()
            self.report.state = "left"
        except BaseException as problem:  # an engine may raise anything; whoever waits for this worker hears of it
            error, self.report.state = problem, "failed"
        finally:
            self._stop_helpers()
            self._ended.set()
            self._on_end(error)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step; when the server is away, wait and compare hands before anything else."""
        try:
            step()
            self._backoff.reset()
        except ServerUnavailable as error:
            log.info("waiting for the server", extra={"queue": self._queue.name, "error": str(error)})
            self._compare_at = 0.0
            self._stopping.wait(self._backoff.next_s())

    def _begin(self) -> None:
        self._watchdog.start()
        while self.consumer is None and not self._stopping.is_set():
            self._guarded(self._register)
        self._heart.start()

    def _register(self) -> None:
        """Start an incarnation: a new name, known to the server before the first read."""
        self._hand.clear()
        consumer = f"{self._name}.{process_name()}.{os.urandom(3).hex()}"
        self._link.run(beat(self._queue, consumer, 0, self._record()))
        self.consumer = consumer
        self.report.state = "idle"

    def _turn(self, engine: Engine) -> None:
        if not self._link.is_open or time.monotonic() >= self._compare_at:
            self._compare()
        if self._exchange() and not self._hand.queued:
            self._wait()
        self._work(engine)

    def _exchange(self) -> bool:
        """Commit and take in one round trip. True when there is nothing left to take."""
        finished = self._hand.commit(OUTCOMES)
        want = 0 if self._hand.queued or self._stopping.is_set() else self._pace.want()
        self._takes += want > 0
        calls = commits(
            self._queue,
            self._consumer,
            finished,
            want,
            alone=self._hand.is_empty,
            high_first=self._takes % HIGH_EVERY == 0,
        )
        cycled: Cycled = self._link.run_all(calls)[-1]
        self._hand.committed()
        if cycled.fenced:
            log.warning("outcomes came too late", extra={"queue": self._queue.name, "jobs": len(cycled.fenced)})
        self._hand.take(cycled.entries)
        return self._heed(cycled.standing) and want > 0 and not (cycled.entries or cycled.dropped)

    def _heed(self, standing: Standing) -> bool:
        """Act on how the queue sees this worker; True when it may take."""
        if standing is Standing.OK:
            return True
        if standing is Standing.PAUSED:
            self.report.state = "paused"
            self._heart.wait_for_beat(self._queue.lease.beat_s * 2)
            return False
        if standing is Standing.SCHEMA:
            raise ServerError(f"queue {self._queue.name!r} was made by an incompatible release of pullet")
        self._register()  # forgotten while it was silent, or the lanes are new: its jobs are other workers' now
        return False

    def _wait(self) -> None:
        self.report.state = "idle"
        try:
            raw = self._link.execute(*wait_for_work(self._queue, self._consumer, BLOCK_MS))
        except ServerUnavailable:
            raise
        except ServerError as error:
            if not str(error.answer).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            return self._register()
        first, *others = read_waited(self._queue, raw) or [None]
        if first is not None:
            self._hand.take([first])
            self._give_back([entry for entry in others if entry is not None])

    def _work(self, engine: Engine) -> None:
        """Run what is in hand, until the budget is spent: then what is finished goes out first."""
        until = time.monotonic() + self._queue.prefetch.budget_s
        while (entry := self._hand.start()) is not None:
            if self._hand.queued:
                self._watchdog.arm(until + self._queue.prefetch.budget_s)
            self._run_job(engine, entry)
            if time.monotonic() >= until:
                break
        self._watchdog.disarm()

    def _run_job(self, engine: Engine, entry: Entry) -> None:
        report = self.report
        report.state, report.job, report.method, report.job_since = "busy", entry.job, entry.method, time.monotonic()
        if entry.large and not entry.problem:
            self._fetch_arguments(entry)
        done = engine.run(entry)
        self._hand.finish(finish(entry, done))
        self._pace.ran(done.run_s)
        report.busy_s += done.run_s
        report.job = report.method = report.job_since = None
        if done.error is None:
            report.done += 1
        else:
            report.failed += 1

    def _fetch_arguments(self, entry: Entry) -> None:
        blob = self._link.execute("GET", self._queue.keys.blob(entry.job))
        if blob is None:
            entry.problem = "its arguments are gone from the server"
        else:
            entry.args = blob

    def _compare(self) -> None:
        """Adopt what is pending for us and not held, drop what is held and not pending. See `reconcile.lua`."""
        self._link.open()
        self._connection_id = int(self._link.execute("CLIENT", "ID"))
        held = self._hand.held()
        found = self._link.run(reconcile(self._queue, self._consumer, held))
        self._hand.drop(held[place] for place in found.lost)
        alone = [entry for entry in found.adopted if entry.lane == SUSPECT]
        self._hand.take([entry for entry in found.adopted if entry.lane != SUSPECT] or alone[:1])
        self._give_back(alone if len(alone) < len(found.adopted) else alone[1:])
        self._compare_at = time.monotonic() + COMPARE_S

    def _give_back(self, entries: Sequence[Entry]) -> None:
        for start in range(0, len(entries), RETURNS):
            self._link.run(give_back(self._queue, self._consumer, entries[start : start + RETURNS]))

    def _leave(self) -> None:
        """Order: give back what was not started, commit what was, then be forgotten."""
        while not self._ended.is_set():
            aside = self._hand.set_aside()
            try:
                self._give_back(aside.queued)
                self._link.run_all(commits(self._queue, self._consumer, [*self._hand.commit(OUTCOMES), *aside.finished], 0))
                self._link.run(forget(self._queue, self._consumer))
                return
            except ServerUnavailable:
                time.sleep(self._backoff.next_s())

    # -- other threads

    @property
    def _consumer(self) -> str:
        return self.consumer or "-"

    def _record(self) -> str:
        report = asdict(self.report)
        del report["job_since"]
        return json.dumps({**self._about, **report, "busy_s": round(self.report.busy_s, 1)}, separators=(",", ":"))

    def _wake(self) -> None:
        if self._connection_id and self.report.state == "idle":
            try:
                self._heart.unblock(self._connection_id)
            except ServerError:
                log.debug("could not wake the blocking read; it ends by itself", extra={"queue": self._queue.name})

    def _abandon(self) -> None:
        running = self._hand.running
        link = Link(self._link.address, "pullet:abandon")
        try:
            if running is not None:
                link.run(give_back(self._queue, self._consumer, [running]))
        except ServerError:
            log.warning("could not give a job back; it returns with the lease", extra={"queue": self._queue.name})
        finally:
            link.close()

    def _stop_helpers(self) -> None:
        self._heart.stop()
        self._watchdog.stop()
        self._link.close()
