"""What the dashboard's thread sees at a turn, and what an open page hears of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_console.ui.live import Broadcast, stream
from pullet_console.ui.monitor import Monitor
from tests.support.scribe import Scribe


@pytest.fixture
def monitor(address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    """It goes through the keys of the server once."""
    monkeypatch.setattr("pullet_console.ui.monitor.NAMES_S", 3600.0)
    monkeypatch.setattr("pullet_console.ui.monitor.TURN_S", 0.05)
    made = Monitor(address)
    yield made
    made.stop()


async def message(page: AsyncIterator[str]) -> dict[str, Any]:
    text = await asyncio.wait_for(page.__anext__(), 10)
    found: dict[str, Any] = json.loads(text.partition("data: ")[2])
    return found


def test_a_page_that_was_open_before_its_queue_was_there_misses_nothing(
    monitor: Monitor, link: Link, queue: Queue
) -> None:
    """What happens first in a queue is told only if it is watched by then."""
    broadcast = Broadcast()
    monitor.on_turn = broadcast.tell

    async def watch() -> None:
        page = stream(monitor, broadcast, queue.name)
        monitor.start()
        assert not ["queue" for _ in range(4) if "queue" in await message(page)]
        Scribe(link, queue).worker("early")
        heard = [await message(page) for _ in range(3)]
        assert [one["name"] for one in heard[-1]["queue"]["workers"]] == ["early"]
        assert link.execute("HEXISTS", queue.keys.fixed("config"), "watched")

    asyncio.run(watch())


def test_a_queue_that_nobody_waits_for_any_more_is_not_looked_for(monitor: Monitor, link: Link, queue: Queue) -> None:
    monitor.look_for(queue.name)
    monitor.turn()
    Scribe(link, queue).worker("late")
    monitor.turn()
    assert queue.name not in monitor.histories


@pytest.mark.parametrize("name", ["", "<script>", "no name", "{x}", "A" * 1_000_000])
def test_a_name_that_no_queue_can_have_is_not_asked_for(monitor: Monitor, name: str) -> None:
    monitor.look_for(name)
    monitor.turn()
    assert name not in monitor.histories


def test_a_dashboard_of_given_queues_shows_no_other(address: Address, link: Link, queue: Queue) -> None:
    Scribe(link, queue).worker("other")
    monitor = Monitor(address, ("mine",))
    try:
        monitor.look_for(queue.name)
        monitor.turn()
        assert list(monitor.histories) == ["mine"]
    finally:
        monitor.stop()
