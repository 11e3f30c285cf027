"""Callers and workers find the node that holds their queue, and follow the queue when it moves in mid-work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.pair import pair
from tests.support.servers import Shards, shards
from tests.support.workers import Kit, calling, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    with shards(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def test_each_queue_is_served_by_the_node_that_has_its_slot(cluster: Shards) -> None:
    for node in cluster.nodes[:3]:
        queue = Queue(name=cluster.queue_on(node, "plain"))
        with running(queue, cluster.address), calling(queue, cluster.address) as client:
            assert list(client.map(Kit.echo, range(20))) == list(range(20))
            assert client.submit(Kit.echo, b"x" * 100_000).result(10) == b"x" * 100_000
            assert list(client.stream(Kit.count, 5, 0.0)) == list(range(5))
            assert client.options(key="k", delay=0.01).submit(Kit.echo, "kept").result(10) == "kept"
            with pytest.raises(ValueError, match="boom"):
                client.submit(Kit.boom).result(10)
            assert [letter.method for letter in client.dead.list()] == ["boom"]
            assert node.ask("EXISTS", queue.keys.fixed("workers")) == 1


def test_a_queue_moves_to_another_node_in_mid_work(cluster: Shards) -> None:
    source, target = cluster.nodes[1], cluster.nodes[2]
    queue = Queue(name=cluster.queue_on(source, "moving"))
    with pair(queue, cluster.address) as work:
        futures = [work.client.submit(Kit.echo, n) for n in range(300)]
        cluster.migrate(cluster.slot_of(queue.name), source, target)
        futures += [work.client.submit(Kit.echo, n) for n in range(300, 600)]
        assert [future.result(30) for future in futures] == list(range(600))
        assert work.end() == Counter([*range(600), "held"]), "a move loses nothing, so nothing runs again"
        assert target.ask("EXISTS", queue.keys.fixed("workers")) == 1


def test_while_a_slot_is_on_its_way_work_waits(cluster: Shards) -> None:
    """Some keys of the queue are here, others there: TRYAGAIN and ASK, until the move is complete."""
    source, target = cluster.nodes[2], cluster.nodes[1]
    queue = Queue(name=cluster.queue_on(source, "slow"))
    slot = cluster.slot_of(queue.name)
    ids = {node: node.ask("CLUSTER", "MYID").decode() for node in (source, target)}
    with running(queue, cluster.address) as worker, calling(queue, cluster.address) as client:
        assert client.submit(Kit.echo, 0).result(10) == 0
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        one = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1)
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *one)  # type: ignore[arg-type]
        futures = [client.submit(Kit.echo, n) for n in range(1, 50)]
        assert not client.flush(0.3)
        assert worker.lives
        cluster.migrate(slot, source, target)
        assert [future.result(20) for future in futures] == list(range(1, 50))


def test_a_node_that_was_named_alone_says_that_it_is_one_of_a_cluster(cluster: Shards) -> None:
    queue = Queue(name=cluster.queue_on(cluster.nodes[0], "alone"))
    address = Address(cluster.nodes[1].url)
    with pytest.raises(ServerRefused, match=r"node of a cluster.*redis\+cluster://"):
        Link.to(queue, address, "test").execute("GET", queue.keys.fixed("config"))
    with calling(queue, address) as client, pytest.raises(ServerRefused, match=r"redis\+cluster://"):
        client.submit(Kit.echo, 1).result(10)


def test_the_replica_of_a_node_that_dies_takes_over_in_mid_work(cluster: Shards) -> None:
    """The last test: it leaves the cluster with two of its masters."""
    node = cluster.nodes[0]
    queue = Queue(name=cluster.queue_on(node, "dying"))
    with pair(queue, cluster.address) as work:
        futures = [work.client.submit(Kit.echo, n) for n in range(200)]
        assert work.client.flush(10)
        node.kill()
        start = time.monotonic()
        futures += [work.client.submit(Kit.echo, n) for n in range(200, 400)]
        assert [future.result(40) for future in futures] == list(range(400))
        ran = work.end()
        print(f"the replica served after {time.monotonic() - start:.1f} s")
    assert set(ran) == {*range(400), "held"}
    assert sum(ran.values()) - 401 <= 100, "only what the replica had not heard of may run again"
