"""Pause and resume: `paused` in the queue's `config`. `cycle` reads it, so it holds for every worker from then on; an
idle one may still get a job from the read that it waits in."""

from __future__ import annotations

from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue


def pause(queue: Queue) -> tuple[Arg, ...]:
    return ("HSET", queue.keys.fixed("config"), "paused", 1)


def resume(queue: Queue) -> tuple[Arg, ...]:
    return ("HDEL", queue.keys.fixed("config"), "paused")


def is_paused(queue: Queue) -> tuple[Arg, ...]:
    return ("HEXISTS", queue.keys.fixed("config"), "paused")
