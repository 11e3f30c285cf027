"""What INFO says about a server, and what follows from it."""

from __future__ import annotations

import pytest

from pullet_broker.errors import ServerRefused
from pullet_broker.inspection import ServerFacts, judge, parse_info, read_facts

VALKEY = """\
# Server\r
redis_version:7.2.4\r
server_name:valkey\r
valkey_version:8.1.8\r
executable:/opt/a:b/valkey-server\r
config_file:\r
\r
# Memory\r
maxmemory:1048576\r
maxmemory_policy:noeviction\r
\r
# Persistence\r
rdb_saves:0\r
aof_enabled:1\r
"""


def test_info_becomes_fields() -> None:
    info = parse_info(VALKEY)
    assert info["executable"] == "/opt/a:b/valkey-server"
    assert info["config_file"] == ""
    assert len(info) == 9


def test_valkey_goes_by_its_own_version() -> None:
    assert read_facts(parse_info(VALKEY)) == ServerFacts("valkey", (8, 1, 8), "noeviction", "aof", 1048576)


@pytest.mark.parametrize(
    ("text", "version"),
    [("7.0.15", (7, 0, 15)), ("8.2", (8, 2, 0)), ("8.0-rc1", (8, 0, 0)), ("255.255.255", (255, 255, 255))],
)
def test_redis_versions(text: str, version: tuple[int, int, int]) -> None:
    facts = read_facts({"redis_version": text})
    assert (facts.kind, facts.version) == ("redis", version)


@pytest.mark.parametrize(
    ("info", "save", "expected"),
    [
        ({"aof_enabled": "1"}, "", "aof"),
        ({"aof_enabled": "1", "rdb_saves": "3"}, None, "aof"),
        ({"aof_enabled": "0"}, "3600 1 300 100", "rdb"),
        ({"aof_enabled": "0", "rdb_saves": "3"}, "", "none"),
        ({"aof_enabled": "0", "rdb_saves": "3"}, None, "rdb"),
        ({"aof_enabled": "0", "rdb_saves": "0"}, None, None),
        ({}, "", None),
    ],
)
def test_persistence_is_claimed_only_on_evidence(info: dict[str, str], save: str | None, expected: str | None) -> None:
    assert read_facts(info, save).persistence == expected


def test_a_server_that_hides_info_is_unknown_and_not_refused() -> None:
    assert read_facts({}) == ServerFacts()
    assert judge(ServerFacts()) == []


@pytest.mark.parametrize("garbled", [{"redis_version": "next"}, {"redis_version": "7.0.0", "maxmemory": "lots"}])
def test_garbled_info_is_unknown_and_not_refused(garbled: dict[str, str]) -> None:
    assert judge(read_facts(garbled)) == []


@pytest.mark.parametrize("version", [(6, 2, 19), (5, 0, 0)])
def test_old_servers_are_refused(version: tuple[int, int, int]) -> None:
    with pytest.raises(ServerRefused, match=r"7\.0 or newer.*found redis \d") as refused:
        judge(ServerFacts("redis", version))
    assert refused.value.found == f"redis {'.'.join(map(str, version))}"


@pytest.mark.parametrize("kind_and_version", [("redis", (7, 0, 0)), ("valkey", (7, 2, 5)), ("redis", (8, 2, 3))])
def test_servers_from_7_0_are_taken(kind_and_version: tuple[str, tuple[int, int, int]]) -> None:
    kind, version = kind_and_version
    assert judge(ServerFacts("valkey" if kind == "valkey" else "redis", version, "noeviction", "aof", 0)) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_cache_is_refused_with_the_remedy(policy: str) -> None:
    with pytest.raises(ServerRefused, match="CONFIG SET maxmemory-policy noeviction") as refused:
        judge(ServerFacts("redis", (7, 2, 0), policy))
    assert (refused.value.expected, refused.value.found) == ("noeviction", policy)


@pytest.mark.parametrize(
    ("facts", "word"),
    [(ServerFacts(eviction="volatile-ttl"), "volatile-ttl"), (ServerFacts(persistence="none"), "appendonly yes")],
)
def test_risky_settings_are_warned_of(facts: ServerFacts, word: str) -> None:
    (warning,) = judge(facts)
    assert word in warning
