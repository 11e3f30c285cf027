"""`options(id=)`: a second submit with the same id is the same job. `options(repeat=False)`: never twice."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import pullet
from pullet import WorkerLost
from pullet.testing import InlinePool
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, registered, running, worker_process

pytestmark = pytest.mark.timeout(40)


def test_it_runs_once_for_all_clients_while_it_is_open_and_afterwards(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as one, calling(queue, address) as two:
        first = one.options(id="order-1").submit(Kit.hold, "first")
        assert one.flush(10)
        others = [client.options(id="order-1").submit(Kit.hold, "other") for client in (one, two)]
        assert first.job_id == "order-1"
        assert others[0] is first, "in one client it is one future"
        kit.go.set()
        assert [future.result(10) for future in (first, *others)] == ["first"] * 3
        later = [client.options(id="order-1").submit(Kit.echo, "later") for client in (one, two)]
        assert [future.result(10) for future in later] == ["first"] * 2
        assert one.options(id="order-2").submit(Kit.echo, "two").result(10) == "two"
    assert kit.calls == ["first", "two"]


def test_an_error_and_a_large_result_are_the_same_for_all(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as one, calling(queue, address) as two:
        for client in (one, two):
            assert isinstance(client.options(id="bad").submit(Kit.boom).exception(10), ValueError)
            assert len(client.options(id="big").submit(Kit.huge, 50_000).result(10)) == 50_000


def test_threads_that_submit_one_id_at_once_share_a_job(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        start = threading.Barrier(8)

        def submit(n: int) -> Any:
            start.wait()
            return client.options(id="one").submit(Kit.echo, n).result(10)

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(submit, range(8)))) == 1
    assert len(kit.calls) == 1


def test_it_is_found_by_its_id(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client, calling(queue, address, None) as other:
        for job in ("open", "f" * 32, "a" * 128, "0"):
            kit.started.clear()
            kit.go.clear()
            future = client.options(id=job).submit(Kit.hold, job)
            assert kit.started.wait(10)
            assert other.job(job).state == "running"
            kit.go.set()
            assert other.job(job).result(10) == future.result(10) == job


@pytest.mark.parametrize("job", ["", "a b", "a:1", "a:progress", "{x}", "-a", "ä", "a" * 129, "a\n", 7, b"x"])
def test_an_id_that_could_be_something_else_is_refused(job: Any) -> None:
    with InlinePool(Kit) as pool, pytest.raises(ValueError, match="id="):
        pool.options(id=job)


def test_an_id_is_for_one_job() -> None:
    with InlinePool(Kit) as pool:
        with pytest.raises(ValueError, match="a map has many"):
            pool.options(id="x").map(Kit.echo, [1])
        with pytest.raises(ValueError, match="is for submit"):
            pool.options(id="x").stream(Kit.count, 1, 0.0)
        with pytest.raises(ValueError, match="one job"):
            pullet.defaults(id="x")
        assert pool.options(id="x").submit(Kit.echo, 1).result(0) == 1
        assert pool.options(id="x").submit(Kit.echo, 2).result(0) == 1


# -- never twice


class Dice(Kit):
    @pullet.defaults(repeat=False)
    def throw(self, times: int, rest_s: float) -> Iterator[int]:
        yield from self.count(times, rest_s)


def test_a_stream_that_cannot_be_repeated_fails_with_its_worker(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address, Dice) as client, worker_process(queue, address) as process:
        assert wait_until(lambda: bool(registered(link, queue)))
        items = iter(client.options(repeat=False).stream(Kit.count, 1000, 0.01))
        found = [next(items) for _ in range(5)]
        process.kill()
        process.wait()
        (dead,) = registered(link, queue)
        bury_consumer(link, queue, dead, blame=True)
        with pytest.raises(WorkerLost, match="repeat=False"), running(queue, address):
            found.extend(items)
        assert found == list(range(len(found)))
        (letter,) = client.dead
        assert "repeat=False" in letter.error
        assert letter.error_type == "pullet.WorkerLost"


def test_a_method_says_so_itself_and_one_that_runs_well_notices_nothing(queue: Queue, address: Address) -> None:
    with running(queue, address, Dice), calling(queue, address, Dice) as client:
        assert list(client.stream(Dice.throw, 5, 0.0)) == list(range(5))
        with pytest.raises(ValueError, match="repeat=False"):
            client.options(retries=1).submit(Dice.throw, 5, 0.0)


def test_a_worker_that_must_leave_gives_such_a_job_to_nobody(queue: Queue, address: Address) -> None:
    kit = Kit()
    with calling(queue, address) as client, running(queue, address, kit, name="one") as one:
        future = client.options(repeat=False).submit(Kit.hold, "x")
        assert kit.started.wait(10)
        assert not one.runner.drain(0.05)
        with running(queue, address, name="two") as two:
            assert client.submit(Kit.echo, "other").result(10) == "other"
            assert two.runner.report.done == 1
            kit.go.set()
            assert future.result(10) == "x", "it came to its end after all, and that counts"
