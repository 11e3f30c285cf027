"""Is this server fit to hold queues? What INFO says about it, and what follows from that.

`inspect_server` asks; everything else here is pure. An account without the right to INFO gets NOPERM: its facts are
`read_facts({})`, all unknown, and nothing is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.schema import check_schema
from pullet_broker.settings import Queue

Kind = Literal["redis", "valkey"]
Persistence = Literal["aof", "rdb", "none"]
Version = tuple[int, int, int]

OLDEST: Version = (7, 0, 0)


def inspect_server(address: Address, queue: Queue) -> list[str]:
    """Connect once and judge the server: warnings about one that can be used for `queue`, or `ServerRefused`.

    Raises `SchemaMismatch` for a queue in another wire format, and `ServerUnavailable` for a replica, which may be a
    master soon.
    """
    link = Link.to(queue, address, "inspect", timeout_s=5)
    try:
        facts = ask_facts(link)
        schema = _ask(link, "HGET", queue.keys.fixed("config"), "schema")
    finally:
        link.close()
    if facts.is_replica:
        raise ServerUnavailable(
            f"{address} is a replica, which takes no jobs: name its master, or the sentinels that know it, as in "
            "redis+sentinel://host:port,host:port/service",
            server=str(address),
        )
    check_schema(queue, schema)
    return judge(facts)


def ask_facts(link: Link) -> ServerFacts:
    """What the server says of itself. Raises `ServerRefused` where this account may do nothing at all."""
    link.execute("PING")
    info = parse_info(_ask(link, "INFO").decode(errors="replace"))
    save = _ask(link, "CONFIG", "GET", "save")
    return read_facts(info, save[1].decode() if save else None)


def _ask(link: Link, *command: str) -> Any:
    """The answer, or nothing where this account may not ask."""
    try:
        return link.execute(*command)
    except ServerRefused:
        return b""


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself; None is unknown.

    `version` is Valkey's own on Valkey, which reports 7.2.4 as its `redis_version`. `maxmemory` is in bytes, 0 is no
    limit; so is `memory`, which is in use. `writes_ok` is False when the last write to the append-only file, or the
    last snapshot, has failed.
    """

    kind: Kind | None = None
    version: Version | None = None
    eviction: str | None = None
    persistence: Persistence | None = None
    maxmemory: int | None = None
    is_replica: bool | None = None
    memory: int | None = None
    writes_ok: bool | None = None
    role: str | None = None
    clients: int | None = None
    uptime_s: int | None = None


def parse_info(text: str) -> dict[str, str]:
    """The fields of an INFO answer, `name:value` a line; section titles and blank lines are left out."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, colon, value in lines if colon}


def read_facts(info: Mapping[str, str], save: str | None = None) -> ServerFacts:
    """The facts in INFO.

    `save` is what `CONFIG GET save` answered, None when it was not asked or was refused. INFO shows whether there is
    an append-only file, but not the save points: without `save`, a server that has saved a snapshot since it started
    (`rdb_saves`, by whatever cause) counts as "rdb", and any other as unknown, never as "none".
    """
    return ServerFacts(
        kind=_kind(info),
        version=_version(info.get("valkey_version") or info.get("redis_version", "")),
        eviction=info.get("maxmemory_policy"),
        persistence=_persistence(info, save),
        maxmemory=_number(info.get("maxmemory")),
        is_replica=info["role"] == "slave" if "role" in info else None,
        memory=_number(info.get("used_memory")),
        writes_ok=_writes_ok(info),
        role=info.get("role"),
        clients=_number(info.get("connected_clients")),
        uptime_s=_number(info.get("uptime_in_seconds")),
    )


def _kind(info: Mapping[str, str]) -> Kind | None:
    if "valkey_version" in info or info.get("server_name") == "valkey":
        return "valkey"
    return "redis" if "redis_version" in info else None


def _version(text: str) -> Version | None:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _persistence(info: Mapping[str, str], save: str | None) -> Persistence | None:
    if info.get("aof_enabled") == "1":
        return "aof"
    if "aof_enabled" not in info:
        return None
    if save is not None:
        return "rdb" if save.strip() else "none"
    return "rdb" if _number(info.get("rdb_saves")) else None


def _writes_ok(info: Mapping[str, str]) -> bool | None:
    last = [info[name] for name in ("aof_last_write_status", "rdb_last_bgsave_status") if name in info]
    return all(status == "ok" for status in last) if last else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def judge(facts: ServerFacts) -> list[str]:
    """Warnings about a server that can be used; raises `ServerRefused` for one that cannot."""
    _refuse_old(facts)
    _refuse_eviction(facts)
    warnings = []
    if facts.eviction and facts.eviction.startswith("volatile-"):
        warnings.append(
            f"maxmemory-policy is {facts.eviction}: a full server drops replies before anybody has read them; "
            "set it with CONFIG SET maxmemory-policy noeviction"
        )
    if facts.persistence == "none":
        warnings.append(
            "nothing is persisted: if the server restarts, all waiting jobs and unread replies are lost; "
            "keep them with CONFIG SET appendonly yes"
        )
    return warnings


def _refuse_old(facts: ServerFacts) -> None:
    if facts.version is None or facts.version >= OLDEST:
        return
    found = f"{facts.kind} {'.'.join(map(str, facts.version))}"
    raise ServerRefused(
        f"expected Redis 7.0 or newer, or Valkey; found {found}: upgrade the server or use another",
        expected="7.0.0",
        found=found,
    )


def _refuse_eviction(facts: ServerFacts) -> None:
    if facts.eviction is None or not facts.eviction.startswith("allkeys-"):
        return
    raise ServerRefused(
        f"expected maxmemory-policy noeviction, found {facts.eviction}: a full server would silently drop queued jobs. "
        "Run CONFIG SET maxmemory-policy noeviction (and put it into the server's configuration), "
        "or use a server that is not a cache",
        expected="noeviction",
        found=facts.eviction,
    )
