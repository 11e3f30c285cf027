"""A queue in the wire format of an incompatible release: a clear error in callers, workers and the controller, and
nothing of the queue is touched."""

from __future__ import annotations

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.errors import SchemaMismatch
from pullet_broker.link import Link
from pullet_broker.settings import SCHEMA, Queue
from pullet_workers.spec import PoolSpec
from tests.support.fleet import FakeCluster, controlling
from tests.support.leaks import wait_until
from tests.support.workers import Kit, Worker, calling, running

pytestmark = [pytest.mark.timeout(30), pytest.mark.filterwarnings("ignore:nothing is persisted")]

SAID = f"expected queue 'test-[0-9]+' in wire format {SCHEMA}, found"


def change(link: Link, queue: Queue) -> None:
    """Somebody with another release was there first, or after a FLUSHALL."""
    link.execute("HSET", queue.keys.fixed("config"), "schema", SCHEMA + 1)


def test_who_connects_is_told_which_format_there_is(queue: Queue, address: Address, link: Link) -> None:
    change(link, queue)
    with pytest.raises(SchemaMismatch, match=f"{SAID} {SCHEMA + 1}.*use the same release") as raised:
        pullet.connect(Kit, address, queue=queue.name)
    assert (raised.value.expected, raised.value.found) == (SCHEMA, str(SCHEMA + 1))


def test_a_caller_hears_of_it_and_nothing_is_stored(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        change(link, queue)
        with pytest.raises(SchemaMismatch, match=SAID):
            client.submit(Kit.echo, 1).result(10)
    assert link.execute("KEYS", queue.keys.fixed("").replace("{", "\\{") + "*") == [queue.keys.fixed("config").encode()]


def test_a_worker_does_not_start(queue: Queue, address: Address, link: Link) -> None:
    change(link, queue)
    worker = Worker(queue, address, Kit, "worker")
    worker.runner.start()
    error = worker.ended.result(10)
    assert isinstance(error, SchemaMismatch)
    assert "found another one" in str(error)
    assert not worker.ready.is_set()
    assert not link.execute("EXISTS", queue.keys.fixed("workers"))


def test_a_worker_ends_where_the_format_changes_under_it(queue: Queue, address: Address, link: Link) -> None:
    with pytest.raises(AssertionError, match="SchemaMismatch"), running(queue, address) as worker:
        change(link, queue)
        assert isinstance(worker.ended.result(10), SchemaMismatch)


@pytest.mark.usefixtures("eager")
def test_the_controller_says_why_nothing_works(spec: PoolSpec, link: Link, caplog: pytest.LogCaptureFixture) -> None:
    change(link, spec.queue)
    with controlling(spec, FakeCluster(on_start=lambda worker: worker.get_ready())) as controller:
        assert wait_until(lambda: "in wire format" in controller.status()["trouble"])
        assert [record.message for record in caplog.records].count("the queue has become unusable") == 1
        noted = ("HGET", spec.queue.keys.fixed("pool"), "trouble")
        assert wait_until(lambda: b"in wire format" in (link.execute(*noted) or b""))
        link.execute("HSET", spec.queue.keys.fixed("config"), "schema", SCHEMA)
        assert wait_until(lambda: controller.status()["trouble"] == "")
