"""The loop of a worker whose engine runs one job at a time, in the loop's own thread: commit what is finished, take
what comes next, run it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

from pullet.batching import Batch
from pullet_broker.errors import ServerError
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, SUSPECT, Standing
from pullet_broker.settings import Queue
from pullet_workers.batching import run_batch
from pullet_workers.commit import finish
from pullet_workers.consumer import Consumer
from pullet_workers.courier import NOTHING, Courier
from pullet_workers.engine import Engine
from pullet_workers.errands import WORTH_S, plan
from pullet_workers.exchange import Exchange
from pullet_workers.hand import Hand
from pullet_workers.health import Health, judge, raised
from pullet_workers.prefetch import LEAST_AHEAD, Pace
from pullet_workers.report import Report


class Loop:
    """Everything that the thread of an engine does between jobs. Only that thread calls its methods."""

    def __init__(
        self,
        queue: Queue,
        engine: Engine,
        consumer: Consumer,
        exchange: Exchange,
        hand: Hand,
        report: Report,
        stopping: threading.Event,
    ) -> None:
        self._engine, self._consumer, self._exchange, self._hand = engine, consumer, exchange, hand
        self._prefetch, self._report, self._stopping = queue.prefetch, report, stopping
        self._batches = engine.traits.batches
        self._health = Health(engine.has_hook("health"), time.monotonic())
        self._pace, self._batch_pace = Pace(queue.prefetch), Pace(queue.prefetch)
        self._batch = 1  # jobs of one call, as far as the last one tells
        self._all_taken = False  # the last take got less than it asked for: nothing else waits
        self._courier = Courier(queue, hand, exchange, consumer)

    @property
    def engine(self) -> Engine:
        return self._engine

    def start(self) -> None:
        self._courier.start()

    def turn(self) -> None:
        """Ask how the engine is and compare, each when it is time; refill an empty hand, run what is in it."""
        if self._health.is_due(time.monotonic()):
            self._ask()
        with self._exchange:
            if self._consumer.is_compare_due():
                self._consumer.compare()
            if not self._hand.queued:
                self._refill()
            if len(self._hand.queued) >= LEAST_AHEAD:
                self._go_ahead()
        self._work()

    def leave(self) -> None:
        """Repeat it when the server was away."""
        self._courier.stop()
        with self._exchange:
            self._consumer.leave()

    def wake(self) -> None:
        """From another thread: it is to stop."""

    def abandon(self) -> None:
        """From another thread: what runs was given back. A method cannot be interrupted: it ends when it ends."""

    def give_up(self, link: Link) -> bool:
        """From another thread: a call never ends, so leave in its stead."""
        self._courier.stop()
        with self._exchange:
            self._consumer.leave(link)
        return True

    def close_engine(self) -> None:
        self._engine.run_hook("close")

    def close(self) -> None:
        self._courier.stop()

    def _ask(self) -> None:
        try:
            answer = self._engine.run_hook("health")
        except BaseException as error:  # whatever it is, the engine is not well
            raise raised(error) from error
        judge(answer)

    def _refill(self) -> None:
        """Commit what is finished and take; with nothing to take, wait for it."""
        want = min(OUTCOMES, max(self._pace.want_ahead() or self._pace.want(), self._batch))
        cycled = self._exchange.run(self._consumer.link, want, alone=self._hand.is_empty)
        self._all_taken = len(cycled.entries) < want
        if self._consumer.heed(cycled.standing) and not (cycled.entries or cycled.dropped):
            self._report.state = "idle"
            self._all_taken = not self._consumer.wait(self._health.left_ms(time.monotonic()), calm=cycled.calm)

    def _go_ahead(self) -> None:
        """With many tiny jobs in hand, let the server commit and hand out while they run."""
        want = self._pace.want_ahead()
        if want and not self._batches and not self._stopping.is_set():
            self._exchange.run_ahead(self._consumer.link, min(OUTCOMES, want))

    def _work(self) -> None:
        """Run what is in hand. Outcomes of tiny jobs go out together, those of longer ones with the courier.

        A tiny job with nothing behind it needs no plan.
        """
        planned, stopping, hand, batches = False, self._stopping.is_set, self._hand, self._batches
        consumer, health = self._consumer, self._health
        while not stopping():
            now = time.monotonic()
            if now >= consumer.compare_at or now >= health.next_at or (entry := hand.start(now)) is None:
                break
            if batches and (batch := batches.get(entry.method)) is not None:
                self._run_batch(entry, batch)
                planned = False
                continue
            expected_s = self._pace.expected_s
            if (expected_s or 0) >= WORTH_S or (not planned and hand.queued):
                self._plan_errands(entry, expected_s)
                planned = True
            self._run_job(entry)
        if planned:
            self._courier.follow(NOTHING)

    def _plan_errands(self, entry: Entry, expected_s: float | None, ahead: int = 1) -> None:
        steps = plan(
            time.monotonic(),
            expected_s,
            self._prefetch,
            waits=bool(self._hand.queued or self._exchange.ahead),
            finished=bool(self._hand.finished),
            alone=entry.lane == SUSPECT,
        )
        self._courier.follow(steps, ahead)

    def _run_job(self, entry: Entry) -> None:
        self._batch, self._report.state = 1, "busy"
        if entry.large:
            self._fetch_arguments([entry])
        done = self._engine.run(entry)
        witness = self._report.witness
        event = None if witness.offset_us is None else witness.note(done)
        self._hand.finish(entry, finish(entry, done, event))
        self._pace.ran(done.run_s)
        self._report.finished(done)

    def _run_batch(self, first: Entry, batch: Batch) -> None:
        """Run a job together with others of its kind. A suspect runs alone, and so does one that must not be repeated:
        a batch that fails is tried again."""
        self._courier.follow(NOTHING)
        self._batch = min(OUTCOMES, batch.max_batch_size)
        entries = [first] if first.lane == SUSPECT or first.once else self._gather(first, batch)
        self._report.state = "busy"
        self._fetch_arguments(entries)
        self._plan_errands(first, self._batch_pace.expected_s, self._batch)
        started = time.perf_counter()
        done = run_batch(self._engine, entries)
        run_s = time.perf_counter() - started
        self._batch_pace.ran(run_s)
        self._pace.ran(run_s, len(entries))
        self._all_taken = False
        for entry, one in zip(entries, done, strict=True):
            self._hand.finish(entry, finish(entry, one, self._report.witness.note(one, len(done))))
            self._report.finished(one)
        self._courier.follow(NOTHING)

    def _gather(self, first: Entry, batch: Batch) -> list[Entry]:
        """What waits, up to a batch; with less than that, what comes in time. Others in hand must not wait for it."""
        entries, deadline = [first], time.monotonic() + batch.batch_wait_timeout_s
        try:
            while not self._stopping.is_set():
                entries += self._same(first.method, batch.max_batch_size - len(entries))
                missing = batch.max_batch_size - len(entries)
                if not missing or self._hand.queued or not self._come(missing, deadline):
                    break
        except BaseException:
            for entry in reversed(entries):
                self._hand.put_back(entry)
            raise
        return entries

    def _same(self, method: str, most: int) -> list[Entry]:
        """Start up to `most` more jobs of one method."""
        same = [entry for entry in self._hand.waiting() if entry.method == method and not entry.once]
        return self._hand.start_these(same[:most], time.monotonic()) if same else []

    def _come(self, missing: int, deadline: float) -> bool:
        """Take what waits, else wait for more until the deadline. False when that was all."""
        with self._exchange:
            if self._hand.queued:
                return True
            if not self._all_taken:
                want = min(OUTCOMES, missing)
                cycled = self._exchange.run(self._consumer.link, want, alone=False)
                self._all_taken = len(cycled.entries) < want
                if cycled.entries or cycled.standing is not Standing.OK:
                    return cycled.standing is Standing.OK
            left_ms = math.ceil(1000 * (deadline - time.monotonic()))
            if left_ms <= 0:
                return False
            self._all_taken = not self._consumer.wait(left_ms)
            return True

    def _fetch_arguments(self, entries: Sequence[Entry]) -> None:
        try:
            with self._exchange:
                self._consumer.fetch_arguments(entries)
        except ServerError:
            self._courier.follow(NOTHING)
            for entry in reversed(entries):
                self._hand.put_back(entry)
            raise
