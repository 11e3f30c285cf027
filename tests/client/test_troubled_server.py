"""A server that answers and cannot serve just now: callers and workers wait for it, and none gets out of step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.servers import Node
from tests.support.workers import Kit, calling, kill_connections, running

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("troubled") / "server") as made:
        yield made


@contextmanager
def demoted(node: Node) -> Iterator[None]:
    """It is made a replica, while all are connected, and a master again."""
    node.ask("REPLICAOF", "127.0.0.1", 1)
    yield
    node.ask("REPLICAOF", "NO", "ONE")


@contextmanager
def short_of_disk(node: Node) -> Iterator[None]:
    """It cannot save: the name of its file is taken by a folder."""
    obstacle = node.folder / "dump.rdb"
    obstacle.mkdir()
    node.ask("CONFIG", "SET", "save", "3600 1")
    node.ask("BGSAVE")
    assert wait_until(lambda: b"rdb_last_bgsave_status:err" in node.ask("INFO", "persistence"))
    yield
    node.ask("CONFIG", "SET", "save", "")
    obstacle.rmdir()


@contextmanager
def short_of_replicas(node: Node) -> Iterator[None]:
    node.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    yield
    node.ask("CONFIG", "SET", "min-replicas-to-write", 0)


@contextmanager
def stalled(node: Node) -> Iterator[None]:
    """Somebody's script does not come to an end."""
    node.ask("CONFIG", "SET", "busy-reply-threshold", 10)
    stalling, killer = Link(Address(node.url), "somebody"), Link(Address(node.url), "killer")
    killer.open()
    stalling.send(("EVAL", "while true do end", 0))
    yield
    killer.execute("SCRIPT", "KILL")
    killer.close()
    stalling.close()


TROUBLES = {
    "READONLY": demoted,
    "MISCONF": short_of_disk,
    "NOREPLICAS": short_of_replicas,
    "BUSY": stalled,
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_work_waits_and_goes_on(node: Node, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, several replies of one read got out of step, and the caller waited for ever."""
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 100)
    queue, busy, idle = Queue(name=trouble.lower()), Kit(), Kit()
    address = Address(node.url)
    with (
        running(queue, address, busy, name="busy") as one,
        running(queue, address, idle, name="idle") as two,
        calling(queue, address) as client,
    ):
        held = client.submit(Kit.hold, "held")
        assert wait_until(lambda: busy.started.is_set() or idle.started.is_set())
        assert list(client.map(Kit.echo, range(20))) == list(range(20))
        with TROUBLES[trouble](node):
            waiting = [client.submit(Kit.echo, n) for n in range(20, 60)]
            busy.go.set()  # an outcome to commit
            idle.go.set()
            with pytest.raises(ServerUnavailable, match=trouble):
                client.options(when_down="raise").submit(Kit.echo, "hasty").result(10)
            assert not client.flush(0.3)
            assert not held.done()
        assert held.result(10) == "held"
        assert [future.result(10) for future in waiting] == list(range(20, 60))
        assert one.lives
        assert two.lives
    assert Counter([*busy.calls, *idle.calls]) == Counter(["held", *range(60)])


@contextmanager
def password(node: Node, word: str) -> Iterator[Link]:
    boss = Link(Address(node.url), "boss")
    boss.execute("CONFIG", "SET", "requirepass", word)
    yield boss
    boss.execute("CONFIG", "SET", "requirepass", "")
    boss.close()


def test_who_waits_hears_of_a_server_that_goes_on_refusing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password was changed, and this program has the old one."""
    monkeypatch.setattr("pullet.receiver.REFUSED_S", 0.2)
    queue, address, kit = Queue(name="refused"), Address(node.url), Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        assert client.submit(Kit.echo, 0).result(10) == 0  # its connections are made
        future = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        with password(node, "n3w-word") as boss:
            assert wait_until(lambda: kill_connections(boss, f"{queue.name}:inbox") > 0)
            with pytest.raises(ServerRefused, match="Authentication required"):
                future.result(10)
        kit.go.set()
        assert client.job(future.job_id).result(10) == 1


def test_a_job_whose_answer_got_lost_may_run_also_where_the_server_refuses_to_say(node: Node) -> None:
    queue = Queue(name="unsaid")
    with Proxy(node.url) as proxy, calling(queue, Address(proxy.url)) as client:
        client.submit(Kit.echo, 0)
        assert client.flush(10)
        with password(node, "n3w-word") as boss:
            muted = proxy.mute(":send")
            lost = client.submit(Kit.echo, 1)
            assert wait_until(lambda: boss.execute("XLEN", queue.keys.lane("normal")) == 2)
            for pipe in muted:
                pipe.cut()
            with pytest.raises(
                ServerUnavailable, match=r"was sent, and may run, .*: .*Authentication required"
            ) as told:
                lost.result(10)
            assert told.value.stored is None
            with pytest.raises(ServerRefused, match="Authentication required"):
                client.submit(Kit.echo, 2).result(10)


def test_a_password_that_changes_in_its_file_is_used_at_the_next_connect(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old-word")
    queue, address, kit = Queue(name="rotated"), Address(node.url, password_file=str(file)), Kit()
    with password(node, "old-word") as boss, running(queue, address, kit), calling(queue, address) as client:
        assert client.submit(Kit.echo, 1).result(10) == 1
        boss.execute("CONFIG", "SET", "requirepass", "new-word")
        file.write_text("new-word")
        assert wait_until(lambda: kill_connections(boss, f"pullet:{queue.name}:") > 0)
        assert client.submit(Kit.echo, 2).result(10) == 2
        assert kit.calls == [1, 2]
