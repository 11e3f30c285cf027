"""Long streams, and a worker that is killed in the middle of one. `benchmarks/streams.py` measures them."""

from __future__ import annotations

import pytest

from benchmarks.streams import across_a_kill
from pullet_broker.address import Address
from pullet_broker.settings import Queue

ITEMS = 100_000


@pytest.mark.slow
@pytest.mark.timeout(115)
def test_a_hundred_thousand_items_come_once_and_in_order_across_a_kill(queue: Queue, address: Address) -> None:
    across_a_kill(queue, address, ITEMS)  # which compares what came
