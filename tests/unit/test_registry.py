"""What the controller's side of Redis has ready. No server."""

from __future__ import annotations

import pytest

from pullet_broker import scripting
from pullet_broker.address import Address
from pullet_broker.moves.life import forget, reap
from pullet_broker.settings import Queue
from pullet_workers.registry import Registry


def test_what_a_death_asks_for_is_put_together_before_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(name="q")
    scripting.load.cache_clear()
    registry = Registry(queue, Address("redis://127.0.0.1:1/0"))

    def late(name: str) -> str:
        raise AssertionError(f"{name} is put together while a job waits")

    monkeypatch.setattr(scripting, "assemble", late)
    reap(queue, "dead", blame=True)
    forget(queue, "dead")
    registry.close()
