"""What a server refuses, and what that means: no right, no room, or come again later. The connection stays in step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerError, ServerFull, ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.moves.life import beat
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until

SECRET = "s3cret-word"


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedServer]:
    """A server whose settings may be changed."""
    with EmbeddedServer.start() as server:
        yield server


@pytest.fixture
def boss(own: EmbeddedServer) -> Iterator[Link]:
    """Somebody who changes them."""
    link = Link(Address(own.url), "boss")
    link.execute("FLUSHALL")
    yield link
    link.close()


@pytest.fixture
def worker(own: EmbeddedServer, boss: Link) -> Iterator[Link]:
    """Somebody who feels it; connected before anything changes."""
    link = Link(Address(own.url), "worker")
    link.open()
    yield link
    link.close()


@pytest.fixture
def call() -> Call[object]:
    return beat(Queue(name="q"), "w", None)


@contextmanager
def setting(boss: Link, name: str, value: object, back: object) -> Iterator[None]:
    boss.execute("CONFIG", "SET", name, str(value))
    try:
        yield
    finally:
        boss.execute("CONFIG", "SET", name, str(back))


@contextmanager
def password(boss: Link) -> Iterator[None]:
    with setting(boss, "requirepass", SECRET, ""):
        yield


def at(server: EmbeddedServer, credentials: str) -> Address:
    return Address(server.tcp_url.replace("redis://", f"redis://{credentials}@"))


def test_a_wrong_password_is_refused_without_a_word_of_it(own: EmbeddedServer, boss: Link) -> None:
    with password(boss), pytest.raises(ServerRefused) as raised:
        Link(at(own, ":wr0ng-word"), "test").open()
    assert "wr0ng" not in str(raised.value) + repr(raised.value) + repr(raised.value.evidence)


def test_no_password_where_one_is_needed_is_refused(own: EmbeddedServer, boss: Link) -> None:
    with password(boss), pytest.raises(ServerRefused, match="check user, password"):
        Link(Address(own.url), "test").execute("PING")


def test_the_right_password_opens_from_the_url_or_a_file(own: EmbeddedServer, boss: Link, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    with password(boss):
        for address in (at(own, f":{SECRET}"), Address(own.url, password_file=str(file))):
            link = Link(address, "test")
            assert link.execute("PING") == b"PONG"
            link.close()


def test_a_missing_right_is_a_refusal_and_the_connection_stays(own: EmbeddedServer, boss: Link) -> None:
    boss.execute("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@all", "-set", "-evalsha")
    link = Link(at(own, f"reader:{SECRET}"), "test")
    with pytest.raises(ServerRefused, match="permission"):
        link.execute("SET", "key", "value")
    assert (link.execute("PING"), link.opened) == (b"PONG", 1)
    link.close()
    boss.execute("ACL", "DELUSER", "reader")


def test_a_full_server_says_so_and_the_connection_stays(boss: Link, worker: Link) -> None:
    with setting(boss, "maxmemory", 1, 0):
        with pytest.raises(ServerFull, match="maxmemory"):
            worker.execute("SET", "key", "value")
        assert (worker.execute("PING"), worker.opened) == (b"PONG", 1)


def test_any_other_error_is_told_as_it_is(worker: Link) -> None:
    with pytest.raises(ServerError, match="unknown command") as raised:
        worker.execute("NONSENSE")
    assert type(raised.value) is ServerError
    assert worker.execute("PING") == b"PONG"


def test_a_server_that_became_a_replica_is_unavailable(boss: Link, worker: Link, call: Call[object]) -> None:
    worker.run(call)
    boss.execute("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(ServerUnavailable):
            worker.execute("SET", "key", "value")
        assert not worker.is_open, "the next use looks for the server that is the master by then"
        with pytest.raises(ServerUnavailable):
            worker.run(call)
    finally:
        boss.execute("REPLICAOF", "NO", "ONE")
    worker.run(call)


@contextmanager
def broken_disk(server: EmbeddedServer, boss: Link) -> Iterator[None]:
    """The server cannot save: its file's name is taken by a folder."""
    obstacle = Path(unquote(urlsplit(server.url).path)).parent / "dump.rdb"
    obstacle.mkdir()
    with setting(boss, "save", "3600 1", ""):
        boss.execute("BGSAVE")
        failed = b"rdb_last_bgsave_status:err"
        assert wait_until(lambda: failed in boss.execute("INFO", "persistence"))
        yield
    obstacle.rmdir()


def test_no_answer_is_left_over_after_a_server_refused_several_calls_for_now(
    own: EmbeddedServer, boss: Link, worker: Link, call: Call[object]
) -> None:
    worker.run(call)
    with broken_disk(own, boss):
        with pytest.raises(ServerUnavailable, match="MISCONF"):
            worker.run_all([call, call, call])
        assert not worker.is_open
        assert worker.execute("CLIENT", "GETNAME") == b"worker"
    worker.run(call)


def test_a_server_that_a_script_stalls_is_unavailable_until_that_ends(
    own: EmbeddedServer, boss: Link, worker: Link, call: Call[object]
) -> None:
    """Not refused: the workers of all queues there would end."""
    worker.run(call)
    killer = Link(Address(own.url), "killer")
    killer.open()
    with setting(boss, "busy-reply-threshold", 10, 5000):
        boss.send(("EVAL", "while true do end", 0))
        try:
            assert wait_until(lambda: is_busy(worker))
            with pytest.raises(ServerUnavailable, match="BUSY"):
                worker.run(call)
        finally:
            killer.execute("SCRIPT", "KILL")
            killer.close()
            with pytest.raises(ServerError, match="SCRIPT KILL"):
                boss.receive()
    worker.run(call)


def is_busy(link: Link) -> bool:
    try:
        link.execute("EXISTS", "key")
    except ServerUnavailable:
        return True
    return False
