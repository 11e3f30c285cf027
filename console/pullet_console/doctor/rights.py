"""May this account do what pullet does? Each command is tried where it changes nothing.

Redis checks the right before it looks at the key, so a harmless call tells: a read or a removal of what is not there, a
write that a condition or an argument forbids. What scripts use is checked as if it were sent (since 7.0), so the list
holds the commands of all scripts; a test compares it with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pullet_broker.scripting import Arg
from pullet_console.doctor.findings import Finding, fail, ok, warn

KEY = "pullet:{pullet-doctor}:probe"
"""Never there for longer than a few calls."""

_GROUP = "doctor"

NEEDED: tuple[tuple[Arg, ...], ...] = (
    ("TIME",),
    ("EVALSHA", "0" * 40, 0),
    ("SCRIPT", "LOAD", "return 1"),
    ("EXISTS", KEY),
    ("PEXPIRE", KEY, 1),
    ("PTTL", KEY),
    ("PERSIST", KEY),
    ("RENAME", KEY, KEY),  # there is no such key
    ("GET", KEY),
    ("GETRANGE", KEY, 0, 1),
    ("MGET", KEY),
    ("SET", KEY, "", "XX"),
    ("HSET", KEY, "a", "b", "c"),  # one value is missing
    ("HGET", KEY, "a"),
    ("HMGET", KEY, "a"),
    ("HGETALL", KEY),
    ("HKEYS", KEY),
    ("HLEN", KEY),
    ("HEXISTS", KEY, "a"),
    ("HSETNX", KEY, "a", "b"),  # writes; the next one removes it
    ("HDEL", KEY, "a"),
    ("HINCRBY", KEY, "a", "none"),  # not a number
    ("SMEMBERS", KEY),
    ("SADD", KEY, "a"),  # writes; the next one removes it
    ("SREM", KEY, "a"),
    ("ZADD", KEY, "XX", 1, "a"),
    ("ZCOUNT", KEY, 0, 1),
    ("ZRANGE", KEY, 0, 0),
    ("ZRANGEBYSCORE", KEY, 0, 1),
    ("ZSCORE", KEY, "a"),
    ("ZREM", KEY, "a"),
    ("ZREMRANGEBYSCORE", KEY, 0, 1),
    ("XADD", KEY, "NOMKSTREAM", "*", "a", "b"),
    ("XLEN", KEY),
    ("XRANGE", KEY, "-", "+", "COUNT", 1),
    ("XREVRANGE", KEY, "+", "-", "COUNT", 1),
    ("XREAD", "COUNT", 1, "STREAMS", KEY, "0"),
    ("XREADGROUP", "GROUP", _GROUP, "me", "COUNT", 1, "STREAMS", KEY, ">"),
    ("XGROUP", "CREATE", KEY, _GROUP, "0"),
    ("XGROUP", "CREATECONSUMER", KEY, _GROUP, "me"),
    ("XGROUP", "DELCONSUMER", KEY, _GROUP, "me"),
    ("XINFO", "STREAM", KEY),
    ("XINFO", "GROUPS", KEY),
    ("XINFO", "CONSUMERS", KEY, _GROUP),
    ("XPENDING", KEY, _GROUP),
    ("XACK", KEY, _GROUP, "0-1"),
    ("XDEL", KEY, "0-1"),
    ("XTRIM", KEY, "MAXLEN", 0),
    ("XSETID", KEY, "0-1"),
    ("DEL", KEY),
    ("UNLINK", KEY),
)
"""Clients and workers do nothing else. Sent in this order."""

WANTED: tuple[tuple[Arg, ...], ...] = (
    ("INFO", "server"),
    ("CONFIG", "GET", "save"),
    ("SCAN", "0", "COUNT", 1),
    ("TYPE", KEY),
    ("STRLEN", KEY),
    ("ZCARD", KEY),
    ("ZRANK", KEY, "a"),
    ("SCARD", KEY),
)
"""The console, and the check of a server at the start of a client, ask these; without them they know less."""

WITH_SUBCOMMAND = {"SCRIPT", "XGROUP", "XINFO", "CONFIG"}


def name_of(command: Sequence[Arg]) -> str:
    """As an ACL rule names it: `xinfo|stream`."""
    name = str(command[0]).lower()
    return f"{name}|{str(command[1]).lower()}" if command[0] in WITH_SUBCOMMAND else name


def is_refused(answer: str) -> bool:
    """Does this error say that the account may not call the command, or touch the key?"""
    return (
        answer.startswith("NOPERM")
        or "no permissions" in answer.lower()
        or "can't run this command" in answer
        or is_about_keys(answer)
    )


def is_about_keys(answer: str) -> bool:
    return re.search(r"access (a|(at least )?one of the) key", answer) is not None


def judge_rights(user: str, refused: Sequence[tuple[str, str]], wanted: Sequence[str]) -> list[Finding]:
    """`refused`: the name and the answer of each needed command that was refused; `wanted`: names of the others."""
    keys = any(is_about_keys(answer) for _, answer in refused)
    missing = [name for name, answer in refused if not is_about_keys(answer)]
    found = []
    if keys or missing:
        rules = [*(["~pullet:*"] if keys else []), *(f"+{name}" for name in missing)]
        what = [*(["the keys pullet:*"] if keys else []), *missing]
        text = f"user {user!r} may not use {', '.join(what)}"
        found.append(fail("rights", text, f"ACL SETUSER {user} {' '.join(rules)}"))
    if wanted:
        text = f"user {user!r} may not use {', '.join(wanted)}: the console and the check of the server know less"
        found.append(warn("rights", text, f"ACL SETUSER {user} {' '.join(f'+{name}' for name in wanted)}"))
    return found or [ok("rights", f"user {user!r} may do all that is needed")]
