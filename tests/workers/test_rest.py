"""Idle workers of a large fleet leave the server alone, and everything still wakes them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, registered, running

pytestmark = pytest.mark.timeout(40)

HOUR_MS = 3_600_000


@pytest.fixture
def restful(queue: Queue, link: Link, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """Whose workers rest for hours, as if they were many. Somebody else makes the ticks."""
    monkeypatch.setattr("pullet_workers.rest.SMALL", 1e-9)
    monkeypatch.setattr("pullet_workers.rest.MOST", 1e5)
    link.execute("SET", queue.keys.fixed("tick"), "somebody", "PX", HOUR_MS)
    return Queue(name=queue.name, lease=Lease(beat_s=0.05, tick_ms=2 * HOUR_MS, ticks=500))


def beats(link: Link, queue: Queue) -> bytes | None:
    answer: list[bytes] = link.execute("HVALS", queue.keys.fixed("beats"))
    return answer[0] if answer else None


def goes_on(link: Link, queue: Queue, within_s: float = 5.0) -> bool:
    """Do the beats of the only worker?"""
    last = beats(link, queue)
    return wait_until(lambda: beats(link, queue) != last, within_s)


def rests(link: Link, queue: Queue) -> bool:
    """It has looked at itself ten times or so, and did not beat."""
    return wait_until(lambda: not goes_on(link, queue, 0.5), 20)


def test_it_beats_no_more_while_it_has_nothing_to_do_and_again_while_it_has(
    restful: Queue, address: Address, link: Link
) -> None:
    kit = Kit()
    with running(restful, address, kit), calling(restful, address) as client:
        assert rests(link, restful)
        future = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        for _ in range(3):
            assert goes_on(link, restful)
        kit.go.set()
        assert future.result(10) == 1
        assert rests(link, restful)


def test_what_it_has_to_tell_does_not_wait(restful: Queue, address: Address, link: Link) -> None:
    def told() -> str:
        record: bytes = link.execute("HVALS", restful.keys.fixed("workers"))[0]
        return record.decode()

    with running(restful, address), calling(restful, address) as client:
        assert rests(link, restful)
        assert '"done":0' in told()
        assert client.submit(Kit.echo, 1).result(10) == 1
        assert wait_until(lambda: '"done":1' in told())


def test_who_makes_the_ticks_does_not_rest(restful: Queue, address: Address, link: Link) -> None:
    """Or a fleet of which one is left would need hours to find out."""
    lonely = Queue(name=restful.name, lease=Lease(beat_s=0.05, tick_ms=45, ticks=10**6))
    with running(lonely, address):
        for _ in range(5):
            assert goes_on(link, lonely)


def test_a_pause_and_its_end_are_heard_at_once(restful: Queue, address: Address, link: Link) -> None:
    with running(restful, address) as worker, calling(restful, address) as client:
        assert rests(link, restful)
        for n in range(2):
            client.pause()
            assert wait_until(lambda: worker.state == "paused")
            future = client.submit(Kit.echo, n)
            assert rests(link, restful)
            client.resume()
            assert future.result(10) == n


def test_a_job_that_is_cancelled_stops_at_once(restful: Queue, address: Address, link: Link) -> None:
    with running(restful, address), calling(restful, address) as client:
        assert rests(link, restful)
        stream = client.stream(Kit.count, 10**6, 0.01)
        assert next(iter(stream)) == 0
        stream.cancel()
        assert client.submit(Kit.echo, 1).result(10) == 1


def test_a_worker_that_was_reaped_while_it_rested_starts_anew(restful: Queue, address: Address, link: Link) -> None:
    """It hears of it with the next beat: so there must be one, here when it has taken the next job."""
    with running(restful, address) as worker, calling(restful, address) as client:
        assert rests(link, restful)
        old = worker.consumer
        link.execute("HDEL", restful.keys.fixed("workers"), old)
        assert client.submit(Kit.nap, 0.3).result(10) == 0.3
        assert wait_until(lambda: worker.consumer != old)
        assert wait_until(lambda: set(registered(link, restful)) == {worker.consumer})


@pytest.mark.parametrize("may_unblock", [True, False])
def test_its_drain_is_prompt(restful: Queue, fresh: Address, tmp_path: Path, may_unblock: bool) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    rights = ["on", ">x", "~*", "&*", "+@all", *(() if may_unblock else ("-client|unblock",))]
    link = Link(fresh, "root")
    link.execute("ACL", "SETUSER", "worker", *rights)
    link.close()
    limited = Address(fresh.url, "worker", str(secret))
    with running(restful, limited) as worker, calling(restful, fresh) as client:
        assert wait_until(lambda: worker.runner._consumer.waits)
        client.pause()
        assert wait_until(lambda: worker.state == "paused")
        client.resume()
        assert wait_until(lambda: worker.runner._consumer.waits)
        begun = time.monotonic()
        assert worker.runner.drain(20)
        assert time.monotonic() - begun < 10


def test_one_that_becomes_busy_compares_as_often_as_any(
    restful: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.consumer.COMPARE_S", 0.5)
    kit = Kit()
    with running(restful, address, kit) as worker, calling(restful, address) as client:
        consumer = worker.runner._consumer
        assert wait_until(lambda: consumer.waits and consumer.compare_at > time.monotonic() + 60)
        future = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        assert consumer.compare_at <= time.monotonic() + 0.5
        kit.go.set()
        assert future.result(10) == 1


def test_one_that_gets_a_job_now_and_then_compares_all_the_same(
    restful: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.rest.MOST", 4)
    monkeypatch.setattr("pullet_workers.consumer.COMPARE_S", 0.5)
    with running(restful, address) as worker, calling(restful, address) as client:
        consumer = worker.runner._consumer
        assert wait_until(lambda: consumer.waits)
        compared_at = consumer._compared_at
        assert wait_until(lambda: client.submit(Kit.echo, 1).result(10) == 1 and consumer._compared_at > compared_at)


def test_a_storm_ends_the_read_that_may_bring_a_suspect(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.consumer.BLOCK_MS", HOUR_MS)
    monkeypatch.setattr("pullet_workers.consumer.COMPARE_S", HOUR_MS / 1000)
    with running(Queue(name=queue.name, lease=Lease(beat_s=0.05, tick_ms=45, ticks=500)), address) as worker:
        assert wait_until(lambda: worker.runner._consumer.waits_for_suspects)
        seconds, _ = link.execute("TIME")
        link.execute("SET", queue.keys.fixed("storm"), f"5 1 {int(seconds) * 1000 + 60000}", "PX", 60000)
        assert wait_until(lambda: not worker.runner._consumer.waits_for_suspects)
