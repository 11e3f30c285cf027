"""The keys of a queue for people, from the one table that says what they are: the docstring of `pullet_broker.keys`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from pullet_broker import keys as broker_keys
from pullet_broker.keys import Keys

READS = {
    "stream": "XREVRANGE {} + - COUNT 3",
    "string": "GET {}",
    "hash": "HGETALL {}",
    "zset": "ZRANGE {} 0 9 WITHSCORES",
    "set": "SMEMBERS {}",
}
SIZES = {"stream": "XLEN", "string": "STRLEN", "hash": "HLEN", "zset": "ZCARD", "set": "SCARD"}


@dataclass(frozen=True)
class KeyRow:
    """One kind of key."""

    key: str
    """With `<...>` for what is to be filled in."""
    type: str
    holds: str
    command: str
    """What to give to redis-cli, quoted for the shell."""


def keymap(queue: str) -> list[KeyRow]:
    """All keys of a queue, in the order of the table."""
    keys = Keys(queue)
    return [
        KeyRow(keys.fixed(name), kind, holds, READS[kind].format(shlex.quote(keys.fixed(name))))
        for name, kind, holds in read_table(broker_keys.__doc__ or "")
    ]


def read_table(text: str) -> list[tuple[str, str, str]]:
    """Name, type and content of each key in the table of the docstring."""
    lines = text.splitlines()
    rule = next(line for line in lines if line.startswith("==="))
    edges = [match.span() for match in re.finditer("=+", rule)]
    first, last = [i for i, line in enumerate(lines) if line == rule][1:3]
    rows = [[line[start:end].strip() for start, end in edges] for line in lines[first + 1 : last]]
    return [(name, kind, holds) for name, kind, holds, *_ in rows]
