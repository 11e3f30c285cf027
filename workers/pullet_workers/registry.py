"""Every call to Redis that the controller makes: a look at the queue, whose jobs are to be issued again, ticks."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing
from pullet_broker.moves.life import beat
from pullet_broker.moves.survey import Survey, survey, wait_for_entries
from pullet_broker.schema import schema_mismatch
from pullet_broker.scripting import load
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer, tend

log = logging.getLogger("pullet.pool")

AT_A_DEATH = ("reap", "forget")
"""Scripts that are put together when a pool starts: the first death shall not wait for that."""


class Registry:
    """The consumers of a queue. A server that is away is no error here: the beats do later what is left undone."""

    def __init__(self, queue: Queue, address: Address) -> None:
        self._queue = queue
        self._link = Link.to(queue, address, "controller")
        self._waiting = Link.to(queue, address, "controller")
        self._name = f"controller.{os.urandom(3).hex()}"
        self.foreign = ""
        """Why the queue is not ours to touch, as the last look found; empty when it is."""
        self._free = threading.Lock()
        self._over = False
        for script in AT_A_DEATH:
            load(script)

    def bury(self, worker: str, *, blame: bool) -> int:
        """Issue the jobs of a dead worker again, and forget its consumers; says how many jobs there were."""
        jobs = 0
        with self._free:
            try:
                for consumer, record in self._link.run(survey(self._queue)).records.items():
                    if record.get("name") == worker:
                        jobs += bury_consumer(self._link, self._queue, consumer, blame=blame)
            except ServerError as error:
                log.warning("its jobs come back with the lease", extra={"worker": worker, "error": str(error)})
        return jobs

    def look(self, alive: Callable[[Survey], Collection[str]]) -> Survey | None:
        """Look at the queue, vouch for the workers that `alive` names, and make a tick when nobody else does.

        None when the server is away.
        """
        with self._free:
            try:
                found = self._link.run(survey(self._queue))
                living = alive(found)
                vouched = [one for one, record in found.records.items() if str(record.get("name")) in living]
                beaten = self._link.run(beat(self._queue, self._name, None, vouched=vouched))
                self._heed(beaten.standing)
                tend(self._link, self._queue, self._name, beaten)
            except ServerError as error:
                log.info("the controller waits for the server", extra={"error": str(error)})
                return None
        return found

    def _heed(self, standing: Standing) -> None:
        foreign, self.foreign = self.foreign, ""
        if standing is Standing.SCHEMA:
            self.foreign = str(schema_mismatch(self._queue))
            if not foreign:
                log.error("the queue has become unusable", extra={"queue": self._queue.name, "error": self.foreign})

    def wait_for_job(self, since: Survey, timeout_s: float) -> bool | None:
        """True as soon as a job is issued after `since`; False after the time-out; None when nobody can wait so."""
        try:
            return bool(self._waiting.execute(*wait_for_entries(self._queue, since.tops, int(timeout_s * 1000))))
        except ServerError as error:
            log.info("the controller waits for the server", extra={"error": str(error)})
            return None

    def recall(self) -> dict[str, str]:
        """What an earlier incarnation of the controller has noted."""
        with self._free:
            flat = self._link.execute("HGETALL", self._queue.keys.fixed("pool"))
        texts = [part.decode(errors="replace") for part in flat]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def note(self, fields: dict[str, str | int]) -> bool:
        """Write down what the next incarnation must know, and what others may want to see; False when it cannot."""
        flat = [part for pair in fields.items() for part in pair]
        with self._free:
            if self._over:
                return False
            try:
                self._link.execute("HSET", self._queue.keys.fixed("pool"), *flat)
            except ServerError as error:
                log.info("the controller waits for the server", extra={"error": str(error)})
                return False
        return True

    def forget_notes(self) -> None:
        """The pool has ended."""
        with self._free:
            self._over = True
            try:
                self._link.execute("UNLINK", self._queue.keys.fixed("pool"))
            except ServerError as error:
                log.warning("the notes of the pool stay", extra={"queue": self._queue.name, "error": str(error)})

    def interrupt(self) -> None:
        """From another thread: end `wait_for_job`."""
        self._waiting.interrupt()

    def close(self) -> None:
        self._link.close()
        self._waiting.close()
