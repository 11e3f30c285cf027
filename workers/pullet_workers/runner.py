"""One worker without Ray: an engine, its loop in a thread of its own, a heart and a courier."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.moves.cycle import give_back
from pullet_broker.settings import Queue
from pullet_workers.engine import Engine, Factory
from pullet_workers.heart import Heart
from pullet_workers.loop import Loop
from pullet_workers.report import Record, Report

log = logging.getLogger("pullet.worker")

NUDGE_S = 0.2
"""How often a draining worker is woken: it may have been just about to wait for work."""


class Runner:
    """Starts, drains and ends a worker.

    `on_ready` is called once the engine is built and registered, `on_end` with the error that ended the loop, or None.
    `about` is added to the worker's record in Redis. Jobs with the same key run at the same `place`: the node in
    `about` unless given, and without a node the worker's name.
    """

    def __init__(
        self,
        queue: Queue,
        address: Address,
        factory: Factory | str,
        *,
        name: str = "worker",
        about: dict[str, Any] | None = None,
        place: str | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_end: Callable[[BaseException | None], None] = lambda error: None,
    ) -> None:
        self.report = Report()
        queue = queue.at(place or (about or {}).get("node") or name)
        self._queue, self._address, self._factory, self._name = queue, address, factory, name
        self._on_ready, self._on_end = on_ready, on_end
        record = Record(name, about or {})
        self._loop = Loop(queue, address, name, record, self.report, self._pass_time)
        self._heart = Heart(
            queue, address, lambda: self.consumer, lambda: record.text(self.report), lambda: self._thread.is_alive()
        )
        self._backoff = Backoff(most_s=queue.lease.seconds / 3)
        self._stopping, self._ended, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="pullet-runner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def consumer(self) -> str | None:
        """The name under which it takes now; new with each incarnation."""
        return self._loop.consumer

    @property
    def holds(self) -> int:
        """Jobs in hand, running or waiting."""
        return self._loop.hand.queued + (self._loop.hand.running is not None)

    def drain(self, timeout_s: float) -> bool:
        """Stop taking, finish the running job, give back the rest, leave. True when all that was done in time.

        Otherwise the running job is given back as well: another worker runs it, and this one's outcome will not count.
        """
        self._loop.stopping = True
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        while not self._ended.wait(min(NUDGE_S, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                self._abandon()
                return False
            self._wake()
        return True

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            engine = Engine(self._factory, self._name, self._queue.limits)
            self._begin()
            self._on_ready()
            while not self._stopping.is_set():
                self._try(lambda: self._loop.turn(engine))
            self._end()
            engine.close()
            self.report.state = "left"
        except BaseException as problem:  # an engine may raise anything; whoever waits for this worker hears of it
            error, self.report.state = problem, "failed"
        finally:
            self._heart.stop()
            self._loop.close()
            self._ended.set()
            self._on_end(error)

    def _begin(self) -> None:
        self._loop.courier.start()
        while self.consumer is None and not self._stopping.is_set():
            self._try(self._loop.register)
        self._heart.start()

    def _end(self) -> None:
        self.report.state = "draining"
        while self.consumer is not None and not self._try(self._loop.leave) and not self._given_up.is_set():
            continue

    def _try(self, step: Callable[[], None]) -> bool:
        """Run a step; when the server is away, wait, and compare before anything else."""
        try:
            step()
        except ServerUnavailable as error:
            log.info("waiting for the server", extra={"queue": self._queue.name, "error": str(error)})
            self._loop.compare_soon()
            (self._given_up if self._stopping.is_set() else self._stopping).wait(self._backoff.next_s())
            return False
        self._backoff.reset()
        return True

    # -- other threads

    def _pass_time(self) -> None:
        self._heart.wait_for_beat(self._queue.lease.beat_s * 2)

    def _wake(self) -> None:
        """End the blocking read of an idle worker; where that is not allowed it ends by itself."""
        if self._loop.connection_id and self.report.state == "idle":
            link = Link(self._address, "pullet:wake")
            try:
                link.execute("CLIENT", "UNBLOCK", self._loop.connection_id)
            except ServerError as error:
                log.debug("cannot wake the blocking read", extra={"error": str(error)})
            finally:
                link.close()

    def _abandon(self) -> None:
        self._given_up.set()
        running, link = self._loop.hand.running, Link(self._address, "pullet:abandon")
        try:
            if running is not None:
                link.run(give_back(self._queue, self.consumer or "-", [running]))
        except ServerError as error:
            log.warning("a job is not given back, it returns with the lease", extra={"error": str(error)})
        finally:
            link.close()
