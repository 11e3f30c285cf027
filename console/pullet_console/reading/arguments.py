"""The arguments and results of jobs as people read them: short, and whatever they hold."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import Repr
from typing import Any

from pullet_broker.codec import decode, decode_call
from pullet_broker.errors import DecodeError, TooLarge
from pullet_broker.parts import Buffer

MOST_BYTES = 1 << 20
"""What is larger is not decoded: it would be cut to a few words anyway, and may need many times its size in memory."""

_short = Repr()
_short.maxstring = _short.maxother = _short.maxlong = 200
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = _short.maxfrozenset = 20
_short.maxlevel = 4


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call."""

    args: tuple[str, ...] = ()
    """Each as Python writes it, long ones cut."""
    kwargs: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    """Bytes on the wire; None when they are not there any more."""
    problem: str = ""
    """Why they cannot be shown."""

    @property
    def text(self) -> str:
        """As they stand in a call: `'8/8/8', depth=15`."""
        if self.problem:
            return f"<{self.problem}>"
        return ", ".join([*self.args, *(f"{name}={value}" for name, value in self.kwargs)])


def show_arguments(payload: bytes | None) -> Arguments:
    """Those of a job, from its encoded call; None where that is gone."""
    if payload is None:
        return Arguments(problem="the arguments have expired")
    if len(payload) > MOST_BYTES:
        return Arguments(size=len(payload), problem=f"{len(payload)} bytes of arguments")
    try:
        args, kwargs = decode_call(payload)
    except (DecodeError, TooLarge) as error:
        return Arguments(size=len(payload), problem=f"not readable: {error}")
    named = tuple((name, show_value(value)) for name, value in kwargs.items())
    return Arguments(tuple(show_value(value) for value in args), named, len(payload))


def show_value(value: Any) -> str:
    """A value as Python writes it, cut where it is long."""
    return _short.repr(value)


def show_result(payload: Buffer) -> str:
    """A result, from its encoded value."""
    if len(payload) > MOST_BYTES:
        return f"<{len(payload)} bytes>"
    try:
        return show_value(decode(bytes(payload)))
    except (DecodeError, TooLarge) as error:
        return f"<not readable: {error}>"
