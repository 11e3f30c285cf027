"""The loop of a worker: commit what is finished, take what comes next, run it. For engines with plain methods."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence

from pullet_broker.address import Address
from pullet_broker.errors import SchemaMismatch, ServerError, ServerUnavailable
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import (
    OUTCOMES,
    RETURNS,
    SUSPECT,
    Standing,
    claim,
    give_back,
    needs_claim,
    read_waited,
    reconcile,
    wait_for_work,
)
from pullet_broker.moves.life import beat, forget
from pullet_broker.settings import Queue
from pullet_workers.commit import commits, finish
from pullet_workers.courier import NOTHING, Courier
from pullet_workers.engine import Engine
from pullet_workers.errands import WORTH_S, plan
from pullet_workers.exchange import Exchange
from pullet_workers.hand import Hand
from pullet_workers.prefetch import Pace
from pullet_workers.report import Record, Report

log = logging.getLogger("pullet.worker")

BLOCK_MS = 2000
"""How long an idle worker waits in one read: what a pause may take to reach it."""
COMPARE_S = 5.0
"""How often a worker compares what is pending for it with what it holds."""


class Loop:
    """Everything that the thread of an engine does between jobs. Only that thread calls its methods."""

    def __init__(
        self, queue: Queue, address: Address, name: str, record: Record, report: Report, pass_time: Callable[[], None]
    ) -> None:
        self.consumer: str | None = None
        """The name under which it takes now; new with each incarnation."""
        self.connection_id = 0
        """Of the connection that may be blocked in a read."""
        self.hand = Hand()
        self.stopping = False
        self._queue, self._name, self._record, self._report = queue, name, record, report
        self._pass_time = pass_time
        self._link = Link(address, f"pullet:{queue.name}:take")
        self._pace = Pace(queue.prefetch)
        self._exchange = Exchange(queue, self.hand, lambda: self.consumer or "-")
        self.courier = Courier(
            queue, address, self.hand, self._exchange, lambda: self.consumer or "-", on_trouble=self.compare_soon
        )
        self._compare_at = 0.0

    def register(self) -> None:
        """Start an incarnation: a new name, known to the server before the first read."""
        self.hand.clear()
        host = "".join(c if c.isalnum() or c in "-_" else "-" for c in os.uname().nodename.split(".")[0])
        consumer = f"{self._name}.{host}-{os.getpid()}.{os.urandom(3).hex()}"
        self._link.run(beat(self._queue, consumer, 0, self._record.text(self._report)))
        self.consumer = consumer
        self._report.state = "idle"

    def turn(self, engine: Engine) -> None:
        """Compare when it is time, refill an empty hand, run what is in it."""
        with self._exchange.taking:
            if not self._link.is_open or time.monotonic() >= self._compare_at:
                self._compare()
            if not self.hand.queued:
                self._refill()
        self._work(engine)

    def compare_soon(self) -> None:
        """A reply got lost: look what the server thinks we hold before anything else."""
        self._compare_at = 0.0

    def leave(self) -> None:
        """Give back what was not started, commit what was, be forgotten. Repeat it when the server was away."""
        self.courier.stop()
        self.hand.reclaim()
        aside = self.hand.set_aside()
        try:
            self._give_back(aside.queued)
            finished = [*self.hand.commit(OUTCOMES), *aside.finished]
            self._link.run_all(commits(self._queue, self._consumer, finished, 0))
        except ServerError:
            self.hand.take_back(aside)
            raise
        self._give_back(self._link.run(reconcile(self._queue, self._consumer, ())).adopted)
        self._link.run(forget(self._queue, self._consumer))

    def close(self) -> None:
        self.courier.stop()
        self._link.close()

    @property
    def _consumer(self) -> str:
        return self.consumer or "-"

    def _refill(self) -> None:
        """Commit what is finished and take; with nothing to take, wait for it."""
        cycled = self._exchange.run(self._link, self._pace.want(), alone=self.hand.is_empty)
        if self._heed(cycled.standing) and not (cycled.entries or cycled.dropped):
            self._wait()

    def _heed(self, standing: Standing) -> bool:
        """Act on how the queue sees this worker; True when it may take."""
        if standing is Standing.OK:
            return True
        if standing is Standing.SCHEMA:
            raise SchemaMismatch(f"queue {self._queue.name!r} was made by an incompatible release of pullet")
        if standing is Standing.PAUSED:
            self._report.state = "paused"
            self._pass_time()
        elif standing is Standing.NOGROUP:
            self._make_groups()
        else:
            self.register()  # it counted as dead: its jobs are other workers' now
        return False

    def _make_groups(self) -> None:
        """A lane has lost its group: register once more, which makes it again."""
        self._link.run(beat(self._queue, self._consumer, 0, self._record.text(self._report)))

    def _wait(self) -> None:
        self._report.state = "idle"
        try:
            raw = self._link.execute(*wait_for_work(self._queue, self._consumer, BLOCK_MS))
        except ServerUnavailable:
            raise
        except ServerError as error:
            if not str(error.evidence.get("answer")).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            return self.register()
        found = read_waited(self._queue, raw)
        runs = [entry for entry in found[:1] if not needs_claim(entry) or self._claim(entry)]
        self.hand.take(runs)
        self._give_back(found[len(runs) :])

    def _claim(self, entry: Entry) -> bool:
        return self._link.run(claim(self._queue, self._consumer, entry))

    def _work(self, engine: Engine) -> None:
        """Run what is in hand. Outcomes of tiny jobs go out together, those of longer ones with the courier."""
        planned = False
        while not self.stopping and time.monotonic() < self._compare_at and (entry := self.hand.start()) is not None:
            if not planned or (self._pace.expected_s or 0) >= WORTH_S:
                self._plan_errands(entry)
                planned = True
            self._run_job(engine, entry)
        self.courier.follow(NOTHING)

    def _plan_errands(self, entry: Entry) -> None:
        self.courier.follow(
            plan(
                time.monotonic(),
                self._pace.expected_s,
                self._queue.prefetch,
                waits=self.hand.queued > 0,
                finished=self.hand.finished > 0,
                alone=entry.lane == SUSPECT,
            )
        )

    def _run_job(self, engine: Engine, entry: Entry) -> None:
        self._report.started(entry)
        if entry.large and not entry.problem:
            self._fetch_arguments(entry)
        done = engine.run(entry)
        self.hand.finish(finish(entry, done))
        self._pace.ran(done.run_s)
        self._report.finished(done)

    def _fetch_arguments(self, entry: Entry) -> None:
        try:
            blob = self._link.execute("GET", self._queue.keys.blob(entry.job))
        except ServerError:
            self.hand.put_back(entry)
            raise
        if blob is None:
            entry.problem = "its arguments are gone from the server"
        else:
            entry.args = blob

    def _compare(self) -> None:
        """Adopt what is pending for us and not held, drop what is held and not pending. See `reconcile.lua`."""
        self._link.open()
        self.connection_id = int(self._link.execute("CLIENT", "ID"))
        held = self.hand.held()
        found = self._link.run(reconcile(self._queue, self._consumer, held))
        self.hand.drop(held[place] for place in found.lost)
        suspects = [entry for entry in found.adopted if entry.lane == SUSPECT]
        self.hand.take(entry for entry in found.adopted if entry.lane != SUSPECT)
        if suspects and self.hand.is_empty:
            self.hand.take([suspects.pop()])
        self._give_back(suspects)
        self._compare_at = time.monotonic() + COMPARE_S

    def _give_back(self, entries: Sequence[Entry]) -> None:
        for start in range(0, len(entries), RETURNS):
            self._link.run(give_back(self._queue, self._consumer, entries[start : start + RETURNS]))
