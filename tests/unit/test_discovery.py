"""What a URL says of where the server is, and what a cluster says of its slots."""

from __future__ import annotations

import pytest
from redis.connection import SSLConnection

from pullet_broker.address import Address
from pullet_broker.discovery import Cluster, Named, Node, Sentinels, finder, read_slots
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from tests.support.workers import everything_shown

SECRET = "s3cr3t"
OURS = {"protocol": 2, "socket_timeout": 10.0}


@pytest.mark.parametrize("url", ["redis://host:1/2", "rediss://host", "unix:///run/redis/s"])
def test_a_plain_url_names_the_server(url: str) -> None:
    assert isinstance(finder(Address(url), "", OURS), Named)


def test_sentinels_are_asked_for_a_service_without_the_password_of_the_servers() -> None:
    url = f"redis+sentinel://user:{SECRET}%40@one,two:5000,[::1]:6000/jobs/3?sentinel_password=other&health_check_interval=5"
    found = finder(Address(url), "", OURS)
    assert isinstance(found, Sentinels)
    assert found._nodes == [Node("one", 26379), Node("two", 5000), Node("[::1]", 6000)]
    assert found._service == "jobs"
    server, sentinel = found._recipe.settings, found._sentinel.settings
    assert (server["username"], server["password"], server["db"]) == ("user", f"{SECRET}@", 3)
    assert (sentinel["username"], sentinel["password"], sentinel["db"]) == (None, "other", 0)
    assert server["health_check_interval"] == 5
    assert "sentinel_password" not in server


def test_a_cluster_is_asked_for_the_slot_of_the_queue() -> None:
    found = finder(Address(f"rediss+cluster://:{SECRET}@one:7000,two"), "pullet:{hash_tag}:config", OURS)
    assert isinstance(found, Cluster)
    assert found._nodes == [Node("one", 7000), Node("two", 6379)]
    assert found._slot == 2515, "as the documentation of CLUSTER KEYSLOT has it for foo{hash_tag}"
    assert found._recipe.kind is SSLConnection
    assert found._recipe.settings["password"] == SECRET


def test_no_url_changes_how_a_link_talks() -> None:
    """RESP3 has other answers, and a blocking read needs a patient socket."""
    found = finder(Address("redis://host?protocol=3&socket_timeout=0.1"), "", OURS)
    assert isinstance(found, Named)
    assert (found._recipe.settings["protocol"], found._recipe.settings["socket_timeout"]) == (2, 10.0)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://host",
        "redis+sentinel://host/jobs/zero",
        "redis+sentinel://host/jobs/0/1",
        "redis+sentinel:///jobs",
        "redis+sentinel://host:port/jobs",
        "redis+cluster://",
        "redis+cluster://host,,host",
        "redis+cluster://host/1",
        "redis+cluster://host/jobs",
        "redis+unknown://host",
        "sentinel://host/jobs",
    ],
)
def test_what_is_no_url_is_refused_with_the_forms_there_are(url: str) -> None:
    secret = url.replace("://", f"://:{SECRET}@")
    with pytest.raises(ServerRefused, match=r"redis\+sentinel://host:port,host:port/service/db") as raised:
        Link(Address(secret), "test")
    assert SECRET not in everything_shown(raised.value)


def test_an_option_that_redis_does_not_know_is_named() -> None:
    with pytest.raises(ServerRefused, match="'color'") as raised:
        Link(Address(f"redis://:{SECRET}@127.0.0.1:1/0?color=red"), "test").open()
    assert SECRET not in everything_shown(raised.value)


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_where_nobody_answers_all_are_named(kind: str) -> None:
    link = Link(Address(f"redis+{kind}://:{SECRET}@127.0.0.1:1,127.0.0.1:2{'/jobs' * (kind == 'sentinel')}"), "test")
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1.*127\.0\.0\.1:2") as raised:
        link.open()
    assert SECRET not in everything_shown(raised.value)


def test_slots_are_read_with_their_masters() -> None:
    rows = [
        [0, 5460, [b"10.0.0.1", 7000, b"id", []], [b"10.0.0.9", 7009, b"id", []]],
        [5461, 16382, [b"", 7001, b"id"]],
        [16383, 16383, [None, 7002, b"id"]],
    ]
    assert read_slots(rows, Node("asked", 1)) == [
        (0, 5460, Node("10.0.0.1", 7000)),
        (5461, 16382, Node("asked", 7001)),
        (16383, 16383, Node("asked", 7002)),
    ]
