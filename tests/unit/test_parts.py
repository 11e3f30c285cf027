"""Commands as bytes: what is packed beforehand, and what is written from where it is."""

from __future__ import annotations

import hiredis
import pytest

from pullet_broker.job import Job
from pullet_broker.moves.submit import submit
from pullet_broker.parts import LARGE, Packed, pack, pack_some
from pullet_broker.settings import Queue

QUEUE = Queue(name="q")
BIG = b"y" * (LARGE + 1)


def test_packed_arguments_are_as_any_others() -> None:
    rest = ["list", "a", b"b", 3]
    assert pack(("LPUSH", Packed(4, [pack_some(rest[:1]), pack_some(rest[1:])]))) == [
        hiredis.pack_command(("LPUSH", *rest))
    ]
    assert pack(("PING", Packed(0, []))) == [hiredis.pack_command(("PING",))]


def test_what_is_large_is_written_from_where_it_is() -> None:
    pieces = pack(("SET", "key", (b"small", BIG, b"end")))
    assert pieces[1] is BIG
    assert b"".join(pieces) == hiredis.pack_command(("SET", "key", b"small" + BIG + b"end"))


@pytest.mark.parametrize("args", [b"", b"x" * 200, b"x" * 40_000, BIG, memoryview(BIG)])
def test_a_job_is_packed_as_its_arguments_are(args: bytes) -> None:
    jobs = [
        Job("a", "work", args),
        Job("b", "wörk", args, opts='{"retries":1}', lane="high", delay_ms=1, expires_ms=2, ttl_ms=3, key="kü"),
        Job("c", "work", args, named=True),
        Job("d", "work", args, named=True, once=True),
    ]
    large = int(len(args) > QUEUE.limits.blob_over_bytes)
    given = b"" if large else args
    flat = [
        *("a", "work", given, "", "normal", 0, 0, 0, large, "", ""),
        *("b", "wörk", given, '{"retries":1}', "high", 1, 2, 3, large, "kü", ""),
        *("c", "work", given, "", "normal", 0, 0, 0, large, "", "i"),
        *("d", "work", given, "", "normal", 0, 0, 0, large, "", "io"),
    ]
    call = submit(QUEUE, "me", 1, 7, jobs)
    command = call.command()
    assert b"".join(pack(command)) == hiredis.pack_command((*command[:-1], *flat))
    drafts = [(QUEUE.keys.draft_blob("me", 1, number), args) for number in range(7, 11)] if large else []
    assert [(name, value[0] if type(value) is tuple else value) for _, name, value, *_ in call.drafts] == drafts
