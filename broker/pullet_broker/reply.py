"""The committed reply of a job: one line of plain text, then the encoded payload.

    ok 1 gpu3-chess-2 48210\\n<msgpack of the value>
    error 2 gpu3-chess-2 311\\n<msgpack of a failure>
    cancelled 1 - 0\\n          expired, crashed, lost: written by scripts, nothing after the line

The words are outcome, attempt, worker and microseconds of run time, so that `redis-cli GET` tells what happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pullet_broker.codec import decode, encode
from pullet_broker.errors import DecodeError
from pullet_broker.parts import LARGE, Buffer, Parts

HEAD_LIMIT = 1_000
DIGITS = 18
"""Of the longest number in a head."""
TEXT_LIMIT = 8_000
TRACEBACK_LIMIT = 32_000
FAILURE_LIMIT = 256_000
GROUP_DEPTH = 10
"""How deep exception groups may be nested, in what is read."""


@dataclass(slots=True)
class Reply:
    """How a job ended. `outcome` is ok, error, cancelled, expired, crashed or lost; `payload` is still encoded."""

    outcome: str
    attempt: int
    worker: str
    run_us: int
    payload: Buffer

    @property
    def state(self) -> str:
        """The state of a job that ended so: done, failed, cancelled or expired."""
        return _STATES.get(self.outcome, self.outcome)


_STATES = {"ok": "done", "error": "failed", "crashed": "failed", "lost": "failed"}


@dataclass(frozen=True)
class Failure:
    """An exception as data: nothing of it is imported or called by name when it is read."""

    type_name: str
    """Module and qualified name, as in `builtins.ValueError`."""
    text: str
    args: list[Any]
    """The exception's args where they can travel, else only its text."""
    traceback: str
    kind: str = "raised"
    """raised: by the engine; method, unreadable, too_large, unencodable, timeout: by the worker in its name."""
    members: list[Failure] = field(default_factory=list)
    """What an exception group holds."""

    @property
    def error_type(self) -> str:
        """The name of what the caller gets: `type_name`, or an error of pullet for what the worker stated."""
        return _STATED.get(self.kind, self.type_name)


_STATED = {
    "method": "pullet.UnknownMethod",
    "unreadable": "pullet.JobUnreadable",
    "too_large": "pullet.TooLarge",
    "unencodable": "pullet.EncodeError",
    "timeout": "pullet.JobTimeout",
}


def pack_reply(outcome: str, attempt: int, worker: str, run_us: int, payload: Buffer) -> bytes | Parts:
    """As an argument of a script: a large payload stays where it is."""
    if len(payload) <= LARGE:
        return b"%s %d %s %d\n%s" % (outcome.encode(), attempt, worker.encode(), run_us, payload)
    return b"%s %d %s %d\n" % (outcome.encode(), attempt, worker.encode(), run_us), payload


def first_line(reply: bytes | Parts) -> bytes:
    """The line of text with which a packed reply begins."""
    start = reply if isinstance(reply, bytes) else bytes(reply[0])
    return start[: start.find(b"\n", 0, HEAD_LIMIT) + 1]


def read_reply(raw: bytes) -> Reply:
    """Raises `DecodeError` for bytes that no worker and no script of ours wrote."""
    payload: Buffer
    if len(raw) <= LARGE:
        head, newline, payload = raw.partition(b"\n")
    else:
        head, newline, _ = raw[:HEAD_LIMIT].partition(b"\n")
        payload = memoryview(raw)[len(head) + 1 :]
    said, _, run_us = head.rpartition(b" ")
    try:
        if newline and len(run_us) <= DIGITS:
            return Reply(*_read_head(said), int(run_us), payload)
    except ValueError:
        pass
    raise DecodeError(f"not a reply: {raw[:60]!r}")


@lru_cache(maxsize=1024)
def _read_head(head: bytes) -> tuple[str, int, str]:
    """Outcome, attempt and worker: the same in nearly all replies of a worker, so read once. Raises `ValueError`."""
    outcome, attempt, worker = head.split(b" ")
    if len(attempt) > DIGITS or len(head) > HEAD_LIMIT:
        raise ValueError("longer than a head of ours")
    return outcome.decode(), int(attempt), worker.decode()


def pack_failure(failure: Failure) -> Buffer:
    """Encode a failure; args that cannot travel are replaced by the text, and members that are too large left out."""
    for fields in (_fields(failure), _fields(failure, plain=True), _fields(failure, plain=True, members=False)):
        try:
            return encode(fields, limit=FAILURE_LIMIT)
        except Exception:  # the args are the engine's objects: they may raise anything when they are looked at
            continue
    raise AssertionError("texts of limited length always fit")


def _fields(failure: Failure, *, plain: bool = False, members: bool = True) -> dict[str, Any]:
    text = sendable(failure.text, TEXT_LIMIT)
    fields: dict[str, Any] = {
        "type_name": sendable(failure.type_name, TEXT_LIMIT),
        "text": text,
        "traceback": sendable(failure.traceback[-TRACEBACK_LIMIT:], TRACEBACK_LIMIT),
        "kind": failure.kind,
        "args": [text] if plain else failure.args,
    }
    if failure.members and members:
        fields["members"] = [_fields(member, plain=plain) for member in failure.members]
    return fields


def sendable(text: str, most: int) -> str:
    """Text without lone surrogates, which UTF-8 cannot hold."""
    return text[:most].encode("utf-8", "backslashreplace").decode()


def read_failure(payload: Buffer) -> Failure:
    """Raises `DecodeError` when the payload is not a failure."""
    return _read_fields(decode(payload), GROUP_DEPTH)


def _read_fields(fields: Any, depth: int) -> Failure:
    if not isinstance(fields, dict) or set(fields) - {"members"} != {"type_name", "text", "args", "traceback", "kind"}:
        raise DecodeError("not a failure")
    members = fields.get("members", [])
    if not isinstance(members, list) or (members and depth == 0):
        raise DecodeError("a failure that holds too much")
    fields["members"] = [_read_fields(member, depth - 1) for member in members]
    failure = Failure(**fields)
    texts = (failure.type_name, failure.text, failure.traceback, failure.kind)
    if not all(isinstance(text, str) for text in texts) or not isinstance(failure.args, list):
        raise DecodeError("a failure whose fields have other types than expected")
    return failure
