"""From a committed reply to a resolved future: decode the value, or rebuild the error.

An exception is rebuilt only where its class is a builtin or was registered here. Nothing is imported by name.
"""

from __future__ import annotations

import builtins
import concurrent.futures
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from pullet.future import Future
from pullet_broker.codec import decode, is_pickled
from pullet_broker.errors import (
    DecodeError,
    EncodeError,
    JobExpired,
    JobTimeout,
    JobUnreadable,
    PulletError,
    RemoteError,
    Retry,
    TooLarge,
    UnknownMethod,
    WorkerLost,
)
from pullet_broker.reply import Failure, Reply, read_failure, read_reply
from pullet_broker.settings import Queue

log = logging.getLogger("pullet.client")

_registered: dict[str, type[Exception]] = {f"{Retry.__module__}.{Retry.__qualname__}": Retry}

OF_THE_WORKER: dict[str, type[Exception]] = {
    "method": UnknownMethod,
    "unreadable": JobUnreadable,
    "too_large": TooLarge,
    "unencodable": EncodeError,
    "timeout": JobTimeout,
}
"""Failures that the worker states in its own name."""


class RemoteTraceback(Exception):
    """The cause of an error that came from a worker: the traceback there, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def register_error(cls: type[Exception]) -> type[Exception]:
    """Let errors of this class come back as themselves instead of as `RemoteError`. Usable as a decorator.

    An instance is rebuilt as `cls(*args)` from the args that the remote exception had.
    """
    _registered[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return cls


def resolve(future: Future[Any], raw: bytes, queue: Queue, now: float | None = None) -> None:
    """Give a future its outcome. A future that was cancelled meanwhile stays cancelled.

    `now` is when the reply came, on the monotonic clock, for whoever has many of them.
    """
    try:
        reply = read_reply(raw)
        future.attempts, future.worker = reply.attempt, reply.worker
        future.run_s = run_s = reply.run_us / 1e6
        if future.since is not None:
            future.wait_s = max(0.0, (now or time.monotonic()) - future.since - run_s)
        if reply.outcome == "ok":
            value = decode(reply.payload, limit=queue.limits.result_bytes, pickles=queue.encoding.reads_pickles)
            error = None
        else:
            value, error = None, _ERRORS.get(reply.outcome, _unknown)(reply, future.job_id, queue)
        if future.build is not None and error is None and not is_pickled(reply.payload):
            value = future.build(value)
    except (DecodeError, TooLarge) as bad:
        value, error = None, bad
    try:
        if error is None:
            future.set_result(value)
        elif isinstance(error, concurrent.futures.CancelledError):
            future.end_cancelled()
        else:
            future.set_exception(error)
    except concurrent.futures.InvalidStateError:
        return  # its owner cancelled it while the reply was on the way


def _error(reply: Reply, job: str, queue: Queue) -> BaseException:
    note = f"worker {reply.worker}, attempt {reply.attempt}, job {job}"
    failure = read_failure(reply.payload)
    error = rebuild(failure)
    if isinstance(error, PulletError) and failure.kind in OF_THE_WORKER:
        error.evidence |= {"job": job, "worker": reply.worker, "attempts": reply.attempt, "run_s": reply.run_us / 1e6}
        error.evidence |= {"timeout_s": failure.args[-1]} if isinstance(error, JobTimeout) else {}
    if sys.version_info >= (3, 11):
        error.add_note(note)
    else:  # which shows no notes, but the cause
        error.__cause__ = RemoteTraceback(f"{failure.traceback}\n{note}\n")
        error.__notes__ = [note]  # pyright: ignore[reportAttributeAccessIssue]
    return error


def _cancelled(reply: Reply, job: str, queue: Queue) -> BaseException:
    return concurrent.futures.CancelledError()


def _expired(reply: Reply, job: str, queue: Queue) -> BaseException:
    again = " again" if reply.attempt > 1 else ""
    return JobExpired(f"job {job} waited longer than options(expires=) and was not run{again}", job=job)


def _crashed(reply: Reply, job: str, queue: Queue) -> BaseException:
    message = (
        f"job {job} is a dead letter: worker after worker died with it in hand, the last one was {reply.worker}; "
        "look for a crash of the process (memory, a C extension, os._exit) in the engine's method"
    )
    return WorkerLost(message, job=job, attempts=reply.attempt, worker=reply.worker)


def _lost(reply: Reply, job: str, queue: Queue) -> BaseException:
    message = (
        f"the worker {reply.worker} was lost with job {job} in hand: it may have begun, and options(repeat=False) "
        "forbids to run it again"
    )
    return WorkerLost(message, job=job, attempts=reply.attempt, worker=reply.worker)


def _unknown(reply: Reply, job: str, queue: Queue) -> BaseException:
    return DecodeError(f"job {job} has an outcome {reply.outcome!r} that this release does not know; update it")


_ERRORS: dict[str, Callable[[Reply, str, Queue], BaseException]] = {
    "error": _error,
    "cancelled": _cancelled,
    "expired": _expired,
    "crashed": _crashed,
    "lost": _lost,
}


def rebuild(failure: Failure) -> Exception:
    """The exception that a failure describes, as itself where its class is known here, else a `RemoteError`."""
    error = _instance(failure)
    if failure.traceback:
        error.__cause__ = RemoteTraceback(failure.traceback)
    return error


def _instance(failure: Failure) -> Exception:
    if failure.kind in OF_THE_WORKER:
        return OF_THE_WORKER[failure.kind](failure.text)
    cls = _registered.get(failure.type_name) or _builtin(failure.type_name)
    if cls is not None:
        try:
            return cls(*failure.args, *_members(cls, failure))
        except Exception:
            log.debug("cannot rebuild an error from its args", extra={"type": failure.type_name})
    return RemoteError(f"{failure.type_name}: {failure.text}", type_name=failure.type_name, traceback=failure.traceback)


def _members(cls: type[Exception], failure: Failure) -> list[list[Exception]]:
    """The second argument of an exception group, where this Python has them."""
    group = getattr(builtins, "BaseExceptionGroup", None)
    if not failure.members or group is None or not issubclass(cls, group):
        return []
    return [[rebuild(one) for one in failure.members]]


def _builtin(type_name: str) -> type[Exception] | None:
    module, _, name = type_name.partition(".")
    cls = getattr(builtins, name, None) if module == "builtins" else None
    is_error = isinstance(cls, type) and issubclass(cls, Exception)
    return cls if is_error and cls not in (StopIteration, StopAsyncIteration) else None  # futures cannot hold those
