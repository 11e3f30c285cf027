"""One job, whatever has become of it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pullet_broker.errors import DecodeError, TooLarge
from pullet_broker.letter import DeadLetter, FailedAttempt, read_attempts
from pullet_broker.moves.listing import Listed, Taken
from pullet_broker.parts import Buffer
from pullet_broker.reply import read_failure, read_reply
from pullet_console.reading.arguments import Arguments, show_arguments, show_result
from pullet_console.reading.jobs import view


@dataclass(frozen=True)
class JobDetail:
    """All that Redis knows of one job. Times are seconds since the epoch, on the server's clock."""

    id: str
    state: str
    """waiting, running, delayed, done, failed, cancelled, expired; dead: it failed for good, and its letter is kept;
    unknown: it never was, or its reply was read or has expired."""
    method: str = ""
    lane: str = ""
    attempt: int = 0
    crashes: int = 0
    key: str = ""
    client: str = ""
    since: float = 0.0
    due: float | None = None
    expires: float | None = None
    worker: str = ""
    """Who has it in hand, or brought its outcome."""
    held_s: float | None = None
    run_s: float | None = None
    """How long the attempt ran that brought the outcome."""
    arguments: Arguments | None = None
    """None where the job has ended: its arguments end with it."""
    result: str | None = None
    error_type: str = ""
    error: str = ""
    traceback: str = ""
    died_at: float | None = None
    errors: tuple[FailedAttempt, ...] = ()
    """The attempts that ended badly, at most 10, the newest last."""
    items: int = 0
    """Items of a generator that are there to be read."""


def of_open(found: Listed, taken: Taken | None, payload: bytes | None) -> JobDetail:
    """A job that has not ended; `payload` are its arguments, wherever they lay."""
    seen = view(found, taken)
    return JobDetail(
        id=seen.id,
        state=seen.state,
        method=seen.method,
        lane=seen.lane,
        attempt=seen.attempt,
        crashes=seen.crashes,
        key=seen.key,
        client=seen.client,
        since=seen.since,
        due=seen.due,
        expires=seen.expires,
        worker=seen.worker,
        held_s=seen.held_s,
        arguments=show_arguments(payload),
        errors=read_attempts(found.fields.get("errors", "")),
    )


def of_reply(job: str, raw: bytes) -> JobDetail:
    """A job that has ended, from its committed reply."""
    try:
        reply = read_reply(raw)
    except (DecodeError, TooLarge) as problem:
        return JobDetail(job, "unknown", error=f"its reply is not readable: {problem}")
    detail = JobDetail(
        id=job,
        state=reply.state,
        attempt=reply.attempt,
        worker="" if reply.worker == "-" else reply.worker,
        run_s=reply.run_us / 1e6,
        result=show_result(reply.payload) if reply.outcome == "ok" else None,
    )
    return with_failure(detail, reply.payload) if reply.outcome == "error" else detail


def with_failure(detail: JobDetail, payload: Buffer) -> JobDetail:
    """The job with the error that its reply holds."""
    try:
        failure = read_failure(payload)
    except (DecodeError, TooLarge) as problem:
        return replace(detail, error=f"its error is not readable: {problem}")
    return replace(detail, error_type=failure.error_type, error=failure.text, traceback=failure.traceback)


def of_letter(letter: DeadLetter, arguments: Arguments) -> JobDetail:
    """A job that failed for good."""
    return JobDetail(
        id=letter.id,
        state="dead",
        method=letter.method,
        attempt=letter.attempts,
        crashes=letter.crashes,
        key=letter.key,
        client=letter.client,
        since=letter.submitted_at,
        worker=letter.worker,
        arguments=arguments,
        error_type=letter.error_type,
        error=letter.error,
        traceback=letter.traceback,
        died_at=letter.died_at,
        errors=letter.errors,
    )
