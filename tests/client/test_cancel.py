"""Cancel through the whole way: a job that waits does not run, one that runs is let be, one that is parked ends now."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import ClientClosed
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(30)


def test_a_job_that_waits_is_not_run(queue: Queue, address: Address) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        futures = [client.submit(Kit.echo, n) for n in range(6)]
        assert client.flush(10)
        assert all(futures[n].cancel() for n in (1, 3, 5))
        assert client.flush(10)
        with running(queue, address, kit):
            assert [futures[n].result(10) for n in (0, 2, 4)] == [0, 2, 4]
            for n in (1, 3, 5):
                with pytest.raises(CancelledError):
                    futures[n].result(10)
            assert client.submit(Kit.echo, "last").result(10) == "last"
    assert kit.calls == [0, 2, 4, "last"]


def test_a_job_that_runs_is_let_be_and_its_caller_waits_no_longer(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(0)
        kit.go.set()
        assert client.submit(Kit.echo, 1).result(10) == 1
    assert link.execute("XLEN", queue.keys.lane("normal")) == 0


def test_a_job_that_is_parked_ends_at_once(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        future = client.options(delay=60).submit(Kit.echo, 1)
        assert client.flush(10)
        assert link.execute("ZCARD", queue.keys.fixed("delayed")) == 1
        assert future.cancel()
        assert wait_until(lambda: link.execute("ZCARD", queue.keys.fixed("delayed")) == 0)
        assert not link.execute("EXISTS", queue.keys.fixed("parked"))


def test_a_job_with_an_outcome_cannot_be_cancelled(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address), calling(queue, address) as client:
        future = client.submit(Kit.echo, 1)
        assert future.result(10) == 1
        assert not future.cancel()
        assert client.submit(Kit.echo, 2).result(10) == 2
    assert not link.execute("EXISTS", queue.keys.fixed("cancelled")), "no tombstone stays"


def test_leaving_a_map_early_cancels_what_has_not_run(queue: Queue, address: Address) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        results = client.map(Kit.echo, range(1000), window=50)
        assert client.flush(10)
        with running(queue, address, kit):
            for value in results:
                if value == 3:
                    break
            assert client.submit(Kit.echo, "last").result(10) == "last"
    assert len(kit.calls) < 1000
    assert sum(call != "last" for call in kit.calls) <= 54


def test_a_task_that_is_cancelled_cancels_its_job(queue: Queue, address: Address) -> None:
    kit = Kit()

    async def story() -> None:
        with calling(queue, address) as client:
            future = client.submit(Kit.echo, "unwanted")

            async def wait() -> None:
                await future

            task = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert future.cancelled()
            assert await asyncio.to_thread(client.flush, 10)
            with running(queue, address, kit):
                assert await client.submit(Kit.echo, "wanted") == "wanted"

    asyncio.run(story())
    assert kit.calls == ["wanted"]


def test_who_closes_cancels_its_own_jobs_and_no_others(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.submit(Kit.hold, 1)
        assert client.flush(10)
        with calling(queue, address) as other:
            watched = other.job(future.job_id).future
        with pytest.raises(ClientClosed):
            watched.result(0)
        kit.go.set()
        assert future.result(10) == 1
