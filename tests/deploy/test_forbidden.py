"""The accounts that `pullet acl` prints: none does what it must not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pullet_broker.errors import ServerError, ServerRefused
from pullet_broker.moves.emptying import empty
from pullet_broker.scripting import NAMES, load
from pullet_broker.settings import Queue
from tests.support.accounts import PROGRAMS, ROLES, Accounts, Guarded
from tests.support.scribe import Caller, Scribe, Worker
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(60)
HOUR = 3_600_000


OTHERS = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "evil", "on"),
    ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("MONITOR",),
    ("SAVE",),
    ("BGREWRITEAOF",),
    ("MIGRATE", "127.0.0.1", "1", "{k}config", "0", "1"),
    ("RESTORE", "{k}reply:x", "0", "x"),
    ("SWAPDB", "0", "1"),
    ("EVAL", "return 1", "0"),
    ("SCRIPT", "FLUSH"),
    ("SCRIPT", "KILL"),
    ("FUNCTION", "LOAD", "x"),
    ("FUNCTION", "FLUSH"),
    ("FCALL", "x", "0"),
    ("CLIENT", "KILL", "ID", "1"),
    ("MODULE", "LIST"),
    ("GET", "foreign"),
    ("SET", "foreign", "1"),
    ("DEL", "foreign"),
    ("PUBLISH", "channel", "x"),
    ("SUBSCRIBE", "channel"),
)
"""Refused to everybody. `{k}` stands for the keys of the queue."""

CLIENT = (
    *(("XRANGE", f"{{k}}{lane}", "-", "+") for lane in ("jobs", "jobs:again", "jobs:at:here")),
    ("XREVRANGE", "{k}jobs", "+", "-"),
    ("XREAD", "STREAMS", "{k}jobs", "0"),
    ("XREADGROUP", "GROUP", "workers", "me", "STREAMS", "{k}jobs", ">"),
    ("XACK", "{k}jobs", "workers", "1-0"),
    ("XDEL", "{k}jobs", "1-0"),
    ("XTRIM", "{k}jobs", "MAXLEN", "0"),
    ("XCLAIM", "{k}jobs", "workers", "me", "0", "1-0"),
    ("XAUTOCLAIM", "{k}jobs", "workers", "me", "0", "0"),
    ("XSETID", "{k}jobs", "1-0"),
    ("XGROUP", "DESTROY", "{k}jobs", "workers"),
    ("XGROUP", "SETID", "{k}jobs", "workers", "$"),
    ("XGROUP", "DELCONSUMER", "{k}jobs", "workers", "w"),
    ("SET", "{k}jobs", "x"),
    ("DEL", "{k}jobs"),
    ("UNLINK", "{k}jobs"),
    ("UNLINK", "{k}jobs", "{k}reply:x"),
    ("EXPIRE", "{k}jobs", "0"),
    ("PEXPIRE", "{k}jobs", "0"),
    ("RENAME", "{k}jobs", "{k}inbox:x"),
    ("COPY", "{k}jobs", "{k}inbox:x"),
    ("XADD", "{k}reply:x", "*", "a", "b"),
    ("SET", "{k}reply:x", "ok"),
    ("SETEX", "{k}reply:x", "9", "ok"),
    ("APPEND", "{k}reply:x", "ok"),
    ("GETSET", "{k}reply:x", "ok"),
    ("PEXPIRE", "{k}reply:x", "0"),
    ("XADD", "{k}part:x", "*", "a", "b"),
    ("GET", "{k}blob:x"),
    ("DEL", "{k}blob:x"),
    ("SET", "{k}blob:x", "x"),
    ("RENAME", "{k}blob:x", "{k}draft:blob:x"),
    ("GET", "{k}draft:blob:x"),
    ("SET", "{k}draft:reply:x", "ok"),
    ("RENAME", "{k}draft:blob:x", "{k}reply:x"),
    ("HGETALL", "{k}parked"),
    ("HDEL", "{k}parked", "x"),
    ("HVALS", "{k}parked"),
    ("ZREM", "{k}delayed", "x"),
    ("ZREM", "{k}cancelled", "x"),
    ("XRANGE", "{k}dead", "-", "+"),
    ("XADD", "{k}dead", "*", "a", "b"),
    ("HGETALL", "{k}workers"),
    ("HSET", "{k}workers", "a", "b"),
    ("HSET", "{k}beats", "a", "1"),
    ("HSET", "{k}pool", "a", "b"),
    ("SET", "{k}tick", "x"),
    ("SADD", "{k}places", "x"),
    ("SET", "{k}home:x", "x"),
    ("SET", "{k}storm", "x"),
    ("HGETALL", "{k}watched"),
    ("HGETALL", "{k}named"),
    ("XRANGE", "{k}events", "-", "+"),
    ("XADD", "{k}actions", "*", "a", "b"),
    ("SCAN", "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("CLIENT", "LIST"),
    ("CLIENT", "UNBLOCK", "1"),
    ("CONFIG", "GET", "*"),
    ("RANDOMKEY",),
    ("DBSIZE",),
)

WORKER = (
    ("XTRIM", "{k}jobs", "MAXLEN", "0"),
    ("XGROUP", "DESTROY", "{k}jobs", "workers"),
    ("XGROUP", "SETID", "{k}jobs", "workers", "$"),
    ("XSETID", "{k}jobs", "1-0"),
    ("XCLAIM", "{k}jobs", "workers", "me", "0", "1-0"),
    ("XAUTOCLAIM", "{k}jobs", "workers", "me", "0", "0"),
    ("SET", "{k}jobs", "x"),
    ("DEL", "{k}jobs"),
    ("UNLINK", "{k}jobs"),
    ("PEXPIRE", "{k}jobs", "0"),
    ("RENAME", "{k}jobs", "{k}reply:x"),
    ("SET", "{k}client:x", "1 1"),
    ("GET", "{k}client:x"),
    ("SET", "{k}inbox:x", "x"),
    ("UNLINK", "{k}inbox:x"),
    ("XRANGE", "{k}inbox:x", "-", "+"),
    ("XREAD", "STREAMS", "{k}inbox:x", "0"),
    ("XTRIM", "{k}inbox:x", "MAXLEN", "0"),
    ("PEXPIRE", "{k}inbox:x", "0"),
    ("GET", "{k}reply:x"),
    ("DEL", "{k}reply:x"),
    ("UNLINK", "{k}reply:x"),
    ("PEXPIRE", "{k}reply:x", "0"),
    ("SET", "{k}blob:x", "x"),
    ("SET", "{k}draft:blob:x", "x"),
    ("GET", "{k}draft:reply:x"),
    ("RENAME", "{k}reply:x", "{k}draft:reply:x"),
    ("RENAME", "{k}draft:reply:x", "{k}blob:x"),
    ("DEL", "{k}stats"),
    ("XTRIM", "{k}dead", "MAXLEN", "0"),
    ("DEL", "{k}dead"),
    ("HDEL", "{k}config", "paused"),
    ("DEL", "{k}config"),
    ("XADD", "{k}actions", "*", "a", "b"),
    ("XADD", "{k}stops", "*", "job", "x"),
    ("ZADD", "{k}cancelled", "1", "x"),
    ("SCAN", "0"),
    ("CONFIG", "GET", "*"),
    ("CLIENT", "LIST"),
    ("RANDOMKEY",),
)

WRITES = {"XREADGROUP", "XACK", "XDEL", "XTRIM", "XCLAIM", "XSETID", "XGROUP"}
WRITES |= {"SET", "DEL", "UNLINK", "PEXPIRE", "XADD", "HSET", "ZREM"}
DASH = (
    ("SCRIPT", "LOAD", "return 1"),
    ("CLIENT", "UNBLOCK", "1"),
    ("CONFIG", "GET", "*"),
    *(
        command
        for command in CLIENT
        if command[0] in ("XREADGROUP", "XACK", "XDEL", "XTRIM", "XCLAIM", "XSETID", "SET")
    ),
    *(command for command in CLIENT if command[0] in WRITES),
    ("HSET", "{k}config", "paused", "1"),
    ("HINCRBY", "{k}stats", "done", "1"),
    ("PERSIST", "{k}blob:x"),
)

HEALTH = (
    ("INFO",),
    ("TIME",),
    ("SELECT", "1"),
    ("GET", "{k}reply:x"),
    ("XLEN", "{k}jobs"),
    ("EVALSHA", "0" * 40, "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("SCAN", "0"),
)

FORBIDDEN = [
    *((role, command) for role in ROLES for command in OTHERS),
    *(("client", command) for command in CLIENT),
    *(("worker", command) for command in WORKER),
    *(("dash", command) for command in DASH),
    *(("health", command) for command in HEALTH),
]


def test_none_may_do_what_it_is_not_for(queue: Queue, accounts: Accounts) -> None:
    accounts.caller.one()
    base = queue.keys.fixed("")
    wrong = []
    for role, command in FORBIDDEN:
        words = [word.replace("{k}", base) for word in command]
        assert accounts.links["root"].execute("ACL", "DRYRUN", "root", *words) == b"OK", "or the refusal says nothing"
        try:
            wrong.append((role, *command, accounts.links[role].execute(*words)))
        except ServerRefused:
            continue
        except ServerError as error:
            wrong.append((role, *command, repr(error)))
    assert not wrong
    assert len(FORBIDDEN) > 260
    assert accounts.links["admin"].run(empty(queue, 10**14)).ended == 1


def test_scripts_give_no_role_more_than_its_commands(queue: Queue, accounts: Accounts) -> None:
    """All scripts are in the server's cache, and anybody may name one."""
    accounts.links["admin"].bring([load(name) for name in NAMES])
    job = accounts.caller.one(expires_ms=HOUR)
    for role in ("client", "dash"):
        link = accounts.links[role]
        scribe = Scribe(link, queue)
        for act in (
            lambda s=scribe: s.reap("w"),
            lambda s=scribe: Worker(s.link, queue, "evil").register(),
            lambda s=scribe: s.link.run(empty(queue, 10**14)),
        ):
            with pytest.raises(ServerRefused):
                act()
    with pytest.raises(ServerRefused):
        Caller(accounts.links["worker"], queue).announce()
    with pytest.raises(ServerRefused):
        Caller(accounts.links["dash"], queue).one()
    assert not accounts.root.ended(job)
    assert accounts.links["admin"].run(empty(queue, 10**14)).ended == 1


def test_accounts_of_one_queue_see_no_other(tmp_path: Path, server: Guarded) -> None:
    program = PROGRAMS["valkey-server"] if "valkey-server" in PROGRAMS else next(iter(PROGRAMS.values()))
    ours, theirs = Queue(name="ours"), Queue(name="theirs")
    with Guarded(tmp_path / "two", program, "ours", "theirs") as node:
        with running(ours, node.address("worker-ours")), calling(ours, node.address("client-ours")) as client:
            assert list(client.map(Kit.echo, range(10))) == list(range(10))
        for role in ("client", "worker", "admin", "dash"):
            link = node.link(f"{role}-ours")
            with closing(link), pytest.raises(ServerRefused):
                Caller(link, theirs).announce()
            with closing(link), pytest.raises(ServerRefused):
                link.execute("HGET", theirs.keys.fixed("config"), "schema")
