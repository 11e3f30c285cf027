"""The loop of a worker whose engine runs several jobs at once: a crew runs them, this thread takes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, SUSPECT, Cycled, Standing
from pullet_broker.settings import Queue
from pullet_workers.commit import finish
from pullet_workers.committer import Committer
from pullet_workers.consumer import Consumer
from pullet_workers.crew import Crew
from pullet_workers.engine import Done, Engine
from pullet_workers.errands import FREE_AFTER
from pullet_workers.exchange import Exchange
from pullet_workers.gather import Gather, Room
from pullet_workers.hand import Hand
from pullet_workers.health import Health, Unhealthy, judge, raised
from pullet_workers.prefetch import Pace
from pullet_workers.report import Report


class ConcurrentLoop:
    """Takes as many jobs as find room, and commits what has finished in the same round trip. With room and no job it
    waits in a blocking read; without room for the first job to end."""

    def __init__(
        self,
        queue: Queue,
        crew: Crew,
        consumer: Consumer,
        exchange: Exchange,
        hand: Hand,
        report: Report,
        stopping: threading.Event,
    ) -> None:
        self._crew, self._consumer, self._exchange, self._hand = crew, consumer, exchange, hand
        self._prefetch, self._report, self._stopping = queue.prefetch, report, stopping
        self._committer = Committer(queue, consumer, exchange, hand)
        self._gather = Gather(crew.runs_on_loop, crew.engine.traits.batches)
        self._pace = Pace(queue.prefetch)  # of plain methods, where there are both kinds
        self._changed = threading.Condition()
        self._room = Room(crew.places, crew.tasks)
        self._given_up = self._has_stuck = False
        self._unwell: Unhealthy | None = None
        self._asking = False
        self._health = Health(crew.engine.has_hook("health"), time.monotonic())
        self._stuck_since: float | None = None
        self._batch = 1  # jobs of one call, as far as the last one tells
        self._held_back = False  # plain jobs were given back: nothing is taken while no thread is free
        crew.ended = self._ended

    @property
    def engine(self) -> Engine:
        return self._crew.engine

    def start(self) -> None:
        self._committer.start()

    def turn(self) -> None:
        """Compare when it is time, commit, take, start; then wait for whatever comes first."""
        self._look_after()
        with self._exchange:
            if self._consumer.is_compare_due():
                self._consumer.compare()
            self._start()
            cycled = self._cycle()
        if cycled is not None and not self._heed(cycled.standing):
            return
        yields = cycled is not None and cycled.standing is Standing.YIELD
        self._start(no_more=yields)
        if cycled is None or not (cycled.entries or cycled.dropped):
            self._wait(yields, calm=cycled is None or cycled.calm)

    def leave(self) -> None:
        """Give back what was not started, and see to the end of what was. Repeat it when the server was away."""
        self._committer.stop()
        self._give_back_queued()
        while self._hand.runs and not self._given_up:
            with self._exchange:
                self._exchange.run(self._consumer.link, 0, alone=False)
            self._wait_for_end()
        self._consumer.leave()

    def wake(self) -> None:
        """From another thread: it is to stop."""
        with self._changed:
            self._changed.notify()

    def abandon(self) -> None:
        """From another thread: what runs was given back."""
        self._given_up = True
        self._crew.cancel()
        self.wake()

    def give_up(self, link: Link) -> bool:
        """From another thread: a call never ends. Its thread does not leave; the one that takes does, when what runs
        beside it has ended."""
        self._has_stuck = True
        self.wake()
        return False

    def close_engine(self) -> None:
        self._crew.close()

    def close(self) -> None:
        self._committer.stop()
        if self._has_stuck:
            self._crew.forsake()

    def _look_after(self) -> None:
        """Ask how the engine is when it is time; end when it was not well."""
        if self._unwell is not None:
            raise self._unwell
        if not self._asking and self._health.is_due(time.monotonic()):
            self._asking = True
            self._crew.ask(self._answered)

    # -- taking

    def _want(self) -> int:
        """Jobs to take now: one for each call that finds room, a batch for each after a batch."""
        self._held_back &= self._crew.places > 0 and self._room.places == 0
        if self._stopping.is_set() or self._held_back or self._gather.stuck or self._runs_a_suspect():
            return 0
        room, pace = self._room, self._pace
        most = pace.want() if self._crew.tasks and self._crew.places and pace.expected_s is not None else OUTCOMES
        return min(most, OUTCOMES, self._batch * (room.tasks if self._crew.tasks else room.places))

    def _runs_a_suspect(self) -> bool:
        return self._hand.runs == 1 and any(entry.lane == SUSPECT for entry in self._hand.running)

    def _cycle(self) -> Cycled | None:
        """Needs the right to take."""
        want = self._want()
        if not (want or self._hand.finished):
            return None
        return self._exchange.run(self._consumer.link, want, alone=self._hand.is_empty)

    def _heed(self, standing: Standing) -> bool:
        if standing is not Standing.PAUSED:
            return self._consumer.heed(standing)
        with self._committer.standing_in():
            return self._consumer.heed(standing)

    def _start(self, no_more: bool = False) -> None:
        """Start what is in hand and finds room."""
        waiting = [] if self._stopping.is_set() else self._hand.waiting()
        self._consumer.fetch_arguments(waiting)
        with self._changed:
            calls = self._gather.calls(waiting, self._room, time.monotonic(), no_more=no_more)
            if self._hand.start_these((entry for call in calls for entry in call), time.monotonic()):
                self._report.state = "busy"
        if calls:
            batch = self._crew.engine.traits.batches.get(calls[-1][0].method)
            self._batch = batch.max_batch_size if batch else 1
            self._crew.start(calls)
        if not self._gather.stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = time.monotonic()

    # -- waiting

    def _wait(self, yields: bool, calm: bool) -> None:
        if self._stuck_since is not None:
            self._wait_for_room(self._stuck_since + FREE_AFTER * self._prefetch.budget_s)
        elif self._want() and not yields:
            self._wait_for_work(calm)
        else:
            self._pause(min(self._consumer.compare_at, self._gather.deadline or self._consumer.compare_at))

    def _wait_for_work(self, calm: bool) -> None:
        if not self._hand.runs:
            self._report.state = "idle"
        now, due = time.monotonic(), self._gather.deadline
        block_ms = self._health.left_ms(now) if due is None else max(1, math.ceil(1000 * (due - now)))
        with self._committer.standing_in():
            found = self._consumer.wait(block_ms, most=self._want(), calm=calm)
            was_freed = self._hand.is_empty and not self._consumer.waits_empty_handed
            if not found and was_freed and not self._stopping.is_set():
                self._report.state = "idle"
                self._consumer.wait(self._health.left_ms(time.monotonic()), most=self._want(), calm=calm)

    def _wait_for_room(self, until: float) -> None:
        """A plain job waits behind another; after a while it is given back, so that an idle worker has it."""
        self._pause(until)
        if time.monotonic() >= until and not self._hand.finished:
            self._held_back = True
            self._give_back_queued()

    def _pause(self, deadline: float) -> None:
        """Wait for the first job to end."""
        with self._changed:
            self._changed.wait_for(self._is_something_new, max(0.0, deadline - time.monotonic()))

    def _is_something_new(self) -> bool:
        """A job has ended, also one without an outcome, or this loop is to."""
        hand = self._hand
        return bool(hand.finished) or not hand.runs or self._stopping.is_set() or self._unwell is not None

    def _wait_for_end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._hand.finished or self._given_up or not self._hand.runs)

    def _give_back_queued(self) -> None:
        aside = self._hand.set_aside()
        try:
            self._consumer.give_back(aside.queued)
        except BaseException:
            self._hand.take_back(aside)
            raise
        aside.queued.clear()
        self._hand.take_back(aside)

    # -- any thread

    def _ended(self, ended: Sequence[tuple[Entry, Done]], on_loop: bool) -> None:
        note, many = self._report.witness.note, len(ended)
        finished = [finish(entry, done, note(done, many)) for entry, done in ended]
        with self._changed:
            for one, (entry, done) in zip(finished, ended, strict=True):
                self._hand.finish(entry, one)
                self._report.finished(done)
            self._free(ended, on_loop)
            self._changed.notify()
        self._committer.wake()

    def _answered(self, answer: object, error: BaseException | None) -> None:
        try:
            judge(answer)
            self._unwell = raised(error) if error is not None else None
        except Unhealthy as unwell:
            self._unwell = unwell
        self._asking = False
        self.wake()

    def _free(self, ended: Sequence[tuple[Entry, Done]], on_loop: bool) -> None:
        if on_loop:
            self._room.tasks += 1
            return
        self._room.places += 1
        self._pace.ran(sum(done.run_s for _, done in ended), len(ended))
