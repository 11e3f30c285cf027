"""Lines to paste into a shell, to look at the queue with redis-cli."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from pullet_broker.errors import ServerMissing
from pullet_broker.keys import GROUP, Keys
from pullet_broker.server_binary import find_server


def lines(url: str, queue: str) -> list[str]:
    """How many jobs wait or run, how many of them run and where, who the workers are."""
    keys = Keys(queue)
    jobs = keys.lane("normal")
    return [
        _line(url, "XLEN", jobs),
        _line(url, "XPENDING", jobs, GROUP),
        _line(url, "HVALS", keys.fixed("workers")),
    ]


def _line(url: str, *command: str) -> str:
    return shlex.join([client_program(), *where(url), *command])


def where(url: str) -> Sequence[str]:
    """The options of redis-cli for a server's URL; it does not know `unix://`."""
    parts = urlsplit(url)
    return ["-s", unquote(parts.path)] if parts.scheme == "unix" else ["-u", url]


def client_program() -> str:
    """`redis-cli` or `valkey-cli` where the shell finds one, else the path of the one that came with a wheel."""
    for name in ("redis-cli", "valkey-cli"):
        if shutil.which(name):
            return name
    try:
        return str(find_server().cli or "redis-cli")
    except ServerMissing:
        return "redis-cli"
