"""cancel: a caller asks that a job does not run."""

from __future__ import annotations

from pullet_broker.moves.settling import settling
from pullet_broker.scripting import Call, fixed_keys, load
from pullet_broker.settings import Queue


def cancel(queue: Queue, job: str) -> Call[str]:
    """Ask that a job does not run. Answers CANCELLED (it was parked), DONE (too late) or ASKED."""
    script = load("cancel")
    args = script.arguments(job=job, **settling(queue))
    return Call(script, fixed_keys(script, queue.keys), args, lambda raw: str(raw.decode()))
