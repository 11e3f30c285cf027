"""What the tests of workers share: a queue with short times, so that nothing has to be waited for long."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from pullet_workers.spec import PoolSpec, Scale
from tests.support.scribe import Scribe


@pytest.fixture
def quick(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The test's queue with ten beats and ticks a second, and workers that hear of a pause as fast."""
    monkeypatch.setattr("pullet_workers.consumer.BLOCK_MS", 100)
    return dataclasses.replace(queue, lease=Lease(beat_s=0.1, tick_ms=90, ticks=50))


@pytest.fixture(autouse=True)
def _drains_are_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every test ends with the drain of an idle worker, which waits this long before it is woken."""
    monkeypatch.setattr("pullet_workers.runner.NUDGE_S", 0.02)


@pytest.fixture
def spec(queue: Queue, address: Address) -> PoolSpec:
    """A pool of two workers, whose engine nobody builds."""
    return PoolSpec(queue=queue, address=address, engine=b"", scale=Scale.of(2))


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller looks around a hundred times a second."""
    monkeypatch.setattr("pullet_workers.controller.RECONCILE_S", 0.01)


@pytest.fixture
def hasty(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside that, it waits no longer than a moment for what may never come."""
    for module in ("member", "fleet", "controller"):
        monkeypatch.setattr(f"pullet_workers.{module}.PATIENCE_S", 0.2)
    monkeypatch.setattr("pullet_workers.fleet.ANSWER_S", 0.2)


@pytest.fixture(autouse=True)
def _no_task_fails_unseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What asyncio has to say of tasks that nobody asked how they ended, or that never did."""
    gc.freeze()  # all that was there before: it would be searched for seconds in sum
    yield
    gc.collect()
    gc.unfreeze()
    said = [*caplog.get_records("call"), *caplog.records]
    assert [record.getMessage() for record in said if (record.name, record.levelname) == ("asyncio", "ERROR")] == []


@pytest.fixture
def fresh() -> Iterator[Address]:
    """A server of the test's own, for what would hurt others."""
    with EmbeddedServer.start() as server:
        yield Address(server.url)
