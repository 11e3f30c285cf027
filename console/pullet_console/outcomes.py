"""What became of a job, printed: its value, or its error with the remote traceback."""

from __future__ import annotations

from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from typing import Any

from pullet import Future
from pullet_broker.errors import PulletError
from pullet_console.refusals import FAILED, Refusal
from pullet_console.screen import age, write_json


def print_outcome(future: Future[Any], timeout: float | None, queue: str, *, as_json: bool) -> None:
    """Wait for a job, and print its value as JSON. Raises `Refusal` when it has none."""
    job = future.job_id
    try:
        value = future.result(timeout)
    except Late:
        if future.done():
            raise failed(future, queue) from None
        raise Refusal(
            f"job {job} has no outcome after {age(timeout)}; it goes on", f"pullet jobs show {job} -q {queue}", FAILED
        ) from None
    except CancelledError:
        raise Refusal(f"job {job} was cancelled", f"pullet jobs show {job} -q {queue}", FAILED) from None
    except Exception:
        raise failed(future, queue) from None
    if as_json:
        write_json({"queue": queue, "job": job, "worker": future.worker, "attempts": future.attempts, "value": value})
    else:
        write_json(value, line=True)


def failed(future: Future[Any], queue: str) -> Refusal:
    """How a job failed, for people: the remote traceback where there is one."""
    error = future.exception(0)
    return describe(error, future.job_id, queue)


def describe(error: BaseException | None, job: str, queue: str) -> Refusal:
    remote = str(error.__cause__) if error is not None and error.__cause__ is not None else ""
    kind = type(error).__name__
    told = str(error) if isinstance(error, PulletError) else f"{kind}: {error}"
    text = f"job {job} failed: {told}" + (f"\n{remote}" if remote else "")
    return Refusal(text, f"pullet jobs show {job} -q {queue}", FAILED)
