"""How a future goes to another process: as its outcome, or as a handle that gets the same outcome there."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pullet.future import Future


def pickled(future: Future[Any], share: Callable[[str], Any] | None) -> tuple[Any, ...]:
    """For `__reduce__`. The reply of a job that others wait for stays in Redis until its TTL ends."""
    home = None if future.done() or share is None else share(future.job_id)
    if home is not None:
        return _attach, (*home, future.job_id)
    if share is None and not future.done():
        raise TypeError(f"{future!r} belongs to no server: only its outcome can travel, and it has none yet")
    concurrent.futures.wait([future])  # for the moment it takes to decode a reply that is here
    story = {name: getattr(future, name) for name in ("attempts", "worker", "run_s", "wait_s", "progress")}
    if future.cancelled():
        return _ended, (future.job_id, story, None, None, None, True)
    error = future.exception()
    cause = str(error.__cause__.args[0]) if error is not None and error.__cause__ is not None else None
    return _ended, (future.job_id, story, None if error else future.result(), error, cause, False)


def _attach(queue: Any, address: Any, job: str) -> Future[Any]:
    from pullet.core import shared_core  # the core makes futures

    return shared_core(queue, address).attach(job)


def _ended(
    job: str, story: dict[str, Any], value: Any, error: Exception | None, cause: str | None, cancelled: bool
) -> Future[Any]:
    from pullet.future import Future
    from pullet.resolve import RemoteTraceback

    future: Future[Any] = Future(job, lambda job: None)
    future.accepted = True
    for name, said in story.items():
        setattr(future, name, said)
    if cancelled:
        future.cancel()
    elif error is not None:
        if cause is not None:
            error.__cause__ = RemoteTraceback(cause)
        future.set_exception(error)
    else:
        future.set_result(value)
    return future
