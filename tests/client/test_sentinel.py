"""Callers and workers find the master by its sentinels, and follow it when it changes in mid-work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.pair import pair
from tests.support.servers import Guarded, guarded
from tests.support.workers import Kit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("sentinel")) as made:
        yield made


@pytest.mark.parametrize("how", ["the master is killed", "the master is demoted"])
def test_work_goes_on_at_the_next_master(watched: Guarded, how: str) -> None:
    assert wait_until(watched.is_complete, 30)
    old = watched.master()
    with pair(Queue(name=how.replace(" ", "-")), watched.address) as work:
        client = work.client
        before = [client.submit(Kit.echo, n) for n in range(200)]
        assert client.flush(10)
        if how == "the master is killed":
            old.kill()
        else:
            watched.sentinels[0].ask("SENTINEL", "FAILOVER", watched.SERVICE)
        during = [client.submit(Kit.echo, n) for n in range(200, 400)]
        assert wait_until(lambda: watched.master() is not old, 30)
        after = [client.submit(Kit.echo, n) for n in range(400, 600)]
        assert [future.result(30) for future in before + during + after] == list(range(600))
        ran = work.end()
    assert set(ran) == {*range(600), "held"}
    again = sum(ran.values()) - 601
    assert again <= 100, "only what the replica had not heard of may run again"
    if how == "the master is killed":
        old.start()
        assert wait_until(watched.is_complete, 60), "the sentinels took it back"
        assert old.replicates(b"role:slave")


def test_a_sentinel_that_is_gone_is_passed_over(watched: Guarded) -> None:
    url = watched.address.url.replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,")
    link = Link(Address(url), "test")
    assert link.execute("PING") == b"PONG"
    link.close()
    with pytest.warns(RuntimeWarning, match="nothing is persisted"):
        assert pullet.connect(Kit, url).queue == "kit"


def test_what_no_sentinel_knows_is_said(watched: Guarded) -> None:
    url = watched.address.url.replace("/jobs/", "/jabs/")
    with pytest.raises(
        ServerUnavailable, match=r"no sentinel names the master of 'jabs'.*knows no master of that name"
    ):
        Link(Address(url), "test").open()


def test_sentinels_have_a_password_of_their_own(watched: Guarded) -> None:
    sentinel = watched.sentinels[0]
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/{watched.SERVICE}"
    sentinel.ask("ACL", "SETUSER", "watcher", "on", ">s3cret-word", "~*", "&*", "+@all")
    sentinel.ask("ACL", "SETUSER", "default", "off")
    link = Link(Address(f"{url}?sentinel_username=watcher&sentinel_password=s3cret-word"), "test")
    try:
        assert link.execute("PING") == b"PONG"
        with pytest.raises(ServerRefused, match=r"NOAUTH|Authentication required") as raised:
            Link(Address(url), "test").open()
        wrong = Address(f"{url}?sentinel_username=watcher&sentinel_password=wr0ng-word")
        with pytest.raises(ServerRefused) as raised:
            Link(wrong, "test").open()
        assert "wr0ng" not in f"{raised.value} {raised.value!r} {wrong} {wrong!r}"
    finally:
        link.close()
        boss = Link(Address(f"redis://watcher:s3cret-word@127.0.0.1:{sentinel.port}"), "boss")
        boss.execute("ACL", "SETUSER", "default", "on")
        boss.close()
