"""A million jobs that wait: what people look at first is there at once."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_console.reading.reader import Reader
from tests.support.scribe import Scribe
from tests.support.terminal import PULLET

JOBS = 1_000_000
FILL = """
for i = 1, 10000 do
  redis.call('XADD', KEYS[1], '*', 'id', string.format('%032x', ARGV[1] + i), 'method', 'eval', 'args', ARGV[2],
    'client', ARGV[3], 'opts', '')
end
"""


@pytest.fixture(scope="module")
def full() -> Iterator[str]:
    """The URL of a server on which a million jobs wait in the queue `chess`."""
    with EmbeddedServer.start() as server:
        link, queue = Link(Address(server.url), "test"), Queue(name="chess")
        Scribe(link, queue).caller().announce()  # makes the lanes and their groups
        for first in range(0, JOBS, 10_000):
            link.execute("EVAL", FILL, 1, queue.keys.lane("normal"), first, b"\x92\x91\xa38/8\x80", "0" * 32)
        Scribe(link, queue).worker("gpu3.1").take(3)
        link.close()
        yield server.url


def cpu_seconds(*args: str, url: str) -> tuple[float, str]:
    """Of the best of several runs of the command: whatever else runs on the machine only ever adds."""
    found = []
    for _ in range(8):
        before = os.times()
        done = subprocess.run([PULLET, *args], env=os.environ | {"PULLET_REDIS": url}, capture_output=True, text=True)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert done.returncode == 0, done.stderr
    return min(found), done.stdout


def fastest(call: Callable[[], object]) -> float:
    found = []
    for _ in range(30):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


@pytest.mark.slow
def test_status_answers_within_half_a_second(full: str) -> None:
    """Python needs most of it to start; the server answers as fast as if nothing waited."""
    seconds, text = cpu_seconds("status", url=full)
    assert f"{JOBS - 3:,}" in text
    assert seconds < 0.5
    with Reader(full) as reader:
        Scribe(Link(Address(full), "test"), Queue(name="small")).caller().one()
        many, few = fastest(lambda: reader.summaries(["chess"])), fastest(lambda: reader.summaries(["small"]))
        assert many < 3 * few + 0.002
        assert fastest(reader.queues) < 0.1


@pytest.mark.slow
def test_pages_of_jobs_cost_no_more(full: str) -> None:
    seconds, text = cpu_seconds("jobs", "ls", "chess", "--state", "waiting", "--json", url=full)
    page = json.loads(text)["pages"][0]
    assert len(page["jobs"]) == 20
    assert seconds < 0.5
    seconds, text = cpu_seconds("jobs", "show", page["jobs"][5]["id"], "-q", "chess", "--json", url=full)
    assert json.loads(text)["job"]["state"] == "waiting"
    assert seconds < 0.5
