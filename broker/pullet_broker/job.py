"""A job on its two sides of the wire: `Job` as a client submits it, `Entry` as a worker takes it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pullet_broker.errors import DecodeError
from pullet_broker.parts import Buffer

PRIORITY_LANES = ("low", "normal", "high")


# Random digits for the next ids. To ask the system for each costs as much as packing a job's arguments.
_digits: list[str] = []
_DIGITS, _AT_ONCE = 20, 128


def new_job_id() -> str:
    """32 hexadecimal digits: 48 bits of milliseconds, so that ids sort by time, and 80 random bits."""
    try:
        digits = _digits.pop()
    except IndexError:
        block = os.urandom(_DIGITS // 2 * _AT_ONCE).hex()
        digits, *more = [block[at : at + _DIGITS] for at in range(0, len(block), _DIGITS)]
        _digits.extend(more)
    return f"{time.time_ns() // 1_000_000:012x}{digits}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_digits.clear)  # or the child would give its parent's next ids to its own jobs


def new_client_id() -> str:
    """32 random hexadecimal digits: who knows a client's id can read its replies."""
    return os.urandom(16).hex()


def lane_of(priority: int) -> str:
    """The lane of a priority: above 0 `high`, below 0 `low`."""
    return PRIORITY_LANES[(priority > 0) - (priority < 0) + 1]


@dataclass(slots=True)
class Job:
    """One method call on its way to the server. Times are in milliseconds, 0 is "not given"."""

    id: str
    method: str
    args: Buffer
    opts: str = ""
    lane: str = "normal"
    delay_ms: int = 0
    expires_ms: int = 0
    ttl_ms: int = 0
    key: str = ""
    """Jobs with the same key run at the same place while it lives."""
    named: bool = False
    """Its caller chose the id: a second job with it is the same job."""
    once: bool = False
    """It must not be run again when it may have begun."""

    @property
    def size(self) -> int:
        """About how many bytes it adds to a `submit`."""
        return len(self.args) + len(self.method) + len(self.opts) + len(self.key) + 100


@dataclass(slots=True)
class Entry:
    """One attempt at a job, as a worker took it from a lane. `lane` and `id` together are its fence."""

    lane: int
    id: str
    job: str
    method: str
    args: bytes
    client: str
    opts: str
    attempt: int = 1
    raised: int = 0
    """How many earlier attempts ended with an exception."""
    ttl_ms: int = 0
    large: bool = False
    key: str = ""
    once: bool = False
    named: bool = False
    """Its caller chose the id: there may have been other jobs with it."""
    problem: str = ""
    """What is wrong with its fields, where somebody wrote it by hand."""
    started: float = field(default=0.0, compare=False)
    """When it began to run here, on the monotonic clock."""


_WANTED = [b"id", b"method", b"args", b"client", b"opts"]


def read_entry(raw: Sequence[object]) -> Entry:
    """An `Entry` from the (lane, id, fields) of a script. Never raises: a bad entry tells of its `problem`."""
    lane, entry_id, flat = raw
    fields: list[bytes] = flat  # type: ignore[assignment]
    where = int(lane)  # type: ignore[call-overload]
    name = entry_id.decode()  # type: ignore[attr-defined]
    try:
        if len(fields) == 10 and fields[::2] == _WANTED:  # as nearly all are
            _, job, _, method, _, args, _, client, _, opts = fields
            return Entry(where, name, job.decode(), method.decode(), args, client.decode(), opts.decode())
        return _read_long(where, name, dict(zip(fields[::2], fields[1::2], strict=True)))
    except (ValueError, DecodeError) as error:
        job_id = next((b for a, b in pairwise(fields) if a == b"id"), b"")
        return Entry(where, name, job_id.decode(errors="replace"), "", b"", "", "", problem=str(error))


def read_handed_out(raw: Sequence[Any]) -> list[Entry]:
    """Entries as `cycle.lua` hands them out: of most, only the values. Never raises."""
    found: list[Entry] = []
    place, end = 0, len(raw)
    while place < end:
        if type(raw[place + 2]) is list:
            found.append(read_entry(raw[place : place + 3]))
            place += 3
            continue
        lane, entry_id, job, method, args, client, opts = raw[place : place + 7]
        place += 7
        try:
            entry = Entry(lane, entry_id.decode(), job.decode(), method.decode(), args, client.decode(), opts.decode())
        except UnicodeDecodeError:
            fields = [text for pair in zip(_WANTED, (job, method, args, client, opts), strict=True) for text in pair]
            entry = read_entry((lane, entry_id, fields))
        found.append(entry)
    return found


def whole(text: bytes, default: int) -> int:
    """A number as scripts read it: what is not a whole number of at most 15 digits counts as not given."""
    return int(text) if text.isdigit() and len(text) <= 15 else default


def _read_long(lane: int, name: str, fields: dict[bytes, bytes]) -> Entry:
    missing = [wanted.decode() for wanted in _WANTED if wanted not in fields]
    if missing:
        raise DecodeError(f"the entry has no field {', '.join(missing)}; submit jobs with pullet instead of by hand")
    return Entry(
        lane,
        name,
        fields[b"id"].decode(),
        fields[b"method"].decode(),
        fields[b"args"],
        fields[b"client"].decode(),
        fields[b"opts"].decode(),
        attempt=whole(fields.get(b"attempt", b""), 1),
        raised=whole(fields.get(b"raised", b""), 0),
        ttl_ms=whole(fields.get(b"ttl", b""), 0),
        large=b"blob" in fields,
        key=fields.get(b"key", b"").decode(),
        once=b"once" in fields,
        named=b"named" in fields,
    )
