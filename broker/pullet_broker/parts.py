"""How commands become bytes. RESP: the number of arguments, then each with its length.

An argument may be a tuple of parts, which the server gets as one: they are written from where they are. From 64 KiB on
a copy costs more than another call of the operating system. The last one may be `Packed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import hiredis

Buffer: TypeAlias = "bytes | memoryview"
Parts: TypeAlias = "tuple[Buffer, ...]"

LARGE = 64 * 1024


class Packed(NamedTuple):
    """Arguments as the server reads them, in pieces."""

    number: int
    pieces: Sequence[Buffer]


def pack(command: Sequence[Any]) -> list[Buffer]:
    """What to write for a command, in this order."""
    last = command[-1]
    if type(last) is Packed:
        head = b"*%d\r\n" % (len(command) - 1 + last.number)
        return _together([head, pack_some(command[:-1]), *last.pieces])
    try:
        packed: bytes = hiredis.pack_command(tuple(command))
        return [packed]
    except TypeError:  # it has no tuples, and refuses whatever else is no argument as well
        if not any(type(argument) is tuple for argument in command):
            raise
    return _pack_spread(command)


def pack_some(arguments: Sequence[Any]) -> bytes:
    """Arguments without the line that says how many there are."""
    text: bytes = hiredis.pack_command(tuple(arguments))
    return text.partition(b"\r\n")[2]


def _pack_spread(command: Sequence[Any]) -> list[Buffer]:
    pieces: list[Buffer] = [b"*%d\r\n" % len(command)]
    for argument in command:
        if type(argument) is tuple:
            pieces += b"$%d\r\n" % sum(map(len, argument)), *argument, b"\r\n"
        else:
            pieces.append(pack_some((argument,)))
    return _together(pieces)


def _together(pieces: Sequence[Buffer]) -> list[Buffer]:
    """What is small between large pieces goes together."""
    found: list[Buffer] = []
    start = 0
    for place, piece in enumerate(pieces):
        if len(piece) > LARGE:
            found += b"".join(pieces[start:place]), piece
            start = place + 1
    found.append(b"".join(pieces[start:]))
    return found
