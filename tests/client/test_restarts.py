"""The server is killed and started again, again and again: work goes on within two seconds, and nothing runs twice."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from pathlib import Path

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import ServerUnavailable
from pullet_broker.settings import Queue
from tests.support.servers import Node
from tests.support.workers import Kit, calling, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RESTARTS = 50


def test_work_goes_on_within_two_seconds_of_each_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`appendfsync always`, so that nothing is forgotten. Outages last up to 1.5 s, random as the seed says."""
    node = Node(tmp_path / "server", appendonly="yes", appendfsync="always")
    queue, kit, other, rng = Queue(name="restarts"), Kit(), Kit(), random.Random(20)
    waits, done = [], 0
    address = Address(node.url)
    with node, running(queue, address, kit), running(queue, address, other), calling(queue, address) as client:
        for _ in range(RESTARTS):
            before = [client.submit(Kit.echo, done + n) for n in range(20)]
            if rng.random() < 0.5:  # else the workers are in the middle of them
                before[-1].result(10)
            node.kill()
            during = [client.submit(Kit.echo, done + 20 + n) for n in range(5)]
            assert not client.flush(rng.uniform(0.05, 1.5))
            with pytest.raises(ServerUnavailable):
                client.options(when_down="raise").submit(Kit.echo, "hasty").result(10)
            node.start()
            back = time.monotonic()
            first, *others = during
            assert first.result(10) == done + 20
            waits.append(time.monotonic() - back)
            assert [future.result(10) for future in before + others]
            done += 25
    ran = Counter([*kit.calls, *other.calls])
    with capsys.disabled():
        median, most = statistics.median(waits), max(waits)
        print(f"\n{RESTARTS} restarts: an answer after {median:.2f} s (median), {most:.2f} s (longest)")
    assert ran == Counter(range(done)), "each once, and none of those that failed"
    assert max(waits) <= 2.0
