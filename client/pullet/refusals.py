"""What callers are told of jobs that were not taken: each error says what was expected, what came, and what to do."""

from __future__ import annotations

from pullet_broker.errors import QueueFull, ServerError, ServerUnavailable
from pullet_broker.moves.submit import Submitted
from pullet_broker.settings import Queue


def queue_full(queue: Queue, answer: Submitted) -> QueueFull:
    """The server refused a job, because the queue holds as many as it may."""
    return QueueFull(
        f"queue {queue.name!r} holds {answer.backlog} jobs, its limit is {answer.limit}; wait for some to "
        "finish, add workers, or raise the limit",
        queue=queue.name,
        backlog=answer.backlog,
        limit=answer.limit,
    )


def buffer_full(queue: Queue, waiting: int, limit: int) -> QueueFull:
    """So many jobs wait to be sent that `submit` would have to wait, on an event loop."""
    return QueueFull(
        f"{waiting} jobs wait to be sent and submit must not block an event loop; await some of their futures first",
        queue=queue.name,
        limit=limit,
    )


def not_submitted(job: str, error: ServerUnavailable) -> ServerUnavailable:
    """The server is away, and the job was never sent."""
    text = f"job {job} was not submitted: {error}"
    return ServerUnavailable(text, job=job, stored=False, **error.evidence)


def answer_lost(job: str, error: ServerError) -> ServerUnavailable:
    """The server went away between the job and its answer, and is still, or now refuses to say more."""
    text = f"job {job} was sent, and may run, but the answer got lost: {error}"
    return ServerUnavailable(text, job=job, stored=None, **error.evidence)
