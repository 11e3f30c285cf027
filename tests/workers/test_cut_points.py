"""A connection ends, or its process dies, between any two of its commands: nothing is lost, and nothing runs twice
that did not have to."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Limits, Queue
from pullet_workers.runner import Runner
from tests.support.cuts import CutPoint
from tests.support.leaks import check_keys, wait_until
from tests.support.workers import ROOT, Kit, calling, consumers, running, until_closed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HEART = (":beat", ":stops")
"""These begin by themselves, and never end."""
ROLES = (":take", ":errands", *HEART, ":send", ":inbox")
MOST = 80
"""Round trips of one kind in a story; there must be fewer."""


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet_workers.consumer.BLOCK_MS", 50)
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 200)
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.005, 0.02, lambda: 1.0))


LARGE = "x" * 80_000
"""There and back as a draft."""


def story(client: Client[Any]) -> list[Future[Any]]:
    """Jobs of every kind, in waves, so that the worker is idle in between.

    The large one comes alone, so that nobody but the loop itself can commit it. The last one runs until the test lets
    it go, so that the courier has time for an errand.
    """
    first = [client.submit(Kit.echo, LARGE)]
    first[0].result(20)
    first += [client.submit(Kit.echo, n) for n in range(5)]
    first += [client.submit(Kit.nap, 0.015 + n / 1e6) for n in range(3)]  # long enough for the courier
    for future in first:
        future.result(20)
    return [
        *first,
        client.options(key="k").submit(Kit.echo, "keyed"),
        client.options(priority=1).submit(Kit.echo, "urgent"),
        client.options(retries=2, backoff=0.001).submit(Kit.fail_first, "retried", 1),
        client.submit(Kit.nap, 0.01),
        client.submit(Kit.hold, "held"),
    ]


def told(futures: list[Future[Any]]) -> list[Any]:
    return [future.result(20) for future in futures]


RESULTS = [LARGE, *range(5), *(0.015 + n / 1e6 for n in range(3)), "keyed", "urgent", 2, 0.01, "held"]
CALLS = Counter([*RESULTS[:-3], "retried", "retried", 0.01, "held"])


def is_drained(link: Link, queue: Queue) -> bool:
    """At one moment: a job that is given back goes from one lane to another."""
    looks = [*(("XLEN", lane) for lane in queue.keys.lanes), ("HLEN", queue.keys.fixed("parked"))]
    link.send(("MULTI",), *looks, ("EXEC",))
    *_, found = [link.receive() for _ in range(len(looks) + 2)]
    return not any(found)


def drains(link: Link, queue: Queue) -> bool:
    return wait_until(lambda: is_drained(link, queue))


def comes_to_an_end(process: subprocess.Popen[bytes], futures: list[Future[Any]]) -> bool:
    return wait_until(lambda: process.poll() is not None or all(one.done() for one in futures), 20)


AMID = [(role, "amid") for role in (":take", ":send", ":inbox")]
"""These send several commands at once: drafts and what wants them, for one."""


@pytest.mark.parametrize(("role", "when"), [*product(ROLES, ["before", "after"]), *AMID])
def test_a_connection_that_ends_at_any_of_its_commands_costs_nothing(
    address: Address, link: Link, role: str, when: str
) -> None:
    """Nobody dies, so everything runs once."""
    for nth in range(1, MOST):
        queue = Queue(name=f"cut{role[1:]}-{when}-{nth}", lease=Lease(beat_s=0.02, tick_ms=18, ticks=500))
        kit = Kit()
        with pytest.MonkeyPatch.context() as patch:
            point = CutPoint(f"{queue.name}{role}", nth, when).install(patch)
            with running(queue, address, kit), calling(queue, address) as client:
                futures = story(client)
                if role in (*HEART, ":errands"):
                    assert wait_until(lambda point=point: point.count)  # type: ignore[misc]
                kit.go.set()
                assert told(futures) == RESULTS, f"at command {nth}"
        assert Counter(kit.calls) == CALLS, f"at command {nth}"
        assert is_drained(link, queue), f"at command {nth}"
        check_keys(link, queue)
        if not point.reached or (role in (*HEART, ":inbox") and nth > 12):
            break
    else:
        pytest.fail("the story has more commands than are tried")
    assert nth > 1, "the story has commands of this kind; how many is a matter of time"


ORPHANS = 120
"""More than one call of `reap` takes."""


def orphan(client: Client[Any], link: Link, queue: Queue) -> list[Future[Any]]:
    """Jobs in the hand of a consumer that is no more: ticks find it after two looks."""
    futures = [client.submit(Kit.echo, n) for n in range(ORPHANS)]
    assert client.flush(10)
    lane = queue.keys.lane("normal")
    link.execute("XREADGROUP", "GROUP", GROUP, "ghost", "COUNT", ORPHANS, "STREAMS", lane, ">")
    return futures


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_ends_at_any_command_of_a_reap_costs_nothing(address: Address, link: Link, when: str) -> None:
    for nth in range(1, 15):
        queue = Queue(name=f"reap-{when}-{nth}", lease=Lease(beat_s=0.02, tick_ms=18, ticks=500))
        kit = Kit()
        with pytest.MonkeyPatch.context() as patch, calling(queue, address) as client:
            futures = orphan(client, link, queue)
            CutPoint(f"{queue.name}:beat", nth, when).install(patch)
            with running(queue, address, kit):
                assert told(futures) == list(range(ORPHANS)), f"at command {nth}"
                assert wait_until(lambda name=queue: "ghost" not in consumers(link, name))  # type: ignore[misc]
        assert Counter(kit.calls) == Counter(range(ORPHANS)), f"at command {nth}"
        assert is_drained(link, queue), f"at command {nth}"


# -- whose process dies there


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reaper_that_dies_at_any_of_its_commands_loses_nothing(
    address: Address, link: Link, tmp_path: Path, when: str
) -> None:
    for nth in range(1, 10):
        queue = Queue(name=f"reaper-{when}-{nth}", lease=Lease(beat_s=0.03, tick_ms=25, ticks=8))
        calls, kit = tmp_path / f"{nth}", Kit()
        with calling(queue, address) as client:
            futures = orphan(client, link, queue)
            with dying(queue, address, calls, ":beat", nth, when) as process:
                assert comes_to_an_end(process, futures), f"at command {nth}"
            with running(queue, address, kit, name="heir"):
                assert told(futures) == list(range(ORPHANS)), f"at command {nth}"
                assert drains(link, queue)
        ran = Counter([*kit.calls, *map(int, calls.read_text().split())])
        assert set(ran) == set(range(ORPHANS))
        assert sum(ran.values()) <= ORPHANS + 2, "at most what the reaper ran itself is run again"


@pytest.mark.parametrize(("role", "when"), [*product([":take", ":errands", ":beat"], ["before", "after"]), AMID[0]])
def test_a_worker_that_dies_at_any_of_its_commands_loses_nothing(
    address: Address, link: Link, tmp_path: Path, role: str, when: str
) -> None:
    """Another one finishes. What the dead one held may run once more, but has one outcome.

    How many commands a courier has is a matter of time, so a story without a death is tried again.
    """
    deaths = 0
    for turn in range(MOST):
        nth = deaths + 1
        queue = Queue(name=f"dies{role[1:]}-{when}-{turn}", lease=Lease(beat_s=0.03, tick_ms=25, ticks=8))
        calls = tmp_path / f"{turn}"
        with calling(queue, address) as client, dying(queue, address, calls, role, nth, when) as process:
            futures = [client.submit(Kit.nap, 0.015 + n / 1e6) for n in range(4)]
            futures += [client.submit(Kit.echo, n) for n in range(4)]
            large = [client.submit(Kit.huge, len(LARGE) + n) for n in range(2)]
            assert comes_to_an_end(process, [*futures, *large]), f"at command {nth}"
            deaths += process.poll() == -signal.SIGKILL
            kit = Kit()
            with running(queue, address, kit, name="heir"):
                assert told(futures) == [*(0.015 + n / 1e6 for n in range(4)), *range(4)], f"at command {nth}"
                assert [len(value) for value in told(large)] == [len(LARGE), len(LARGE) + 1]
                assert drains(link, queue)
        check_keys(link, queue)
        ran = Counter([*kit.calls, *map(float, calls.read_text().split())])
        assert set(ran) == {*(0.015 + n / 1e6 for n in range(4)), *map(float, range(4))}
        assert sum(ran.values()) - len(ran) <= 8, "at most what it held ran again"
        if deaths >= 2 and (process.returncode != -signal.SIGKILL or (role == ":beat" and nth > 6)):
            break
    assert deaths >= 2


@pytest.mark.parametrize("when", ["before", "after", "amid"])
def test_a_caller_that_dies_at_any_of_its_commands_leaves_each_job_once_or_not_at_all(
    address: Address, link: Link, tmp_path: Path, when: str
) -> None:
    counts = []
    for nth in range(1, MOST):
        queue, kit = Queue(name=f"caller-{when}-{nth}"), Kit()
        with caller(queue, address, nth, when) as process:
            process.wait(20)
        with running(queue, address, kit):
            assert drains(link, queue)
        check_keys(link, queue)
        assert Counter(kit.calls) == Counter(range(len(kit.calls))), "the first ones, each once"
        counts.append(len(kit.calls))
        if process.returncode != -signal.SIGKILL:
            break
    assert counts == sorted(counts)
    assert counts[0] == (12 if when == "amid" else 0), "one write holds four batches; the last has lost its script"
    assert counts[-1] == CALLER_JOBS
    assert len(set(counts)) > 2


CALLER_JOBS = 30


class Noted(Kit):
    """Writes down what it runs before it runs it, so that it outlives its process."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = open(path, "a", buffering=1)  # noqa: SIM115

    def echo(self, value: Any) -> Any:
        self._file.write(f"{value}\n")
        return value

    def nap(self, seconds: float) -> float:
        self._file.write(f"{seconds!r}\n")
        return super().nap(seconds)


@contextmanager
def process_of(main: str, *given: Any) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", f"from tests.workers.test_cut_points import {main}; {main}()"]
    with until_closed(
        subprocess.Popen([*command, pickle.dumps(given).hex()], cwd=ROOT, stdin=subprocess.PIPE)
    ) as process:
        yield process


def dying(
    queue: Queue, address: Address, calls: Path, role: str, nth: int, when: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return process_of("be_a_worker", queue, address, str(calls), role, nth, when)


def caller(queue: Queue, address: Address, nth: int, when: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return process_of("be_a_caller", queue, address, nth, when)


def be_a_worker() -> None:
    queue, address, calls, role, nth, when = pickle.loads(bytes.fromhex(sys.argv[1]))
    CutPoint(role, nth, when, kills=True).install(pytest.MonkeyPatch())
    runner = Runner(queue, address, partial(Noted, calls), name="dying")
    runner.start()
    sys.stdin.read()
    runner.drain(10)


def be_a_caller() -> None:
    """Nothing is sent before all is submitted, so that batches are full."""
    queue, address, nth, when = pickle.loads(bytes.fromhex(sys.argv[1]))
    patch, submitted = pytest.MonkeyPatch(), threading.Event()
    CutPoint(":send", nth, when, kills=True).install(patch)
    send = Link.send
    patch.setattr(Link, "send", lambda link, *commands: submitted.wait(60) and send(link, *commands))
    limits = Limits(batch_jobs=4, blob_over_bytes=1)  # so all arguments go as drafts
    client: Client[Any] = Client(Kit, dataclasses.replace(queue, limits=limits), address)
    for n in range(CALLER_JOBS):
        client.submit(Kit.echo, n)
    submitted.set()
    client.flush(10)
    os._exit(0)
