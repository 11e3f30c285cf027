"""Drafts: large values on their way past Lua, which would copy each of them twice more.

A plain SET stores the value under a name of its sender, on the same connection and just before the script that wants
it. The script renames it to where it belongs, in the step in which it counts, and deletes what has no use. Until then
a draft is nobody's: it changes no job and ends by itself. So it may also be missing when its script comes, because it
has expired, was flushed, or found a full server. Each script that takes drafts says so, and its caller sends the value
again: a client in the same way, a worker in the call itself, which a full server takes.
"""

from __future__ import annotations

from pullet_broker.scripting import Arg, Command

TTL_MS = 60_000
"""How long a draft waits for its script, which is right behind it."""


def draft(name: str, value: Arg) -> Command:
    """Store a value under the name of a draft."""
    return ("SET", name, value, "PX", TTL_MS)
