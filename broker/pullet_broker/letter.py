"""A dead letter: a job that failed for good, as it lies in the stream `dead`.

Whatever the stream holds can be read: what is missing or makes no sense is empty or 0, because only `args` and
`kwargs` are worth an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pullet_broker.codec import decode_call
from pullet_broker.errors import DecodeError, JobUnreadable, TooLarge
from pullet_broker.job import whole
from pullet_broker.reply import read_failure, read_reply

Call = tuple[tuple[Any, ...], dict[str, Any]]

CRASHED = "pullet.WorkerLost"
"""The error of a job whose workers died with it in hand."""


@dataclass(frozen=True)
class FailedAttempt:
    """How one attempt ended that did not bring a result."""

    attempt: int
    worker: str
    """The consumer name of the worker."""
    at: float
    """Seconds since the epoch, on the server's clock."""
    how: str
    """raised: by the engine; crashed: its worker died; lost: its node went, or its worker was stopped."""
    error_type: str = ""
    """Module and qualified name of what was raised."""
    text: str = ""
    """The start of what it said."""


@dataclass(frozen=True)
class DeadLetter:
    """One job that failed for good. Times are seconds since the epoch on the server's clock."""

    id: str
    """The job's id, as in `Future.job_id`."""
    method: str
    client: str
    """The id of the client that submitted it."""
    options: dict[str, Any]
    key: str
    """Its `options(key=)`, empty without one."""
    attempts: int
    crashes: int
    """How many workers died with it in hand."""
    worker: str
    """The consumer name of the last one."""
    submitted_at: float
    died_at: float
    error_type: str
    """Module and qualified name of the last error: `builtins.ValueError`, `pullet.WorkerLost`."""
    error: str
    """What it said."""
    traceback: str
    errors: tuple[FailedAttempt, ...]
    """The last attempts, at most 10, the newest last."""
    log: tuple[str, ...]
    """The last lines that the engine logged in the last attempt, at most 20; none where its worker died."""
    cursor: str
    """Its place among the dead letters: `list(after=cursor)` goes on behind it."""
    payload: bytes | None = field(repr=False)
    """The encoded arguments, or None when they lie beside the letter."""
    fetch: Callable[[str], bytes | None] = field(repr=False, compare=False)
    """Gets those of a job, by its id."""
    read: Callable[[bytes], Call] = field(repr=False, compare=False)
    """Decodes arguments."""

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments. Raises `JobUnreadable` when they cannot be decoded, or have expired."""
        return self._call[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments; raises as `args` does."""
        return self._call[1]

    @cached_property
    def _call(self) -> Call:
        payload = self.fetch(self.id) if self.payload is None else self.payload
        if payload is None:
            raise arguments_expired(self.id)
        try:
            return self.read(payload)
        except (DecodeError, TooLarge) as error:
            raise JobUnreadable(f"the arguments of dead letter {self.id} cannot be read: {error}") from None


def arguments_expired(job: str) -> JobUnreadable:
    return JobUnreadable(
        f"the large arguments of dead letter {job} have expired (Lifetimes.dead_ms); submit the job anew", job=job
    )


def read_letter(
    place: bytes,
    flat: Sequence[bytes],
    fetch: Callable[[str], bytes | None],
    read: Callable[[bytes], Call] = decode_call,
) -> DeadLetter:
    """A letter from its entry; `fetch` gets the large arguments of a job, `read` decodes arguments."""
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    text = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    job, died_ms = text.get("id", ""), whole(place.partition(b"-")[0], 0)
    crashes, error_type, error, traceback = _read_error(fields)
    return DeadLetter(
        id=job,
        method=text.get("method", ""),
        client=text.get("client", ""),
        options=_read_options(text.get("opts", "")),
        key=text.get("key", ""),
        attempts=whole(fields.get(b"attempt", b""), 1),
        crashes=crashes,
        worker=text.get("worker", ""),
        submitted_at=whole(fields.get(b"since", b""), died_ms) / 1000,
        died_at=died_ms / 1000,
        error_type=error_type,
        error=error,
        traceback=traceback,
        log=tuple(text.get("log", "").splitlines()),
        errors=read_attempts(text.get("errors", "")),
        cursor=place.decode(),
        payload=None if b"blob" in fields else fields.get(b"args", b""),
        fetch=fetch,
        read=read,
    )


def _read_error(fields: dict[bytes, bytes]) -> tuple[int, str, str, str]:
    """How many workers died, and type, text and traceback of the last error, from the reply that the caller got."""
    crashes = whole(fields.get(b"crashes", b""), 0)
    try:
        reply = read_reply(fields.get(b"error", b""))
        if reply.outcome == "lost":
            return crashes, CRASHED, "its worker was lost with it in hand, and repeat=False forbids another run", ""
        if reply.outcome == "crashed":
            return reply.attempt, CRASHED, f"{reply.attempt} workers died with the job in hand", ""
        failure = read_failure(reply.payload)
    except (DecodeError, TooLarge):
        return crashes, "", "", ""
    return crashes, failure.error_type, failure.text, failure.traceback


def _read_options(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_attempts(text: str) -> tuple[FailedAttempt, ...]:
    """From the field `errors` of a job, which has a line for each."""
    return tuple(_read_attempt(line) for line in text.split("\n") if line)


def _read_attempt(line: str) -> FailedAttempt:
    attempt, worker, at, how, error_type, text = (*line.split(" ", 5), *[""] * 6)[:6]
    return FailedAttempt(whole(attempt.encode(), 0), worker, whole(at.encode(), 0) / 1000, how, error_type, text)
