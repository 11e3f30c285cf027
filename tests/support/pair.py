"""Two workers in mid-work: what a test needs that takes their server away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running


@dataclass
class Pair:
    """One of them holds the first job of a client, `"held"`."""

    client: Client[Kit]
    kits: tuple[Kit, Kit]
    held: Future[Any]

    def end(self) -> Counter[Any]:
        """Let go of that job. What has run, and how often, once it is done."""
        for kit in self.kits:
            kit.go.set()
        assert self.held.result(30) == "held"
        return Counter(call for kit in self.kits for call in kit.calls)


@contextmanager
def pair(queue: Queue, address: Address) -> Iterator[Pair]:
    kits = Kit(), Kit()
    with running(queue, address, kits[0]), running(queue, address, kits[1]), calling(queue, address) as client:
        held = client.submit(Kit.hold, "held")
        assert wait_until(lambda: any(kit.started.is_set() for kit in kits))
        yield Pair(client, kits, held)
