"""The ARGV that the scripts which settle or bury jobs have in common."""

from __future__ import annotations

from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue


def settling(queue: Queue) -> dict[str, Arg]:
    """The ARGV that every script needs that settles jobs."""
    return {
        "reply": queue.keys.reply_prefix,
        "inbox": queue.keys.inbox_prefix,
        "blob": queue.keys.blob_prefix,
        "inline": queue.limits.inline_bytes,
        "ttl": queue.lifetimes.reply_ms,
    }


def burying(queue: Queue) -> dict[str, Arg]:
    """The ARGV that every script needs that writes dead letters."""
    return {"dead_letters": queue.limits.dead_letters, "dead_ms": queue.lifetimes.dead_ms}
