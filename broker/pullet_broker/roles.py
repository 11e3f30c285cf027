"""What each kind of account may do on the server, as rules for its ACL file.

Redis checks the commands of a script as if its caller had sent them, but the KEYS that a script names must be writable
beside EVALSHA. So the root permissions of a role hold EVALSHA with all keys of pullet, and no command that touches
data; those are in selectors, each with the few keys it is for. Selectors came with Redis 7.0.

client  submits, cancels, waits, reads its replies, pauses. It reads no jobs but those whose id it knows, and it
        acknowledges nothing and writes no reply
worker  takes jobs and brings their outcomes; it has no place to submit from
admin   all that the command line does to queues, loading scripts included; nothing of the server but a look
dash    reads everything of pullet and writes nothing
health  PING
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pullet_broker.inspection import Kind, Version
from pullet_broker.keys import pattern

Role = Literal["client", "worker", "admin", "dash", "health"]
ROLES: tuple[Role, ...] = get_args(Role)

DEFAULT = "user default off ~* &* +@all"
"""Nobody can be `default`, and it may do everything: a server reads its append-only file as this user, and what that
may not do is left out without an error. With fewer rights, a restart loses what scripts wrote."""


@dataclass(frozen=True)
class Grant:
    """These commands on these keys, each as `keys.py` names it, `*` for a part that varies."""

    keys: str
    commands: str
    onto: str = ""
    """More keys, which these commands may write and not read."""


_LANES = "jobs jobs:*"

_CLIENT = (
    Grant(_LANES, "xadd xlen xpending exists xgroup|create"),
    Grant("inbox:*", "xadd xread xtrim pexpire"),
    Grant("inbox:* reply:* part:*", "unlink"),
    Grant("reply:*", "get mget getrange exists"),
    Grant("part:*", "xrange"),
    Grant("client:*", "get set pexpire"),
    Grant("draft:blob:*", "set persist unlink"),
    Grant("draft:blob:*", "rename", onto="blob:*"),
    Grant("home:*", "get pexpire"),
    Grant("config", "hget hmget hset hdel hexists"),
    Grant("stats", "hincrby"),
    Grant("places", "smembers"),
    Grant("parked", "hget hset hlen hexists"),
    Grant("delayed cancelled", "zadd"),
    Grant("cancelled watched progress named", "exists"),
    Grant("watched named", "hget hset hexists pexpire"),
    Grant("progress pool", "hget"),
    Grant("stops", "xadd pexpire"),
)

_WORKER = (
    Grant(
        _LANES,
        "xreadgroup xack xdel xadd xread xrange xlen xpending xinfo|stream xinfo|groups xinfo|consumers exists "
        "xgroup|create xgroup|createconsumer xgroup|delconsumer",
    ),
    Grant("jobs:at:*", "del xsetid"),
    Grant("reply:*", "set exists"),
    Grant("draft:reply:*", "set pexpire unlink"),
    Grant("draft:reply:*", "rename", onto="reply:*"),
    Grant("inbox:*", "xadd"),
    Grant("cancelled watched progress named", "exists zscore zrem zremrangebyscore hget hset hdel pexpire"),
    Grant("stats", "hincrby"),
    Grant("config", "hget hmget hset hexists"),
    Grant("workers beats missed", "hset hsetnx hget hdel hgetall hkeys hlen hexists"),
    Grant("blob:*", "get mget unlink pexpire pttl"),
    Grant("part:*", "xadd xrevrange pexpire unlink"),
    Grant("home:*", "get set"),
    Grant("tick storm", "get set del pttl"),
    Grant("places", "smembers sadd srem"),
    Grant("delayed", "zadd zrem zcount zrange zrangebyscore"),
    Grant("parked", "hget hset hdel hlen"),
    Grant("stops", "xread"),
    Grant("events", "xadd pexpire"),
    Grant("dead", "xadd xlen xrange xdel"),
    Grant("buried", "hget hset hdel"),
    Grant("pool", "hget hgetall hset unlink"),
)

_GREET = "ping hello auth quit client|setname client|getname"
_ALL = f"{_GREET} client|id select time info role cluster|slots acl|whoami evalsha script|exists"
_READS = (
    "xlen xrange xrevrange xread xpending xinfo|stream xinfo|groups xinfo|consumers get mget getrange strlen "
    "hget hmget hgetall hkeys hlen hexists smembers scard zrange zrangebyscore zcount zcard zrank zscore "
    "exists type ttl pttl scan"
)


def rules(
    role: Role,
    password_hash: str | None,
    *,
    kind: Kind,
    version: Version,
    user: str | None = None,
    queue: str | None = None,
) -> str:
    """The line of one account for an ACL file: with a password, by its sha256 in hex, or else switched off.

    For all queues of the server, or for one. `kind` and `version` are the server's: a name that it does not know keeps
    it from starting.
    """
    login = f"on #{password_hash}" if password_hash else "off"
    greets = ["client|setinfo"] if kind == "valkey" or version >= (7, 2, 0) else []
    words = ["user", user or role, "reset", login, *_permissions(role, greets, queue)]
    return " ".join(words)


def _permissions(role: Role, greets: Sequence[str], queue: str | None) -> list[str]:
    everything = pattern("*", queue)
    if role == "health":
        return [*_allow(_GREET), *_allow(*greets)]
    if role == "admin":
        base = ["+@all", "-@admin", "-@dangerous", "-@scripting"]
        looks = "evalsha script|load script|exists info role config|get client|list client|unblock"
        return [f"~{everything}", *base, *_allow(looks)]
    if role == "dash":
        return [f"~{everything}", *_allow(_ALL, *greets, _READS)]
    more = "script|load client|unblock" if role == "worker" else ""
    grants = _WORKER if role == "worker" else _CLIENT
    return [f"~{everything}", *_allow(_ALL, *greets, more), *(_selector(grant, queue) for grant in grants)]


def _selector(grant: Grant, queue: str | None) -> str:
    keys = [f"~{pattern(name, queue)}" for name in grant.keys.split()]
    keys += [f"%W~{pattern(name, queue)}" for name in grant.onto.split()]
    return f"({' '.join([*keys, *_allow(grant.commands)])})"


def _allow(*commands: str) -> list[str]:
    return [f"+{name}" for words in commands for name in words.split()]
