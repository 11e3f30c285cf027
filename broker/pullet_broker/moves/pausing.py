"""Pause and resume: `paused` in the queue's `config`. `cycle` reads it, so it holds for every worker from then on. An
idle one may still get a job from the read that it waits in, until it hears the call that goes with it.

Plain commands, no script: accounts that may load none pause and resume queues that no worker has come to yet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.moves.cancel import STOPS_KEPT, STOPS_LIVE_S
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

log = logging.getLogger("pullet.client")


def pause(queue: Queue, execute: Callable[..., Any]) -> None:
    """`execute` runs one command."""
    execute("HSET", queue.keys.fixed("config"), "paused", 1)
    _call_all(queue, execute)


def resume(queue: Queue, execute: Callable[..., Any]) -> None:
    execute("HDEL", queue.keys.fixed("config"), "paused")
    _call_all(queue, execute)


def is_paused(queue: Queue) -> tuple[Arg, ...]:
    return ("HEXISTS", queue.keys.fixed("config"), "paused")


def _call_all(queue: Queue, execute: Callable[..., Any]) -> None:
    """Wake the workers that wait. A full server cannot be told so: they hear of it with their next beat."""
    stops = queue.keys.fixed("stops")
    try:
        execute("XADD", stops, "MAXLEN", "~", STOPS_KEPT, "*", "call", 1)
        execute("PEXPIRE", stops, int(1000 * STOPS_LIVE_S))
    except ServerUnavailable:
        raise
    except ServerError as error:
        log.info("workers hear of it with their next beats", extra={"queue": queue.name, "error": str(error)})
