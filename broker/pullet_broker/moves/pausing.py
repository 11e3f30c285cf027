"""Pause and resume: `paused` in the queue's `config`. `cycle` reads it, so it holds for every worker from then on. An
idle one may still get a job from the read that it waits in, until it hears the call that goes with it."""

from __future__ import annotations

from typing import Any

from pullet_broker.scripting import Arg, Call, fixed_keys, load
from pullet_broker.settings import Queue


def pause(queue: Queue) -> Call[None]:
    return _pause(queue, 1)


def resume(queue: Queue) -> Call[None]:
    return _pause(queue, 0)


def is_paused(queue: Queue) -> tuple[Arg, ...]:
    return ("HEXISTS", queue.keys.fixed("config"), "paused")


def _pause(queue: Queue, paused: int) -> Call[None]:
    script = load("pause")
    return Call(script, fixed_keys(script, queue.keys), script.arguments(paused=paused), _read_ok)


def _read_ok(raw: Any) -> None:
    """There is nothing to tell."""
