"""The thread that commits what finishes while the thread that takes is blocked in a read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.consumer import Consumer
from pullet_workers.exchange import Exchange
from pullet_workers.hand import Hand

log = logging.getLogger("pullet.worker")

SETTLE_S = 0.005
"""How long a hand must stay empty until the read is made again with the suspects' lane: jobs may come in quick
succession."""
RETRY_S = 0.2


class Committer:
    """Works on a connection of its own, and only inside `standing_in`: at any other time the taking thread commits."""

    def __init__(self, queue: Queue, consumer: Consumer, exchange: Exchange, hand: Hand) -> None:
        self._queue, self._consumer, self._exchange, self._hand = queue, consumer, exchange, hand
        self._link = Link.to(queue, consumer.link.address, "commit")
        self._changed = threading.Condition()
        self._on = self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pullet-committer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(5)
        self._link.close()

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """While the taking thread waits for the server."""
        with self._changed:
            self._on = True
            if self._hand.finished:
                self._changed.notify()
        try:
            yield
        finally:
            self._on = False

    def wake(self) -> None:
        """Something has finished."""
        if self._on:
            with self._changed:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._has_work())
                if self._stopping:
                    return
            try:
                if self._hand.finished:
                    with self._exchange:
                        self._exchange.run(self._link, 0, alone=False)
                if self._must_free():
                    self._free()
            except ServerError as error:
                log.info("cannot commit yet", extra={"queue": self._queue.name, "error": str(error)})
                self._consumer.compare_soon()
                self._pause(RETRY_S)

    def _has_work(self) -> bool:
        return self._on and (bool(self._hand.finished) or self._must_free())

    def _must_free(self) -> bool:
        """The read was begun with jobs in hand, so without the suspects' lane; now a suspect may be taken."""
        consumer = self._consumer
        return consumer.waits and not consumer.waits_empty_handed and self._hand.is_empty

    def _free(self) -> None:
        self._pause(SETTLE_S)
        if self._must_free():
            self._link.execute("CLIENT", "UNBLOCK", self._consumer.connection_id)
            self._pause(SETTLE_S)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or not self._on or self._hand.finished, seconds)
