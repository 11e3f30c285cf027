"""Large arguments of commands, written to the socket from where they are.

An argument may be a tuple of parts, which the server gets as one. From 64 KiB on a copy costs more than another call of
the operating system.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import hiredis

Buffer: TypeAlias = "bytes | memoryview"
Parts: TypeAlias = "tuple[Buffer, ...]"

LARGE = 64 * 1024


def pack(command: Sequence[Any]) -> list[Buffer]:
    """What to write for a command, in this order."""
    try:
        packed: bytes = hiredis.pack_command(tuple(command))
        return [packed]
    except TypeError:  # it has no tuples, and refuses whatever else is no argument as well
        if not any(type(argument) is tuple for argument in command):
            raise
    return _pack_spread(command)


def _pack_spread(command: Sequence[Any]) -> list[Buffer]:
    """RESP: the number of arguments, then each with its length. What is small between the large ones goes together."""
    found: list[Buffer] = []
    small = [b"*%d\r\n" % len(command)]
    for argument in command:
        if type(argument) is not tuple:
            small.append(hiredis.pack_command((argument,)).partition(b"\r\n")[2])
            continue
        small.append(b"$%d\r\n" % sum(map(len, argument)))
        for part in argument:
            if len(part) > LARGE:
                found += [b"".join(small), part]
                small = []
            else:
                small.append(bytes(part))
        small.append(b"\r\n")
    return [*found, b"".join(small)]
