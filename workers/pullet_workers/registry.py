"""Every call to Redis that the controller makes: who is registered, whose jobs are to be issued again, ticks."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Collection

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.life import beat
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer, tend

log = logging.getLogger("pullet.pool")


class Registry:
    """The consumers of a queue. A server that is away is no error here: the beats do later what is left undone."""

    def __init__(self, queue: Queue, address: Address) -> None:
        self._queue = queue
        self._link = Link(address, f"pullet:{queue.name}:controller")
        self._name = f"controller.{os.urandom(3).hex()}"
        self._free = threading.Lock()

    def bury(self, worker: str, *, blame: bool) -> int:
        """Issue the jobs of a dead worker again, and forget its consumers; says how many jobs there were."""
        jobs = 0
        with self._free:
            try:
                for consumer, name in self._consumers().items():
                    if name == worker:
                        jobs += bury_consumer(self._link, self._queue, consumer, blame=blame)
            except ServerError as error:
                log.warning("its jobs come back with the lease", extra={"worker": worker, "error": str(error)})
        return jobs

    def tick(self, alive: Collection[str]) -> None:
        """Vouch for the workers that live, and make a tick when nobody else does."""
        with self._free:
            try:
                vouched = [consumer for consumer, name in self._consumers().items() if name in alive]
                beaten = self._link.run(beat(self._queue, self._name, None, vouched=vouched))
                tend(self._link, self._queue, self._name, beaten)
            except ServerError as error:
                log.info("the controller waits for the server", extra={"error": str(error)})

    def close(self) -> None:
        self._link.close()

    def _consumers(self) -> dict[str, str]:
        """Consumer -> the name of its worker, "" where the record cannot be read: anybody may have written it."""
        flat = self._link.execute("HGETALL", self._queue.keys.fixed("workers"))
        return {
            consumer.decode(errors="replace"): _name(record)
            for consumer, record in zip(flat[::2], flat[1::2], strict=True)
        }


def _name(record: bytes) -> str:
    try:
        found = json.loads(record)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("name", "")) if isinstance(found, dict) else ""
